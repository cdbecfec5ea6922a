package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// TestNamespacePaths: header and path name a namespace together, whichever way they share it out.
func TestNamespacePaths(t *testing.T) {
	r, tenants := tenancy(t)
	c := tenants["a/c/"]
	for _, form := range [][2]string{{"a/c", ""}, {"/a/c/", ""}, {"a", "c/"}, {"a/", "c/"}, {"", "a/c/"}, {"/", "a/c/"}} {
		what := fmt.Sprintf("header %q and path %q", form[0], form[1])
		got := r.call("GET", form[1]+"sys/mounts", c.admin, "", inNamespace(form[0]))
		want(t, what, got, 200)
		if got.data()[c.mount+"/"] == nil {
			t.Errorf("%s: got %v, want the mounts of a/c/", what, got.data())
		}
		issued := r.call("POST", form[1]+"locks/x", c.admin, "", inNamespace(form[0]))
		want(t, what, issued, 200)
		if id := issued.str("lease_id"); !strings.HasPrefix(id, "locks/x/") || !strings.HasSuffix(id, "."+c.id) {
			t.Errorf("%s: got the lease %q, want one of locks/x in a/c/", what, id)
		}
		revoked := r.call("PUT", form[1]+"sys/leases/revoke/"+issued.str("lease_id"), c.admin, "", inNamespace(form[0]))
		want(t, what, revoked, 202)
		if l := r.Lease(issued.str("lease_id")); l != nil && l.Ending == nil {
			t.Errorf("%s: the lease was not revoked", what)
		}
	}
	for _, form := range [][2]string{{"c", "a/"}, {"a/c", "a/c/"}, {"A", "c/"}, {"", "A/C/"}, {"", "a/C/"}, {"a/c/c", ""}, {"a//c", ""}, {"", "c/"}, {"..", "a/c/"}, {"a/../a", "c/"}} {
		what := fmt.Sprintf("header %q and path %q", form[0], form[1])
		if got := r.call("GET", form[1]+"sys/mounts", c.admin, "", inNamespace(form[0])); got.status != 403 && got.status != 404 {
			t.Errorf("%s: got %d %s, want it refused", what, got.status, got.text)
		}
		if got := r.root("GET", form[1]+"sys/mounts", "", inNamespace(form[0])); got.status != 404 {
			t.Errorf("%s by root: got %d %s, want it not found", what, got.status, got.text)
		}
	}
	want(t, "the namespace itself", r.root("GET", "a/c", ""), 404)
	want(t, "the namespace itself, with a slash", r.root("GET", "a/c/", ""), 404)
	want(t, "a way up", r.root("GET", "a/c/../sys/mounts", ""), 400)
	want(t, "a slash too many", r.root("GET", "a//sys/mounts", ""), 307)
	want(t, "percent-encoded", r.call("GET", "a%2Fc%2Fsys/mounts", c.admin, ""), 200)
}

