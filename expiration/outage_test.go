package expiration_test

import (
	"context"
	"errors"
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

// slow is a backend whose destroy takes its time.
type slow struct {
	*fake.Backend
	takes time.Duration
}

func (s slow) Destroy(ctx context.Context, d *backend.Destruction) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Backend.Destroy(ctx, d)
}

// mount is a mount as it stands.
func (r *rig) mount(id string) (m *lease.Mount) {
	r.state.Read(func(v *fsm.View) { m = v.Mount(id) })
	return m
}

// counts counts a mount's leases by status.
func (r *rig) counts(mount string) (t fsm.Tally) {
	r.state.Read(func(v *fsm.View) { t = v.MountCounts(mount) })
	return t
}

// down makes every call fail until the returned function is called.
func (r *rig) down() (repair func()) {
	return r.backend.Inject(fake.Fault{Action: fake.Destroy, Err: errors.New("connection refused")})
}

// many makes n leases of mount a, which end one after another within spread from first on.
func (r *rig) many(n int, first, spread time.Duration) {
	r.t.Helper()
	for i := range n {
		r.target(id("a/creds", i), first+spread*time.Duration(i)/time.Duration(n))
	}
}

// open waits until the target of mount a is known to be down.
func (r *rig) open() {
	r.t.Helper()
	for begun := time.Now(); r.mount("a").Down == nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > time.Hour {
			r.t.Fatal("the target is not found to be down")
		}
	}
}

// waitEmpty sleeps until a mount has no leases and returns how long that took.
func (r *rig) waitEmpty(mount string, limit time.Duration) time.Duration {
	r.t.Helper()
	begun := time.Now()
	for r.counts(mount).Total() > 0 {
		if time.Since(begun) > limit {
			r.t.Fatalf("%d leases of %s are left after %s", r.counts(mount).Total(), mount, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun)
}

// L5: the target is down for half an hour, in which ten thousand leases end. Of all jitter the longest
// is drawn, a call takes 300 ms and an entry 5 ms. Few attempts are made meanwhile, no lease is given
// up, and all is destroyed ten minutes after the repair at the latest: a probe is at most five minutes
// away, and then 16 calls at once take 10,000 x 300 ms / 16 = 188 s and what the log adds to it.
func TestL5_AnOutageOfHalfAnHour(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 10_000
		r.many(n, time.Second, 20*time.Minute)
		r.latency = 5 * time.Millisecond
		repair := r.down()
		r.lead(2, func(c *expiration.Config) {
			c.Rand = func() float64 { return 0.999 }
			c.Backends = backend.NewRegistry(slow{r.backend, 300 * time.Millisecond})
		})
		time.Sleep(time.Minute)
		since := r.mount("a").Down
		if since == nil || !strings.Contains(since.Error, "connection refused") || since.Since > t0InBubble().Add(15*time.Second) {
			t.Fatalf("after a minute the target is known to be down: %+v", since)
		}
		time.Sleep(30*time.Minute - time.Minute)
		c := r.counts("a")
		if got := len(r.destroyed()); got > 60 || c.Of(lease.Irrevocable) > 0 || c.Of(lease.Revoking) != n {
			t.Errorf("in half an hour: %d calls, %d irrevocable, %d revoking; want few, none, all", got, c.Of(lease.Irrevocable), c.Of(lease.Revoking))
		}
		if d := r.mount("a").Down; d == nil || d.Since != since.Since {
			t.Errorf("down %+v, want since %s", d, since.Since)
		}
		repair()
		took := r.waitEmpty("a", 10*time.Minute)
		t.Logf("all gone %s after the repair", took)
		if living := r.backend.Living(); len(living) != 0 {
			t.Errorf("%d things live on at the target", len(living))
		}
		time.Sleep(time.Second)
		if reports, _ := proposed[*command.SetMountHealth](r); len(reports) != 2 || r.mount("a").Down != nil {
			t.Errorf("%d reports, down %+v; want two, one of each change", len(reports), r.mount("a").Down)
		}
		for _, want := range []string{`level=WARN msg="a target does not answer: its mount's revocations wait" mount=a/ failures=5 err="connection refused" next_probe=`,
			`level=INFO msg="a target answers again: its mount's revocations go on" mount=a/`} {
			if !strings.Contains(r.logs(), want) {
				t.Errorf("the log lacks %q", want)
			}
		}
	})
}

// t0InBubble is when bubbles begin.
func t0InBubble() lease.Time { return lease.At(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) }

