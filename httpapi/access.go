package httpapi

import (
	"fmt"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

// authorize decides whether the token may do what is asked. Callers who may not are told nothing of
// what is there: an unknown path, a wrong verb and a lease that does not exist are refused alike.
func (s *Server) authorize(c *call) error {
	if c.route != nil && c.route.access == open {
		return nil
	}
	if c.route != nil && c.route.oneLease != "" {
		if c.aimAtLease(); c.targetErr != nil {
			return c.targetErr
		}
	}
	c.acl = s.aclOf(c.token)
	if c.token.Wrapping() {
		return c.unknown // what it may call was settled when it was recognized: no policy has a say in it
	}
	if !c.acl.Root() && (c.route == nil || c.route.access != anyToken) {
		if err := s.checkPolicies(c); err != nil {
			return err
		}
	}
	return c.unknown
}

// aimAtLease settles which lease will be acted on: the body's, else the path's (README decision 15).
// What the body says is only looked at here, so that all checks are made on what is acted on.
func (c *call) aimAtLease() {
	c.target = c.rest
	v, ok := c.params["lease_id"]
	if !ok || v == nil {
		return
	}
	id, ok := v.(string)
	if !ok {
		c.targetErr = lease.Errorf(lease.Invalid, "invalid lease ID")
		return
	}
	if id != "" {
		c.target = id
	}
}

func (s *Server) checkPolicies(c *call) error {
	request := policy.Request{Capability: c.op.capability(), Params: c.params, WrapTTL: c.wrapTTL}
	toMount := c.mount != nil && c.op == opWrite
	if toMount {
		var err error
		if request.Capability, err = s.createOrUpdate(c); err != nil {
			return err
		}
	}
	if c.route != nil {
		request.Sudo = c.route.access == sudo || c.tunesAuth()
	}
	d, path := s.decide(c, request, c.within())
	if !d.Allowed && toMount {
		// Who may neither create nor update is not told which of the two it would have been (T29).
		request.Capability = policy.Create | policy.Update
		if either, at := s.decide(c, request, c.within()); !either.Allowed {
			d, path = either, at
		}
	}
	switch {
	case !d.Allowed:
		return denied(d.Explain(path))
	case !d.OwnOnly:
		return nil
	case c.route == nil || c.route.oneLease == "":
		return denied(ownText(d))
	}
	c.ownOnly = true
	if c.target != "" && !s.owns(c) {
		return denied(ownText(d))
	}
	return nil
}

// tunesAuth: the stock client tunes auth methods by the path of secrets engines; it takes what the path
// of auth methods takes.
func (c *call) tunesAuth() bool { return c.route.path == "sys/mounts/*/tune" && c.isOfAuth() }

// createOrUpdate is what a write to a mount needs: where the engine can tell, create for what is not
// there and update for what is, else any of the two.
func (s *Server) createOrUpdate(c *call) (policy.Capability, error) {
	if c.route == nil {
		return policy.Create | policy.Update, nil
	}
	exists, known, err := s.lessor.Exists(c.ctx, c.mountRequest())
	switch {
	case err != nil && !settled(err):
		return 0, err
	case err != nil, !known:
		// What is wrong with the request is told by the engine, to those who may write at all.
		return policy.Create | policy.Update, nil
	case exists:
		return policy.Update, nil
	}
	return policy.Create, nil
}

// decide asks the policies about the call's path, and returns the path that the answer is about. Of
// an old alias both names count: either grants, either denies.
func (s *Server) decide(c *call, request policy.Request, within string) (policy.Decision, string) {
	own, canonical := within+c.path, ""
	if c.route != nil && c.route.canonical != "" {
		canonical = within + c.route.canonical
	}
	if c.route != nil && c.rest != "" && (c.route.oneLease != "" || canonical != "") {
		id := c.rest
		if c.route.oneLease != "" {
			id = c.target
		}
		own = own[:len(own)-len(c.rest)] + id
		if canonical != "" {
			canonical += "/" + id
		}
	}
	request.Path = own
	d := c.acl.Check(request)
	if canonical == "" || d.Refusal == policy.DeniedByRule {
		return d, own
	}
	request.Path = canonical
	second := c.acl.Check(request)
	if second.Refusal == policy.DeniedByRule || second.Allowed && (!d.Allowed || d.OwnOnly) {
		return second, canonical
	}
	return d, own
}

// ownText is the same whether or not the lease exists (T29).
func ownText(d policy.Decision) string {
	return fmt.Sprintf("the policy rule for %q reaches only leases of this token and of its descendants", d.Rule)
}

// owns reports whether the target is a lease of the calling token or of one that descends from it.
func (s *Server) owns(c *call) bool {
	own := false
	s.state.Read(func(v *fsm.View) {
		l := v.Lease(c.target)
		if l == nil || l.Namespace != c.ns.id {
			return
		}
		for hash := l.Owner; hash != "" && !own; {
			own = hash == c.token.Hash
			t := v.Token(hash)
			if t == nil {
				return
			}
			hash = t.Parent
		}
	})
	return own
}
