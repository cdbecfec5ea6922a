package expiration_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S2, L3: a lease ends at its time, not before and hardly later; one that was renewed ends later.
func TestS2_L3_ALeaseEndsAtItsTime(t *testing.T) {
	bubble(t, func(r *rig) {
		r.lead(2, nil)
		r.issue("locks/x/1", 10*time.Second)
		r.target("a/creds/1", 10*time.Second)
		r.target("a/creds/renewed", 10*time.Second)
		time.Sleep(9 * time.Second)
		r.must(&command.Renew{Id: "a/creds/renewed", Increment: int64(20 * time.Second)})
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		if n := r.leases(); n != 3 || len(r.destroyed()) != 0 {
			t.Fatalf("a moment before the end: %d leases, %d calls; want 3 and 0", n, len(r.destroyed()))
		}
		near(t, "locks/x/1 went", r.waitGone("locks/x/1", time.Second), 0, 5*time.Millisecond)
		near(t, "a/creds/1 went", r.waitGone("a/creds/1", time.Second), 0, 5*time.Millisecond)
		near(t, "a/creds/renewed went", r.waitGone("a/creds/renewed", time.Minute), 19*time.Second, 5*time.Millisecond)
		if n := len(r.destroyed()); n != 2 {
			t.Errorf("%d calls to targets, want 2: a plain lease has none", n)
		}
	})
}

// A lease issued while the loop sleeps until something later must not be missed.
func TestAShorterLeaseIsNotMissed(t *testing.T) {
	bubble(t, func(r *rig) {
		r.lead(2, nil)
		r.issue("locks/x/long", time.Hour)
		time.Sleep(time.Minute)
		r.issue("locks/x/short", 100*time.Millisecond)
		near(t, "the short lease went", r.waitGone("locks/x/short", time.Minute), 100*time.Millisecond, 60*time.Millisecond)
		r.must(&command.Renew{Id: "locks/x/long", Increment: int64(time.Second)})
		near(t, "the shortened lease went", r.waitGone("locks/x/long", time.Minute), time.Second, 60*time.Millisecond)
	})
}

// An idle leader must not fill the log.
func TestAnIdleLeaderProposesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		r.issue("locks/x/1", time.Hour)
		r.lead(2, nil)
		time.Sleep(30 * time.Minute)
		if ticks, _ := proposed[fsm.Command](r); len(ticks) != 0 {
			t.Errorf("%d proposals in half an hour without work, want none", len(ticks))
		}
	})
}

// L6: an intent that nobody resolves is destroyed by its derived name.
func TestL6_AnAbandonedIntentIsDestroyed(t *testing.T) {
	bubble(t, func(r *rig) {
		r.lead(2, nil)
		r.must(reserve("a/creds/1", time.Hour))
		near(t, "the intent went", r.waitGone("a/creds/1", time.Hour), 2*time.Minute, 60*time.Millisecond)
		if calls := r.destroyed(); len(calls) != 1 || calls[0].ExternalName != "x:a/creds/1" {
			t.Errorf("calls: %+v, want one with the derived name", calls)
		}
	})
}