// L5: few leases, which are given up in the outage since they are all there is to probe with. That the
// target is back is found out all the same, and not an hour later.
func TestL5_WhereAllIsIrrevocableTheTargetIsStillProbed(t *testing.T) {
	bubble(t, func(r *rig) {
		r.many(3, time.Second, 0)
		repair := r.down()
		r.lead(2, func(c *expiration.Config) { c.Rand = func() float64 { return 0.999 } })
		time.Sleep(90 * time.Minute)
		if c := r.counts("a"); c.Of(lease.Irrevocable) != 3 {
			t.Fatalf("%d irrevocable, want all 3", c.Of(lease.Irrevocable))
		}
		before := len(r.destroyed())
		time.Sleep(20 * time.Minute)
		if got := len(r.destroyed()) - before; got < 3 || got > 5 {
			t.Errorf("%d probes in 20 minutes, want one in each five", got)
		}
		repair()
		near(t, "all are gone", r.waitEmpty("a", time.Hour), 0, 5*time.Minute+time.Second)
	})
}

// Leases that were given up long before an outage, and such as wait for a late attempt, are tried again
// when the target answers after it.
func TestAfterAnOutageAllIsTriedAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 3000 // more than one command names
		wrong := r.backend.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("not allowed"))})
		r.many(n, time.Second, 0)
		stop := r.lead(2, nil)
		time.Sleep(2 * time.Second)
		if c := r.counts("a"); c.Of(lease.Irrevocable) != n || r.mount("a").Down != nil {
			t.Fatalf("%d irrevocable, down %v; want %d, and a target that answers", c.Of(lease.Irrevocable), r.mount("a").Down, n)
		}
		wrong()
		repair := r.down()
		for i := range 20 {
			r.target(id("a/more", i), time.Second)
		}
		r.open()
		time.Sleep(10 * time.Minute)
		repair()
		near(t, "all are gone", r.waitEmpty("a", time.Hour), 0, 5*time.Minute)
		stop()
	})
}

// L3, L7: a target that hangs, for long, beside one that works. The one that hangs gets one call at a
// time once that is known, and is done when it goes on.
func TestL7_AHangingTargetIsProbedWithOneCall(t *testing.T) {
	bubble(t, func(r *rig) {
		release := make(chan struct{})
		for i := range 400 {
			r.target(id("a/creds", i), time.Second)
			r.backend.Inject(fake.Fault{Action: fake.Destroy, Name: "x:" + id("a/creds", i), Until: release})
		}
		for i := range 600 {
			r.target(id("b/creds", i), time.Duration(i)*time.Second+time.Second)
		}
		r.lead(2, nil)
		begun, most := time.Now(), 0
		for i := range 600 {
			r.waitGone(id("b/creds", i), time.Minute)
			near(t, "a healthy lease went", time.Since(begun), time.Duration(i)*time.Second+time.Second, 60*time.Millisecond)
			if time.Since(begun) > 70*time.Second { // those that began before it was known have ended
				most = max(most, r.backend.Running("a/"))
			}
		}
		if most != 1 {
			t.Errorf("up to %d calls at once hung at a target known to hang, want 1", most)
		}
		close(release)
		near(t, "the rest is gone", r.waitEmpty("a", time.Hour), 0, 5*time.Minute)
	})
}

// A leader that dies leaves behind that the target is down: the next one makes one call before it lets
// loose all that waits. One that dies before all that waits is due leaves that to the next as well.
func TestAnOutageOutlivesItsLeader(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 500
		r.many(n, time.Second, 0)
		const late = "a/creds/given-up"
		r.target(late, time.Second)
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Times: 1, Name: "x:" + late, Err: backend.Permanent(errors.New("not allowed"))})
		repair := r.down()
		stop := r.lead(2, nil)
		r.open()
		time.Sleep(time.Minute)
		r.must(&command.Revoke{Ids: []string{late}, Cause: "revoked"})
		time.Sleep(time.Second)
		if r.lease(late).Status != lease.Irrevocable {
			t.Fatalf("%s is %s", late, r.lease(late).Status)
		}
		stop()
		for i := range 5 { // nobody waits for what was asked of the last leader
			r.must(&command.RetryRevocations{Ids: []string{id("a/creds", 100+i)}})
		}
		before := len(r.destroyed())
		stop = r.lead(3, nil)
		time.Sleep(time.Second)
		if got := len(r.destroyed()) - before; got != 1 {
			t.Errorf("the next leader began with %d calls, want 1", got)
		}
		time.Sleep(20 * time.Minute)
		if c := r.counts("a"); c.Of(lease.Irrevocable) != 1 {
			t.Errorf("%d irrevocable, want one", c.Of(lease.Irrevocable))
		}
		r.setRefuse(func(cmd fsm.Command) error {
			if _, ok := cmd.(*command.RetryRevocations); ok {
				return &lease.Error{Code: lease.Unavailable, Message: "the queue is full"}
			}
			return nil
		})
		repair()
		r.must(&command.Revoke{Ids: []string{id("a/creds", n-1)}, Cause: "revoked"}) // somebody asks, and it works
		time.Sleep(5 * time.Minute)
		if r.counts("a").Total() != 1 || r.lease(late) == nil || r.mount("a").Down == nil {
			t.Fatalf("%d left, among them %s: %v, down %v; want the one that nobody made due, and no report that the target is up",
				r.counts("a").Total(), late, r.lease(late) != nil, r.mount("a").Down)
		}
		stop()
		r.setRefuse(nil)
		r.lead(4, nil)
		near(t, "the late one is gone", r.waitEmpty("a", time.Hour), 0, time.Second)
		time.Sleep(time.Second)
		if d := r.mount("a").Down; d != nil {
			t.Errorf("the target is down: %+v", d)
		}
	})
}

