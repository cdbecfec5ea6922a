package lessor_test

import (
	"errors"
	"fmt"
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
			n, _, err := w.Lessor.Retry(t.Context(), "", req)
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
	if n, _, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{Error: "no such text"}); n != 0 || err != nil {
		t.Errorf("another error: got %d, %v", n, err)
	}
	if n, _, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{LeaseID: list[0].ID}); n != 1 || err != nil {
		t.Errorf("one lease: got %d, %v", n, err)
	}
	if n, _, err := w.Lessor.Retry(t.Context(), "other", lessor.RetryRequest{LeaseID: list[1].ID}); n != 0 || err != nil {
		t.Errorf("from another namespace: got %d, %v", n, err)
	}
	if _, _, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{}); err == nil {
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

// S15: who waits for something that a freeze keeps from being destroyed is told at once why and until when, and
// what was asked for happens after the thaw.
func TestS15_WaitingCallsDoNotWaitForAThaw(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *lessortest.World, string) error{
		"revoke": func(t *testing.T, w *lessortest.World, id string) error {
			_, err := w.Lessor.Revoke(patient(t), "", id, true)
			return err
		},
		"revoke-prefix": func(t *testing.T, w *lessortest.World, _ string) error {
			_, err := w.Lessor.RevokePrefix(patient(t), "", "db/creds", lessor.PrefixOptions{Sync: true})
			return err
		},
		"revoke-force": func(t *testing.T, w *lessortest.World, _ string) error {
			_, err := w.Lessor.RevokePrefix(patient(t), "", "db", lessor.PrefixOptions{Force: true})
			return err
		},
		"disable": func(t *testing.T, w *lessortest.World, _ string) error {
			_, err := w.Lessor.DisableMount(patient(t), "", "db")
			return err
		},
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, frozen while it waits: %v", name, late), func(t *testing.T) {
				w := lessortest.New(t)
				l := w.Issue(w.Enable("db", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil).Lease
				freeze := func() {
					if err := w.Lessor.Freeze(t.Context(), "", "db", "the disk is full", time.Hour); err != nil {
						t.Error(err)
					}
				}
				answer := make(chan error, 1)
				if late {
					go func() { answer <- call(t, w, l.ID) }()
					for w.Lease(l.ID).Ending == nil && jobs(w) == 0 {
						time.Sleep(time.Millisecond)
					}
					freeze()
					w.Lead()
				} else {
					freeze()
					w.Lead()
					answer <- call(t, w, l.ID)
				}
				err := <-answer
				wantError(t, err, lease.Conflict, "the disk is full")
				if until := w.Clock.Now().Std().Year(); err != nil && !strings.Contains(err.Error(), fmt.Sprint("until ", until)) {
					t.Errorf("got %v; want the end of the freeze in it", err)
				}
				if !lives(w, l.ExternalName) {
					t.Error("it was destroyed all the same")
				}
				if err := w.Lessor.Thaw(t.Context(), "", "db"); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(lessortest.Patience); w.Lease(l.ID) != nil || lives(w, l.ExternalName); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("after the thaw it is still there")
					}
				}
			})
		}
	}
}

// jobs is how many revocations of many there are.
func jobs(w *lessortest.World) int { return len(w.Lessor.Jobs("", 0)) }

// A job is not held up by a freeze that concerns none of what it covers.
func TestAFreezeElsewhereIsNoHindrance(t *testing.T) {
	w := lessortest.New(t)
	other := w.Issue(w.Enable("other", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil).Lease
	w.Issue(w.Enable("db", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil)
	if err := w.Lessor.Freeze(t.Context(), "", "other", "for a test", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lessor.Revoke(t.Context(), "", other.ID, false); err != nil {
		t.Fatal(err)
	}
	w.Lead()
	if _, err := w.Lessor.RevokePrefix(patient(t), "", "db", lessor.PrefixOptions{Sync: true}); err != nil {
		t.Error(err)
	}
	_, err := w.Lessor.Reconcile(patient(t), "", "other", true)
	wantError(t, err, lease.Conflict, "until it is thawed (for a test)")
}

func TestRetryOfWhatIsFrozen(t *testing.T) {
	w := lessortest.New(t)
	held := failing(t, w, w.Enable("db", "fake", lease.MountConfig{}), "a", 2)
	if err := w.Lessor.Freeze(t.Context(), "", "db", "being repaired", time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]lessor.RetryRequest{
		"lease": {LeaseID: held[0].ID}, "mount": {Mount: "db"}, "prefix": {Prefix: "db/creds"}, "error": {Error: " "},
	} {
		_, _, err := w.Lessor.Retry(t.Context(), "", req)
		if err == nil {
			t.Errorf("%s: all that is meant is frozen, want a refusal", name)
		}
		wantError(t, err, lease.Conflict, "being repaired")
	}
	fresh := w.Issue(w.Enable("db3", "fake", lease.MountConfig{}), "creds/a", w.Root(), nil).Lease
	if err := w.Lessor.Freeze(t.Context(), "", "db3", "not tried yet", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lessor.Revoke(t.Context(), "", fresh.ID, false); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{LeaseID: fresh.ID})
	wantError(t, err, lease.Conflict, "not tried yet")
	failing(t, w, w.Enable("db2", "fake", lease.MountConfig{}), "a", 1)
	n, warnings, err := w.Lessor.Retry(t.Context(), "", lessor.RetryRequest{Error: " "})
	if err != nil || n != 1 || !contains(warnings, "being repaired") {
		t.Errorf("got %d, %v, %v; want one tried, and a warning of the others", n, warnings, err)
	}
}