// TestNamespacesAndMountsDoNotOverlap: a path means one thing.
func TestNamespacesAndMountsDoNotOverlap(t *testing.T) {
	r, tenants := tenancy(t)
	for _, c := range []struct{ what, method, path, body, in string }{
		{"a namespace where a mount is", "POST", "sys/namespaces/locks", "", ""},
		{"the same in a child", "POST", "sys/namespaces/locks", "", "a"},
		{"a mount where a namespace is", "POST", "sys/mounts/a", `{"type":"lease"}`, ""},
		{"a mount below a namespace", "POST", "sys/mounts/a/locks2", `{"type":"lease"}`, ""},
		{"the same in a child", "POST", "sys/mounts/c", `{"type":"lease"}`, "a"},
		{"the same by path", "POST", "a/sys/mounts/c/x", `{"type":"lease"}`, ""},
		{"a namespace with the name of a system path", "POST", "sys/namespaces/sys", "", ""},
		{"a namespace with the name of auth methods", "POST", "sys/namespaces/auth", "", "a"},
		{"a namespace called root", "POST", "sys/namespaces/root", "", ""},
		{"two at once", "POST", "sys/namespaces/x/y", "", ""},
		{"one above itself", "POST", "sys/namespaces/..", "", ""},
	} {
		before := r.inventory()
		if got := r.root(c.method, c.path, c.body, inNamespace(c.in)); got.status != 400 && got.status != 409 {
			t.Errorf("%s: got %d %s, want a refusal", c.what, got.status, got.text)
		}
		if r.inventory() != before {
			t.Errorf("%s: it was refused and done", c.what)
		}
	}
	// Once the one is gone the other may come.
	want(t, "a mount", r.root("POST", "sys/mounts/x/y", `{"type":"lease"}`), 204)
	if got := r.root("POST", "sys/namespaces/x", ""); got.status/100 != 4 {
		t.Errorf("a namespace above a mount: got %d %s, want a refusal", got.status, got.text)
	}
	r.Lead()
	want(t, "disable", r.root("DELETE", "sys/mounts/x/y", ""), 204)
	want(t, "then the namespace", r.root("POST", "sys/namespaces/x", ""), 200)
	want(t, "then the mount again", r.root("POST", "sys/mounts/x/y", `{"type":"lease"}`), 400, "path is already in use by namespace x/")
	// In the namespace itself all names are free again.
	want(t, "a mount in it", r.root("POST", "x/sys/mounts/x", `{"type":"lease"}`), 204)
	want(t, "a lease of it", r.root("POST", "x/x/y", ""), 200)
	// Repeated, a namespace is the same with other metadata.
	again := r.root("POST", "sys/namespaces/a", `{"custom_metadata":{"owner":"core"}}`)
	want(t, "again", again, 200)
	if again.data()["id"] != tenants["a/"].id || fmt.Sprint(r.root("GET", "sys/namespaces/a", "").data()["custom_metadata"]) != "map[owner:core]" {
		t.Errorf("got %s, want the same namespace with new metadata", again.text)
	}
}

