package httpapi

import (
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/policy"
)

var (
	errNoToken         = lease.Errorf(lease.Invalid, "missing token ID")
	errNoAccessor      = lease.Errorf(lease.Invalid, "missing accessor")
	errInvalidAccessor = &lease.Error{Code: lease.Denied, Message: "invalid accessor"}
)

// createToken serves auth/token/create and create-orphan.
func (s *Server) createToken(c *call) (answer, error) {
	req, err := s.tokenRequest(c)
	if err != nil {
		return answer{}, err
	}
	return s.makeToken(c, req)
}

// makeToken makes a token and answers with its secret.
func (s *Server) makeToken(c *call, req lessor.TokenRequest) (answer, error) {
	made, err := s.lessor.CreateToken(c.ctx, c.token, req)
	if err != nil {
		return answer{}, err
	}
	return answer{made: true, auth: described{made.Token, made.Lease}.auth(made.Bearer), mountType: tokenType,
		warnings: append(made.Warnings, c.reader().Warnings()...)}, nil
}

func (s *Server) tokenRequest(c *call) (lessor.TokenRequest, error) {
	in := c.reader()
	req := lessor.TokenRequest{
		Namespace: c.ns.id, Path: c.path,
		Sudo:   c.acl.Check(policy.Request{Path: c.within() + c.path, Capability: policy.Update, Sudo: true}).Allowed,
		Orphan: strings.HasSuffix(c.path, "/create-orphan"), NoParent: in.Bool("no_parent", false),
		ID: in.String("id"), Type: in.String("type"), Policies: in.Strings("policies"),
		NoDefaultPolicy: in.Bool("no_default_policy", false), TTL: in.Duration("ttl"),
		ExplicitMaxTTL: in.Duration("explicit_max_ttl"), Period: in.Duration("period"), NumUses: in.Int("num_uses", 0),
		DisplayName: in.String("display_name"), Meta: in.StringMap("meta"), EntityAlias: in.String("entity_alias"),
	}
	if old := in.Duration("lease"); req.TTL == 0 { // the name of ttl in old clients
		req.TTL = old
	}
	if in.Has("renewable") {
		renewable := in.Bool("renewable", true)
		req.Renewable = &renewable
	}
	return req, in.Err()
}

// describedToken returns a token that lives and belongs to the call's namespace.
func (s *Server) describedToken(c *call, find func(*fsm.View) *lease.Token) (described, bool) {
	var d described
	s.state.Read(func(v *fsm.View) {
		t := find(v)
		if t == nil || t.Namespace != c.ns.id || !v.TokenAlive(t, c.now) || t.NumUses == lease.SpentUses {
			return
		}
		if l := v.Lease(t.LeaseID); l != nil {
			d = described{t, l}
		}
	})
	return d, d.token != nil
}

// byBearer finds the token whose secret is in the parameter token.
func (s *Server) byBearer(c *call, bearer string) (described, bool, error) {
	hash, err := s.lessor.HashToken(bearer)
	if err != nil {
		return described{}, false, err
	}
	d, ok := s.describedToken(c, func(v *fsm.View) *lease.Token { return v.Token(hash) })
	return d, ok, nil
}

func (s *Server) byAccessor(c *call) (described, bool, error) {
	in := c.reader()
	accessor := in.String("accessor")
	if err := in.Err(); err != nil {
		return described{}, false, err
	}
	if accessor == "" {
		return described{}, false, errNoAccessor
	}
	d, ok := s.describedToken(c, func(v *fsm.View) *lease.Token { return v.TokenByAccessor(accessor) })
	return d, ok, nil
}

func (s *Server) tokenAnswer(c *call, d described, bearer string) answer {
	return answer{data: d.lookup(bearer, c.ns.path, c.now), warnings: c.reader().Warnings(), mountType: tokenType}
}

