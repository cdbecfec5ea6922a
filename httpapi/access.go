package httpapi

import (
	"fmt"
	"sync"

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
	request := policy.Request{Capability: c.op.capability(), Params: c.params}
	if c.mount != nil && c.op == opWrite {
		request.Capability |= policy.Create
	}
	if c.route != nil {
		request.Sudo = c.route.access == sudo
	}
	within := c.ns.path[len(c.home.path):]
	d, path := s.decide(c, request, within)
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

// maxACLs bounds the compiled sets of policies that are kept.
const maxACLs = 10_000

// aclCache keeps compiled policies by namespace and names. An entry is good while the versions of
// its policies are the state's.
type aclCache struct {
	mu   sync.RWMutex // guards sets
	sets map[string]*aclSet
}

type aclSet struct {
	versions []uint64
	acl      *policy.ACL
}

// aclOf returns the compiled policies of a token.
func (s *Server) aclOf(t *lease.Token) *policy.ACL {
	var keySpace [512]byte
	key := append(keySpace[:0], t.Namespace...)
	for _, name := range t.Policies {
		key = append(append(key, 0), name...)
	}
	s.acls.mu.RLock()
	set := s.acls.sets[string(key)]
	s.acls.mu.RUnlock()
	if set != nil && s.current(set, t) {
		return set.acl
	}
	set = s.compile(t)
	s.acls.mu.Lock()
	defer s.acls.mu.Unlock()
	if s.acls.sets == nil || len(s.acls.sets) >= maxACLs {
		s.acls.sets = make(map[string]*aclSet)
	}
	s.acls.sets[string(key)] = set
	return set.acl
}

// current reports whether none of the set's policies was written since.
func (s *Server) current(set *aclSet, t *lease.Token) bool {
	same := true
	s.state.Read(func(v *fsm.View) {
		for i, name := range t.Policies {
			var version uint64
			if p := v.Policy(t.Namespace, name); p != nil {
				version = p.Version
			}
			same = same && set.versions[i] == version
		}
	})
	return same
}

// compile parses a token's policies. A policy that does not exist grants nothing. One that cannot
// be read (written by a newer version, say) might have denied something, so the set then grants
// nothing at all.
func (s *Server) compile(t *lease.Token) *aclSet {
	set := &aclSet{versions: make([]uint64, len(t.Policies))}
	texts := make([]*fsm.Policy, len(t.Policies))
	s.state.Read(func(v *fsm.View) {
		for i, name := range t.Policies {
			if texts[i] = v.Policy(t.Namespace, name); texts[i] != nil {
				set.versions[i] = texts[i].Version
			}
		}
	})
	parsed := make([]*policy.Policy, 0, len(t.Policies))
	for i, name := range t.Policies {
		p, err := parsePolicy(name, texts[i])
		if err != nil {
			s.log.Error("a stored policy cannot be read: tokens that carry it may do nothing", "policy", name, "err", err)
			return set
		}
		parsed = append(parsed, p)
	}
	set.acl = policy.NewACL(parsed...)
	return set
}

func parsePolicy(name string, stored *fsm.Policy) (*policy.Policy, error) {
	switch {
	case name == policy.RootName:
		return policy.Root(), nil
	case stored != nil:
		return policy.Parse(name, stored.Text)
	case name == policy.DefaultName:
		return policy.Parse(name, policy.Default)
	}
	return nil, nil
}
