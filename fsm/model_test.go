package fsm_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

var (
	modelLists = flag.Int("model.lists", 10_000, "random command lists that TestModel runs")
	modelSeed  = flag.Uint64("model.seed", 0, "run this one list of TestModel and say what it does")
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// TestModel runs random lists of commands against the naive model, and checks after random points
// that a restored, a replayed and a differently packed copy of the state is the same state, and that
// everything derived is what can be recomputed: S3, S4, S7, S8, S9, S10, S14, S17, S18, S20.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		if err := runList(t, *modelSeed, true); err != nil {
			t.Fatal(err)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // many small states come and go
	lists := *modelLists
	if testing.Short() {
		lists = min(lists, 500)
	}
	first := uint64(1)
	if os.Getenv("LEASEHOLD_MODEL_RANDOM") != "" {
		first = rand.Uint64N(1 << 40)
	}
	var next atomic.Uint64
	var failed atomic.Bool
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for n := next.Add(1) - 1; n < uint64(lists) && !failed.Load(); n = next.Add(1) - 1 {
				if err := runList(t, first+n, false); err != nil {
					failed.Store(true)
					t.Errorf("seed %d: %v\nrun it alone: go test ./fsm -run TestModel -model.seed %d -v", first+n, err, first+n)
				}
			}
		})
	}
	running.Wait()
}

// runList runs the list of a seed.
func runList(t *testing.T, seed uint64, talk bool) error {
	w := newWorld(t)
	m := newModel()
	m.now = w.now
	m.namespaces["n1"] = &mNamespace{path: "team/"}
	m.mounts[childMount] = &mMount{namespace: "n1", path: "db/"}
	if seed%2 == 0 {
		w.must(&command.PutNamespace{Id: "n1", Path: "team/"}) // as an earlier version made them
	} else {
		w.must(createNamespace("n1", "team/"))
		m.mounts["m-token-n1"] = &mMount{namespace: "n1", path: "auth/token/"}
	}
	w.must(mountCommand(childMount, "n1", "db/", "fake"), mountCommand(loginMount, "", "auth/up/", "login"))
	m.doomedBy = func(hash string) (job uint64) {
		w.s.Read(func(v *fsm.View) {
			if t := v.Token(hash); t != nil {
				job = t.Doomed
			}
		})
		return job
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), m: m, tokens: []string{rootHash, rootHash}}
	steps := 30 + g.IntN(90)
	for step := range steps {
		w.advance(g.pause())
		cmd := g.next()
		r := w.one(cmd)
		if talk {
			t.Logf("%3d %s %T %v -> %d %v", step, since(r.Now), cmd, cmd, r.Seq, r.Err)
		}
		if err := m.follow(w, g, cmd, r); err != nil {
			return fmt.Errorf("step %d, %T{%v}: %w", step, cmd, cmd, err)
		}
		w.now = max(w.now, r.Now)
		if g.IntN(150) == 0 {
			if err := m.rebase(w); err != nil {
				return fmt.Errorf("restore after step %d: %w", step, err)
			}
		}
		if g.IntN(40) == 0 {
			if err := checkCopies(w, g.Rand); err != nil {
				return fmt.Errorf("after step %d: %w", step, err)
			}
		}
	}
	return checkCopies(w, g.Rand)
}

// follow applies a command to the model and compares.
func (m *model) follow(w *world, g *generator, cmd fsm.Command, r fsm.Result) error {
	if err := m.apply(w.now, cmd, r); err != nil {
		return err
	}
	if r.Job != nil && !slices.Contains(g.opened, r.Job.ID) {
		g.opened = append(g.opened, r.Job.ID)
	}
	for job := range m.jobs { // several token leases ended by one command have a job each
		if !slices.Contains(g.opened, job) {
			g.opened = append(g.opened, job)
		}
	}
	slices.Sort(g.opened)
	for _, l := range r.Leases {
		g.claimed = append(g.claimed, claimed{l.ID, l.Ending.Claim})
	}
	var err error
	w.s.Read(func(v *fsm.View) {
		if err = m.sync(v); err != nil {
			return
		}
		if s, ok := cmd.(*command.Sweep); ok && r.Err == nil && r.Job.State != lease.JobSweeping {
			if err = m.swept(s.Job); err != nil {
				return
			}
		}
		if g.IntN(4) == 0 {
			err = m.compare(v)
		}
	})
	return err
}

