package expiration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// failed makes an attempt at each lease that fails, and is repeated after retry.
func (p *planner) failed(retry time.Duration, permanent bool, ids ...string) {
	for _, id := range ids {
		claim := p.do(&command.Claim{Epoch: 1, Ids: []string{id}, Lapse: int64(time.Minute)})[0].Seq
		p.do(&command.Fail{Id: id, Claim: claim, Error: "down", RetryAfter: int64(retry), Permanent: permanent})
	}
}

// A mount whose circuit breaker is open: which leases are claimed, and whether as a probe. Of five that
// are due, the first two have failed before.
func TestPlanClaimsOfATargetThatIsDown(t *testing.T) {
	soon := t0.Add(time.Hour + time.Minute)
	for _, c := range []struct {
		name   string
		target expiration.Target
		busy   expiration.Busy
		force  bool
		want   string
		probe  bool
	}{
		{"it is time: one that was never tried, the last to have come due", expiration.Target{Open: true}, expiration.Busy{}, false, "a4", true},
		{"one such has failed: not before its time", expiration.Target{Open: true, ProbeAt: soon, Proven: true}, expiration.Busy{}, false, "", false},
		{"only others have failed: at once", expiration.Target{Open: true, ProbeAt: soon}, expiration.Busy{}, false, "a4", true},
		{"a call is under way", expiration.Target{Open: true}, expiration.Busy{Mounts: map[string]int{"a": 1}}, false, "", false},
		{"what is being claimed is not claimed again", expiration.Target{Open: true},
			expiration.Busy{Leases: map[string]bool{"a/creds/000004": true, "a/creds/000003": true}}, false, "a2", true},
		{"where all have been tried, the one that waits longest", expiration.Target{Open: true},
			expiration.Busy{Leases: map[string]bool{"a/creds/000004": true, "a/creds/000003": true, "a/creds/000002": true}}, false, "a0", true},
		{"unless it is not time", expiration.Target{Open: true, ProbeAt: soon},
			expiration.Busy{Leases: map[string]bool{"a/creds/000004": true, "a/creds/000003": true, "a/creds/000002": true}}, false, "", false},
		{"what is asked for does not wait, nor is it a probe", expiration.Target{Open: true, ProbeAt: soon, Proven: true,
			Asked: []string{"a/creds/000001", "gone", "a/creds/000003"}}, expiration.Busy{Mounts: map[string]int{"a": 3}}, false, "a1 a3", false},
		{"unless it is time for one", expiration.Target{Open: true, Asked: []string{"a/creds/000001"}}, expiration.Busy{}, false, "a1", true},
		{"slots bound what is asked for", expiration.Target{Open: true, Asked: []string{"a/creds/000001", "a/creds/000002"}},
			expiration.Busy{Mounts: map[string]int{"a": 15}}, false, "a1", true},
		{"by force all are tried", expiration.Target{Open: true, ProbeAt: soon, Proven: true}, expiration.Busy{}, true, "a0 a1 a2 a3 a4", false},
		{"closed, those that wait longest", expiration.Target{}, expiration.Busy{}, false, "a0 a1 a2 a3 a4", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlanner(t, fakeMount("a", lease.MountConfig{}))
			p.revoking("a/creds", 5)
			p.failed(0, false, "a/creds/000000", "a/creds/000001")
			p.now = p.now.Add(time.Hour)
			if c.force {
				p.do(&command.Revoke{Ids: []string{id("a/creds", 0), id("a/creds", 1), id("a/creds", 2), id("a/creds", 3), id("a/creds", 4)}, Force: true})
			}
			c.busy.Targets = map[string]*expiration.Target{"a": &c.target}
			todo := p.plan(&c.busy)
			probe := len(todo.Claim) > 0 && todo.Claim[0].Probe
			if got := claimIDs(todo); got != c.want || probe != c.probe {
				t.Errorf("got %q as a probe: %v, want %q, %v", got, probe, c.want, c.probe)
			}
			if c.target.ProbeAt > p.now && todo.Wake != c.target.ProbeAt {
				t.Errorf("wake at %s, want when the next probe may be made, at %s", todo.Wake, c.target.ProbeAt)
			}
		})
	}
}

