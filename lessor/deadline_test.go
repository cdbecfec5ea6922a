package lessor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// S12: what is made after its intent has come due may be made after it was destroyed. However short
// the deadline, a target that hangs is given up half-way to it.
func TestS12_NothingIsMadeAfterTheIntentIsDue(t *testing.T) {
	for _, tt := range []struct{ deadline, want time.Duration }{
		{5 * time.Second, 2500 * time.Millisecond}, {time.Minute, 30 * time.Second}, {10 * time.Minute, 30 * time.Second},
		{0, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := lessortest.New(t)
			m := w.Enable("db", "fake", lease.MountConfig{})
			l := lessor.New(lessor.Config{
				State: w.State, Proposer: w.Proposer, Now: w.Clock.Now, Wall: w.Clock.Wall, Backends: w.Backends,
				SealKey: w.SealKey, IntentDeadline: tt.deadline,
			})
			w.Fake.Hang(fake.Create)
			begun := time.Now()
			got, err := l.Issue(t.Context(), w.Request(m, backend.Read, "creds/ci"))
			if took := time.Since(begun); err == nil || took != tt.want {
				t.Errorf("deadline %s: got %v, error %v after %s, want an error after %s", tt.deadline, got, err, took, tt.want)
			}
		})
	}
}
