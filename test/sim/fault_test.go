package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
)

// fault is one kind of trouble. start makes it and returns what ends it, nil if it could not be made
// now. leader says that it hits the leader, so that another must be elected.
type fault struct {
	name   string
	leader bool
	start  func(ctx context.Context, n *nemesis) (stop func())
}

// nemesis makes faults, one after the other and sometimes two at once.
type nemesis struct {
	s   *sim
	rng *rand.Rand
}

// run makes faults until ctx ends. Those that are still there then it leaves; the returned function ends
// them.
func (n *nemesis) run(ctx context.Context) (stop func()) {
	for {
		if n.sleep(ctx, 300*time.Millisecond, 2*time.Second); ctx.Err() != nil {
			return func() {}
		}
		first := n.strike(ctx)
		second := func() {}
		if n.rng.IntN(4) == 0 { // in pairs
			n.sleep(ctx, 0, time.Second)
			second = n.strike(ctx)
		}
		stop := func() { second(); first() }
		if n.sleep(ctx, 500*time.Millisecond, 6*time.Second); ctx.Err() != nil {
			return stop
		}
		stop()
	}
}

func (n *nemesis) sleep(ctx context.Context, least, most time.Duration) {
	d := least + time.Duration(n.rng.Int64N(int64(most-least)))
	for until := n.s.since() + d; n.s.since() < until && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-time.After(min(until-n.s.since(), 250*time.Millisecond)):
		}
		n.s.trouble(n.s.revive(false))
	}
}

func (n *nemesis) strike(ctx context.Context) (stop func()) {
	f := n.s.opts.faults[n.rng.IntN(len(n.s.opts.faults))]
	stop = f.start(ctx, n)
	if stop == nil {
		return func() {}
	}
	n.s.note(event{Action: "fault: " + f.name, Leading: f.leader, At: n.s.since()})
	return stop
}

// any is a node that runs, nil if none does.
func (n *nemesis) any() *life {
	up := n.s.up()
	if len(up) == 0 {
		return nil
	}
	return up[n.rng.IntN(len(up))]
}

// victim is the leader, or one of the others.
func (n *nemesis) victim(leader bool) *life {
	if leader {
		return n.s.leader()
	}
	return n.any()
}

