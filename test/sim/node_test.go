package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	enginelease "github.com/leasehold/leasehold/backend/lease"
	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/seal"
)

const (
	rootToken      = "root-of-the-simulation"
	intentDeadline = 20 * time.Second
)

// host is a node over all its lives.
type host struct {
	id   string
	disk *disk         // of the present life
	wall atomic.Int64  // nanoseconds by which its wall clock is off
	life *life         // nil: it is down; guarded by sim.mu
	back time.Duration // when it is to be started again, 0: not by itself; guarded by sim.mu
}

// life is one process of a host, with the object graph of a server below its HTTP API.
type life struct {
	sim    *sim
	host   *host
	id     string
	number int
	port   *port
	disk   *disk
	state  *fsm.State
	node   *cluster.Node
	lessor *lessor.Lessor
	duties atomic.Int32 // schedulers that run now
	ended  context.Context
	end    context.CancelFunc
}

func (l *life) gone() bool { return l.ended.Err() != nil }

// while is ctx for as long as this life lasts.
func (l *life) while(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ended, cancel)
	return ctx, func() { stop(); cancel() }
}

// sim is one run in its bubble.
type sim struct {
	opts   options
	seed   uint64
	start  time.Time
	net    *network
	target *fake.Backend
	key    *seal.StaticKey
	wg     sync.WaitGroup // lives that end

	mu     sync.Mutex // guards all below
	rng    *rand.Rand // of latencies; its order is not the seed's
	hosts  []*host
	leases []string          // acknowledged, oldest first
	names  map[string]string // at the target, by lease
	hist   history
	lives  int
}

// options are what differs between runs.
type options struct {
	nodes   int
	length  time.Duration // of the faults
	clients int
	bug     bug
	faults  []fault
}

// bug is a planted fault of the product, or of what it rests on.
type bug uint8

const (
	none  bug = iota
	lies      // disks answer before they have synced
	leaks     // a destruction succeeds and does nothing, one time in twenty
	stale     // reads skip the read index
)

func newSim(seed uint64, opts options) (*sim, error) {
	s := &sim{opts: opts, seed: seed, start: time.Now(), target: fake.New(), names: make(map[string]string), rng: rand.New(rand.NewPCG(seed, 1))}
	s.net = newNetwork(rand.New(rand.NewPCG(seed, 2)))
	s.hist.Seed, s.hist.Nodes = seed, opts.nodes
	var err error
	if s.key, err = seal.NewStaticKey(newChaCha(seed)); err != nil {
		return nil, err
	}
	for i := range opts.nodes {
		h := &host{id: fmt.Sprintf("n%d", i+1), disk: newDisk(rand.New(rand.NewPCG(seed, 100+uint64(i))))}
		h.disk.lies = opts.bug == lies
		s.hosts = append(s.hosts, h)
	}
	return s, nil
}

func newChaCha(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// since is the virtual time since the run began.
func (s *sim) since() time.Duration { return time.Since(s.start) }

// logTime is a log time as a time since the run began.
func (s *sim) logTime(t lease.Time) time.Duration {
	if t == 0 {
		return 0
	}
	return t.Sub(lease.At(s.start))
}

// pause sleeps for up to most.
func (s *sim) pause(ctx context.Context, most time.Duration) error {
	s.mu.Lock()
	d := time.Duration(s.rng.Int64N(int64(most)))
	s.mu.Unlock()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// chance is true one time in n.
func (s *sim) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n) == 0
}

func (s *sim) config(h *host, l *life) cluster.Config {
	level := slog.LevelError + 4
	if os.Getenv("LEASEHOLD_SIM_LOG") != "" {
		level = slog.LevelInfo
	}
	cfg := cluster.Config{
		NodeID: h.id, PeerBind: addrOf(h.id), APIAddr: "http://" + h.id, Version: "sim", FeatureLevel: 1,
		SnapshotInterval: 5 * time.Second, SnapshotThreshold: 64, TrailingLogs: 48,
		Now: time.Now, Wall: func() time.Time { return time.Now().Add(time.Duration(h.wall.Load())) },
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", h.id),
		State:   l.state,
		Network: l.port, Stores: l.disk.stores(),
		Fatal: func(error) { s.crash(l, false, time.Second) },
	}
	for _, other := range s.hosts {
		cfg.Bootstrap = append(cfg.Bootstrap, cluster.Server{ID: other.id, Address: addrOf(other.id), Voter: true})
	}
	return cfg
}

