package httpapi

import (
	"crypto/subtle"
	"strings"

	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// bearerPrefix is what a token in the Authorization header follows.
const bearerPrefix = "Bearer "

// bearer is the secret that the request carries, "" if none.
func (c *call) bearer() string {
	if t := c.r.Header.Get(headerToken); t != "" {
		return t
	}
	t, _ := strings.CutPrefix(c.r.Header.Get("Authorization"), bearerPrefix)
	if len(t) == len(c.r.Header.Get("Authorization")) {
		return ""
	}
	return t
}

// identity is what one look at the state tells about a request's sender.
type identity struct {
	hash  string
	token *lease.Token
	alive bool
	home  namespace // the token's
}

// authenticate finds the token on a state that is new enough, so that a follower that lags does not
// accept one that was revoked. Missing, wrong, expired and revoked tokens take the same way to the
// same answer (T2, T29).
func (s *Server) authenticate(c *call) error {
	if c.route != nil && c.route.access == open {
		return nil
	}
	secret := c.bearer()
	hash, err := s.lessor.HashToken(secret)
	if err != nil {
		return err
	}
	who := identity{hash: hash}
	s.state.Read(func(v *fsm.View) { who.look(v, c.now) })
	if secret == "" || !who.alive || !tokenparams.Permits(who.token.BoundCIDRs, c.clientAddr()) {
		return s.guard.deny(c, lease.ErrDenied)
	}
	c.token, c.home = who.token, who.home
	if err := c.enter(); err != nil {
		return err
	}
	switch {
	case c.token.Wrapping():
		// Its one use opens what it wraps, and is not spent on anything else.
		if c.route == nil || !c.route.opens {
			return denied("a wrapping token opens what it wraps, with sys/wrapping/unwrap, and nothing else")
		}
		return nil
	case c.token.NumUses == 0:
		return nil
	}
	return s.takeUse(c)
}

// enter makes sure that the request takes place in the token's namespace or below it. Outside of that the
// caller is not told which namespaces there are.
func (c *call) enter() error {
	asked := c.ns.path
	if !c.nsKnown {
		asked = strings.Trim(c.r.Header.Get(headerNamespace), "/") + "/"
	}
	switch {
	case !strings.HasPrefix(asked, c.home.path):
		return denied("the token belongs to another namespace")
	case !c.nsKnown:
		return errNoNamespace
	}
	if c.r.Header.Get(headerNamespace) != "" {
		c.w.Header()[headerNamespace] = []string{c.ns.path}
	}
	return nil
}

// look reads all of it in one consistent view.
func (who *identity) look(v *fsm.View, now lease.Time) {
	t := v.Token(who.hash)
	if t == nil {
		t = nobody
	}
	same := subtle.ConstantTimeCompare([]byte(t.Hash), []byte(who.hash)) == 1
	who.alive = v.TokenAlive(t, now) && same && t.NumUses != lease.SpentUses
	who.token = t
	if ns := v.Namespace(t.Namespace); ns != nil {
		who.home = namespace{ns.ID, ns.Path}
	} else {
		who.alive = false
	}
}

// nobody stands in for a token that does not exist, so that it costs what another costs.
var nobody = &lease.Token{Hash: strings.Repeat("0", 64), LeaseID: "auth/token/create/none"}

// takeUse counts a use of a limited token, which only the leader can.
func (s *Server) takeUse(c *call) error {
	if c.term == 0 {
		if c.route != nil && c.route.where == thisNode {
			return denied("a token with limited uses serves on this path only at the leader")
		}
		if err := s.toLeader(c); err != nil {
			return err
		}
	}
	t, err := s.lessor.UseToken(c.ctx, c.token)
	if err != nil {
		return err
	}
	c.token = t
	return nil
}

// spend ends a token whose last use was this request.
func (s *Server) spend(c *call) {
	if c.token == nil || c.token.NumUses != lease.SpentUses {
		return
	}
	if err := s.lessor.EndSpentToken(c.ctx, c.token.Hash); err != nil {
		// It serves no further request; its lease's end takes it away.
		s.log.Warn("a spent token was not revoked", "request_id", c.id, "accessor", c.token.Accessor, "err", err)
	}
}

// denied is the refusal for a caller whose token is valid, who may know what is missing.
func denied(detail string) error {
	return &lease.Error{Code: lease.Denied, Message: lease.ErrDenied.Message, Details: []string{detail}}
}
