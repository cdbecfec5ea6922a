package lessor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// lives reports whether something of this name is at the target.
func lives(w *lessortest.World, name string) bool { return slices.Contains(w.Fake.Living(), name) }

func TestFreezeKeepsTheTargetAndThawEndsIt(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	l := w.Issue(m, "creds/a", w.Root(), nil).Lease
	if err := w.Lessor.Freeze(t.Context(), "", "db", "", time.Hour); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("without a reason: got %v, want a refusal that names it", err)
	}
	if err := w.Lessor.Freeze(t.Context(), "", "db/", "the database is being moved", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lessor.Revoke(t.Context(), "", l.ID, false); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if !lives(w, l.ExternalName) {
		t.Error("something was destroyed while the mount was frozen")
	}
	if f, err := w.Lessor.Lookup("", l.ID, w.Clock.Now()); err != nil || f.Standing != lease.Revoking || f.Renewable {
		t.Errorf("got %+v, %v; want the lease dead to its holder", f, err)
	}
	if err := w.Lessor.Thaw(t.Context(), "", "db"); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if lives(w, l.ExternalName) || w.Lease(l.ID) != nil {
		t.Error("after the thaw it is still there")
	}
}

func TestFreezeEndsByItself(t *testing.T) {
	w := lessortest.New(t)
	l := w.Issue(w.Enable("db", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil).Lease
	if err := w.Lessor.Freeze(t.Context(), "", "db", "for an hour", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lessor.Revoke(t.Context(), "", l.ID, false); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.Clock.Advance(time.Hour + time.Second)
	w.Settle()
	if lives(w, l.ExternalName) {
		t.Error("the freeze outlives its duration")
	}
}

// failing has n leases whose targets failed once, and which wait for their next attempt.
func failing(t *testing.T, w *lessortest.World, m *lease.Mount, role string, n int) []*lease.Lease {
	t.Helper()
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: n})
	var list []*lease.Lease
	for range n {
		l := w.Issue(m, "creds/"+role, w.Root(), nil).Lease
		if _, err := w.Lessor.Revoke(t.Context(), "", l.ID, false); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	w.Settle()
	return list
}

func TestRetryIsForThoseThatAreMeant(t *testing.T) {
	for name, req := range map[string]lessor.RetryRequest{
		"prefix": {Prefix: "db/creds/a"}, "mount": {Mount: "db"}, "mount and prefix": {Mount: "db/", Prefix: "db/creds/a/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lessortest.New(t)
			mine := failing(t, w, w.Enable("db", "fake", lease.MountConfig{}), "a", 3)
			other := failing(t, w, w.Enable("db2", "fake", lease.MountConfig{}), "a", 1)[0]
			n, err := w.Lessor.Retry(t.Context(), "", req)
			if err != nil || n != 3 {
				t.Fatalf("got %d, %v; want 3 to be tried", n, err)
			}
			w.Settle()
			for _, l := range mine {
				if w.Lease(l.ID) != nil {
					t.Errorf("%s is still there", l.ID)
				}
			}
			if w.Lease(other.ID) == nil {
				t.Error("a lease that was not meant was tried")
			}
		})
	}
}

func TestRetryByIDAndByError(t *testing.T) {
	w := lessortest.New(t)
	list := failing(t, w, w.Enable("db", "fake", lease.MountConfig{}), "a", 2)
	if n, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{Error: "no such text"}); n != 0 || err != nil {
		t.Errorf("another error: got %d, %v", n, err)
	}
	if n, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{LeaseID: list[0].ID}); n != 1 || err != nil {
		t.Errorf("one lease: got %d, %v", n, err)
	}
	if n, err := w.Lessor.Retry(t.Context(), "other", lessor.RetryRequest{LeaseID: list[1].ID}); n != 0 || err != nil {
		t.Errorf("from another namespace: got %d, %v", n, err)
	}
	if _, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{}); err == nil {
		t.Error("a retry of everything by accident was taken")
	}
}

func TestMoveMount(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	l := w.Issue(m, "creds/a", w.Root(), nil).Lease
	for from, to := range map[string]string{"nothing": "x", "db": "sys/x", "db/": "auth/x", "auth/token": "auth/x"} {
		if _, err := w.Lessor.MoveMount(t.Context(), "", from, to); err == nil {
			t.Errorf("%s to %s: got no error", from, to)
		}
	}
	job, err := w.Lessor.MoveMount(t.Context(), "", "db", "data/base")
	if err != nil || job == 0 {
		t.Fatalf("got job %d, %v", job, err)
	}
	w.Settle()
	w.State.Read(func(v *fsm.View) {
		moved := v.MountOf("", "data/base/")
		if moved == nil || moved.ID != m.ID || moved.Tainted != 0 || v.MountOf("", "db/") != nil {
			t.Errorf("got %+v, want the mount at its new path", moved)
		}
	})
	if w.Lease(l.ID) != nil || lives(w, l.ExternalName) {
		t.Error("what the mount had leased was not revoked")
	}
}

func TestReconcile(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	kept := w.Issue(m, "creds/a", w.Root(), nil).Lease
	gone := w.Issue(m, "creds/a", w.Root(), nil).Lease
	lost := w.Issue(m, "creds/a", w.Root(), nil).Lease
	// One lease is forced away though its target failed, the target of another is emptied by hand.
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Name: lost.ExternalName, Times: 1})
	stop := w.Lead()
	if _, err := w.Lessor.RevokePrefix(t.Context(), "", lost.ID, lessor.PrefixOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	stop()
	internal, err := w.Lessor.OpenInternal(gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fake.Destroy(t.Context(), &backend.Destruction{ExternalName: gone.ExternalName, Mount: m, Fence: 1 << 40, Internal: internal}); err != nil {
		t.Fatal(err)
	}
	if w.Lease(lost.ID) != nil || !lives(w, lost.ExternalName) {
		t.Fatal("there is no orphan to be found")
	}
	r, err := w.Lessor.Reconcile(t.Context(), "", "db", true)
	if err != nil {
		t.Fatal(err)
	}
	if r.Items != 2 || r.Leases != 2 || r.Orphaned != 1 || r.Young != 1 || r.Destroyed != 0 || r.Missed != 0 {
		t.Errorf("at once: got %+v, want one young orphan, left alone, and nothing missing yet", r)
	}
	w.Clock.Advance(10 * time.Minute)
	r, err = w.Lessor.Reconcile(t.Context(), "", "db", false)
	if err != nil || r.Orphaned != 1 || r.Young != 0 || r.Destroyed != 0 || r.Missed != 1 || r.Missing[0] != gone.ID {
		t.Errorf("later: got %+v, %v; want an orphan and a missing one", r, err)
	}
	r, err = w.Lessor.Reconcile(t.Context(), "", "db", true)
	if err != nil || r.Destroyed != 1 || lives(w, lost.ExternalName) || !lives(w, kept.ExternalName) {
		t.Errorf("with fix: got %+v, %v; want the orphan destroyed and nothing else", r, err)
	}
	if r, err = w.Lessor.Reconcile(t.Context(), "", "db", true); err != nil || r.Orphaned != 0 {
		t.Errorf("again: got %+v, %v; want nothing left", r, err)
	}
	if _, err := w.Lessor.Reconcile(t.Context(), "", "nothing", false); err == nil {
		t.Error("a mount that is not there was compared")
	}
	w.Enable("locks", "lease", lease.MountConfig{})
	if _, err := w.Lessor.Reconcile(t.Context(), "", "locks", false); !errors.Is(err, lessor.ErrNoInventory) {
		t.Errorf("got %v, want %v", err, lessor.ErrNoInventory)
	}
}
