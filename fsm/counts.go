package fsm

import "github.com/leasehold/leasehold/lease"

// Tally counts leases by status.
type Tally [lease.Irrevocable + 1]int

func (t Tally) total() int {
	n := 0
	for _, c := range t {
		n += c
	}
	return n
}

// Total is the number of leases of any status.
func (t Tally) Total() int { return t.total() }

// Of is the number of leases of one status, as stored.
func (t Tally) Of(s lease.Status) int { return t[s] }

type roleKey struct{ mountID, role string }

// counters are kept by every change, so that reading any of them is O(1).
type counters struct {
	all     Tally
	mounts  map[string]*Tally
	roles   map[roleKey]*Tally
	ownedBy map[string]*Tally
}

func newCounters() counters {
	return counters{
		mounts:  make(map[string]*Tally),
		roles:   make(map[roleKey]*Tally),
		ownedBy: make(map[string]*Tally),
	}
}

func (n *counters) add(l *lease.Lease, delta int) {
	n.all[l.Status] += delta
	bump(n.mounts, l.MountID, l.Status, delta)
	if l.Role != "" {
		bump(n.roles, roleKey{l.MountID, l.Role}, l.Status, delta)
	}
	if l.Owner != "" && l.Kind != lease.OfToken {
		bump(n.ownedBy, l.Owner, l.Status, delta)
	}
}

func bump[K comparable](m map[K]*Tally, key K, s lease.Status, delta int) {
	t := m[key]
	if t == nil {
		t = new(Tally)
		m[key] = t
	}
	if t[s] += delta; delta < 0 && t.total() == 0 {
		delete(m, key)
	}
}

func (n *counters) mount(id string) Tally {
	if t := n.mounts[id]; t != nil {
		return *t
	}
	return Tally{}
}
