package httpapi

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

// Bounds of what is kept of policies. A rule costs some 150 bytes.
const (
	maxLists       = 1 << 16 // lists of names
	maxACLRules    = 1 << 20 // rules of compiled sets, after merging
	maxParsedRules = 1 << 19 // rules of parsed policies
)

// aclCache keeps compiled policies. Every request asks it, so it must cost little even for a token
// with a thousand policies: the state shares one list among all tokens with equal policies, and the
// list's address finds the compiled set, which is good while the namespace's policies are the same.
// What is not asked for any more makes room for what is.
type aclCache struct {
	mu     sync.RWMutex // guards all below
	lists  map[listKey]listed
	turns  int                   // of sets when lists was begun
	sets   kept[string, *aclSet] // by namespace and names: a list may go and come back
	parsed kept[*fsm.Policy, *policy.Policy]
}

// listKey is a list of names by its address.
type listKey struct {
	namespace string
	first     *string
	count     int
}

// listed is what a list's address leads to. It holds the list, so that nothing else gets its address.
type listed struct {
	names []string
	set   *aclSet
}

// aclSet is the policies of one list of names.
type aclSet struct {
	key string
	mu  sync.Mutex // held by the one caller that compiles it; the others of its list wait
	now atomic.Pointer[compiled]
}

// compiled is what an aclSet's policies come to.
type compiled struct {
	age   uint64        // View.PolicyVersion at which it was last found to be true
	texts []*fsm.Policy // that it was made of, in order of names; nil where there is none
	acl   *policy.ACL
}

// aclOf returns the compiled policies of a token, as they are in the present state or in a newer one:
// never older than the state in which the token was looked up before.
func (s *Server) aclOf(t *lease.Token) *policy.ACL {
	if len(t.Policies) == 0 {
		return nil
	}
	var age uint64
	s.state.Read(func(v *fsm.View) { age = v.PolicyVersion(t.Namespace) })
	key := listKey{t.Namespace, &t.Policies[0], len(t.Policies)}
	s.acls.mu.RLock()
	set := s.acls.lists[key].set
	s.acls.mu.RUnlock()
	if set == nil {
		// A new list, perhaps of a state that was restored, where equal ages may mean other policies.
		return s.compile(s.acls.enlist(key, t.Policies), t, false)
	}
	if c := set.now.Load(); c != nil && c.age == age {
		return c.acl
	}
	return s.compile(set, t, true)
}

// compile brings a set up to date. trusted says that the set's age is of the state that t is of.
func (s *Server) compile(set *aclSet, t *lease.Token, trusted bool) *policy.ACL {
	set.mu.Lock()
	defer set.mu.Unlock()
	last, next := set.now.Load(), &compiled{}
	s.state.Read(func(v *fsm.View) {
		if next.age = v.PolicyVersion(t.Namespace); trusted && last != nil && last.age == next.age {
			return // another request has compiled it meanwhile
		}
		next.texts = make([]*fsm.Policy, len(t.Policies))
		for i, name := range t.Policies {
			next.texts[i] = v.Policy(t.Namespace, name)
		}
	})
	switch {
	case next.texts == nil:
		return last.acl
	case last != nil && sameTexts(last.texts, next.texts):
		next.acl = last.acl
	default:
		next.acl = s.compileTexts(t.Policies, next.texts)
	}
	set.now.Store(next)
	s.acls.weigh(set, 1+len(next.texts)+next.acl.Len())
	return next.acl
}

// sameTexts reports whether no policy has another text than before.
func sameTexts(a, b []*fsm.Policy) bool {
	for i := range a {
		if a[i] != b[i] && (a[i] == nil || b[i] == nil || a[i].Text != b[i].Text) {
			return false
		}
	}
	return true
}

// compileTexts compiles policies. One that does not exist grants nothing. One that cannot be read
// (written by a newer version, say) might have denied something, so the set then grants nothing at
// all.
func (s *Server) compileTexts(names []string, texts []*fsm.Policy) *policy.ACL {
	list := make([]*policy.Policy, len(names))
	for i, name := range names {
		p, err := s.acls.parse(name, texts[i])
		if err != nil {
			s.log.Error("a stored policy cannot be read: tokens that carry it may do nothing", "policy", name, "err", err)
			return nil
		}
		list[i] = p
	}
	return policy.NewACL(list...)
}

// enlist makes a list's address lead to the set of its names.
func (a *aclCache) enlist(key listKey, names []string) *aclSet {
	text := append(binary.AppendUvarint(nil, uint64(len(key.namespace))), key.namespace...)
	for _, name := range names {
		text = binary.AppendUvarint(text, uint64(len(name)))
		text = append(text, name...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sets.limit == 0 {
		a.sets.limit, a.parsed.limit = maxACLRules, maxParsedRules
	}
	set, ok := a.sets.get(string(text))
	if !ok {
		set = &aclSet{key: string(text)}
		a.sets.put(set.key, set, 1+len(names))
	}
	a.dropLists()
	a.lists[key] = listed{names, set}
	return set
}

// weigh notes what a set costs, now that it is compiled.
func (a *aclCache) weigh(set *aclSet, weight int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sets.put(set.key, set, weight)
	a.dropLists()
}

// dropLists forgets all lists, which are found again by their names, once there are many or some may
// hold a set that is not kept any more.
func (a *aclCache) dropLists() {
	if a.lists == nil || a.turns != a.sets.turns || len(a.lists) >= maxLists {
		a.lists, a.turns = make(map[listKey]listed), a.sets.turns
	}
}

// parse reads a policy's text, once while it is kept.
func (a *aclCache) parse(name string, stored *fsm.Policy) (*policy.Policy, error) {
	switch {
	case name == policy.RootName:
		return policy.Root(), nil
	case name == policy.WrappingName:
		return policy.Parse(name, policy.ResponseWrapping)
	case stored == nil && name == policy.DefaultName:
		return policy.Parse(name, policy.Default)
	case stored == nil:
		return nil, nil
	}
	a.mu.Lock()
	p, ok := a.parsed.get(stored)
	a.mu.Unlock()
	if ok {
		return p, nil
	}
	p, err := policy.Parse(name, stored.Text)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parsed.put(stored, p, 1+len(p.Rules))
	return p, nil
}

// kept is a map that forgets: when what was put in or asked for comes to half the limit, all that was
// not asked for since the last time goes.
type kept[K comparable, V any] struct {
	limit      int // of the weight of all values
	young, old map[K]weighed[V]
	weight     int // of young
	turns      int // times that something was forgotten
}

type weighed[V any] struct {
	value  V
	weight int
}

func (k *kept[K, V]) get(key K) (V, bool) {
	if w, ok := k.young[key]; ok {
		return w.value, true
	}
	w, ok := k.old[key]
	if ok {
		k.put(key, w.value, w.weight)
	}
	return w.value, ok
}

func (k *kept[K, V]) put(key K, value V, weight int) {
	if k.weight >= k.limit/2 {
		k.old, k.young, k.weight = k.young, nil, 0
		k.turns++
	}
	if k.young == nil {
		k.young = make(map[K]weighed[V])
	}
	k.weight += weight - k.young[key].weight
	k.young[key] = weighed[V]{value, weight}
}
