package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// everything is the policy of an administrator.
const everything = `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`

// tenant is a namespace with one of everything in it.
type tenant struct {
	path string // with its slash; "" is the root
	id   string

	admin string // a token whose policy grants everything
	owner string // a token with the policy root

	lease    string // of the lease engine, at mount
	login    string // ID of the lease of bearer
	target   string // a lease with a target behind it, in db
	bearer   string
	accessor string
	wrapping string
	policy   string
	mount    string // whose name no other namespace has
	auth     string // likewise an auth method's
	job      string
	role     string // of tokens
	child    string // a namespace in it, "" if there is none
}

// parents of the namespaces in which a token can be used.
var parents = map[string]string{"": "", "a/": "", "b/": "", "a/c/": "a/"}

// tenancy is a rig with the namespaces a, a/c and b, and one of everything in them and in the root.
func tenancy(t *testing.T) (*rig, map[string]*tenant) {
	t.Helper()
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{approle.New()}})
	r.Fake.Inject(fake.Fault{Action: fake.Destroy})
	tenants := make(map[string]*tenant)
	for _, path := range []string{"", "a/", "b/", "a/c/"} {
		if path != "" {
			parent, name := "", strings.TrimSuffix(path, "/")
			if at := strings.LastIndex(name, "/"); at >= 0 {
				parent, name = name[:at], name[at+1:]
			}
			made := r.root("POST", "sys/namespaces/"+name, "", inNamespace(parent))
			want(t, "make namespace "+path, made, 200)
			if made.data()["path"] != path {
				t.Fatalf("got %s, want the path %q", made.text, path)
			}
		}
		tenants[path] = r.tenant(path)
	}
	tenants["a/"].child = "c"
	return r, tenants
}

// tenant fills a namespace.
func (r *rig) tenant(path string) *tenant {
	r.t.Helper()
	name := strings.ReplaceAll("in-"+path, "/", "-") + "x"
	n := &tenant{path: path, policy: name, mount: name, auth: name, role: name}
	r.State.Read(func(v *fsm.View) { n.id = v.NamespaceByPath(path).ID })
	in := inNamespace(path)
	must := func(method, path, body string) reply {
		r.t.Helper()
		got := r.root(method, path, body, in)
		if got.status/100 != 2 {
			r.t.Fatalf("%s %s in %q: got %d %s", method, path, n.path, got.status, got.text)
		}
		return got
	}
	must("POST", "sys/mounts/locks", `{"type":"lease"}`)
	must("POST", "sys/mounts/db", `{"type":"fake"}`)
	must("POST", "sys/mounts/"+n.mount, `{"type":"lease"}`)
	must("POST", "sys/auth/"+n.auth, `{"type":"approle"}`)
	must("PUT", "sys/policies/acl/admin", policyBody(everything))
	must("PUT", "sys/policies/acl/"+n.policy, policyBody(everything))
	token := func(policy string) *lessor.NewToken {
		return r.NewToken(r.Root(), lessor.TokenRequest{Namespace: n.id, Policies: []string{policy}, NoDefaultPolicy: true, TTL: time.Hour})
	}
	n.admin, n.owner = token("admin").Bearer, token("root").Bearer
	made := token("admin")
	n.bearer, n.accessor, n.login = made.Bearer, made.Token.Accessor, made.Lease.ID
	n.lease = must("POST", n.mount+"/a", `{"data":{"note":"of `+path+`"}}`).str("lease_id")
	n.target = must("GET", "db/creds/ci", "").str("lease_id")
	n.wrapping = r.wrapped("GET", "sys/mounts", "root", "", in)
	// A job that does not end, since its target cannot be reached.
	must("GET", "db/creds/doomed", "")
	n.job = must("PUT", "sys/leases/revoke-prefix/db/creds/doomed", "").header.Get("X-Leasehold-Job")
	return n
}

func policyBody(text string) string {
	body, err := json.Marshal(map[string]string{"policy": text})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// inventory is all that the state holds, but for what merely counts: the jobs that requests open.
func (r *rig) inventory() string {
	r.t.Helper()
	var buf bytes.Buffer
	note := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			r.t.Fatal(err)
		}
		fmt.Fprintf(&buf, "%T %s\n", v, text)
	}
	r.State.Read(func(v *fsm.View) {
		for _, ns := range append(v.Namespaces(), v.Namespace("")) {
			note(ns)
			for _, m := range v.Mounts(ns.ID) {
				note(m)
			}
			for _, name := range v.Policies(ns.ID) {
				note(v.Policy(ns.ID, name))
			}
			v.Ascend(ns.ID, "", func(l *lease.Lease) bool {
				note(l)
				fmt.Fprintln(&buf, v.Standing(l, r.Clock.Now()))
				return true
			})
		}
		v.Tokens("", func(t *lease.Token) bool {
			note(t)
			fmt.Fprintln(&buf, v.TokenAlive(t, r.Clock.Now()))
			return true
		})
	})
	return buf.String()
}

