package lessor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// namespaceID is the ID of the namespace at path.
func namespaceID(t *testing.T, w *lessortest.World, path string) string {
	t.Helper()
	var id string
	w.State.Read(func(v *fsm.View) {
		if ns := v.NamespaceByPath(path); ns != nil {
			id = ns.ID
		}
	})
	if id == "" {
		t.Fatalf("there is no namespace %q", path)
	}
	return id
}

func TestNamespaceNames(t *testing.T) {
	w := lessortest.New(t)
	for name, part := range map[string]string{
		"": "missing", "a/b": "several segments", "sys": "reserved", "auth": "reserved", "root": "reserved", "..": "relative",
		"a b": "only letters", "a\n": "only letters", strings.Repeat("x", 300): "at most",
	} {
		_, err := w.Lessor.PutNamespace(t.Context(), "", name, nil)
		var refusal *lease.Error
		if !errors.As(err, &refusal) || refusal.Code != lease.Invalid || !strings.Contains(refusal.Message, part) {
			t.Errorf("%q: got %v, want a refusal that says %q", name, err, part)
		}
	}
}

func TestNamespacesNestAndKeepTheirMetadata(t *testing.T) {
	w := lessortest.New(t)
	ctx := t.Context()
	team, err := w.Lessor.PutNamespace(ctx, "", "team", map[string]string{"owner": "core"})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := w.Lessor.PutNamespace(ctx, team.ID, "inner/", nil)
	if err != nil || inner.Path != "team/inner/" {
		t.Fatalf("got %+v, %v; want team/inner/", inner, err)
	}
	again, err := w.Lessor.PutNamespace(ctx, "", "team", map[string]string{"owner": "ops"})
	if err != nil || again.ID != team.ID {
		t.Fatalf("got %+v, %v; want the same namespace", again, err)
	}
	w.State.Read(func(v *fsm.View) {
		if ns := v.NamespaceByPath("team"); ns.Metadata["owner"] != "ops" {
			t.Errorf("got metadata %v, want the new one", ns.Metadata)
		}
	})
	if _, err := w.Lessor.DeleteNamespace(ctx, "", "team"); err == nil || !strings.Contains(err.Error(), "child namespaces") {
		t.Errorf("got %v, want a refusal: it has a child", err)
	}
	if job, err := w.Lessor.DeleteNamespace(ctx, "", "nothing"); job != 0 || err != nil {
		t.Errorf("an unknown one: got %d, %v; want no error", job, err)
	}
}

// Deleting a namespace is a job over all it holds: dead at once, gone when it is done.
func TestDeletingANamespaceRevokesAllOfIt(t *testing.T) {
	w := lessortest.New(t)
	ctx := t.Context()
	team, err := w.Lessor.PutNamespace(ctx, "", "team", nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.Lessor.EnableMount(ctx, lessor.MountRequest{Namespace: team.ID, Path: "locks", Type: "lease"})
	if err != nil {
		t.Fatal(err)
	}
	token := w.NewToken(w.Root(), lessor.TokenRequest{Namespace: team.ID, Path: "auth/token/create", Policies: []string{"default"}})
	l := w.Issue(m, "a", token.Token, nil).Lease
	if !strings.HasSuffix(l.ID, "."+team.ID) {
		t.Errorf("got lease ID %q, want it to end in the namespace's", l.ID)
	}
	job, err := w.Lessor.DeleteNamespace(ctx, "", "team")
	if err != nil || job == 0 {
		t.Fatalf("got job %d, %v", job, err)
	}
	w.State.Read(func(v *fsm.View) {
		if v.TokenAlive(v.Token(token.Token.Hash), w.Clock.Now()) || v.Standing(v.Lease(l.ID), w.Clock.Now()) != lease.Revoking {
			t.Error("token or lease outlive the entry that deletes their namespace")
		}
	})
	if _, err := w.Lessor.EnableMount(ctx, lessor.MountRequest{Namespace: team.ID, Path: "more", Type: "lease"}); err == nil {
		t.Error("something was mounted in a namespace that is being deleted")
	}
	w.Settle()
	if j, err := w.Lessor.Job("", job); err != nil || j.State != lease.JobFinished || j.Done != 2 {
		t.Errorf("got job %+v, %v; want it finished, in the parent, with two gone", j, err)
	}
	w.State.Read(func(v *fsm.View) {
		if v.Namespace(team.ID) != nil || v.Mount(m.ID) != nil || v.Token(token.Token.Hash) != nil {
			t.Error("something is left of the namespace")
		}
	})
	if ns, err := w.Lessor.PutNamespace(ctx, "", "team", nil); err != nil || ns.ID == team.ID {
		t.Errorf("the same path again: got %+v, %v; want a new namespace", ns, err)
	}
}