// TestDeletingANamespace: from the answer on nothing in it serves, though what it leased is destroyed later,
// by a job that its parent can read; then it is gone as if it had never been.
func TestDeletingANamespace(t *testing.T) {
	r, tenants := tenancy(t)
	b, in := tenants["b/"], inNamespace("b")
	login := r.approle(b)
	loggedIn := r.call("PUT", "b/auth/"+b.auth+"/login", "", login)
	want(t, "log in before", loggedIn, 200)
	member, _ := loggedIn.object("auth")["client_token"].(string)
	below := r.NewToken(r.Token(b.owner), lessor.TokenRequest{Namespace: b.id, Policies: []string{"root"}, TTL: time.Hour}).Bearer

	want(t, "one with another in it", r.root("DELETE", "sys/namespaces/a", ""), 409)
	never := r.root("DELETE", "sys/namespaces/never", "")
	want(t, "one that is not there", never, 200)
	if fmt.Sprint(never.body["warnings"]) != "[requested namespace does not exist]" || never.body["data"] != nil {
		t.Errorf("deleting what is not there: got %s, want a warning and no data", never.text)
	}
	deleted := r.root("DELETE", "sys/namespaces/b", "")
	want(t, "delete", deleted, 202)
	job := deleted.header.Get(client.JobHeader)
	if job == "" || deleted.data()["status"] != "in-progress" {
		t.Fatalf("got job %q and %q, want a job that is in progress", job, deleted.text)
	}

	// Dead at once.
	unknown := r.call("GET", "sys/mounts", "lhs.unknown", "", in)
	for who, token := range map[string]string{"administrator": b.admin, "root": b.owner, "a token": b.bearer, "who logged in": member, "a child": below, "a wrapping token": b.wrapping} {
		for _, path := range []string{"sys/mounts", "auth/token/lookup-self", "sys/wrapping/unwrap"} {
			got := r.call("POST", path, token, "", in)
			if got.text != unknown.text || got.status != 403 {
				t.Errorf("%s by %s: got %d %s, want what an unknown token gets", path, who, got.status, got.text)
			}
		}
	}
	want(t, "unwrap", r.unwrap(b.wrapping, in), 400, badWrapping)
	want(t, "wrapping lookup", r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+b.wrapping+`"}`, in), 400, badWrapping)
	for what, id := range map[string]string{"lease": b.lease, "target": b.target, "login": b.login} {
		look := r.root("POST", "sys/leases/lookup", `{"lease_id":"`+id+`"}`, in)
		if look.status != 400 && look.data()["status"] != client.StatusRevoking {
			t.Errorf("the %s: got %d %s, want it revoking or gone", what, look.status, look.text)
		}
		want(t, "renew the "+what, r.root("PUT", "sys/leases/renew", `{"lease_id":"`+id+`"}`, in), 400)
	}
	for _, c := range [][3]string{
		{"POST", "locks/x", ""}, {"GET", "db/creds/ci", ""}, {"POST", "sys/mounts/more", `{"type":"lease"}`}, {"POST", "auth/token/create", ""},
		{"PUT", "sys/policies/acl/more", policyBody(everything)}, {"POST", "sys/namespaces/more", ""}, {"PUT", "auth/" + b.auth + "/login", login},
		{"PUT", "sys/wrapping/wrap", `{"a":1}`},
	} {
		if got := r.root(c[0], c[1], c[2], in, wrapFor("60")); got.status/100 != 4 {
			t.Errorf("%s %s in what is being deleted: got %d %s, want it refused", c[0], c[1], got.status, got.text)
		}
	}
	if d := r.root("GET", "sys/namespaces/b", "").data(); d["tainted"] != true {
		t.Errorf("got %v, want it tainted", d)
	}
	path := "sys/leases/jobs/" + job
	reading := r.root("GET", path, "")
	want(t, "the job in the parent", reading, 200)
	if reading.data()["cause"] != "namespace-deleted" || !strings.Contains(fmt.Sprint(reading.data()["selector"]), "b/") {
		t.Errorf("got %s, want the job that deletes b/", reading.text)
	}
	want(t, "the job in the namespace", r.root("GET", path, "", in), 404)
	want(t, "the job beside it", r.root("GET", path, "", inNamespace("a")), 404)

	// Gone once its targets are.
	r.Fake.Heal()
	r.Settle()
	r.Clock.Advance(time.Minute)
	r.Settle()
	if d := r.root("GET", path, "").data(); d["state"] != "finished" {
		t.Errorf("got the job %v, want it finished", d)
	}
	want(t, "read", r.root("GET", "sys/namespaces/b", ""), 404)
	want(t, "in it", r.root("GET", "sys/mounts", "", in), 404, "namespace not found")
	want(t, "below it", r.root("GET", "b/sys/mounts", ""), 404, `no handler for route "b/sys/mounts". route entry not found.`)
	want(t, "delete again", r.root("DELETE", "sys/namespaces/b", ""), 200)
	if keys := fmt.Sprint(r.root("LIST", "sys/namespaces", "").data()["keys"]); keys != "[a/]" {
		t.Errorf("got the namespaces %s, want a/", keys)
	}
	if left := r.inventory(); strings.Contains(left, b.id) {
		t.Errorf("something is left of it:\n%s", left)
	}
	if n := len(r.Fake.Living()); n != 3 { // of the root, a and a/c
		t.Errorf("%d things live at the target, want 3", n)
	}

	// Made again under its name, it is another one.
	want(t, "make it again", r.root("POST", "sys/namespaces/b", ""), 200)
	want(t, "an old token", r.call("GET", "sys/mounts", b.admin, "", in), 403, "permission denied")
	want(t, "an old policy", r.root("GET", "sys/policies/acl/"+b.policy, "", in), 404)
	want(t, "an old lease", r.root("POST", "sys/leases/lookup", `{"lease_id":"`+b.lease+`"}`, in), 400, "invalid lease")
	want(t, "an old login", r.call("PUT", "b/auth/"+b.auth+"/login", "", login), 403, "permission denied")
}

