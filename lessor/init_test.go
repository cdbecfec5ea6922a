package lessor_test

import (
	"context"
	"crypto/rand"
	"regexp"
	"testing"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
	"github.com/leasehold/leasehold/seal"
)

func TestInit(t *testing.T) {
	w := lessortest.NewWith(t, lessortest.Options{Uninitialized: true})
	ctx := context.Background()
	if _, err := w.Lessor.Keyring(); err != lease.ErrNotInitialized {
		t.Errorf("keyring before: got %v, want %v", err, lease.ErrNotInitialized)
	}
	if _, err := w.Lessor.HashToken("x"); err != lease.ErrNotInitialized {
		t.Errorf("hash before: got %v, want %v", err, lease.ErrNotInitialized)
	}
	bearer, err := w.Lessor.Init(ctx, "", "")
	if err != nil || !regexp.MustCompile(`^lhs\.[0-9A-Za-z]{43}$`).MatchString(bearer) {
		t.Fatalf("got %q, %v", bearer, err)
	}
	root := w.Token(bearer)
	if root == nil || !root.Root() || !root.Orphan() || root.Path != "auth/token/root" || root.DisplayName != "root" {
		t.Errorf("got %+v", root)
	}
	if le := w.Lease(root.LeaseID); le == nil || le.ExpireTime != 0 || le.Renewable {
		t.Errorf("the root token's lease: %+v, want no end", le)
	}
	w.State.Read(func(v *fsm.View) {
		c := v.Cluster()
		m := v.Mount(c.TokenMountID)
		if m == nil || m.Path != "auth/token/" || m.Type != "token" || !regexp.MustCompile(`^auth_token_[0-9a-f]{8}$`).MatchString(m.Accessor) {
			t.Errorf("token mount: %+v", m)
		}
		if !c.Initialized || c.Name != "leasehold-cluster-"+c.ID[:8] {
			t.Errorf("cluster: %+v", c)
		}
	})
	_, err = w.Lessor.Init(ctx, "", "")
	wantError(t, err, lease.Invalid, "Vault is already initialized")
	if err := w.Lessor.EnsureInit(ctx, "other", ""); err != nil || w.Token("other") != nil {
		t.Errorf("ensure: got %v, %+v; want nothing done", err, w.Token("other"))
	}
}

func TestEnsureInit(t *testing.T) {
	w := lessortest.NewWith(t, lessortest.Options{Uninitialized: true})
	w.Proposer.Strike(&command.Init{}, lessortest.Refuse)
	wantError(t, w.Lessor.EnsureInit(context.Background(), "dev", "c1"), lease.Unavailable, "not the leader")
	w.Proposer.Elect()
	if err := w.Lessor.EnsureInit(context.Background(), "dev", "c1"); err != nil || w.Token("dev") == nil {
		t.Errorf("got %v, %+v; want the root token", err, w.Token("dev"))
	}
	w.State.Read(func(v *fsm.View) {
		if name := v.Cluster().Name; name != "c1" {
			t.Errorf("got cluster name %q, want c1", name)
		}
	})
}

func TestInitChecksTheRootToken(t *testing.T) {
	w := lessortest.NewWith(t, lessortest.Options{Uninitialized: true})
	_, err := w.Lessor.Init(context.Background(), "a b", "")
	wantError(t, err, lease.Invalid, "printable ASCII")
	_, err = w.Lessor.Init(context.Background(), "lhs.short", "")
	wantError(t, err, lease.Invalid, "prefix")
	generated := "lhs.0123456789012345678901234567890123456789012"
	if got, err := w.Lessor.Init(context.Background(), generated, ""); err != nil || got != generated {
		t.Errorf("one of our own: got %q, %v", got, err)
	}
}

func TestKeyringNeedsTheRightKey(t *testing.T) {
	w := lessortest.New(t)
	a, err := w.Lessor.Keyring()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := w.Lessor.Keyring(); b != a || err != nil {
		t.Errorf("got %p, %v; want the ring that is open, %p", b, err, a)
	}
	wrong, err := seal.NewStaticKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := lessor.New(lessor.Config{State: w.State, Proposer: w.Proposer, Now: w.Clock.Now, Wall: w.Clock.Wall, SealKey: wrong})
	_, err = l.Keyring()
	wantError(t, err, lease.Internal, "needs the static key with ID "+w.SealKey.ID())
}

func TestPolicies(t *testing.T) {
	w := lessortest.New(t)
	ctx := context.Background()
	text := func(name string) string {
		var got string
		w.State.Read(func(v *fsm.View) {
			if p := v.Policy("", name); p != nil {
				got = p.Text
			}
		})
		return got
	}
	if err := w.Lessor.PutPolicy(ctx, "", "Dev", `path "a" {}`); err != nil || text("dev") != `path "a" {}` {
		t.Errorf("got %v, %q", err, text("dev"))
	}
	if err := w.Lessor.DeletePolicy(ctx, "", "DEV"); err != nil || text("dev") != "" {
		t.Errorf("deleted: %v, %q", err, text("dev"))
	}
	if err := w.Lessor.DeletePolicy(ctx, "", "nothing"); err != nil {
		t.Errorf("unknown: %v", err)
	}
	if err := w.Lessor.PutPolicy(ctx, "", "default", `path "b" {}`); err != nil {
		t.Errorf("default may be written: %v", err)
	}
	wantError(t, w.Lessor.PutPolicy(ctx, "", "ROOT", "x"), lease.Invalid, `cannot update "root" policy`)
	wantError(t, w.Lessor.PutPolicy(ctx, "", "a", " \n"), lease.Invalid, "'policy' parameter not supplied or empty")
	wantError(t, w.Lessor.PutPolicy(ctx, "", "a\nb", "x"), lease.Invalid, "invalid policy name")
	wantError(t, w.Lessor.PutPolicy(ctx, "", "", "x"), lease.Invalid, "invalid policy name")
	wantError(t, w.Lessor.DeletePolicy(ctx, "", "root"), lease.Invalid, `cannot delete "root" policy`)
	wantError(t, w.Lessor.DeletePolicy(ctx, "", "default"), lease.Invalid, `cannot delete "default" policy`)
}
