package lessor_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/leasehold/leasehold/fsm"
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

// tidyWorld has a Lessor whose duty runs; all of it ends with the bubble's context.
func tidyWorld(t *testing.T) (*lessortest.World, *logText) {
	log := new(logText)
	w := lessortest.NewWith(t, lessortest.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Lessor.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return w, log
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
	synctest.Test(t, func(t *testing.T) {
		w, log := tidyWorld(t)
		db, locks := w.Enable("db", "fake", lease.MountConfig{}), w.Enable("locks", "lease", lease.MountConfig{})
		live := w.NewToken(w.Root(), lessor.TokenRequest{})
		var kept []string
		for range 5 {
			kept = append(kept, w.Issue(db, "creds/live", live.Token, nil).Lease.ID, w.Issue(locks, "live", w.Root(), nil).Lease.ID)
		}
		gone := append(orphan(t, w, db, 3), orphan(t, w, locks, 700)...)
		before := len(w.Proposer.Commands())
		if started, err := w.Lessor.Tidy(t.Context(), ""); !started || err != nil {
			t.Fatalf("got %v, %v; want it started", started, err)
		}
		synctest.Wait()
		tidied := 0
		for _, cmd := range w.Proposer.Commands()[before:] {
			r, ok := cmd.(*command.Revoke)
			if !ok || r.Cause != string(lease.CauseTidy) || r.Force || len(r.Ids) > 128 {
				t.Errorf("got command %T %.200v; want revocations by tidy in small batches, without force", cmd, cmd)
				continue
			}
			tidied += len(r.Ids)
		}
		if tidied != len(gone) {
			t.Errorf("got %d revoked, want %d", tidied, len(gone))
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
		for _, text := range []string{"tidying leases is done", "revoked=703", "tidying leases: progress", "checked=500", "checked=717"} {
			if !strings.Contains(log.String(), text) {
				t.Errorf("the log lacks %q:\n%s", text, log)
			}
		}
	})
}

// Conformance 56: the second call while one runs is no error, and the log says why nothing happens.
func TestTidyOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := tidyWorld(t)
		m := w.Enable("locks", "lease", lease.MountConfig{})
		orphan(t, w, m, 1)
		hold := make(chan struct{})
		w.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate {
			if _, ok := cmd.(*command.Revoke); ok {
				<-hold
			}
			return lessortest.Commit
		})
		for i, want := range []bool{true, false, false} {
			started, err := w.Lessor.Tidy(t.Context(), "")
			if started != want || err != nil {
				t.Errorf("call %d: got %v, %v; want %v", i, started, err, want)
			}
			synctest.Wait()
		}
		if !strings.Contains(log.String(), "tidy operation on leases is already in progress") {
			t.Errorf("the log lacks the warning:\n%s", log)
		}
		close(hold)
		synctest.Wait()
		if started, err := w.Lessor.Tidy(t.Context(), ""); !started || err != nil {
			t.Errorf("after the first: got %v, %v; want it started", started, err)
		}
		synctest.Wait()
	})
}

func TestTidyStaysInItsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := tidyWorld(t)
		m := w.Enable("locks", "lease", lease.MountConfig{})
		orphan(t, w, m, 2)
		before := len(w.Proposer.Commands())
		if _, err := w.Lessor.Tidy(t.Context(), "n1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if cmds := w.Proposer.Commands()[before:]; len(cmds) != 0 {
			t.Errorf("got %d commands, want none", len(cmds))
		}
	})
}

func TestTidyStopsWhenTheLogIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := tidyWorld(t)
		m := w.Enable("locks", "lease", lease.MountConfig{})
		orphan(t, w, m, 300)
		w.Proposer.CrashAt(1, lessortest.Refuse)
		if _, err := w.Lessor.Tidy(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !strings.Contains(log.String(), "tidying leases stopped") {
			t.Errorf("the log does not say that it stopped:\n%s", log)
		}
		w.Proposer.Elect()
		if started, err := w.Lessor.Tidy(t.Context(), ""); !started || err != nil {
			t.Errorf("after that: got %v, %v; want it started", started, err)
		}
		synctest.Wait()
		if keys, _, _ := w.Lessor.List("", "locks", "", 0); keys != nil {
			t.Errorf("left: %v", keys)
		}
	})
}

func TestTidyNeedsItsDuty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		_, err := w.Lessor.Tidy(t.Context(), "")
		wantError(t, err, lease.Unavailable, "does not lead")
		for range 3 { // leadership comes and goes
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Lessor.Run(ctx) }()
			synctest.Wait()
			if started, err := w.Lessor.Tidy(t.Context(), ""); !started || err != nil {
				t.Errorf("while it leads: got %v, %v", started, err)
			}
			synctest.Wait()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_, err := w.Lessor.Tidy(t.Context(), "")
			wantError(t, err, lease.Unavailable, "does not lead")
		}
	})
}
