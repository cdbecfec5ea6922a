package lessor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// orphanAt leaves something at the target of a mount that no lease stands for, and returns its name.
func orphanAt(t *testing.T, w *lessortest.World, m *lease.Mount) string {
	t.Helper()
	l := w.Issue(m, "creds/a", w.Root(), nil).Lease
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Name: l.ExternalName, Times: 1})
	stop := w.Lead()
	defer stop()
	if _, err := w.Lessor.RevokePrefix(t.Context(), "", l.ID, lessor.PrefixOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	return l.ExternalName
}

// lead runs the Lessor's duty as a leadership does, in a bubble whose time moves with the log's.
func lead(t *testing.T, w *lessortest.World) (step func(time.Duration)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Lessor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return func(d time.Duration) {
		w.Clock.Advance(d)
		time.Sleep(6 * time.Second) // a tick of the duty, in the bubble
		synctest.Wait()
	}
}

func TestMountsAreComparedAtTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		beside := w.Issue(w.Enable("beside", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil).Lease
		m := w.Enable("db", "fake", lease.MountConfig{})
		hourly := time.Hour
		if err := w.Lessor.TuneMount(t.Context(), "", "db", lessor.TuneRequest{ReconcileInterval: &hourly}); err != nil {
			t.Fatal(err)
		}
		orphan := orphanAt(t, w, m)
		step := lead(t, w)
		step(time.Hour - time.Minute)
		if !lives(w, orphan) {
			t.Error("it was destroyed before the interval was over")
		}
		step(2 * time.Minute) // seen for the first time: it may be young
		step(time.Hour + time.Minute)
		if lives(w, orphan) {
			t.Error("the orphan is still there after two intervals")
		}
		if !lives(w, beside.ExternalName) {
			t.Error("what another mount leased at the same target was destroyed")
		}
	})
}

// A leader that finds open intents compares their mounts once they must be resolved: whoever was creating
// for them may have been lost half-way.
func TestANewLeaderComparesMountsWithOpenIntents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		orphan := orphanAt(t, w, m)
		if _, err := w.Lessor.Reconcile(t.Context(), "", "db", false); err != nil { // since now it is known
			t.Fatal(err)
		}
		w.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate { // the leader dies before it can say what came of it
			switch cmd.(type) {
			case *command.Activate:
				return lessortest.LoseBefore
			case *command.Revoke:
				return lessortest.Refuse
			}
			return lessortest.Commit
		})
		if _, err := w.Lessor.Issue(t.Context(), w.Request(m, 1, "creds/a")); err == nil {
			t.Fatal("an issue that was never activated was acknowledged")
		}
		w.Proposer.Fault(nil)
		step := lead(t, w)
		step(time.Minute)
		if !lives(w, orphan) {
			t.Error("it was destroyed before the deadline of intents")
		}
		step(2 * time.Minute)
		if lives(w, orphan) {
			t.Error("the orphan is still there")
		}
	})
}
