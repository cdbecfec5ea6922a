package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
	"github.com/leasehold/leasehold/test/failover/history"
)

// Options say what a run does.
type Options struct {
	Compose bool   // containers of docker-compose.yml, otherwise processes of scripts/cluster.sh
	Kills   int    // kill -9 of the leader
	Others  int    // of each other fault
	Some    int    // of the other faults only so many kinds, chosen by the seed; 0: all
	Long    bool   // faults last as long as they may
	Only    string // names of the faults, parts of them separated by commas; "": all
	Seed    uint64
	Dir     string // where the history is written, and what a failed run leaves
	Out     string // where results are written; "": nowhere
	Command string // that started it, as the report shall show it
	Log     func(format string, args ...any)
	// Through wraps what carries the clients' calls; nil: nothing does.
	Through func(http.RoundTripper) http.RoundTripper
}

// Run is a run under way.
type Run struct {
	Options
	cluster Cluster
	env     faults.Environment // nil: only signals
	target  *target
	rec     *recorder
	load    *load
	rng     *rand.Rand

	tally   history.Tally
	results map[string]*Result
	stock   stockCalls
	begin   time.Time
}

// Limits of a run.
const (
	warmUp    = 2 * time.Second
	wellAgain = time.Minute // after a fault was healed
	probeRate = 25 * time.Millisecond
	unserved  = 20 * time.Second // for this long writes are tried while a fault lasts
)

// Play does a run on a cluster and wipes it. env may be nil. The error says that the run could not be
// made; what it found is in the report.
func Play(ctx context.Context, o Options, c Cluster, env faults.Environment) (report *Report, err error) {
	r := &Run{Options: o, cluster: c, env: env, begin: time.Now(), results: map[string]*Result{}, rng: rand.New(rand.NewPCG(o.Seed, 0))}
	report = &Report{Dir: o.Dir}
	if r.rec, err = newRecorder(filepath.Join(o.Dir, "history.jsonl")); err != nil {
		return report, err
	}
	call := newCaller(c, r.begin)
	if o.Through != nil {
		call.http.Transport = o.Through(call.http.Transport)
	}
	if r.target, err = startTarget(c.Host(), call.now, r.rec.add); err != nil {
		return report, errors.Join(err, r.rec.close())
	}
	defer r.target.close()
	if r.load, err = startLoad(call, r.rec, r.target, o.Seed); err != nil {
		return report, errors.Join(err, r.rec.close())
	}
	err = r.play(ctx)
	r.load.close()
	if err == nil {
		err = r.finish(ctx)
	}
	err = errors.Join(err, r.rec.close())
	r.report(report)
	if err != nil || len(report.Violations) > 0 {
		err = errors.Join(err, r.leave())
	}
	if o.Out != "" && err == nil && report.Void == "" {
		err = report.write(o.Out)
	}
	return report, err
}

// finish is the last audit: nothing is left of what ended.
func (r *Run) finish(ctx context.Context) error {
	if s := r.stock; s.bare*100 > s.bareCalls {
		r.rec.violate("L13", "%d of %d calls without retries failed in rolling restarts, which is more than 1 %%", s.bare, s.bareCalls)
	}
	if err := r.load.swept(ctx, r.target); err != nil {
		r.rec.violate("L5", "%v", err)
	}
	return r.load.audit(ctx, r.target)
}

// play strikes as often as was asked for, in an order by chance.
func (r *Run) play(ctx context.Context) error {
	if err := r.well(ctx); err != nil {
		return err
	}
	pause(ctx, warmUp/4)
	at, before := r.load.now(), r.rec.counts()
	pause(ctx, warmUp)
	r.tally.Before = float64(r.rec.counts().acked-before.acked) / (r.load.now() - at).Seconds()
	plan := r.plan()
	for i, f := range plan {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.strike(ctx, f); err != nil {
			return fmt.Errorf("strike %d of %d, %s: %w", i+1, len(plan), f.Name, err)
		}
		res := r.results[f.Name]
		r.Log("%3d/%d  %-62s next write %6.0f ms  gap %6.0f ms  %d calls checked, %d violations", i+1, len(plan), f.Name,
			last(res.Failover), last(res.Gaps), r.rec.counts().checked, r.rec.counts().violations)
	}
	return nil
}

func last(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1]
}