// At a target that answers, those by force and the others are claimed in the order in which they came due.
func TestPlanClaimsInTheOrderOfBecomingDue(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{RevokeConcurrency: 3}))
	p.add("a/creds", 5, time.Hour)
	for i, force := range []bool{false, true, false, true, false} {
		p.now = p.now.Add(time.Second)
		p.do(&command.Revoke{Ids: []string{id("a/creds", 4-i)}, Force: force})
	}
	if got, want := claimIDs(p.plan(&expiration.Busy{})), "a4 a3 a2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Beside a mount that is down and one that is at its rate, others have all the slots they may have.
func TestPlanClaimsDoNotWaitForAnotherMount(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{}), fakeMount("b", lease.MountConfig{RevokeRate: 4}), fakeMount("c", lease.MountConfig{RevokeConcurrency: 3}))
	for _, m := range []string{"a", "b", "c"} {
		p.revoking(m+"/creds", 9)
	}
	now := p.now
	busy := expiration.Busy{Targets: map[string]*expiration.Target{
		"a": {Open: true, ProbeAt: now.Add(time.Minute), Proven: true},
		"b": {Calls: []lease.Time{now.Add(-2 * time.Second), now.Add(-time.Second), now.Add(-999 * time.Millisecond), now, now}},
	}}
	todo := p.plan(&busy)
	if got, want := claimIDs(todo), "b0 c0 c1 c2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range todo.Claim {
		if c.Rated != (c.Mount == "b") || c.Probe {
			t.Errorf("%+v: rated, or a probe", c)
		}
	}
	busy.Targets["b"].Calls = []lease.Time{now.Add(-900 * time.Millisecond), now, now, now}
	todo = p.plan(&busy)
	if got, want := claimIDs(todo), "c0 c1 c2"; got != want || todo.Wake != now.Add(100*time.Millisecond) {
		t.Errorf("at its rate: got %q and wake %s, want %q and when the first of four calls is a second ago", got, todo.Wake, want)
	}
}

// A frozen mount has no share in a plan, and does not wake the loop before its time.
func TestPlanOfAFrozenMount(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{}), fakeMount("b", lease.MountConfig{}))
	p.revoking("a/creds", 3)
	p.add("b/creds", 1, time.Hour)
	p.add("a/later", 1, 5*time.Hour)
	p.do(&command.FreezeMount{Id: "a", Duration: int64(3 * time.Hour)})
	todo := p.plan(&expiration.Busy{})
	if len(todo.Claim) != 0 || todo.Wake.Sub(p.now) > 2*time.Minute || todo.Wake <= p.now {
		t.Errorf("claims %v, wake %s; want none, and when an intent's deadline was", todo.Claim, todo.Wake)
	}
	p.advance(10 * time.Minute)
	if todo = p.plan(&expiration.Busy{}); todo.Wake != t0.Add(time.Hour) {
		t.Errorf("wake %s, want when the other mount's lease ends", todo.Wake)
	}
	p.advance(50 * time.Minute)
	p.do(&command.Expire{Epoch: 1, Leases: []*command.Ref{{Id: "b/creds/000000"}}})
	if todo = p.plan(&expiration.Busy{Leases: map[string]bool{"b/creds/000000": true}}); len(todo.Claim) != 0 {
		t.Errorf("claims %v, want none", todo.Claim)
	}
	p.do(&command.Claim{Epoch: 1, Ids: []string{"b/creds/000000"}, Lapse: int64(9 * time.Hour)})
	if todo = p.plan(&expiration.Busy{}); todo.Wake != t0.Add(3*time.Hour) {
		t.Errorf("wake %s, want the end of the freeze", todo.Wake)
	}
	p.advance(2 * time.Hour)
	if got, want := claimIDs(p.plan(&expiration.Busy{})), "a0 a1 a2"; got != want {
		t.Errorf("after the freeze: %q, want %q", got, want)
	}
}

