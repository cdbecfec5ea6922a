package fsm

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/leasehold/leasehold/lease"
)

// State is the replicated state with what is derived from it. See the package comment for who may
// call what.
type State struct {
	mu   sync.RWMutex // guards core
	core *core

	applied   atomic.Uint64
	attention chan struct{}
	asked     asked
	watch     watchers
}

// New returns the empty state.
func New() *State {
	s := &State{attention: make(chan struct{}, 1)}
	s.core = newCore(s)
	return s
}

// Result is what one command came to. Which fields are set depends on the command; see apply.
type Result struct {
	Err   *lease.Error // refused: final, nothing changed
	Index uint64       // raft index of the entry
	Seq   uint64       // sequence number of the command
	Now   lease.Time   // log time of the entry

	Lease    *lease.Lease   // the lease after Issue, Reserve, Activate, Renew, CreateToken, RenewToken, UseToken, Fail
	Leases   []*lease.Lease // Claim: those claimed
	Token    *lease.Token
	Mount    *lease.Mount // as a command about a mount left it
	Job      *lease.Job   // OpenJob, OpenTidy, RevokeToken, DisableMount, MoveMount, CloseNamespace, and Revoke of a token's lease
	Cap      *lease.Cap   // the grant was cut by this limit
	Repeated bool         // what was asked for was there: Lease of the idempotency key, the tidy Job that sweeps
	Count    int          // Expire, Revoke, Sweep: how many were ended; RetryRevocations: how many are due
}

// Read calls fn with a consistent view of the state. fn must be short, must not block and must not
// call State; what it takes out of the view stays valid.
func (s *State) Read(fn func(v *View)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fn(&View{c: s.core})
}

// Applied is the raft index of the last entry whose effects Read shows.
func (s *State) Applied() uint64 { return s.applied.Load() }

// Advance notes that an entry which is no command (a change of raft's configuration) was applied.
func (s *State) Advance(index uint64) {
	s.mu.Lock()
	s.core.index = max(s.core.index, index)
	s.mu.Unlock()
	s.reached(index)
}

func (s *State) reached(index uint64) {
	if index > s.applied.Load() {
		s.applied.Store(index)
	}
	s.watch.reached(s.applied.Load())
}

// WaitApplied returns when Applied is at least index, or with ctx's error.
func (s *State) WaitApplied(ctx context.Context, index uint64) error {
	if s.applied.Load() >= index {
		return nil
	}
	ch, cancel := s.watch.index(index)
	defer cancel()
	if s.applied.Load() >= index { // it may have been reached while the watch was being set
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Attention delivers when something became due at once or a job was opened, so that the leader's
// loop need not wait for its tick. Notes are merged.
func (s *State) Attention() <-chan struct{} { return s.attention }

func (s *State) attend() {
	select {
	case s.attention <- struct{}{}:
	default:
	}
}

// WatchLease returns a channel that is closed at the next change of the lease: renewed, an attempt
// ended, gone. The caller must call cancel.
func (s *State) WatchLease(id string) (changed <-chan struct{}, cancel func()) {
	return s.watch.lease(id)
}

// WatchJob is WatchLease for a revocation job.
func (s *State) WatchJob(id uint64) (changed <-chan struct{}, cancel func()) {
	return s.watch.job(id)
}