// boot starts a host that is down.
func (s *sim) boot(h *host) error {
	s.mu.Lock()
	s.lives++
	l := &life{
		sim: s, host: h, id: h.id, number: s.lives, disk: h.disk, state: fsm.New(),
		port: &port{net: s.net, id: h.id},
	}
	s.mu.Unlock()
	l.ended, l.end = context.WithCancel(context.Background())
	l.disk.broken = func() { s.crash(l, true, 2*time.Second) }
	cfg := s.config(h, l)
	var err error
	if l.node, err = cluster.Open(cfg); err != nil {
		l.port.die(false)
		return fmt.Errorf("start %s: %w", h.id, err)
	}
	engines := backend.NewRegistry(gate{s.target, l}, enginelease.New())
	l.lessor = lessor.New(lessor.Config{
		State: l.state, Proposer: l.node, Now: l.node.Now, Wall: cfg.Wall, Backends: engines, SealKey: s.key,
		IntentDeadline: intentDeadline, Log: cfg.Log,
	})
	scheduler := expiration.New(expiration.Config{
		State: l.state, Proposer: l.node, Now: l.node.Now, Epoch: l.node.Term, Backends: engines, Secrets: l.lessor, Log: cfg.Log,
	})
	l.node.Register(func(ctx context.Context) error {
		s.note(event{Action: "lead", Node: l.id, Life: l.number, Gen: l.node.Term(), At: s.since()})
		l.duties.Add(1)
		defer l.duties.Add(-1)
		return scheduler.Run(ctx)
	})
	l.node.Register(l.lessor.Run)
	s.mu.Lock()
	h.life, h.back = l, 0
	s.mu.Unlock()
	return nil
}

// crash ends a life at once: nothing that it says on the way out arrives, and what its disk had not
// synced is lost or not. Without power, nobody is told. It comes back after the given time; 0: when
// somebody starts it.
func (s *sim) crash(l *life, power bool, back time.Duration) {
	s.mu.Lock()
	if l.host.life != l {
		s.mu.Unlock()
		return
	}
	l.host.life = nil
	if back > 0 {
		l.host.back = s.since() + back
	}
	s.mu.Unlock()
	l.port.die(power)
	l.end()
	l.host.disk = l.disk.after()
	s.note(event{Action: "crash", Node: l.id, Life: l.number, At: s.since()})
	s.wg.Go(func() { _ = l.node.Close() }) // it cannot say anything to anybody any more
}

// up returns the lives that run.
func (s *sim) up() []*life {
	s.mu.Lock()
	defer s.mu.Unlock()
	var up []*life
	for _, h := range s.hosts {
		if h.life != nil {
			up = append(up, h.life)
		}
	}
	return up
}

// at is the life of a host, nil if it is down.
func (s *sim) at(id string) *life {
	for _, l := range s.up() {
		if l.id == id {
			return l
		}
	}
	return nil
}

// leader is the ready leader of the latest term, nil if there is none.
func (s *sim) leader() *life {
	var best *life
	for _, l := range s.up() {
		if l.node.Ready() && (best == nil || l.node.Term() > best.node.Term()) {
			best = l
		}
	}
	return best
}

// revive starts the hosts whose time has come, or all that are down.
func (s *sim) revive(all bool) error {
	for _, h := range s.hosts {
		s.mu.Lock()
		due := h.life == nil && (all || h.back > 0 && h.back <= s.since())
		s.mu.Unlock()
		if due {
			if err := s.boot(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// note records an event.
func (s *sim) note(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hist.Events = append(s.hist.Events, e)
	if e.Action == string(fake.Create) && e.ID != "" {
		s.names[e.ID] = e.Name
	}
}
