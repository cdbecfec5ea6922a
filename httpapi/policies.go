package httpapi

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

// policyNames are the names of all policies, the built-in ones included.
func (s *Server) policyNames(c *call) []string {
	var names []string
	s.state.Read(func(v *fsm.View) { names = v.Policies(c.ns.id) })
	names = append(slices.Clone(names), policy.DefaultName, policy.RootName)
	slices.Sort(names)
	return slices.Compact(names)
}

// listPolicies serves sys/policies/acl.
func (s *Server) listPolicies(c *call) (answer, error) {
	data, warnings := c.reader().Page(s.policyNames(c))
	if err := c.reader().Err(); err != nil {
		return answer{}, err
	}
	if data == nil {
		return answer{}, errNothing
	}
	return answer{data: data, warnings: append(warnings, c.reader().Warnings()...), mountType: systemType}, nil
}

// listPoliciesOld serves sys/policy, which shows the names under two keys and at the top level.
func (s *Server) listPoliciesOld(c *call) (answer, error) {
	names := s.policyNames(c)
	return answer{data: map[string]any{"keys": names, "policies": names}, top: true, mountType: systemType}, nil
}

// policyText returns a policy's name and text; built-in ones have the text they began with.
func (s *Server) policyText(c *call) (name, text string, err error) {
	name = strings.ToLower(c.rest)
	var p *fsm.Policy
	s.state.Read(func(v *fsm.View) { p = v.Policy(c.ns.id, name) })
	switch {
	case p != nil:
		return name, p.Text, nil
	case name == policy.DefaultName:
		return name, policy.Default, nil
	case name == policy.RootName:
		return name, "", nil
	}
	return "", "", errNothing
}

// readPolicy serves sys/policies/acl/:name.
func (s *Server) readPolicy(c *call) (answer, error) {
	name, text, err := s.policyText(c)
	if err != nil {
		return answer{}, err
	}
	return answer{data: map[string]string{"name": name, "policy": text}, mountType: systemType}, nil
}

// readPolicyOld serves sys/policy/:name.
func (s *Server) readPolicyOld(c *call) (answer, error) {
	name, text, err := s.policyText(c)
	if err != nil {
		return answer{}, err
	}
	return answer{data: client.Policy{Name: name, Rules: text}, top: true, mountType: systemType}, nil
}

// writePolicy serves both paths with PUT and POST.
func (s *Server) writePolicy(c *call) (answer, error) {
	in := c.reader()
	in.Captured("name")
	text := in.String("policy")
	if rules := in.String("rules"); text == "" { // the parameter's old name
		text = rules
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil && text != "" {
		text = string(plain) // as Vault takes it; no policy in plain text is base64
	}
	parsed, err := policy.Parse(c.rest, text)
	if err != nil {
		return answer{}, lease.Errorf(lease.Invalid, "failed to parse policy: %s", err)
	}
	if err := s.lessor.PutPolicy(c.ctx, c.ns.id, c.rest, text); err != nil {
		return answer{}, err
	}
	if len(parsed.Warnings) > 0 {
		return answer{enveloped: true, warnings: parsed.Warnings, mountType: systemType}, nil
	}
	return done, nil
}

// deletePolicy serves both paths with DELETE.
func (s *Server) deletePolicy(c *call) (answer, error) {
	return done, s.lessor.DeletePolicy(c.ctx, c.ns.id, c.rest)
}
