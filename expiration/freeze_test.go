package expiration_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// A frozen mount: what ends is dead, nothing is destroyed, nothing is proposed over it, and the attempt
// that runs may end. With the freeze's end all that waits is destroyed, although nobody thaws it; other
// mounts do not notice.
func TestAFrozenMountDestroysNothingUntilItsEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 3000 // more than one plan looks at
		release := r.backend.Hang(fake.Destroy)
		r.target("a/creds/running", time.Second)
		r.many(n, 10*time.Second, 10*time.Second)
		r.target("b/creds/1", 30*time.Minute)
		r.lead(2, nil)
		time.Sleep(2 * time.Second)
		r.must(&command.FreezeMount{Id: "a", Reason: "a backup is restored", Duration: int64(time.Hour)})
		begun := time.Now()
		release()
		near(t, "what was under way is gone", r.waitGone("a/creds/running", time.Minute), 0, time.Millisecond)
		time.Sleep(30 * time.Second)
		if c := r.counts("a"); c.Of(lease.Revoking) != n || len(r.destroyed()) != 1 {
			t.Errorf("%d of %d are dead, %d calls; want all, and one call", c.Of(lease.Revoking), n, len(r.destroyed()))
		}
		time.Sleep(2 * time.Minute) // the index has moved on what the deadlines of intents had filed too early
		before, _ := proposed[fsm.Command](r)
		time.Sleep(20 * time.Minute)
		if after, _ := proposed[fsm.Command](r); len(after) != len(before) {
			t.Errorf("%d proposals over a frozen mount, want none", len(after)-len(before))
		}
		r.waitGone("b/creds/1", 10*time.Minute)
		near(t, "another mount's lease went", time.Since(begun), 30*time.Minute-2*time.Second, 60*time.Millisecond)
		r.waitEmpty("a", time.Hour)
		near(t, "all are gone", time.Since(begun), time.Hour, time.Second)
		if at := r.mount("a").Down; at != nil {
			t.Errorf("a frozen target is down: %+v", at)
		}
	})
}

// Without an end a freeze lasts until the mount is thawed, over a change of leaders too; then what waits
// is destroyed at once.
func TestAFreezeWithoutAnEndLastsUntilTheThaw(t *testing.T) {
	bubble(t, func(r *rig) {
		r.must(&command.FreezeMount{Id: "a"})
		r.many(100, time.Second, 0)
		stop := r.lead(2, nil)
		time.Sleep(2 * time.Hour)
		stop()
		r.lead(3, nil)
		time.Sleep(2 * time.Hour)
		if got := len(r.destroyed()); got != 0 {
			t.Fatalf("%d calls at a frozen mount", got)
		}
		r.must(&command.ThawMount{Id: "a"})
		synctest.Wait()
		if got := r.counts("a").Total(); got != 0 {
			t.Errorf("%d leases are left after the thaw although no time was needed", got)
		}
	})
}

// A mount that is frozen in an outage is not probed; thawed, it is.
func TestAFrozenMountIsNotProbed(t *testing.T) {
	bubble(t, func(r *rig) {
		r.many(100, time.Second, 0)
		repair := r.down()
		r.lead(2, nil)
		r.open()
		r.must(&command.FreezeMount{Id: "a"})
		time.Sleep(time.Minute) // what runs ends
		before := len(r.destroyed())
		r.must(&command.Revoke{Ids: []string{id("a/creds", 7)}, Cause: "revoked"}, &command.RetryRevocations{Ids: []string{id("a/creds", 7)}})
		time.Sleep(2 * time.Hour)
		if got := len(r.destroyed()) - before; got != 0 {
			t.Errorf("%d calls at a frozen mount", got)
		}
		repair()
		r.must(&command.ThawMount{Id: "a"})
		near(t, "all are gone", r.waitEmpty("a", time.Hour), 0, time.Second)
	})
}