// What somebody asks for by name is tried at once although the target is known to be down: a revoke, a
// retry, one lease of a prefix (settled decision 3). It is no probe: it does not put the next one off.
func TestWhatIsAskedForIsTriedInAnOutage(t *testing.T) {
	bubble(t, func(r *rig) {
		r.many(100, time.Second, 0)
		for i := range 30 {
			r.target(id("a/asked", i), 10*time.Hour)
			r.target(id("a/prefix", i), 10*time.Hour)
		}
		repair := r.down()
		r.lead(2, func(c *expiration.Config) { c.Rand = func() float64 { return 0.999 } })
		time.Sleep(30 * time.Minute)
		tried := func(prefix string) (n int) {
			for _, c := range r.destroyed() {
				if strings.HasPrefix(c.LeaseID, prefix) {
					n++
				}
			}
			return n
		}
		for i := range 30 {
			r.must(&command.Revoke{Ids: []string{id("a/asked", i)}, Cause: "revoked"})
			synctest.Wait()
			if l := r.lease(id("a/asked", i)); l.Ending.Attempts != 1 {
				t.Fatalf("%s revoked by hand: %+v, want one attempt", l.ID, l.Ending)
			}
		}
		r.must(&command.OpenJob{Cause: string(lease.CausePrefix), Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "a/prefix"}})
		time.Sleep(time.Second)
		if got := tried("a/prefix"); got != 1 {
			t.Errorf("%d calls for a prefix, want 1", got)
		}
		var open []*lease.Job
		r.state.Read(func(v *fsm.View) { open = v.OpenJobs(10) })
		if len(open) != 1 || open[0].Failed != 1 {
			t.Errorf("the job %+v, want one that knows of a failure", open)
		}
		repair()
		before := tried("a")
		r.must(&command.RetryRevocations{Ids: []string{id("a/asked", 7), id("a/asked", 8)}})
		near(t, "a retry by hand finds the target working: all are gone", r.waitEmpty("a", time.Hour), 0, 2*time.Second)
		if got := tried("a") - before; got != 160 {
			t.Errorf("%d calls after the repair, want one for each of 160 leases", got)
		}
	})
}

// S16: what is to be dropped by force is dropped after one attempt each, outage or not; a frozen mount
// keeps it.
func TestS16_ForceDoesNotWaitForTheTarget(t *testing.T) {
	bubble(t, func(r *rig) {
		r.many(3000, time.Second, 0)
		r.down()
		r.lead(2, nil)
		r.open()
		time.Sleep(20 * time.Minute)
		r.must(&command.FreezeMount{Id: "a", Duration: int64(time.Minute)})
		r.must(&command.OpenJob{Cause: string(lease.CauseForce), Force: true,
			Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "a"}})
		before := len(r.destroyed())
		time.Sleep(59 * time.Second)
		if got := len(r.destroyed()) - before; got != 0 || r.counts("a").Total() != 3000 {
			t.Errorf("%d calls at a frozen mount, %d leases; want none, all 3000", got, r.counts("a").Total())
		}
		near(t, "all are dropped", r.waitEmpty("a", time.Hour), time.Second-10*time.Millisecond, time.Second)
		if got := len(r.destroyed()) - before; got != 3000 {
			t.Errorf("%d calls, want one for each", got)
		}
		time.Sleep(time.Second)
		if d := r.mount("a").Down; d != nil {
			t.Errorf("nothing is left to be destroyed and the target is down: %+v", d)
		}
	})
}
