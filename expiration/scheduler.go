package expiration

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// DefaultWorkers is how many targets are called at once in all.
const DefaultWorkers = 128

// Bounds of the loop's waits.
const (
	tick       = 50 * time.Millisecond // the longest sleep
	firstPause = 20 * time.Millisecond // after a proposal that did not go through; doubles
	longPause  = time.Second
)

// Proposer commits commands. Its errors are *lease.Error: Unavailable when nothing happened,
// Uncertain when it may have, otherwise the state machine's refusal.
type Proposer interface {
	Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error)
}

// Secrets opens what destroying needs.
type Secrets interface {
	// OpenInternal returns what the backend kept with the lease, nil when it kept nothing.
	OpenInternal(l *lease.Lease) ([]byte, error)
	// Store is a mount's configuration, by the mount's UUID.
	Store(mountID string) backend.Store
}

// Config is what a Scheduler needs. All fields but the last three are required.
type Config struct {
	State    *fsm.State
	Proposer Proposer
	Now      func() lease.Time // log time
	Epoch    func() uint64     // the raft term that this node leads in
	Backends backend.Registry
	Secrets  Secrets

	Log     *slog.Logger   // nil: slog.Default
	Rand    func() float64 // in [0, 1), for jitter; nil: math/rand
	Workers int            // 0: DefaultWorkers
}

// Scheduler ends what is due. The same value serves one leadership after another.
type Scheduler struct{ cfg Config }

// New makes a Scheduler.
func New(cfg Config) *Scheduler {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	return &Scheduler{cfg: cfg}
}

// Run does the leader's work until ctx ends, and returns ctx's error when all it started has ended.
// One Run at a time.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{
		Config: s.cfg,
		busy: Busy{Leases: map[string]bool{}, Mounts: map[string]int{}, Sweeps: map[uint64]bool{},
			Targets: map[string]*Target{}, Workers: s.cfg.Workers},
		// Each task under way sends once, so no task ever waits to be heard.
		done: make(chan func(), s.cfg.Workers+MaxSweeps+5),
	}
	r.takeOver()
	defer r.tasks.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cfg.State.Attention():
		case settle := <-r.done:
			r.settle(settle)
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		timer.Reset(r.step(ctx))
	}
}

// run is one leadership. Its fields belong to the goroutine of Run; tasks tell it what came of
// them through done.
type run struct {
	Config
	busy  Busy
	tasks sync.WaitGroup
	done  chan func()

	pause time.Duration // the current one, 0 while proposals go through
	until lease.Time    // nothing new is proposed before
}

// settle notes what came of tasks, all that have ended by now.
func (r *run) settle(first func()) {
	for settle := first; ; {
		settle()
		select {
		case settle = <-r.done:
		default:
			return
		}
	}
}

// step starts what the plan asks for and returns how long to sleep.
func (r *run) step(ctx context.Context) time.Duration {
	now := r.Now()
	if now < r.until {
		return min(r.until.Sub(now), tick)
	}
	var todo Todo
	asked := r.State.TakeAsked()
	r.State.Read(func(v *fsm.View) {
		r.remember(now, v, asked)
		todo = Plan(now, v, &r.busy)
	})
	r.busy.ExpireTurn, r.busy.ClaimTurn = todo.ExpireTurn, todo.ClaimTurn
	if len(todo.Expire) > 0 {
		r.expire(ctx, todo.Expire)
	}
	if len(todo.Claim) > 0 {
		r.claim(ctx, todo.Claim, todo.Lapse)
	}
	for _, sweep := range todo.Sweeps {
		r.sweep(ctx, sweep)
	}
	if todo.Tick {
		r.busy.Ticking = true
		r.propose(ctx, &command.Tick{}, func(fsm.Result, error) { r.busy.Ticking = false })
	}
	if todo.Retry != nil {
		r.retry(ctx, todo.Retry)
	}
	if todo.Report != nil {
		r.report(ctx, todo.Report)
	}
	if todo.Wake > now {
		return min(todo.Wake.Sub(now), tick)
	}
	return tick // what is due already is under way, or waits for a slot: a task's end wakes the loop
}