// The pauses grow from 10 s, twice as long each time, times the chance of 0.5; the sixth failure
// makes the lease irrevocable, and it is tried each hour until that works. Others are destroyed
// meanwhile, so it is not the target that fails.
func TestL5_RetriesGrowThenGoHourly(t *testing.T) {
	bubble(t, func(r *rig) {
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Name: "x:a/creds/1", Times: 8, Err: errors.New("down\nfor \x1b[1mnow")})
		var at []time.Time
		r.backend.Observe(func(c fake.Call) {
			if c.LeaseID == "a/creds/1" {
				at = append(at, time.Now())
			}
		})
		r.target("a/creds/1", time.Second)
		for i := range 20 {
			r.target(id("a/other", i), time.Duration(i)*10*time.Second+7*time.Second)
		}
		r.lead(2, nil)
		time.Sleep(30 * time.Minute)
		l := r.lease("a/creds/1")
		if l.Status != lease.Irrevocable || l.Ending.Error != "out of retries: down for  [1mnow" {
			t.Errorf("after six failures: %s, %q", l.Status, l.Ending.Error)
		}
		r.waitGone("a/creds/1", 24*time.Hour)
		want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second,
			time.Hour, time.Hour, time.Hour}
		if len(at) != len(want)+1 {
			t.Fatalf("%d attempts, want %d", len(at), len(want)+1)
		}
		for i, w := range want {
			near(t, "attempt "+string(rune('2'+i)), at[i+1].Sub(at[i]), w, 60*time.Millisecond)
		}
		calls := slices.DeleteFunc(r.destroyed(), func(c fake.Call) bool { return c.LeaseID != "a/creds/1" })
		for i, c := range calls {
			if c.Attempt != i+1 {
				t.Errorf("call %d says attempt %d", i+1, c.Attempt)
			}
		}
		synctest.Wait() // the outcome is logged after it is recorded
		for _, text := range []string{`msg="revocation failed" lease_id=a/creds/1 mount=a/ cause=expired attempt=1`,
			`msg="lease is irrevocable" lease_id=a/creds/1 mount=a/ cause=expired attempt=6`,
			`msg="lease revoked" lease_id=a/creds/1 mount=a/ cause=expired attempt=9`} {
			if !strings.Contains(r.logs(), text) {
				t.Errorf("the log lacks %q:\n%s", text, r.logs())
			}
		}
	})
}

// The mount's own settings rule: attempts, first pause, longest pause.
func TestTheMountSetsTheSchedule(t *testing.T) {
	bubble(t, func(r *rig) {
		r.must(&command.TuneMount{Id: "a", Config: fsm.ConfigRecord(lease.MountConfig{RevokeAttempts: 4,
			RevokeBackoff: 2 * time.Second, RevokeBackoffMax: 5 * time.Second})})
		r.backend.Inject(fake.Fault{Action: fake.Destroy})
		var at []time.Time
		r.backend.Observe(func(fake.Call) { at = append(at, time.Now()) })
		r.target("a/creds/1", time.Second)
		r.lead(2, func(c *expiration.Config) { c.Rand = func() float64 { return 1 } })
		time.Sleep(10 * time.Minute)
		if len(at) != 4 || r.lease("a/creds/1").Status != lease.Irrevocable {
			t.Fatalf("%d attempts, %s; want 4, irrevocable", len(at), r.lease("a/creds/1").Status)
		}
		for i, want := range []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second} {
			near(t, "a retry", at[i+1].Sub(at[i]), want, 60*time.Millisecond)
		}
	})
}

func TestAPermanentErrorNeedsOneAttempt(t *testing.T) {
	bubble(t, func(r *rig) {
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("no such role"))})
		r.target("a/creds/1", time.Second)
		r.lead(2, nil)
		time.Sleep(2 * time.Second)
		l := r.lease("a/creds/1")
		if l.Status != lease.Irrevocable || l.Ending.Attempts != 1 || l.Ending.Error != "no such role" {
			t.Errorf("got %s after %d attempts, %q; want irrevocable after 1", l.Status, l.Ending.Attempts, l.Ending.Error)
		}
	})
}

// A pause that the target asks for is kept, unless it is beyond all measure.
func TestAnAskedPauseIsKept(t *testing.T) {
	for _, c := range []struct{ asked, want time.Duration }{
		{7 * time.Minute, 7 * time.Minute},
		{time.Second, 5 * time.Second}, // our own pause is longer
		{1000 * time.Hour, time.Hour},
	} {
		bubble(t, func(r *rig) {
			r.backend.Inject(fake.Fault{Action: fake.Destroy, Times: 1, Err: backend.RetryAfter(errors.New("busy"), c.asked)})
			r.target("a/creds/1", time.Second)
			r.lead(2, nil)
			near(t, "asked for "+c.asked.String()+": gone", r.waitGone("a/creds/1", 24*time.Hour), time.Second+c.want, 120*time.Millisecond)
		})
	}
}

