package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// Bounds of the end of a run.
const (
	leadLimit   = 20 * time.Second // L1, with back-off of connections that failed for long
	levelLimit  = 30 * time.Second // L9
	settleLimit = 10 * time.Minute // L5, L6: retries back off up to five minutes
	calm        = 3 * time.Second  // of clients after the heal
)

// trouble notes an error of the run itself.
func (s *sim) trouble(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.hist.After.Trouble, err.Error()) {
		s.hist.After.Trouble = append(s.hist.After.Trouble, err.Error())
	}
}

// await waits until cond holds and reports whether it came to that within limit.
func await(limit, step time.Duration, cond func() bool) bool {
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(step) {
		if cond() {
			return true
		}
	}
	return false
}

// run is one whole run: found a cluster, harass it under load, heal it, see what is left. It returns
// with no goroutine of it alive.
func (s *sim) run() {
	defer s.close()
	if err := s.found(); err != nil {
		s.trouble(err)
		return
	}
	watching, unwatch := context.WithCancel(context.Background())
	calling, hangUp := context.WithCancel(context.Background())
	var watch, calls sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	for i := range s.opts.clients {
		calls.Go(func() { s.client(i).run(calling) })
	}
	time.Sleep(2 * time.Second) // without faults
	harassing, calmDown := context.WithTimeout(context.Background(), s.opts.length)
	stop := (&nemesis{s: s, rng: rand.New(rand.NewPCG(s.seed, 3))}).run(harassing)
	calmDown()
	s.heal(stop)
	time.Sleep(calm)
	hangUp()
	calls.Wait()
	s.settle()
	unwatch()
	watch.Wait()
}

// found starts all nodes and makes the mounts.
func (s *sim) found() error {
	if err := s.revive(true); err != nil {
		return err
	}
	if !await(leadLimit, 50*time.Millisecond, func() bool { return s.leader() != nil }) {
		return fmt.Errorf("no leader in %v at first", leadLimit)
	}
	l := s.leader()
	ctx, cancel := context.WithTimeout(context.Background(), leadLimit)
	defer cancel()
	if _, err := l.lessor.Init(ctx, rootToken, "sim"); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	for path, kind := range map[string]string{"db": "fake", "locks": "lease"} {
		if _, err := l.lessor.EnableMount(ctx, lessor.MountRequest{Path: path, Type: kind}); err != nil {
			return fmt.Errorf("enable %s: %w", path, err)
		}
	}
	return nil
}

// watch samples the states until ctx ends.
func (s *sim) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for _, l := range s.up() {
			s.sample(l)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (s *sim) sample(l *life) {
	x := sample{Node: l.id, Life: l.number, At: s.since()}
	var first, second uint64
	l.state.Read(func(v *fsm.View) { first, x.Now = v.Seq(), s.logTime(v.Now()) })
	x.Index, x.Hash = l.state.Hash()
	l.state.Read(func(v *fsm.View) { second = v.Seq() })
	if first != second {
		return // an entry came between
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hist.Samples = append(s.hist.Samples, x)
}

// heal ends all faults and waits until the cluster serves again.
func (s *sim) heal(stop func()) {
	after := &s.hist.After
	after.Healed = s.since()
	stop()
	s.net.heal()
	s.target.Heal()
	for _, h := range s.hosts {
		h.wall.Store(0)
		h.disk.mend()
	}
	s.trouble(s.revive(true))
	if await(leadLimit, 20*time.Millisecond, func() bool { s.trouble(s.revive(true)); return s.leader() != nil }) {
		after.Led = s.since()
	}
	await(leadLimit, 20*time.Millisecond, func() bool {
		l := s.leader()
		if l == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		now, err := l.node.ReadIndex(ctx)
		if err == nil {
			_, err = l.issue(ctx, "locks/", "probe", backend.Write, time.Second, "", now)
		}
		if err == nil {
			after.Served = s.since()
		}
		return err == nil
	})
	if await(levelLimit, 100*time.Millisecond, s.level) {
		after.Level = s.since()
	}
}

// level reports whether all nodes run and have applied what the leader had committed at the call.
func (s *sim) level() bool {
	l := s.leader()
	up := s.up()
	if l == nil || len(up) != len(s.hosts) {
		return false
	}
	index := l.node.CommitIndex()
	time.Sleep(200 * time.Millisecond)
	for _, l := range up {
		if l.state.Applied() < index {
			return false
		}
	}
	return true
}

// settle looks at every lease once more and waits until all have ended.
func (s *sim) settle() {
	after := &s.hist.After
	auditor := s.client(s.opts.clients)
	s.mu.Lock()
	ids := append([]string(nil), s.leases...)
	s.mu.Unlock()
	for i, id := range ids {
		if up := s.up(); len(up) > 0 {
			auditor.lookup(context.Background(), up[i%len(up)], id, false)
		}
	}
	if l := s.leader(); l != nil {
		for range 5 { // for the time from expiry to the first call, of a healthy cluster
			auditor.issue(context.Background(), l, false, false)
		}
	}
	if await(settleLimit, time.Second, func() bool { return s.leader() != nil && len(s.left()) == 0 }) {
		after.Settled = s.since()
	}
	await(levelLimit, 100*time.Millisecond, s.level)
	for _, l := range s.up() {
		s.sample(l)
	}
	after.Leases, after.Living = s.left(), s.target.Living()
	for _, h := range s.hosts {
		h.disk.fault(func() { after.Installs += h.disk.installs })
	}
}

// left are the leases that the leader still has, but for tokens.
func (s *sim) left() (ids []string) {
	l := s.leader()
	if l == nil {
		return nil
	}
	l.state.Read(func(v *fsm.View) {
		v.Ascend("", "", func(le *lease.Lease) bool {
			if le.Kind != lease.OfToken {
				ids = append(ids, fmt.Sprintf("%s (%v)", le.ID, le.Status))
			}
			return true
		})
	})
	return ids
}

// close ends all nodes and waits for those that ended before.
func (s *sim) close() {
	s.net.heal()
	for _, h := range s.hosts {
		h.disk.mend()
	}
	for _, l := range s.up() {
		s.wg.Go(func() {
			s.trouble(l.node.Close())
			l.end()
		})
	}
	s.wg.Wait()
}