// question is a request that names something; V stands for its name.
type question struct{ method, path, body string }

// byLease are all verbs and aliases that take a lease ID or a prefix.
var byLease = []question{
	{"POST", "sys/leases/lookup", `{"lease_id":"V"}`},
	{"PUT", "sys/leases/renew", `{"lease_id":"V","increment":7200}`}, {"PUT", "sys/leases/renew/V", ""}, {"PUT", "sys/leases/renew/x", `{"lease_id":"V"}`},
	{"PUT", "sys/renew", `{"lease_id":"V"}`}, {"PUT", "sys/renew/V", ""},
	{"PUT", "sys/leases/revoke", `{"lease_id":"V"}`}, {"PUT", "sys/leases/revoke", `{"lease_id":"V","sync":true}`},
	{"PUT", "sys/leases/revoke/V", ""}, {"PUT", "sys/leases/revoke/x", `{"lease_id":"V","sync":true}`},
	{"PUT", "sys/revoke", `{"lease_id":"V"}`}, {"PUT", "sys/revoke/V", `{"sync":true}`},
	{"PUT", "sys/leases/revoke-prefix/V", ""}, {"PUT", "sys/leases/revoke-prefix/V/", `{"sync":true}`}, {"PUT", "sys/revoke-prefix/V", ""},
	{"PUT", "sys/leases/revoke-force/V", ""}, {"PUT", "sys/revoke-force/V", ""},
	{"LIST", "sys/leases/lookup/V", ""}, {"GET", "sys/leases/lookup/V?list=true", ""},
}

// questions are all requests that take a name, by what it is the name of.
var questions = map[string][]question{
	"lease": byLease, "login": byLease, "target": byLease,
	"prefix": {
		{"LIST", "sys/leases/lookup/V", ""}, {"GET", "sys/leases/lookup/V/?list=1", ""}, {"PUT", "sys/leases/revoke-prefix/V", ""},
		{"PUT", "sys/leases/revoke-prefix/V", `{"sync":true}`}, {"PUT", "sys/leases/revoke-force/V", ""}, {"PUT", "sys/revoke-prefix/V", ""}, {"PUT", "sys/revoke-force/V", ""},
	},
	"bearer": {
		{"POST", "auth/token/lookup", `{"token":"V"}`}, {"PUT", "auth/token/renew", `{"token":"V","increment":7200}`},
		{"POST", "auth/token/revoke", `{"token":"V"}`}, {"POST", "auth/token/revoke-orphan", `{"token":"V"}`},
		{"POST", "sys/capabilities", `{"token":"V","path":"locks/a"}`},
		{"POST", "sys/wrapping/unwrap", `{"token":"V"}`}, {"POST", "sys/wrapping/lookup", `{"token":"V"}`},
	},
	"accessor": {
		{"POST", "auth/token/lookup-accessor", `{"accessor":"V"}`}, {"POST", "auth/token/renew-accessor", `{"accessor":"V"}`},
		{"POST", "auth/token/revoke-accessor", `{"accessor":"V"}`}, {"POST", "sys/capabilities-accessor", `{"accessor":"V","path":"locks/a"}`},
	},
	"wrapping": {
		{"POST", "sys/wrapping/lookup", `{"token":"V"}`}, {"POST", "sys/wrapping/rewrap", `{"token":"V"}`}, {"POST", "sys/wrapping/unwrap", `{"token":"V"}`},
		{"POST", "auth/token/lookup", `{"token":"V"}`}, {"POST", "auth/token/revoke", `{"token":"V"}`},
	},
	"policy": {
		{"GET", "sys/policies/acl/V", ""}, {"GET", "sys/policy/V", ""}, {"DELETE", "sys/policies/acl/V", ""}, {"DELETE", "sys/policy/V", ""},
	},
	"mount": {
		{"GET", "sys/mounts/V", ""}, {"GET", "sys/mounts/V/tune", ""}, {"POST", "sys/mounts/V/tune", `{"default_lease_ttl":"7s"}`}, {"DELETE", "sys/mounts/V", ""},
		{"GET", "sys/internal/ui/mounts/V", ""}, {"GET", "sys/internal/ui/mounts/V/x", ""}, {"POST", "V/x", ""}, {"GET", "V/x", ""}, {"LIST", "V", ""},
	},
	"auth": {
		{"GET", "sys/auth/V", ""}, {"GET", "sys/auth/V/tune", ""}, {"POST", "sys/auth/V/tune", `{"default_lease_ttl":"7s"}`}, {"DELETE", "sys/auth/V", ""},
		{"GET", "sys/mounts/auth/V/tune", ""}, {"POST", "sys/mounts/auth/V/tune", `{"default_lease_ttl":"7s"}`},
		{"GET", "sys/internal/ui/mounts/auth/V", ""}, {"POST", "auth/V/login", `{"role_id":"x","secret_id":"y"}`}, {"LIST", "auth/V/role", ""},
	},
	"job": {{"GET", "sys/leases/jobs/V", ""}},
	"role": {
		{"GET", "auth/token/roles/V", ""}, {"DELETE", "auth/token/roles/V", ""}, {"POST", "auth/token/create/V", `{"policies":["admin"]}`},
	},
	"child": {{"GET", "sys/namespaces/V", ""}, {"DELETE", "sys/namespaces/V", ""}, {"GET", "V/sys/mounts", ""}},
}

