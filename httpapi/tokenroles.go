package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// oldRoleFields are the fields of a role that have had another name: token_period was period.
var oldRoleFields = []string{"period", "explicit_max_ttl", "bound_cidrs"}

// roleFields are the fields that token roles share with the roles of auth methods, without those that
// have no meaning here.
var roleFields = []string{"token_period", "token_explicit_max_ttl", "token_bound_cidrs", "token_num_uses",
	"token_no_default_policy", "token_type"}

// createRoleToken serves auth/token/create/:name.
func (s *Server) createRoleToken(c *call) (answer, error) {
	if !lessor.RoleName(c.rest) {
		return answer{}, errUnsupportedPath
	}
	c.reader().Captured("role_name")
	req, err := s.tokenRequest(c)
	if err != nil {
		return answer{}, err
	}
	req.Role = c.rest
	return s.makeToken(c, req)
}

// listTokenRoles serves auth/token/roles.
func (s *Server) listTokenRoles(c *call) (answer, error) {
	p, err := c.page()
	if err != nil {
		return answer{}, err
	}
	names, more, err := s.lessor.TokenRoles(c.ns.id, p.after, p.limit)
	if err != nil {
		return answer{}, err
	}
	return p.answer(c, names, more)
}

// readTokenRole serves auth/token/roles/:name.
func (s *Server) readTokenRole(c *call) (answer, error) {
	if !lessor.RoleName(c.rest) {
		return answer{}, errUnsupportedPath
	}
	role, err := s.lessor.TokenRole(c.ns.id, c.rest)
	if err != nil {
		return answer{}, err
	}
	if role == nil {
		return answer{}, errNothing
	}
	return answer{data: describeRole(role), mountType: tokenType}, nil
}

// describeRole is a role as Vault shows it: with the old names of fields, which are zero unless they
// were the ones that were used, and without what is not limited.
func describeRole(r *lessor.TokenRole) map[string]any {
	list := func(names []string) []string { return append([]string{}, names...) }
	data := map[string]any{
		"name": r.Name, "orphan": r.Orphan, "renewable": r.Renewable, "path_suffix": r.PathSuffix,
		"allowed_policies": list(r.AllowedPolicies), "allowed_policies_glob": list(r.AllowedPoliciesGlob),
		"disallowed_policies": list(r.DisallowedPolicies), "disallowed_policies_glob": list(r.DisallowedPoliciesGlob),
		"allowed_entity_aliases": []string{}, "period": 0, "explicit_max_ttl": 0,
	}
	params := r.Params.Data()
	for _, name := range slices.Concat(roleFields, oldRoleFields) {
		if value, shown := params[name]; shown {
			data[name] = value
		}
	}
	if len(r.BoundCIDRs) == 0 {
		delete(data, "token_bound_cidrs")
		delete(data, "bound_cidrs")
	}
	if r.NumUses == 0 {
		delete(data, "token_num_uses")
	}
	if r.Type == "" {
		data["token_type"] = "default-service"
	}
	return data
}

// writeTokenRole serves auth/token/roles/:name with POST. What is not sent stays.
func (s *Server) writeTokenRole(c *call) (answer, error) {
	if !lessor.RoleName(c.rest) {
		return answer{}, errUnsupportedPath
	}
	c.reader().Captured("role_name")
	if err := s.lessor.PutTokenRole(c.ctx, c.ns.id, c.rest, c.changeRole); err != nil {
		return answer{}, err
	}
	var warnings []string
	for _, old := range oldRoleFields {
		if in := c.reader(); in.Has(old) && in.Has("token_"+old) {
			warnings = append(warnings, fmt.Sprintf("Both 'token_%s' and deprecated '%s' value supplied, ignoring the deprecated value", old, old))
		}
	}
	if len(warnings) == 0 {
		return done, nil
	}
	return answer{enveloped: true, warnings: append(warnings, c.reader().Warnings()...), mountType: tokenType}, nil
}

// changeRole takes over the fields that were sent.
func (c *call) changeRole(r *lessor.TokenRole) error {
	in := c.reader()
	for name, to := range map[string]*[]string{
		"allowed_policies": &r.AllowedPolicies, "allowed_policies_glob": &r.AllowedPoliciesGlob,
		"disallowed_policies": &r.DisallowedPolicies, "disallowed_policies_glob": &r.DisallowedPoliciesGlob,
	} {
		if in.Has(name) {
			*to = in.Strings(name)
		}
	}
	if in.Has("orphan") {
		r.Orphan = in.Bool("orphan", false)
	}
	if in.Has("renewable") {
		r.Renewable = in.Bool("renewable", true)
	}
	if in.Has("path_suffix") {
		r.PathSuffix = in.String("path_suffix")
	}
	if aliases := in.Strings("allowed_entity_aliases"); len(aliases) > 0 {
		in.Failf("allowed_entity_aliases: there are no entities here that %q could be an alias of: leave it out",
			field.CleanText(strings.Join(aliases, ",")))
	}
	if err := in.Err(); err != nil {
		return err
	}
	return c.changeRoleParams(r)
}

// changeRoleParams takes over the fields that token roles share with the roles of auth methods.
func (c *call) changeRoleParams(r *lessor.TokenRole) error {
	sent := make(map[string]any)
	for _, name := range slices.Concat(roleFields, oldRoleFields) {
		if c.reader().Has(name) {
			sent[name] = c.params[name]
		}
	}
	if kind, ok := sent["token_type"]; ok && kind == nil {
		return lease.Errorf(lease.Invalid, "Invalid 'token_type' value: null")
	}
	in := field.Read(sent)
	r.Params.Read(in, oldRoleFields...)
	return in.Err()
}

// deleteTokenRole serves auth/token/roles/:name with DELETE.
func (s *Server) deleteTokenRole(c *call) (answer, error) {
	if !lessor.RoleName(c.rest) {
		return answer{}, errUnsupportedPath
	}
	return done, s.lessor.DeleteTokenRole(c.ctx, c.ns.id, c.rest)
}
