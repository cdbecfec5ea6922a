package fsm_test

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S2, S14: Expire ends only what its author saw, and only when it is past its end by log time. The
// two are checked apart: a lease that is over but was renewed since, and one that is not over.
func TestS2_ExpireIsConditional(t *testing.T) {
	const id = "db/creds/ro/1"
	w := newWorld(t)
	w.target(id, rootHash, time.Minute)
	expire := func(what string, epoch, generation uint64, want int) {
		t.Helper()
		r := w.one(&command.Expire{Epoch: epoch, Leases: []*command.Ref{{Id: id, Generation: generation}}})
		if r.Count != want {
			t.Errorf("%s: %d leases ended (%v), want %d", what, r.Count, r.Err, want)
		}
		if (w.lease(id).Ending != nil) != (want > 0) {
			t.Errorf("%s: ending is %+v", what, w.lease(id).Ending)
		}
	}
	w.advance(59 * time.Second)
	expire("before its end", 1, 0, 0)
	w.must(&command.Renew{Id: id, Increment: int64(10 * time.Second)})
	w.advance(20 * time.Second)
	if got := w.standing(id); got != lease.Revoking.String() {
		t.Fatalf("the renewed lease is %s, want it past its end", got)
	}
	expire("as it was before its renewal", 1, 0, 0)
	expire("by an earlier leader", 0, 1, 0)
	expire("as it is", 1, 1, 1)
}