// What is made due before its time: an irrevocable lease as a probe, and all that waits after an outage,
// in steps.
func TestPlanRetries(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{}))
	p.revoking("a/creds", 2500)
	var quick, givenUp []string
	for i := range 2400 {
		if i%2 == 0 {
			quick = append(quick, id("a/creds", i))
		} else {
			givenUp = append(givenUp, id("a/creds", i))
		}
	}
	p.failed(time.Minute, false, quick...)
	p.failed(0, true, givenUp...)

	target := &expiration.Target{Open: true}
	busy := expiration.Busy{Targets: map[string]*expiration.Target{"a": target}, Claiming: true}
	if r := p.plan(&busy).Retry; r != nil {
		t.Errorf("open, and some are due: %+v, want none made due", r)
	}
	p.do(&command.Claim{Epoch: 1, Ids: rest("a/creds", 2400, 2500), Lapse: int64(time.Hour)})
	if r := p.plan(&busy).Retry; r != nil {
		t.Errorf("open, and one has a quick attempt left: %+v, want none made due", r)
	}
	*target = expiration.Target{Recovering: true, From: p.now}
	var got []string
	for step := 0; target.Recovering; step++ {
		r := p.plan(&busy).Retry
		if r == nil || !r.Walk || step > 3 || len(r.Cmd.Ids) > fsm.MaxRetry {
			t.Fatalf("step %d: %+v", step, r)
		}
		got = append(got, r.Cmd.Ids...)
		p.do(r.Cmd)
		target.From, target.After, target.Recovering = r.From, r.After, !r.Last
	}
	if want := append(quick, givenUp...); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d were made due, want all %d that failed, by their next attempts", len(got), len(want))
	}

	// Only irrevocable ones are left, and it is time for a probe.
	p.do(&command.Revoke{Ids: append(quick, rest("a/creds", 2400, 2500)...), Force: true})
	p.failed(0, true, givenUp...)
	*target = expiration.Target{Open: true}
	first := fmt.Sprint([]string{givenUp[0]})
	if r := p.plan(&busy).Retry; r == nil || r.Walk || fmt.Sprint(r.Cmd.Ids) != first {
		t.Errorf("%+v, want the first of the irrevocable ones", r)
	}
	for what, change := range map[string]func(*expiration.Busy){
		"it is not time":             func(b *expiration.Busy) { b.Targets["a"] = &expiration.Target{Open: true, ProbeAt: p.now + 1} },
		"a call runs":                func(b *expiration.Busy) { b.Mounts = map[string]int{"a": 1} },
		"such a command is out":      func(b *expiration.Busy) { b.Retrying = true },
		"the target answers":         func(b *expiration.Busy) { b.Targets["a"] = &expiration.Target{} },
		"nothing is known of it":     func(b *expiration.Busy) { b.Targets = nil },
		"the mount is known no more": func(b *expiration.Busy) { b.Targets = map[string]*expiration.Target{"x": {Open: true}} },
	} {
		b := expiration.Busy{Targets: map[string]*expiration.Target{"a": {Open: true}}, Claiming: true}
		if change(&b); p.plan(&b).Retry != nil {
			t.Errorf("%s: one is made due", what)
		}
	}
	p.do(&command.FreezeMount{Id: "a"})
	if r := p.plan(&busy).Retry; r != nil {
		t.Errorf("frozen: %+v is made due", r)
	}
}

func rest(prefix string, from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, id(prefix, i))
	}
	return ids
}

// The state is told of changes, and of each once.
func TestPlanReports(t *testing.T) {
	p := newPlanner(t, fakeMount("a", lease.MountConfig{}))
	p.revoking("a/creds", 1)
	for _, c := range []struct {
		name   string
		down   string
		target *expiration.Target
		busy   bool
		want   string
	}{
		{"open and not known", "", &expiration.Target{Open: true}, false, "down"},
		{"a report is out", "", &expiration.Target{Open: true}, true, ""},
		{"open and known", "refused", &expiration.Target{Open: true}, false, ""},
		{"answers, but not all that waits is due", "refused", &expiration.Target{Recovering: true}, false, ""},
		{"answers", "refused", &expiration.Target{}, false, "up"},
		{"answers and known", "", &expiration.Target{}, false, ""},
	} {
		p.do(&command.SetMountHealth{Epoch: 1, Id: "a", Error: c.down})
		got := ""
		if r := p.plan(&expiration.Busy{Targets: map[string]*expiration.Target{"a": c.target}, Reporting: c.busy}).Report; r != nil {
			if got = "up"; c.down == "" {
				got = "down"
			}
			if r.Id != "a" {
				t.Errorf("%s: a report of %s", c.name, r.Id)
			}
		}
		if got != c.want {
			t.Errorf("%s: reported %q, want %q", c.name, got, c.want)
		}
	}
}
