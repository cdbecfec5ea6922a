package httpapi

import (
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

var (
	errMissingToken = lease.Errorf(lease.Invalid, "missing token")
	errInvalidToken = &lease.Error{Code: lease.Denied, Message: "invalid token"}
)

// capabilitiesSelf serves sys/capabilities-self.
func (s *Server) capabilitiesSelf(c *call) (answer, error) {
	c.reader().Has("token") // the stock client sends it along
	paths, err := c.askedPaths()
	if err != nil {
		return answer{}, err
	}
	return c.capabilities(c.acl, c.within(), paths), nil
}

// capabilitiesOf serves sys/capabilities.
func (s *Server) capabilitiesOf(c *call) (answer, error) {
	bearer := c.reader().String("token")
	if err := c.reader().Err(); err != nil {
		return answer{}, err
	}
	if bearer == "" {
		return answer{}, errMissingToken
	}
	hash, err := s.lessor.HashToken(bearer)
	if err != nil {
		return answer{}, err
	}
	return s.capabilitiesFound(c, errInvalidToken, func(v *fsm.View) *lease.Token { return v.Token(hash) })
}

// capabilitiesAccessor serves sys/capabilities-accessor.
func (s *Server) capabilitiesAccessor(c *call) (answer, error) {
	accessor := c.reader().String("accessor")
	if err := c.reader().Err(); err != nil {
		return answer{}, err
	}
	if accessor == "" {
		return answer{}, errNoAccessor
	}
	return s.capabilitiesFound(c, errInvalidAccessor, func(v *fsm.View) *lease.Token { return v.TokenByAccessor(accessor) })
}

// capabilitiesFound answers for another token of the call's namespace. One of another namespace, one
// that is dead and one that is not there are unknown alike (T3, T29).
func (s *Server) capabilitiesFound(c *call, unknown error, find func(*fsm.View) *lease.Token) (answer, error) {
	paths, err := c.askedPaths()
	if err != nil {
		return answer{}, err
	}
	d, ok := s.describedToken(c, find)
	if !ok {
		return answer{}, unknown
	}
	return c.capabilities(s.aclOf(d.token), "", paths), nil
}

// askedPaths reads the paths that are asked about, without their leading slashes.
func (c *call) askedPaths() ([]string, error) {
	in := c.reader()
	paths := append(in.Strings("paths"), in.Strings("path")...)
	if err := in.Err(); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, lease.Errorf(lease.Invalid, "paths must be supplied")
	}
	for i, p := range paths {
		paths[i] = strings.TrimPrefix(p, "/")
	}
	return paths, nil
}

// capabilities is what policies grant on paths of the call's namespace, which for these policies begin
// with within.
func (c *call) capabilities(acl *policy.ACL, within string, paths []string) answer {
	caps := make(map[string][]string, len(paths)+1)
	for _, p := range paths {
		caps[p] = acl.Capabilities(within + p)
	}
	if len(paths) == 1 {
		caps["capabilities"] = caps[paths[0]]
	}
	return answer{data: caps, top: true, mountType: systemType}
}
