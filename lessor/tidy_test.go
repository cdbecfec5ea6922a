package lessor_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// logText collects what is logged.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// orphan stores leases whose owner is dead, and which no sweep has reached.
func orphan(t *testing.T, w *lessortest.World, m *lease.Mount, n int) []string {
	t.Helper()
	token := w.NewToken(w.Root(), lessor.TokenRequest{})
	var ids []string
	for range n {
		ids = append(ids, w.Issue(m, "creds/orphan", token.Token, nil).Lease.ID)
	}
	if _, err := w.Lessor.RevokeToken(context.Background(), token.Token.Hash, false); err != nil {
		t.Fatal(err)
	}
	return ids
}

// Conformance 54 to 57.
func TestTidyRevokesWhatHasNoLivingOwner(t *testing.T) {
	w := lessortest.New(t)
	db, locks := w.Enable("db", "fake", lease.MountConfig{}), w.Enable("locks", "lease", lease.MountConfig{})
	live := w.NewToken(w.Root(), lessor.TokenRequest{})
	var kept []string
	for range 5 {
		kept = append(kept, w.Issue(db, "creds/live", live.Token, nil).Lease.ID, w.Issue(locks, "live", w.Root(), nil).Lease.ID)
	}
	gone := append(orphan(t, w, db, 3), orphan(t, w, locks, 1700)...)
	id, started, err := w.Lessor.Tidy(t.Context(), "")
	if !started || err != nil {
		t.Fatalf("got %v, %v; want it started", started, err)
	}
	sweepAlone(t, w, id)
	if j, err := w.Lessor.Job("", id); err != nil || j.Total != len(gone) || j.Force {
		t.Errorf("got job %+v, %v; want it to have found %d, by itself and without force", j, err, len(gone))
	}
	w.Settle()
	for _, id := range gone {
		if w.Lease(id) != nil {
			t.Errorf("%s is still there", id)
		}
	}
	for _, id := range kept {
		if le := w.Lease(id); le == nil || le.Status != lease.Active {
			t.Errorf("%s is %+v, want it active", id, le)
		}
	}
	j, err := w.Lessor.Job("", id)
	if err != nil || j.State != lease.JobFinished || j.Cause != lease.CauseTidy || j.Selector.Kind != lease.SelectOwnerless || j.Force {
		t.Fatalf("got job %+v, %v; want a finished one of tidy that forces nothing", j, err)
	}
}

// sweepAlone carries out one job's marking and nothing else, in steps of 100.
func sweepAlone(t *testing.T, w *lessortest.World, id uint64) {
	t.Helper()
	for steps := 1; ; steps++ {
		res, err := w.Proposer.Propose(t.Context(), &command.Sweep{Epoch: w.Proposer.Term(), Job: id, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if res.Job.State != lease.JobSweeping {
			if steps < 17 {
				t.Errorf("1700 leases took %d steps of at most 100", steps)
			}
			return
		}
	}
}

// Conformance 56: the second call while one runs is no error, names the one that runs, and the log says
// why nothing else happens. It holds for the whole cluster.
func TestTidyOneAtATime(t *testing.T) {
	log := new(logText)
	w := lessortest.NewWith(t, lessortest.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	orphan(t, w, w.Enable("locks", "lease", lease.MountConfig{}), 1)
	first, started, err := w.Lessor.Tidy(t.Context(), "")
	if !started || err != nil {
		t.Fatalf("got %v, %v; want it started", started, err)
	}
	if _, err := w.Lessor.PutNamespace(t.Context(), "", "team", nil); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{"", namespaceID(t, w, "team")} {
		second, again, err := w.Lessor.Tidy(t.Context(), ns)
		if again || second != first || err != nil {
			t.Errorf("namespace %q: got job %d, %t, %v; want the one under way, %d", ns, second, again, err, first)
		}
	}
	if !strings.Contains(log.String(), "already in progress") {
		t.Errorf("the log does not say that one is in progress:\n%s", log)
	}
	w.Settle()
	next, started, err := w.Lessor.Tidy(t.Context(), "")
	if !started || err != nil || next == first {
		t.Errorf("after it was done: got job %d, %t, %v; want a new one", next, started, err)
	}
}

// Tidy looks at the leases of one namespace, and a lease with a dead owner in another stays.
func TestTidyKeepsToItsNamespace(t *testing.T) {
	w := lessortest.New(t)
	if _, err := w.Lessor.PutNamespace(t.Context(), "", "team", nil); err != nil {
		t.Fatal(err)
	}
	left := orphan(t, w, w.Enable("locks", "lease", lease.MountConfig{}), 1)[0]
	if _, _, err := w.Lessor.Tidy(t.Context(), namespaceID(t, w, "team")); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range w.Proposer.Commands() {
		if _, ok := cmd.(*command.Revoke); ok {
			t.Errorf("got %v, want no revocation outside the namespace", cmd)
		}
	}
	if w.Lease(left) == nil {
		t.Error("the lease of another namespace was removed")
	}
}