// lookupSelf serves auth/token/lookup-self.
func (s *Server) lookupSelf(c *call) (answer, error) {
	bearer := c.bearer()
	// Found by its own namespace: a token may be used in those below as well.
	defer func(asked namespace) { c.ns = asked }(c.ns)
	c.ns = c.home
	d, ok, err := s.byBearer(c, bearer)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		// Its last use is this one: it may still be told about itself.
		s.state.Read(func(v *fsm.View) { d = described{c.token, v.Lease(c.token.LeaseID)} })
		if d.lease == nil {
			return answer{}, lease.ErrBadToken
		}
	}
	return s.tokenAnswer(c, d, bearer), nil
}

// lookupToken serves auth/token/lookup.
func (s *Server) lookupToken(c *call) (answer, error) {
	in := c.reader()
	bearer := in.String("token")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if bearer == "" {
		return s.lookupSelf(c)
	}
	d, ok, err := s.byBearer(c, bearer)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		return answer{}, lease.ErrBadToken
	}
	return s.tokenAnswer(c, d, bearer), nil
}

// lookupAccessor serves auth/token/lookup-accessor.
func (s *Server) lookupAccessor(c *call) (answer, error) {
	d, ok, err := s.byAccessor(c)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		return answer{}, errInvalidAccessor
	}
	return s.tokenAnswer(c, d, ""), nil
}

// renew extends a token and answers about it.
func (s *Server) renew(c *call, t *lease.Token, bearer string) (answer, error) {
	in := c.reader()
	increment := in.Duration("increment")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	t, l, warnings, err := s.lessor.RenewToken(c.ctx, t, increment)
	if err != nil {
		return answer{}, err
	}
	return answer{auth: described{t, l}.auth(bearer), mountType: tokenType, warnings: append(warnings, in.Warnings()...)}, nil
}

// renewSelf serves auth/token/renew-self.
func (s *Server) renewSelf(c *call) (answer, error) {
	c.reader().Has("token") // some clients send it along
	return s.renew(c, c.token, c.bearer())
}

// renewToken serves auth/token/renew.
func (s *Server) renewToken(c *call) (answer, error) {
	bearer := c.reader().String("token")
	if bearer == "" {
		return answer{}, errNoToken
	}
	d, ok, err := s.byBearer(c, bearer)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		return answer{}, lease.ErrTokenNotFound
	}
	return s.renew(c, d.token, bearer)
}

// renewAccessor serves auth/token/renew-accessor.
func (s *Server) renewAccessor(c *call) (answer, error) {
	d, ok, err := s.byAccessor(c)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		return answer{}, errInvalidAccessor
	}
	return s.renew(c, d.token, "")
}

// end revokes a token; whatever hangs on it is dead at once, and its job is named.
func (s *Server) end(c *call, hash string, spareChildren bool) (answer, error) {
	job, err := s.lessor.RevokeToken(c.ctx, hash, spareChildren)
	a := done
	a.job = job
	return a, err
}

// revokeSelf serves auth/token/revoke-self.
func (s *Server) revokeSelf(c *call) (answer, error) { return s.end(c, c.token.Hash, false) }

// revokeToken serves auth/token/revoke.
func (s *Server) revokeToken(c *call) (answer, error) { return s.revokeNamed(c, false) }

// revokeOrphan serves auth/token/revoke-orphan.
func (s *Server) revokeOrphan(c *call) (answer, error) { return s.revokeNamed(c, true) }

func (s *Server) revokeNamed(c *call, spareChildren bool) (answer, error) {
	bearer := c.reader().String("token")
	if bearer == "" {
		return answer{}, errNoToken
	}
	d, ok, err := s.byBearer(c, bearer)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		c.unproposed = true
		return done, nil
	}
	return s.end(c, d.token.Hash, spareChildren)
}

// revokeAccessor serves auth/token/revoke-accessor.
func (s *Server) revokeAccessor(c *call) (answer, error) {
	d, ok, err := s.byAccessor(c)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		c.unproposed = true
		return answer{enveloped: true, warnings: []string{"No token found with this accessor"}, mountType: tokenType}, nil
	}
	return s.end(c, d.token.Hash, false)
}
