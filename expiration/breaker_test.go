package expiration_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Leases that fail for a reason of their own are not the target's fault. Where there are many of them the
// breaker opens, but one that was never tried is not kept waiting by them, and they do not open it again
// once they are given up.
func TestLeasesThatCannotBeDestroyedDoNotStopTheOthers(t *testing.T) {
	bubble(t, func(r *rig) {
		const bad = 60
		r.must(&command.TuneMount{Id: "a", Config: fsm.ConfigRecord(lease.MountConfig{RevokeBackoffMax: time.Minute})})
		for i := range bad {
			r.target(id("a/bad", i), time.Second)
			r.backend.Inject(fake.Fault{Action: fake.Destroy, Name: "x:" + id("a/bad", i), Err: errors.New("role owns objects")})
		}
		r.lead(2, func(c *expiration.Config) { c.Rand = func() float64 { return 0.999 } })
		r.open()
		time.Sleep(12 * time.Minute) // quiet: there are only bad ones to probe with, some of them never tried yet
		r.target("a/good/0", time.Second)
		near(t, "a good lease among bad ones that were never tried went", r.waitGone("a/good/0", time.Hour), time.Second, time.Minute)
		time.Sleep(80 * time.Minute)
		if r.mount("a").Down == nil {
			t.Fatal("the target is thought to work")
		}
		r.target("a/good/1", time.Second)
		near(t, "a good lease among bad ones that were all tried went", r.waitGone("a/good/1", time.Hour), time.Second, 100*time.Millisecond)
		// From here on there is a good one in each 20 s; the bad ones are tried, fail and are given up.
		worst := time.Duration(0)
		for i := range 180 {
			good := id("a/good/more", i)
			r.target(good, 20*time.Second)
			worst = max(worst, r.waitGone(good, time.Hour)-20*time.Second)
		}
		t.Logf("a good lease waited for %s at most", worst)
		if worst > 30*time.Second {
			t.Errorf("a good lease waited for %s", worst)
		}
		if c := r.counts("a"); c.Of(lease.Irrevocable) != bad || r.mount("a").Down != nil {
			t.Errorf("%d irrevocable, down %v; want all %d bad ones, and a target that answers", c.Of(lease.Irrevocable), r.mount("a").Down, bad)
		}
		for i := range 60 {
			good := id("a/good/late", i)
			r.target(good, 20*time.Second)
			near(t, "later a good lease went", r.waitGone(good, time.Hour), 20*time.Second, 60*time.Millisecond)
		}
	})
}

// What says nothing of the target does not open the breaker: errors that are permanent, and such as
// come before the target is called.
func TestOnlyTheTargetsFailuresCount(t *testing.T) {
	bubble(t, func(r *rig) {
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("wrong role"))})
		r.many(50, time.Second, time.Minute)
		for i := range 50 {
			sealed := reserve(id("b/creds", i), time.Second)
			sealed.Internal = []byte("under another key")
			r.must(sealed, &command.Activate{Id: id("b/creds", i)})
		}
		r.lead(2, nil)
		time.Sleep(5 * time.Minute)
		if reports, _ := proposed[*command.SetMountHealth](r); len(reports) != 0 {
			t.Errorf("%d reports, want none", len(reports))
		}
		if a, b := r.counts("a").Of(lease.Irrevocable), r.counts("b").Of(lease.Irrevocable); a != 50 || b != 50 {
			t.Errorf("%d and %d irrevocable, want 50 and 50", a, b)
		}
	})
}

// That leases which were given up fail again when their hour has come says nothing new of the target.
func TestWhatWasGivenUpDoesNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(r *rig) {
		wrong := r.backend.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("wrong role"))})
		r.many(50, time.Second, 0)
		r.lead(2, nil)
		time.Sleep(time.Minute)
		wrong()
		r.down()
		time.Sleep(5 * time.Hour)
		if got := len(r.destroyed()); got != 50*6 {
			t.Errorf("%d calls, want one for each lease and hour", got)
		}
		if reports, _ := proposed[*command.SetMountHealth](r); len(reports) != 0 {
			t.Errorf("%d reports, want none", len(reports))
		}
	})
}

// Four failures and a success, again and again: a target that works now and then stays in use.
func TestASuccessStartsTheCountAnew(t *testing.T) {
	bubble(t, func(r *rig) {
		var mu sync.Mutex
		calls := 0
		flaky := flakyTarget{r.backend, func() error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls%5 != 0 {
				return fmt.Errorf("call %d of five", calls%5)
			}
			return nil
		}}
		r.must(&command.TuneMount{Id: "a", Config: fsm.ConfigRecord(lease.MountConfig{RevokeConcurrency: 1})})
		r.many(40, time.Second, 10*time.Minute)
		r.lead(2, func(c *expiration.Config) { c.Backends = backend.NewRegistry(flaky) })
		time.Sleep(30 * time.Minute)
		if reports, _ := proposed[*command.SetMountHealth](r); len(reports) != 0 {
			t.Errorf("%d reports, want none", len(reports))
		}
	})
}

type flakyTarget struct {
	*fake.Backend
	fault func() error
}

func (f flakyTarget) Destroy(ctx context.Context, d *backend.Destruction) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Backend.Destroy(ctx, d)
}
