package lessor_test

import (
	"context"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestLookup(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Minute})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	fixed := w.Issue(m, "creds/ci", w.Root(), map[string]any{"renewable": false}).Lease.ID
	tests := []struct {
		name      string
		id        string
		at        time.Duration
		standing  lease.Status
		ttl       time.Duration
		renewable bool
	}{
		{"fresh", id, 0, lease.Active, time.Minute, true},
		{"later", id, seconds(59), lease.Active, time.Second, true},
		{"not renewable", fixed, 0, lease.Active, time.Minute, false},
		{"at its end", id, time.Minute, lease.Revoking, 0, false},
		{"past its end", id, seconds(90), lease.Revoking, -seconds(30), false},
		{"the root token's never ends", w.Root().LeaseID, 1000 * time.Hour, lease.Active, 0, false},
	}
	for _, tt := range tests {
		f, err := w.Lessor.Lookup("", tt.id, w.Clock.Now().Add(tt.at))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if f.Standing != tt.standing || f.TTL != tt.ttl || f.Renewable != tt.renewable || f.Mount == nil || f.NamespacePath != "" {
			t.Errorf("%s: got %+v; want %s, %s, renewable %v", tt.name, f, tt.standing, tt.ttl, tt.renewable)
		}
	}
	// Revoked by hand before its end, it has nothing left all the same.
	if _, err := w.Lessor.Revoke(context.Background(), "", id, false); err != nil {
		t.Fatal(err)
	}
	if f, err := w.Lessor.Lookup("", id, w.Clock.Now()); err != nil || f.TTL != 0 || f.Renewable {
		t.Errorf("revoked: got %+v, %v; want a TTL of 0", f, err)
	}
}

func TestLookupOfWhatIsNoLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()
	lookup := func(ns, id string) error {
		_, err := w.Lessor.Lookup(ns, id, w.Clock.Now())
		return err
	}
	wantError(t, lookup("", "db/creds/ci/nothing"), lease.Invalid, "invalid lease")
	wantError(t, lookup("", "../x"), lease.Invalid, "failed to read lease entry ../x: relative paths not supported")
	live := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	wantError(t, lookup("elsewhere", live), lease.Invalid, "invalid lease")

	reserve := &command.Reserve{ExternalName: "n", Deadline: int64(time.Hour),
		Grant: &command.Grant{Id: "db/creds/ci/intent", MountId: m.ID, Path: "db/creds/ci", Owner: w.Root().Hash}}
	if _, err := w.Proposer.Propose(ctx, reserve); err != nil {
		t.Fatal(err)
	}
	wantError(t, lookup("", "db/creds/ci/intent"), lease.Invalid, "invalid lease")
	_, _, err := w.Lessor.Renew(ctx, "", "db/creds/ci/intent", 0)
	wantError(t, err, lease.Invalid, "lease not found")
}

func TestLookupInANamespace(t *testing.T) {
	w := lessortest.New(t)
	ctx := context.Background()
	if _, err := w.Proposer.Propose(ctx, &command.PutNamespace{Id: "n1", Path: "team/"}); err != nil {
		t.Fatal(err)
	}
	m, err := w.Lessor.EnableMount(ctx, lessor.MountRequest{Namespace: "n1", Path: "locks", Type: "lease"})
	if err != nil {
		t.Fatal(err)
	}
	id := w.Issue(m, "x", w.Root(), nil).Lease.ID
	if want := ".n1"; id[len(id)-len(want):] != want {
		t.Errorf("got ID %q, want it to end in %q", id, want)
	}
	f, err := w.Lessor.Lookup("n1", id, w.Clock.Now())
	if err != nil || f.NamespacePath != "team/" {
		t.Errorf("got %+v, %v; want it in team/", f, err)
	}
	_, err = w.Lessor.Lookup("", id, w.Clock.Now())
	wantError(t, err, lease.Invalid, "invalid lease")
}