// propose commits cmd in a task of its own and calls settle with the outcome in the loop.
func (r *run) propose(ctx context.Context, cmd fsm.Command, settle func(fsm.Result, error)) {
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		res, err := r.commit(ctx, cmd)
		r.done <- func() {
			if err != nil {
				r.Log.Debug("proposal", "command", cmd.ProtoReflect().Descriptor().Name(), "err", err)
			}
			r.pace(err == nil || !unsettled(err) && !errors.Is(err, lease.ErrStaleEpoch))
			settle(res, err)
		}
	}()
}

// commit proposes cmd unless ctx has ended.
func (r *run) commit(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, err
	}
	return r.Proposer.Propose(ctx, cmd)
}

// unsettled reports whether err leaves open, or denies, that a proposal happened.
func unsettled(err error) bool {
	var e *lease.Error
	return errors.As(err, &e) && (e.Code == lease.Unavailable || e.Code == lease.Uncertain)
}

// pace slows the loop down, more and more, while what it proposes gets it nowhere. Whether a proposal
// happened is not guessed at: the next plan looks at the state.
func (r *run) pace(well bool) {
	if well {
		r.pause = 0
		return
	}
	r.pause = min(max(2*r.pause, firstPause), longPause)
	r.until = r.Now().Add(r.pause)
}

func (r *run) expire(ctx context.Context, refs []*command.Ref) {
	r.busy.Expiring = true
	r.propose(ctx, &command.Expire{Epoch: r.Epoch(), Leases: refs}, func(res fsm.Result, err error) {
		r.busy.Expiring = false
		if err == nil {
			r.pace(res.Count > 0) // zero: all were renewed or ended meanwhile, or time stands still
			r.Log.Debug("leases expired", "count", res.Count)
		}
	})
}

func (r *run) sweep(ctx context.Context, sweep *command.Sweep) {
	sweep.Epoch = r.Epoch()
	r.busy.Sweeps[sweep.Job] = true
	r.propose(ctx, sweep, func(res fsm.Result, err error) {
		delete(r.busy.Sweeps, sweep.Job)
		if err == nil && res.Job != nil && res.Job.State != lease.JobSweeping {
			j := res.Job
			r.Log.Info("revocation job swept", "job", j.ID, "selector", j.Selector.Kind.String(), "cause", j.Cause,
				"total", j.Total, "done", j.Done, "left", j.Left())
		}
	})
}

// claim asks for attempts and starts a worker for each that is granted. If the answer is lost, what
// was claimed comes due again when the claim lapses or a new leader takes over.
func (r *run) claim(ctx context.Context, claims []Claim, lapse time.Duration) {
	cmd := &command.Claim{Epoch: r.Epoch(), Lapse: int64(lapse)}
	for _, c := range claims {
		cmd.Ids = append(cmd.Ids, c.ID)
		r.busy.Leases[c.ID] = true
		r.busy.Mounts[c.Mount]++
	}
	r.busy.Claiming = true
	r.propose(ctx, cmd, func(res fsm.Result, err error) {
		r.busy.Claiming = false
		granted := map[string]*lease.Lease{}
		if err == nil {
			r.pace(len(res.Leases) > 0)
			for _, l := range res.Leases {
				granted[l.ID] = l
			}
		}
		for _, c := range claims {
			if l := granted[c.ID]; l != nil {
				r.begin(c)
				r.work(ctx, l, lapse)
			} else {
				r.release(c.ID, c.Mount)
			}
		}
	})
}

// work starts a worker for a claimed lease.
func (r *run) work(ctx context.Context, l *lease.Lease, lapse time.Duration) {
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		out := r.revoke(ctx, l, lapse)
		r.done <- func() {
			r.release(l.ID, l.MountID)
			r.learn(out)
		}
	}()
}

// release frees a lease's slot.
func (r *run) release(id, mount string) {
	delete(r.busy.Leases, id)
	if r.busy.Mounts[mount]--; r.busy.Mounts[mount] == 0 {
		delete(r.busy.Mounts, mount)
	}
}