// names of a tenant's things, by what they are, and of the same shape one that never existed.
func (n *tenant) names() map[string][2]string {
	unlike := func(id string) string { // an ID with another random part
		at := strings.LastIndexByte(id, '/') + 2
		return id[:at] + strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'y' {
				return c + 1
			}
			return c
		}, id[at:])
	}
	names := map[string][2]string{
		"lease": {n.lease, unlike(n.lease)}, "login": {n.login, unlike(n.login)}, "target": {n.target, unlike(n.target)},
		"prefix": {n.mount, "never"}, "bearer": {n.bearer, "lhs.unknown"}, "accessor": {n.accessor, "unknown"},
		"wrapping": {n.wrapping, "lhs.unknown"}, "policy": {n.policy, "never"}, "mount": {n.mount, "never"}, "auth": {n.auth, "never"},
		"job": {n.job, "424242"}, "role": {n.role, "never"},
	}
	if n.child != "" {
		names["child"] = [2]string{n.child, "never"}
	}
	return names
}

// seen is a reply without what differs from one request to the next: the request's own ID, the name that
// it gave, and the number of a job.
func (a reply) seen(name string) string {
	text := a.text
	if id := a.str("request_id"); id != "" {
		text = strings.ReplaceAll(text, id, "ID")
	}
	whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`) // "c" is no part of "namespace"
	return fmt.Sprintf("%d %t %s", a.status, a.header["X-Leasehold-Job"] != nil, whole.ReplaceAllString(text, "V"))
}

// TestT4_NothingIsFoundFromAnotherNamespace asks each namespace about all that is in the others, by all
// verbs and aliases: it is answered as what never existed is, and nothing is changed.
func TestT4_NothingIsFoundFromAnotherNamespace(t *testing.T) {
	r, tenants := tenancy(t)
	for path, n := range tenants {
		want(t, "a role", r.root("POST", "auth/token/roles/"+n.role, `{"allowed_policies":"admin"}`, inNamespace(path)), 204)
	}
	r.Settle()
	stop := r.Lead() // some of the answers wait for jobs
	r.findAtHome(tenants["a/"])
	before := r.inventory()
	asked := 0
	for _, home := range tenants {
		for _, from := range tenants {
			if from == home {
				continue
			}
			for what, name := range home.names() {
				for _, q := range questions[what] {
					for who, token := range map[string]string{
						"the administrator": from.admin, "its root": from.owner, "the root token": "root",
						"the cluster's administrator": tenants[""].admin, "a parent's administrator": tenants[parents[from.path]].admin,
					} {
						ask := func(name string) string {
							path, body := strings.ReplaceAll(q.path, "V", name), strings.ReplaceAll(q.body, "V", name)
							return r.call(q.method, path, token, body, inNamespace(from.path)).seen(name)
						}
						there, never := ask(name[0]), ask(name[1])
						if there != never {
							t.Errorf("%s %s for a %s of %q, by %s of %q:\ngot  %s\nwant %s", q.method, q.path, what, home.path, who, from.path, there, never)
						}
						asked++
					}
				}
			}
			if r.inventory() != before {
				t.Fatalf("something was changed from %q", from.path)
			}
		}
	}
	stop()
	r.Settle()
	if r.inventory() != before {
		t.Error("something was changed once the jobs were done")
	}
	t.Logf("%d questions", asked)
}

// findAtHome makes sure that the questions find what they ask for where it is: else they would prove
// nothing elsewhere.
func (r *rig) findAtHome(home *tenant) {
	r.t.Helper()
	for what, name := range home.names() {
		found := false
		for _, q := range questions[what] {
			if q.method != "GET" && q.method != "LIST" && !strings.Contains(q.path, "lookup") {
				continue
			}
			ask := func(name string) string {
				return r.call(q.method, strings.ReplaceAll(q.path, "V", name), home.admin, strings.ReplaceAll(q.body, "V", name), inNamespace(home.path)).seen(name)
			}
			found = found || ask(name[0]) != ask(name[1])
		}
		if !found {
			r.t.Errorf("no question finds the %s %q in its own namespace", what, name[0])
		}
	}
}
