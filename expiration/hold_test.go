package expiration_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// restore replaces the state by a snapshot of it, held, as an operator's restore does.
func (r *rig) restore(snapshot []byte) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	carrier := fsm.New()
	if err := carrier.Restore(bytes.NewReader(snapshot)); err != nil {
		r.t.Fatal(err)
	}
	err := carrier.Rebase(r.state, fsm.Restoration{ID: fmt.Sprintf("r%d", r.index), Now: now(), Term: r.term, Index: r.index})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.state.Restore(bytes.NewReader(r.snapshot(carrier))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) snapshot(s *fsm.State) []byte {
	r.t.Helper()
	var buf bytes.Buffer
	if err := s.Snapshot().Write(&buf); err != nil {
		r.t.Fatal(err)
	}
	return buf.Bytes()
}

// S23: after a restore nothing is destroyed, expired or swept, over changes of leaders and as long as the
// hold stands, although the snapshot is old enough for everything in it to look expired. What was renewed
// after the snapshot is dead all the same. Once the hold is released all of it goes.
func TestS23_NothingEndsWhileTheStateIsHeld(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 50
		r.many(n, time.Minute, 0)
		r.issue("locks/1", time.Minute)
		r.target("b/creds/revoked", time.Hour)
		r.must(&command.Revoke{Ids: []string{"b/creds/revoked"}, Cause: "revoked"},
			&command.OpenJob{Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "b"}, Cause: "revoked"})
		before := r.leases()
		old := r.snapshot(r.state)
		time.Sleep(time.Hour)
		r.restore(old)
		for term := range 3 {
			stop := r.lead(uint64(2+term), nil)
			time.Sleep(2 * time.Hour)
			stop()
		}
		if calls := r.destroyed(); len(calls) > 0 || r.leases() != before {
			t.Fatalf("%d calls, %d of %d leases are left: want no calls and all", len(calls), r.leases(), before)
		}
		for _, p := range r.log {
			switch p.cmd.(type) {
			case *command.Tick: // moves the due index
			default:
				t.Errorf("%T is proposed over a held state", p.cmd)
			}
		}
		r.lead(9, nil)
		time.Sleep(time.Minute)
		r.must(&command.ReleaseHold{})
		r.waitEmpty("a", time.Minute)
		r.waitGone("b/creds/revoked", time.Minute)
		r.waitGone("locks/1", time.Minute)
		if got := len(r.destroyed()); got != n+1 {
			t.Errorf("%d calls, want %d", got, n+1)
		}
	})
}