// checkCopies compares the state with what others would hold who came to it in other ways.
func checkCopies(w *world, chance *rand.Rand) error {
	if err := w.s.CheckInvariants(); err != nil {
		return err
	}
	want := describe(w.s)
	var buf bytes.Buffer
	if err := w.s.Snapshot().Write(&buf); err != nil {
		return err
	}
	restored := fsm.New()
	if err := restored.Restore(&buf); err != nil {
		return err
	}
	if err := restored.CheckInvariants(); err != nil {
		return fmt.Errorf("restored: %w", err)
	}
	if got := describe(restored); got != want {
		return fmt.Errorf("the restored state differs:\n%s", lineDiff(got, want))
	}
	packed := w.log
	if chance.IntN(2) == 0 {
		packed = repack(w.log, chance)
	}
	replayed := fsm.New()
	if w.base != nil { // the log begins after a restore
		if err := replayed.Restore(bytes.NewReader(w.base)); err != nil {
			return err
		}
	}
	for i, e := range packed {
		if _, err := replayed.Apply(uint64(i+1), e); err != nil {
			return err
		}
	}
	if got := describe(replayed); got != want {
		return fmt.Errorf("replayed in %d entries instead of %d, the state differs:\n%s", len(packed), len(w.log), lineDiff(got, want))
	}
	if chance.IntN(2) == 0 {
		w.s = restored // and go on with the restored one
	}
	return nil
}

// repack packs the commands of a log into other entries. Neighbours are packed together where log
// time stands still between them.
func repack(log [][]byte, chance *rand.Rand) [][]byte {
	var out [][]byte
	var framed [][]byte
	var at lease.Time
	flush := func() {
		if len(framed) > 0 {
			out = append(out, fsm.EncodeEntry(at, framed))
		}
		framed = nil
	}
	for _, e := range log {
		now, cmds := fsm.SplitEntry(e)
		for _, c := range cmds {
			if now > at || chance.IntN(4) == 0 {
				flush()
			}
			at = max(at, now)
			framed = append(framed, c)
		}
	}
	flush()
	return out
}

// describe is all that a reader can see, and the hash.
func describe(s *fsm.State) string {
	var b strings.Builder
	fmt.Fprintln(&b, hashOf(s))
	s.Read(func(v *fsm.View) {
		fmt.Fprintln(&b, v.Now(), v.Seq(), v.Epoch(), v.Counts(), v.TokenCount())
		describeLeases(&b, v)
		v.Tokens("", func(t *lease.Token) bool {
			fmt.Fprintf(&b, "token %+v alive %v owns %v:", *t, v.TokenAlive(t, v.Now()), v.OwnerCounts(t.Hash))
			v.OwnedBy(t.Hash, func(l *lease.Lease) bool {
				fmt.Fprintf(&b, " %s", l.ID)
				return true
			})
			v.Children(t.Hash, func(child string) bool {
				fmt.Fprintf(&b, " child %s", child)
				return true
			})
			fmt.Fprintln(&b)
			return true
		})
		v.Jobs(func(j *lease.Job) bool {
			fmt.Fprintf(&b, "job %+v\n", *j)
			return true
		})
		for _, j := range v.OpenJobs(100) {
			fmt.Fprintln(&b, "open", j.ID)
		}
		for _, j := range v.SweepingJobs(100) {
			fmt.Fprintln(&b, "sweeping", j.ID)
		}
		fmt.Fprintln(&b, "next", v.NextDue() <= v.Now())
		for _, id := range v.DueMounts(v.Now()) {
			v.Due(id, v.Now(), func(l *lease.Lease) bool {
				fmt.Fprintf(&b, "due %s %s %s\n", id, since(l.Due()), l.ID)
				return true
			})
		}
	})
	return b.String()
}

func describeLeases(b *strings.Builder, v *fsm.View) {
	for _, space := range append(v.Namespaces(), v.Namespace("")) {
		ns := space.ID
		fmt.Fprintf(b, "namespace %+v policies %q\n", *space, v.Policies(ns))
		accessors, _ := v.Accessors(ns, "", 1000)
		fmt.Fprintf(b, "accessors %q\n", accessors)
		v.Ascend(ns, "", func(l *lease.Lease) bool {
			shown := *l
			shown.Ending = nil
			fmt.Fprintf(b, "lease %+v ending %+v stands %s\n", shown, l.Ending, v.Standing(l, v.Now()))
			return true
		})
		for _, m := range v.Mounts(ns) {
			shown := *m
			shown.Frozen, shown.Down = nil, nil
			fmt.Fprintf(b, "mount %+v frozen %+v down %+v %v\n", shown, m.Frozen, m.Down, v.MountCounts(m.ID))
			v.Entries(m.ID, "", func(key string) bool {
				value, there := v.Entry(m.ID, key)
				fmt.Fprintf(b, "entry %q %q %v\n", key, value, there)
				return true
			})
		}
		for _, prefix := range []string{"", "db/creds/ro", "locks/a"} {
			fmt.Fprintf(b, "count %q %d\n", prefix, v.CountPrefix(ns, prefix))
		}
	}
	v.Irrevocable(func(l *lease.Lease) bool {
		fmt.Fprintf(b, "irrevocable %s\n", l.ID)
		return true
	})
}
