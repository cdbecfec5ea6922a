package fsm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// naiveNamespaceAt is what NamespaceAt promises, by looking at every namespace.
func naiveNamespaceAt(all []*fsm.Namespace, base *fsm.Namespace, path string) (*fsm.Namespace, string) {
	best, rest := base, path
	for _, ns := range all {
		rel, ok := strings.CutPrefix(ns.Path, base.Path)
		if !ok || rel == "" || len(ns.Path) <= len(best.Path) {
			continue
		}
		if after, ok := strings.CutPrefix(path, rel); ok {
			best, rest = ns, after
		} else if path+"/" == rel {
			best, rest = ns, ""
		}
	}
	return best, rest
}

// TestNamespaceAtAgainstEveryNamespace: random sets of namespaces, from each of them and the root.
func TestNamespaceAtAgainstEveryNamespace(t *testing.T) {
	segments := []string{"a", "a-b", "a0", "b", "team", ""}
	for seed := range uint64(40) {
		chance := rand.New(rand.NewPCG(seed, 4))
		path := func(most int) string {
			var parts []string
			for range chance.IntN(most + 1) {
				parts = append(parts, segments[chance.IntN(len(segments))])
			}
			return strings.Join(parts, "/")
		}
		w := newWorld(t)
		for i := range 12 {
			if p := path(4); i%2 == 0 {
				w.one(createNamespace(fmt.Sprintf("n%d", i), p+"/"))
			} else if lease.CheckPath(p) == nil {
				w.one(&command.PutNamespace{Id: fmt.Sprintf("n%d", i), Path: p + "/"})
			}
		}
		w.s.Read(func(v *fsm.View) {
			all := v.Namespaces()
			for _, base := range append(slices.Clone(all), v.Namespace("")) {
				for range 60 {
					p := path(6)
					got, rest := v.NamespaceAt(base, p)
					want, wantRest := naiveNamespaceAt(all, base, p)
					if got != want || rest != wantRest {
						t.Errorf("seed %d: %q from %q: %q and %q is left, want %q and %q", seed, p, base.Path, got.Path, rest, want.Path, wantRest)
					}
				}
				var below []string
				for _, ns := range v.NamespacesBelow(base.ID) {
					below = append(below, ns.Path)
				}
				var want []string
				for _, ns := range all {
					if ns != base && strings.HasPrefix(ns.Path, base.Path) {
						want = append(want, ns.Path)
					}
				}
				if slices.Sort(want); !slices.Equal(below, want) {
					t.Errorf("seed %d: below %q: %q, want %q", seed, base.Path, below, want)
				}
			}
			if ns, rest := v.NamespaceAt(nil, "x/y"); ns.ID != "" || rest != "x/y" {
				t.Errorf("from nowhere: %+v, %q", ns, rest)
			}
			if list := v.NamespacesBelow("none"); list != nil {
				t.Errorf("below what is not there: %v", list)
			}
		})
		w.check()
	}
}

// Who has no namespaces pays nothing for them.
func TestNamespaceAtCostsNothingWithoutNamespaces(t *testing.T) {
	w := newWorld(t)
	w.s.Read(func(v *fsm.View) {
		if n := testing.AllocsPerRun(100, func() { v.NamespaceAt(nil, "sys/leases/lookup/x") }); n > 0 {
			t.Errorf("%v allocations, want none", n)
		}
	})
}

// S17: a namespace is dead with one entry, and swept in bounded ones, with what its tokens own elsewhere.
// What others own elsewhere lives.
func TestS17_AWideNamespace(t *testing.T) {
	many := 20_000
	if testing.Short() {
		many = 2_000
	}
	w := newWorld(t)
	w.must(createNamespace("n1", "team/"), mountCommand("m-n1", "n1", "locks/", "lease"))
	w.token("outside", "", 100*time.Hour)
	for i := range many {
		name := fmt.Sprintf("t%d", i)
		tok := createToken(name, "outside", 100*time.Hour)
		tok.Token.Namespace = "n1"
		inside := grant(fmt.Sprintf("locks/%d.n1", i), "outside", 10*time.Hour)
		inside.Namespace, inside.MountId = "n1", "m-n1"
		w.must(tok, &command.Issue{Grant: inside}, &command.Issue{Grant: grant(fmt.Sprintf("locks/%d", i), name, 10*time.Hour)})
	}
	w.issue("locks/kept/1", "outside", 10*time.Hour)
	job := w.must(&command.CloseNamespace{Id: "n1"})[0].Job.ID
	last := many - 1
	if w.alive(fmt.Sprintf("t%d", last)) {
		t.Error("a token lives after the entry that closed its namespace")
	}
	w.wantStanding("revoking", fmt.Sprintf("locks/%d.n1", last), fmt.Sprintf("locks/%d", last))
	w.wantStanding("active", "locks/kept/1")
	ended, steps := 0, 0
	for ; ; steps++ {
		s := w.must(&command.Sweep{Epoch: 1, Job: job, Limit: 1_000_000})[0]
		if s.Count > fsm.MaxSweep {
			t.Fatalf("one entry ended %d, want at most %d", s.Count, fsm.MaxSweep)
		}
		ended += s.Count
		if s.Job.State != lease.JobSweeping {
			break
		}
	}
	if limit := 5*many/fsm.MaxSweep + 2; steps > limit || ended != 3*many {
		t.Errorf("%d ended in %d steps, want %d in at most %d", ended, steps, 3*many, limit)
	}
	w.s.Read(func(v *fsm.View) {
		if v.Namespace("n1") != nil || v.NamespaceByPath("team") != nil || v.Counts().Total() != 3 {
			t.Errorf("the namespace is there: %v, %d leases are left, want 3", v.Namespace("n1"), v.Counts().Total())
		}
	})
	w.check()
}

// A cache of policies that compares versions never takes old ones for new, though a namespace went and
// its ID came back, before or after a restart.
func TestPolicyVersionOfANamespaceMadeAgain(t *testing.T) {
	w := newWorld(t)
	version := func(ns string) (n uint64) {
		w.s.Read(func(v *fsm.View) { n = v.PolicyVersion(ns) })
		return n
	}
	for range 2 {
		w.must(createNamespace("n1", "team/"), createNamespace("n2", "other/"))
		w.must(&command.PutPolicy{Namespace: "n1", Name: "p", Text: "old"})
		w.s = restoredCopy(t, w.s)
		before, other := version("n1"), version("n2")
		w.must(&command.Tick{})
		if version("n1") != before || version("n2") != other {
			t.Error("a version changed, and no policy did")
		}
		w.sweep(w.must(&command.CloseNamespace{Id: "n1"})[0].Job.ID, 10)
		w.must(createNamespace("n1", "team/"))
		if after := version("n1"); after == before {
			t.Errorf("version %d stands for the policies of the namespace that went and for those of the new one", after)
		}
		between := version("n1")
		w.must(&command.PutPolicy{Namespace: "n1", Name: "p", Text: "new"})
		if version("n1") == between || version("n2") == version("n1") {
			t.Errorf("a policy was written and the version is %d still, or another namespace's %d is as well", between, version("n2"))
		}
		between = version("n1")
		w.must(&command.DeletePolicy{Namespace: "n1", Name: "p"})
		if version("n1") == between {
			t.Error("a policy was deleted and the version is the same")
		}
		for _, id := range []string{"n1", "n2"} {
			w.sweep(w.must(&command.CloseNamespace{Id: id})[0].Job.ID, 10)
		}
	}
	w.check()
}
