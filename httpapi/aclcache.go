package httpapi

import (
	"sync"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

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