// plan is what to strike with, in order.
func (r *Run) plan() (plan []faults.Fault) {
	kinds := r.signals()
	if r.env != nil {
		kinds = append(kinds, r.env.Faults(r.cluster)...)
	}
	only := chosen(r.Only, kinds)
	kinds = slices.DeleteFunc(kinds, func(f faults.Fault) bool { return !only(f.Name) })
	r.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	others := 0
	for _, f := range kinds {
		n := r.Others
		if f.Name == killLeader {
			n = r.Kills
		} else if others++; r.Some > 0 && others > r.Some {
			n = 0
		}
		plan = append(plan, slices.Repeat([]faults.Fault{f}, n)...)
	}
	r.rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

// well waits until every node serves.
func (r *Run) well(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wellAgain)
	defer cancel()
	return awaitWell(ctx, r.cluster)
}

// strike is one round.
func (r *Run) strike(ctx context.Context, f faults.Fault) error {
	pause(ctx, r.between(300*time.Millisecond, 2*time.Second))
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	node := r.aim(f, leader)
	before, stock := r.rec.counts(), r.stock
	at := r.load.now()
	r.rec.add(history.Event{Verb: history.Fault, Node: node, Call: at, Back: at, Note: f.Name})
	r.rec.watch(at)
	heal, err := f.Strike(ctx, node)
	if err != nil {
		return err
	}
	r.rec.struck(r.load.now())
	changed, err := r.suffer(ctx, f, node, heal)
	if err != nil {
		return err
	}
	first, gap := r.rec.seen(r.load.now())
	if err := r.load.audit(ctx, r.target); err != nil {
		r.rec.violate("L9", "after %s: %v", f.Name, err)
		return err
	}
	if f.Aim == faults.Leader && !f.Keeps {
		r.tally.Aimed++
		if changed {
			r.tally.Changes++
		}
	}
	r.file(f, before, stock, first, gap)
	return nil
}

// suffer waits while a fault lasts, heals it, and waits until all is well. It reports whether another
// node led meanwhile.
func (r *Run) suffer(ctx context.Context, f faults.Fault, node int, heal func() error) (changed bool, err error) {
	window, stop := context.WithCancel(ctx)
	elected, probed := make(chan bool, 1), make(chan struct{})
	go func() {
		_, err := findLeader(window, r.cluster, node)
		elected <- err == nil
	}()
	go func() {
		defer close(probed)
		if f.Aim == faults.Leader {
			r.probe(window, node)
		}
	}()
	most := f.Most
	if !r.Long {
		most = min(f.Most, f.Least+time.Second)
	}
	pause(ctx, r.between(f.Least, most))
	if err = heal(); err == nil {
		err = r.revive(ctx)
	}
	if err == nil {
		err = r.well(ctx)
	}
	if err == nil {
		pause(ctx, 300*time.Millisecond)
	}
	stop()
	<-probed
	return <-elected, err
}

// revive starts the nodes that gave up under a fault.
func (r *Run) revive(ctx context.Context) error {
	for node := 1; node <= r.cluster.Size(); node++ {
		if r.cluster.Pid(node) != 0 {
			continue
		}
		if err := r.cluster.Start(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// probe begins a write every few milliseconds through nodes that were not struck, whatever becomes of
// those before, until one is acknowledged.
func (r *Run) probe(ctx context.Context, struck int) {
	me := int(r.load.names.Add(1))
	rng := rand.New(rand.NewPCG(r.Seed, uint64(me)))
	for end := time.Now().Add(unserved); ctx.Err() == nil && time.Now().Before(end); pause(ctx, probeRate) {
		if first, _ := r.rec.seen(r.load.now()); first > 0 {
			return
		}
		node := 1 + rng.IntN(r.cluster.Size())
		if node == struck {
			continue
		}
		group, seed := r.load.book.group(slots, rng), rng.Uint64()
		r.load.wg.Go(func() {
			r.load.gate.RLock()
			defer r.load.gate.RUnlock()
			r.load.issue(me, node, group, rand.New(rand.NewPCG(seed, 1)), 1)
		})
	}
}

func (r *Run) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.rng.Int64N(int64(max(most-least, 1))))
}

func (r *Run) leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, wellAgain)
	defer cancel()
	return r.cluster.Leader(ctx)
}

// aim picks the node that a fault strikes.
func (r *Run) aim(f faults.Fault, leader int) int {
	switch f.Aim {
	case faults.Leader:
		return leader
	case faults.Follower:
		return (leader-1+1+r.rng.IntN(r.cluster.Size()-1))%r.cluster.Size() + 1
	case faults.All:
		return 0
	}
	return 1 + r.rng.IntN(r.cluster.Size())
}

// leave stores what is needed to look into a run that failed.
func (r *Run) leave() error {
	if err := os.WriteFile(filepath.Join(r.Dir, "seed"), fmt.Appendf(nil, "%d\n", r.Seed), 0o600); err != nil {
		return err
	}
	return r.cluster.Save(r.Dir)
}
