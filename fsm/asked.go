package fsm

import (
	"sync"

	"github.com/leasehold/leasehold/lease"
)

// Bounds of what is noted of those who wait for an attempt at a target that is down.
const (
	maxAsked        = 1024 // leases in all
	maxAskedOfMount = 64   // leases of one mount that were named one by one
)

// asked tells the leader which leases somebody asked an attempt for while their mount's target was down,
// since it makes no other attempts there. It is no part of the state: it is forgotten with the process,
// and an attempt too many or too few, before the target is tried again anyway, is all that comes of it.
type asked struct {
	mu     sync.Mutex          // guards all below
	leases map[string][]string // IDs by mount UUID
	count  int
}

func (a *asked) note(mountID, id string, limit int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count >= maxAsked || len(a.leases[mountID]) >= limit {
		return
	}
	if a.leases == nil {
		a.leases = make(map[string][]string)
	}
	a.leases[mountID] = append(a.leases[mountID], id)
	a.count++
}

// TakeAsked returns, by mount UUID and in order, the IDs of leases that were revoked or retried by hand
// while their mount was down (lease.Mount.Down), since it was called last; of many that were named by one
// command or job, one. Attention is raised for each. It is for the leader's loop.
func (s *State) TakeAsked() map[string][]string {
	s.mu.RLock() // not in the middle of a command
	defer s.mu.RUnlock()
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	taken := s.asked.leases
	s.asked.leases, s.asked.count = nil, 0
	return taken
}

// ask notes that somebody wants an attempt at a lease, unless limit leases of its mount are noted.
func (c *core) ask(l *lease.Lease, limit int) {
	m, ok := c.mounts.Get(l.MountID)
	if !ok || m.Down == nil || l.Kind != lease.Target || l.Ending == nil {
		return
	}
	c.host.asked.note(l.MountID, l.ID, limit)
	c.host.attend()
}

// askedFor reports whether a person, and not the clock, ends what a job covers.
func askedFor(cause lease.Cause) bool {
	switch cause {
	case lease.CauseExpired, lease.CauseAbandoned, lease.CauseTokenExpired, lease.CauseTokenSpent, lease.CauseTidy:
		return false
	}
	return true
}