// approle makes a role in a tenant's auth method and returns the body that logs in with it.
func (r *rig) approle(n *tenant) string {
	r.t.Helper()
	base, in := "auth/"+n.auth+"/role/ci", inNamespace(n.path)
	want(r.t, "role", r.root("POST", base, `{"token_policies":"admin","token_ttl":"1h"}`, in), 204)
	roleID, _ := r.root("GET", base+"/role-id", "", in).data()["role_id"].(string)
	secretID, _ := r.root("POST", base+"/secret-id", "", in).data()["secret_id"].(string)
	return fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, roleID, secretID)
}

// TestThePathIsLookedUpInTheStateThatIsUsed: a namespace that comes or goes between the moment at which a
// request is read and the one at which it is served decides all of it: where it takes place, what it may
// do, and what it does.
func TestThePathIsLookedUpInTheStateThatIsUsed(t *testing.T) {
	r := newRig(t)
	lower := r.policyToken("team", `path "team/locks/*" { capabilities = ["update"] }
		path "team/sys/mounts" { capabilities = ["read"] }
		path "team/sys/storage/raft/*" { capabilities = ["read", "sudo"] }`)
	other := r.policyToken("other", `path "locks/*" { capabilities = ["update"] }
		path "sys/mounts" { capabilities = ["read"] }`)
	var made *fsm.Namespace
	// The body is read after the path was and before anything is decided.
	meanwhile := func(do func()) func(*http.Request) {
		return func(req *http.Request) {
			req.Body, req.ContentLength = io.NopCloser(&lateBody{do: do}), -1
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func() {
		var err error
		made, err = r.Lessor.PutNamespace(t.Context(), "", "team", nil)
		must(err)
		_, err = r.Lessor.EnableMount(t.Context(), lessor.MountRequest{Namespace: made.ID, Path: "locks", Type: "lease"})
		must(err)
	}
	drop := func() {
		_, err := r.Lessor.DeleteNamespace(t.Context(), "", "team")
		must(err)
		r.Settle()
	}
	for _, c := range []struct {
		method, path, token string
		without, with       int // with and without the namespace
	}{
		{"POST", "team/locks/x", lower, 404, 200}, {"POST", "team/locks/x", "root", 404, 200}, {"POST", "team/locks/x", other, 403, 403},
		{"GET", "team/sys/mounts", lower, 404, 200}, {"GET", "team/sys/mounts", other, 403, 403}, {"GET", "team/sys/mounts", "", 403, 403},
		{"GET", "team/sys/storage/raft/configuration", lower, 404, 404}, {"DELETE", "team/sys/mounts/none", "root", 404, 204},
	} {
		what := c.method + " " + c.path + " by " + c.token
		want(t, what+", without it", r.call(c.method, c.path, c.token, ""), c.without)
		got := r.call(c.method, c.path, c.token, "", meanwhile(create))
		want(t, what+", while it is made", got, c.with)
		if id := got.str("lease_id"); id != "" && (!strings.HasSuffix(id, "."+made.ID) || !strings.HasPrefix(id, "locks/x/")) {
			t.Errorf("%s: got the lease %q, want it in the new namespace", what, id)
		}
		want(t, what+", with it", r.call(c.method, c.path, c.token, ""), c.with)
		want(t, what+", while it is deleted", r.call(c.method, c.path, c.token, "", meanwhile(drop)), c.without)
		create()
		byHeader := r.call(c.method, strings.TrimPrefix(c.path, "team/"), c.token, "", inNamespace("team"), meanwhile(drop))
		if c.token == "" {
			want(t, what+", by header, while it is deleted", byHeader, 403)
		} else {
			want(t, what+", by header, while it is deleted", byHeader, 404, "namespace not found")
		}
	}
	r.State.Read(func(v *fsm.View) {
		v.Ascend("", "locks", func(l *lease.Lease) bool {
			t.Errorf("the lease %s was made in the root namespace", l.ID)
			return true
		})
	})
}

// lateBody is an empty body; do is called when it is read.
type lateBody struct{ do func() }

func (b *lateBody) Read([]byte) (int, error) {
	b.do()
	return 0, io.EOF
}