// L7, L12: the calls of one mount hang; another mount's leases end at their time, and the hanging
// mount never has more calls than its slots. Each hanging call ends at its deadline.
func TestL7_AHangingMountDelaysOnlyItsOwn(t *testing.T) {
	bubble(t, func(r *rig) {
		for i := range 200 {
			r.target(id("a/creds", i), time.Second)
			r.backend.Inject(fake.Fault{Action: fake.Destroy, Name: "x:" + id("a/creds", i), Until: make(chan struct{})})
		}
		for i := range 100 {
			r.target(id("b/creds", i), time.Duration(i)*100*time.Millisecond+time.Second)
		}
		r.lead(2, nil)
		begun := time.Now()
		for i := range 100 {
			r.waitGone(id("b/creds", i), time.Minute)
			near(t, "a healthy lease went", time.Since(begun), time.Duration(i)*100*time.Millisecond+time.Second, 60*time.Millisecond)
		}
		if got := r.backend.Peak("a/"); got != lease.DefaultRevokeConcurrency {
			t.Errorf("%d calls at once at the hanging mount, want %d", got, lease.DefaultRevokeConcurrency)
		}
		time.Sleep(40 * time.Second)
		failed := 0
		for i := range 200 {
			if l := r.lease(id("a/creds", i)); l.Ending.Attempts > 0 {
				failed++
				if want := "the target did not answer within 30s"; l.Ending.Error != want {
					t.Fatalf("got %q, want %q", l.Ending.Error, want)
				}
			}
		}
		if failed < lease.DefaultRevokeConcurrency {
			t.Errorf("%d attempts have ended after their deadline, want at least %d", failed, lease.DefaultRevokeConcurrency)
		}
	})
}

// All slots together are bounded, whatever the mounts allow, and shared fairly.
func TestWorkersAreBoundedInAll(t *testing.T) {
	bubble(t, func(r *rig) {
		release := r.backend.Hang(fake.Destroy)
		for i := range 20 {
			r.target(id("a/creds", i), time.Second)
			r.target(id("b/creds", i), time.Second)
		}
		r.lead(2, func(c *expiration.Config) { c.Workers = 10 })
		time.Sleep(2 * time.Second)
		if all, a, b := r.backend.Running(""), r.backend.Running("a/"), r.backend.Running("b/"); all != 10 || a != 5 || b != 5 {
			t.Errorf("%d calls run, %d and %d by mount; want 10, 5 and 5", all, a, b)
		}
		release()
		time.Sleep(time.Second)
		if n := r.leases(); n != 0 {
			t.Errorf("%d leases left after the release, want 0", n)
		}
		if got := r.backend.Peak(""); got != 10 {
			t.Errorf("at most %d calls at once, want 10", got)
		}
	})
}

// A panic, a type that this build does not have and a seal that does not open are errors of the
// attempt, and say what is wrong.
func TestWhatIsNotTheTargetsFaultIsAnErrorOfTheAttempt(t *testing.T) {
	bubble(t, func(r *rig) {
		r.must(mount("old", "old/", "retired"), mount("bad", "bad/", "exploding"))
		foreign := reserve("a/creds/foreign", time.Second)
		foreign.Internal = []byte("under another key")
		r.target("old/creds/1", time.Second)
		r.target("bad/creds/1", time.Second)
		r.must(foreign, &command.Activate{Id: "a/creds/foreign"})
		r.lead(2, func(c *expiration.Config) { c.Backends = backend.NewRegistry(r.backend, exploding{}) })
		time.Sleep(1100 * time.Millisecond)
		for id, want := range map[string]string{
			"old/creds/1":     `this build has no backend of type "retired" that destroys leases`,
			"bad/creds/1":     "the backend panicked: boom",
			"a/creds/foreign": "open what the lease keeps: the key version 7 is not known",
		} {
			if l := r.lease(id); l.Ending == nil || l.Ending.Attempts != 1 || l.Ending.Error != want {
				t.Errorf("%s: %+v, want one attempt and %q", id, l.Ending, want)
			}
		}
		r.issue("locks/x/1", time.Second)
		r.waitGone("locks/x/1", 2*time.Second) // and life goes on
	})
}