// A moving mount is at its new path when the last of its leases is destroyed, and is frozen, tuned and
// down as before. Leases of the new path are revoked there.
func TestAMovedMountIsEmptiedFirst(t *testing.T) {
	bubble(t, func(r *rig) {
		r.many(1500, time.Hour, 0)
		r.lead(2, nil)
		job := r.must(&command.MoveMount{Id: "a", Path: "there/"})[0].Job.ID
		synctest.Wait()
		m := r.mount("a")
		if m.Path != "there/" || m.Tainted != 0 || m.MovingTo != "" || len(r.destroyed()) != 1500 {
			t.Errorf("%+v after %d calls, want it at there/ after 1500", m, len(r.destroyed()))
		}
		r.state.Read(func(v *fsm.View) {
			if j := v.Job(job); j.State != lease.JobFinished || j.Done != 1500 {
				t.Errorf("the job: %+v", j)
			}
		})
		g := grant("there/creds/1", time.Second)
		g.MountId = "a"
		r.must(&command.Reserve{Grant: g, ExternalName: "x:there", Internal: []byte("sealed:fake:planned"), Deadline: int64(time.Minute)},
			&command.Activate{Id: g.Id})
		near(t, "a lease of the new path went", r.waitGone(g.Id, time.Minute), time.Second, 60*time.Millisecond)
		if calls := r.destroyed(); calls[len(calls)-1].Mount != "there/" {
			t.Errorf("the last call is for %s", calls[len(calls)-1].Mount)
		}
	})
}

// In no second are there more calls than the rate, though there are slots; another mount is not held up,
// by the rate or by the calls that wait for it.
func TestTheRateIsKeptInEverySecond(t *testing.T) {
	for _, c := range []struct{ rate, slots int }{{10, 16}, {1, 16}, {50, 3}} {
		bubble(t, func(r *rig) {
			const n = 200
			r.must(&command.TuneMount{Id: "a", Config: fsm.ConfigRecord(lease.MountConfig{RevokeRate: c.rate, RevokeConcurrency: c.slots})})
			r.many(n, time.Second, 0)
			for i := range n {
				r.target(id("b/creds", i), time.Second)
			}
			r.latency = 3 * time.Millisecond
			var at []time.Time
			r.backend.Observe(func(call fake.Call) {
				if call.Mount == "a/" {
					r.mu.Lock()
					defer r.mu.Unlock()
					at = append(at, time.Now())
				}
			})
			r.lead(2, func(cfg *expiration.Config) { cfg.Workers = 20 })
			near(t, "the other mount's leases went", r.waitEmpty("b", time.Minute), time.Second, time.Second)
			r.waitEmpty("a", time.Hour)
			for i := c.rate; i < len(at); i++ {
				if within := at[i].Sub(at[i-c.rate]); within < time.Second {
					t.Fatalf("rate %d: %d calls within %s", c.rate, c.rate+1, within)
				}
			}
			if c.slots >= c.rate { // else it is the slots that bound it
				near(t, "all are gone", at[len(at)-1].Sub(at[0]), time.Duration(n/c.rate-1)*time.Second, time.Duration(n/c.rate)*20*time.Millisecond)
			}
		})
	}
}

// The rate counts what is tried, not what succeeds, and by force too.
func TestTheRateCountsFailuresAndForce(t *testing.T) {
	bubble(t, func(r *rig) {
		r.must(&command.TuneMount{Id: "a", Config: fsm.ConfigRecord(lease.MountConfig{RevokeRate: 5})})
		r.many(30, time.Second, 0)
		r.down()
		r.lead(2, nil)
		time.Sleep(time.Second + 500*time.Millisecond)
		if got := len(r.destroyed()); got != 5 {
			t.Errorf("%d calls in the first half second, want 5", got)
		}
		r.must(&command.OpenJob{Cause: string(lease.CauseForce), Force: true,
			Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "a"}})
		near(t, "all are dropped", r.waitEmpty("a", time.Hour), 5*time.Second, time.Second)
	})
}
