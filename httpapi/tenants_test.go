package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// TestT5_TenantsReachNothingOfTheCluster: whatever a tenant's policies say, the paths about the cluster as
// a whole are not there for it, by header and by path.
func TestT5_TenantsReachNothingOfTheCluster(t *testing.T) {
	r, tenants := tenancy(t)
	rows := 0
	for _, row := range httpapi.Rows() {
		if !row.RootOnly {
			continue
		}
		rows++
		served := row.Open && row.Method != "POST" // how this node is, which anybody may ask
		for _, n := range []*tenant{tenants["a/"], tenants["a/c/"]} {
			for who, token := range map[string]string{"administrator": n.admin, "root": n.owner, "the root token": "root"} {
				what := fmt.Sprintf("%s %s by %s of %s", row.Method, row.Path, who, n.path)
				byHeader := r.call(row.Method, row.Path, token, `{"server_id":"n2"}`, inNamespace(n.path))
				if served {
					want(t, what, byHeader, 200)
				} else {
					want(t, what, byHeader, 404, multi("unsupported path"))
				}
				want(t, what+", by path", r.call(row.Method, n.path+row.Path, token, `{"server_id":"n2"}`), 404, multi("unsupported path"))
				if token == "root" || row.Open {
					continue
				}
				want(t, what+", in the root namespace", r.call(row.Method, row.Path, token, `{"server_id":"n2"}`), 403, multi("permission denied"))
			}
			want(t, row.Path+" by nobody, by path", r.call(row.Method, n.path+row.Path, "", ""), 403, "permission denied")
			if !served {
				want(t, row.Path+" by nobody", r.call(row.Method, row.Path, "", "", inNamespace(n.path)), 403, "permission denied")
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows are about the cluster", rows)
	}
	r.node.change(func(n *node) {
		if n.stepped != 0 || len(n.removed) != 0 {
			t.Errorf("the leader stepped down %d times, %v were removed", n.stepped, n.removed)
		}
	})
}

// TestT29_NamespacesOutOfReachLookLikeNone: a tenant is not told which namespaces there are beside its own
// or above it.
func TestT29_NamespacesOutOfReachLookLikeNone(t *testing.T) {
	r, tenants := tenancy(t)
	a, c := tenants["a/"], tenants["a/c/"]
	for _, path := range []string{"sys/mounts", "sys/policies/acl/admin", "auth/token/lookup-self", "locks/a", "sys/nothing"} {
		never := r.call("GET", path, c.admin, "", inNamespace("never"))
		want(t, path, never, 403, multi("permission denied"))
		for _, beside := range []string{"b", "b/", "/b", "a", "", "never/c", "a/never", "b/c"} {
			got := r.call("GET", path, c.admin, "", inNamespace(beside))
			if got.text != never.text || got.status != never.status || got.header.Get("X-Vault-Namespace") != "" {
				t.Errorf("%s in %q: got %d %q, want %s", path, beside, got.status, got.header.Get("X-Vault-Namespace"), never.text)
			}
			if beside == "" {
				continue
			}
			byPath := r.call("GET", strings.Trim(beside, "/")+"/"+path, c.admin, "")
			if byPath.text != never.text || byPath.status != never.status {
				t.Errorf("%s in %q by path: got %d %s, want %s", path, beside, byPath.status, byPath.text, never.text)
			}
		}
	}
	// Without a token nothing is told at all, not even by what needs none.
	for _, path := range []string{"sys/mounts", "auth/" + a.auth + "/login", "auth/never/login", "sys/wrapping/lookup"} {
		body := `{"role_id":"x","secret_id":"y","token":"lhs.unknown"}`
		there, never := r.call("PUT", path, "", body, inNamespace("b")), r.call("PUT", path, "", body, inNamespace("never"))
		if there.seen("b") != never.seen("never") {
			t.Errorf("%s by nobody: got %s and %s, want the same", path, there.seen("b"), never.seen("never"))
		}
	}
	// Below its own, what is not there may be told: all of it is the tenant's.
	want(t, "below its own", r.call("GET", "sys/mounts", a.admin, "", inNamespace("a/never")), 404, "namespace not found")
	want(t, "the root token", r.root("GET", "sys/mounts", "", inNamespace("never")), 404, "namespace not found")
	got := r.call("GET", "sys/mounts", a.admin, "", inNamespace("/a/c"))
	want(t, "a child of its own", got, 200)
	if h := got.header.Get("X-Vault-Namespace"); h != "a/c/" {
		t.Errorf("got namespace %q, want a/c/", h)
	}
}

// TestTenantsListOnlyTheirOwn: lists of a namespace have nothing of another.
func TestTenantsListOnlyTheirOwn(t *testing.T) {
	r, tenants := tenancy(t)
	for path, n := range tenants {
		for _, list := range [][2]string{
			{"GET", "sys/mounts"}, {"GET", "sys/auth"}, {"GET", "sys/internal/ui/mounts"}, {"LIST", "sys/policies/acl"}, {"LIST", "sys/leases/lookup"},
			{"GET", "sys/leases/jobs"}, {"LIST", "auth/token/accessors"}, {"GET", "sys/policy"}, {"LIST", "sys/leases/lookup/auth/token/create"},
		} {
			got := r.call(list[0], list[1], n.admin, "", inNamespace(path))
			if got.status == 404 && strings.Contains(got.text, "unsupported path") {
				continue
			}
			want(t, list[1], got, 200)
			for other, o := range tenants {
				for what, name := range o.names() {
					shown := name[0]
					if what == "lease" || what == "login" || what == "target" {
						shown = shown[strings.LastIndexByte(shown, '/')+1:]
					}
					if what == "job" {
						shown = `"id":"` + shown + `"`
					}
					if what != "child" && other != path && strings.Contains(got.text, shown) {
						t.Errorf("%s in %q shows the %s of %q: %s", list[1], path, what, other, got.text)
					}
				}
			}
		}
	}
	for path, children := range map[string]string{"": "[a/ b/]", "a/": "[c/]"} {
		got := r.call("LIST", "sys/namespaces", tenants[path].admin, "", inNamespace(path))
		if keys := fmt.Sprint(got.data()["keys"]); keys != children {
			t.Errorf("the namespaces below %q: got %s, want %s", path, keys, children)
		}
	}
	for _, path := range []string{"b/", "a/c/"} {
		want(t, "no namespaces below "+path, r.call("LIST", "sys/namespaces", tenants[path].admin, "", inNamespace(path)), 404)
	}
}

// TestIncludeChildNamespaces: an operator counts and lists what cannot be revoked in its namespace, and on
// request below it, but never beside it.
func TestIncludeChildNamespaces(t *testing.T) {
	r, tenants := tenancy(t)
	for path, n := range tenants {
		in := inNamespace(path)
		want(t, "tune", r.root("POST", "sys/mounts/db/tune", `{"revoke_attempts":1}`, in), 204)
		want(t, "revoke", r.root("PUT", "sys/leases/revoke", `{"lease_id":"`+n.target+`"}`, in), 202)
	}
	r.Settle()
	r.Clock.Advance(time.Minute)
	r.Settle()
	own := func(path string) []string { // the target, and what the job of tenant revokes
		var ids []string
		r.State.Read(func(v *fsm.View) {
			v.Irrevocable(func(l *lease.Lease) bool {
				if l.Namespace == tenants[path].id {
					ids = append(ids, l.ID)
				}
				return true
			})
		})
		return ids
	}
	for path, below := range map[string][]string{"": {"", "a/", "b/", "a/c/"}, "a/": {"a/", "a/c/"}, "b/": {"b/"}, "a/c/": {"a/c/"}} {
		if len(own(path)) != 2 {
			t.Fatalf("%q has the irrevocable leases %v, want two", path, own(path))
		}
		var all []string
		for _, p := range below {
			all = append(all, own(p)...)
		}
		slices.Sort(all)
		for query, ids := range map[string][]string{"": own(path), "&include_child_namespaces=false": own(path), "&include_child_namespaces=true": all} {
			count := r.call("GET", "sys/leases/count?type=irrevocable"+query, tenants[path].admin, "", inNamespace(path))
			if n := fmt.Sprint(count.data()["lease_count"]); n != fmt.Sprint(len(ids)) {
				t.Errorf("count in %q with %q: got %s, want %d", path, query, n, len(ids))
			}
			listed := r.call("GET", path+"sys/leases?type=irrevocable"+query, tenants[path].admin, "")
			var got []string
			leases, _ := listed.data()["leases"].([]any)
			for _, l := range leases {
				got = append(got, l.(map[string]any)["lease_id"].(string))
			}
			slices.Sort(got)
			slices.Sort(ids)
			if !slices.Equal(got, ids) {
				t.Errorf("list in %q with %q: got %v, want %v", path, query, got, ids)
			}
		}
	}
}

// TestTokensOfOtherNamespaces: what a token may do in a namespace below its own is what its own policies
// say of the path from its own; and only sudo on that path makes tokens there, since the names of
// policies mean others there.
func TestTokensOfOtherNamespaces(t *testing.T) {
	r, tenants := tenancy(t)
	a, in := tenants["a/"], inNamespace("a")
	for _, c := range []struct {
		what, rules string
		status      int
	}{
		{"a rule for the path in the parent", `path "auth/token/create" { capabilities = ["update", "sudo"] }`, 403},
		{"update", `path "a/auth/token/create" { capabilities = ["update"] }`, 400},
		{"update, and sudo on the path in the parent", `path "a/auth/token/create" { capabilities = ["update"] }
			path "auth/token/create" { capabilities = ["update", "sudo"] }`, 400},
		{"sudo", `path "a/auth/token/create" { capabilities = ["update", "sudo"] }`, 200},
		{"sudo on all of it", `path "a/*" { capabilities = ["update", "sudo"] }`, 200},
		{"sudo by a wildcard", `path "+/auth/token/create" { capabilities = ["update", "sudo"] }`, 200},
		{"sudo beside it", `path "b/*" { capabilities = ["update", "sudo"] }`, 403},
	} {
		// The policy has the name of one of the child that grants everything there.
		token := r.policyToken("admin", c.rules)
		for _, body := range []string{"", `{"policies":["admin"],"no_default_policy":true}`} {
			want(t, c.what, r.call("POST", "auth/token/create", token, body, in), c.status)
			want(t, c.what+", by path", r.call("POST", "a/auth/token/create", token, body), c.status)
		}
		for _, body := range []string{`{"no_parent":true,"policies":["admin"]}`, `{"period":"1h","policies":["admin"]}`} {
			want(t, c.what+" with "+body, r.call("POST", "auth/token/create", token, body, in), c.status)
		}
	}
	want(t, "a root token made by an administrator", r.call("POST", "auth/token/create", a.admin, `{"policies":["root"]}`, in), 400,
		"root tokens may not be created without parent token being root")
	want(t, "a token with an ID of its own", r.call("POST", "auth/token/create", a.owner, `{"id":"mine"}`, in), 400,
		"token IDs can only be manually specified in the root namespace")
	// Whatever a tenant's root makes stays in the tenant's namespace.
	made := r.call("POST", "auth/token/create-orphan", a.owner, `{"policies":["root"],"ttl":"1h"}`, in)
	want(t, "a tenant's root", made, 200)
	bearer, _ := made.object("auth")["client_token"].(string)
	want(t, "its root at home", r.call("GET", "sys/mounts", bearer, "", in), 200)
	want(t, "its root below", r.call("GET", "a/c/sys/mounts", bearer, ""), 200)
	for _, elsewhere := range []string{"", "b"} {
		want(t, "its root in "+elsewhere, r.call("GET", "sys/mounts", bearer, "", inNamespace(elsewhere)), 403, multi("permission denied"))
	}
	// A parent's end ends what it made below.
	parent := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour})
	made = r.call("POST", "auth/token/create", parent.Bearer, `{"policies":["admin"]}`, in)
	want(t, "a child in another namespace", made, 200)
	bearer, _ = made.object("auth")["client_token"].(string)
	want(t, "it serves", r.call("GET", "sys/mounts", bearer, "", in), 200)
	want(t, "the parent ends", r.call("POST", "auth/token/revoke-self", parent.Bearer, ""), 204)
	want(t, "it serves no more", r.call("GET", "sys/mounts", bearer, "", in), 403, "permission denied")
}