func (n *nemesis) others(id string) (ids []string) {
	for _, h := range n.s.hosts {
		if h.id != id {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// cuts sets both or one direction between a node and all others.
func (n *nemesis) cuts(id string, out, in, cut bool) {
	n.s.net.set(func(at func(from, to string) *weather) {
		for _, other := range n.others(id) {
			if out {
				at(id, other).cut = cut
			}
			if in {
				at(other, id).cut = cut
			}
		}
	})
}

func isolate(leader, out, in bool) func(context.Context, *nemesis) func() {
	return func(_ context.Context, n *nemesis) func() {
		v := n.victim(leader)
		if v == nil {
			return nil
		}
		n.cuts(v.id, out, in, true)
		return func() { n.cuts(v.id, out, in, false) }
	}
}

// bridge leaves one node in touch with two halves that do not reach each other.
func bridge(_ context.Context, n *nemesis) func() {
	ids := n.others(n.s.hosts[n.rng.IntN(len(n.s.hosts))].id)
	half := len(ids) / 2
	set := func(cut bool) {
		n.s.net.set(func(at func(from, to string) *weather) {
			for _, a := range ids[:half] {
				for _, b := range ids[half:] {
					at(a, b).cut, at(b, a).cut = cut, cut
				}
			}
		})
	}
	set(true)
	return func() { set(false) }
}

// bad makes all links slow or lossy.
func bad(as weather) func(context.Context, *nemesis) func() {
	return func(_ context.Context, n *nemesis) func() {
		set := func(w weather) {
			n.s.net.set(func(at func(from, to string) *weather) {
				for _, a := range n.s.hosts {
					for _, b := range n.others(a.id) {
						l := at(a.id, b)
						l.delay, l.jitter, l.loss = w.delay, w.jitter, w.loss
					}
				}
			})
		}
		set(as)
		return func() { set(weather{}) }
	}
}

func resets(_ context.Context, n *nemesis) func() {
	v := n.any()
	if v == nil {
		return nil
	}
	n.s.net.sever(func(a, b string) bool { return a == v.id }, false)
	return func() {}
}

func kill(leader, power bool) func(context.Context, *nemesis) func() {
	return func(_ context.Context, n *nemesis) func() {
		v := n.victim(leader)
		if v == nil {
			return nil
		}
		n.s.crash(v, power, time.Duration(n.rng.Int64N(int64(8*time.Second)))+time.Millisecond)
		return func() {}
	}
}

// powerCut takes several nodes at once, all of them one time in three.
func powerCut(_ context.Context, n *nemesis) func() {
	up := n.s.up()
	count := len(up)
	if n.rng.IntN(3) > 0 && count > 1 {
		count = 1 + n.rng.IntN(count-1)
	}
	for _, l := range up[:count] {
		n.s.crash(l, true, time.Second+time.Duration(n.rng.Int64N(int64(2*time.Second))))
	}
	return func() {}
}

func onDisk(leader bool, change func(d *disk)) func(context.Context, *nemesis) func() {
	return func(_ context.Context, n *nemesis) func() {
		v := n.victim(leader)
		if v == nil {
			return nil
		}
		v.disk.fault(func() { change(v.disk) })
		return v.disk.mend
	}
}

func stall(d *disk) {
	if d.stalled == nil {
		d.stalled = make(chan struct{})
	}
}

// pauseNode is a process that stands still: nothing is sent, heard or written.
func pauseNode(_ context.Context, n *nemesis) func() {
	v := n.s.leader()
	if v == nil {
		return nil
	}
	n.cuts(v.id, true, true, true)
	v.disk.fault(func() { stall(v.disk) })
	return func() {
		n.cuts(v.id, true, true, false)
		v.disk.mend()
	}
}

// jump moves one node's wall clock by up to an hour; it moves again when another one's turn comes.
func jump(_ context.Context, n *nemesis) func() {
	h := n.s.hosts[n.rng.IntN(len(n.s.hosts))]
	for _, other := range n.s.hosts {
		other.wall.Store(0)
	}
	h.wall.Store(n.rng.Int64N(int64(2*time.Hour)) - int64(time.Hour))
	return func() {}
}

func transfer(ctx context.Context, n *nemesis) func() {
	v := n.s.leader()
	if v == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = v.node.StepDown(ctx) // may fail beside another fault
	return func() {}
}

func onTarget(f fake.Fault) func(context.Context, *nemesis) func() {
	return func(_ context.Context, n *nemesis) func() { return n.s.target.Inject(f) }
}

func hang(_ context.Context, n *nemesis) func() { return n.s.target.Hang("") }

func snapshotNow(_ context.Context, n *nemesis) func() {
	v := n.any()
	if v == nil {
		return nil
	}
	if _, body, err := v.node.Snapshot(); err == nil {
		body.Close()
	}
	return func() {}
}

var faults = []fault{
	{"leader cut off", true, isolate(true, true, true)},
	{"node cut off", false, isolate(false, true, true)},
	{"leader not heard", true, isolate(true, true, false)},
	{"leader deaf", false, isolate(true, false, true)},
	{"bridge", false, bridge},
	{"slow network", false, bad(weather{delay: 30 * time.Millisecond, jitter: 60 * time.Millisecond})},
	{"lossy network", false, bad(weather{loss: 0.3, jitter: 5 * time.Millisecond})},
	{"connections reset", false, resets},
	{"leader killed", true, kill(true, false)},
	{"node killed", false, kill(false, false)},
	{"power cut", false, powerCut},
	{"power cut at the leader", true, kill(true, true)},
	{"disk stalls at the leader", false, onDisk(true, stall)},
	{"disk stalls", false, onDisk(false, stall)},
	{"sync fails", false, onDisk(false, func(d *disk) { d.failing = true })},
	{"sync fails at the leader", false, onDisk(true, func(d *disk) { d.failing = true })},
	{"disk full", false, onDisk(false, func(d *disk) { d.full = true })},
	{"leader paused", true, pauseNode},
	{"clock jumps", false, jump},
	{"leadership moved", true, transfer},
	{"target down", false, onTarget(fake.Fault{})},
	{"target loses answers", false, onTarget(fake.Fault{Stage: fake.After})},
	{"target does half", false, onTarget(fake.Fault{Stage: fake.Half})},
	{"target is called twice", false, onTarget(fake.Fault{Stage: fake.Twice})},
	{"target hangs", false, hang},
	{"snapshot", false, snapshotNow},
}
