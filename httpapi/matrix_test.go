package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/backend/kv"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
	"github.com/leasehold/leasehold/policy"
)

// The matrix asks every path that there is, of the table and of engines, with every kind of token, in every
// way in which the path can be written. Who may do what is said once more here, in the plainest words, and
// compared. The requests are such that they do next to nothing where they are allowed.

// cell is a path with a verb.
type cell struct {
	method, path, body string
	capability         policy.Capability // that the verb needs; of several any one
	sudo               bool
	open, anyToken     bool
	opens              bool   // what is wrapped
	alias              string // the path's old name
	folds              bool   // the last part is a name in lower case
	also               string // the path as it may be written, too
	ofMount            bool
}

func (c *cell) name() string { return c.method + " " + c.path }

// cells are all there are: those of the table, but for what only the root namespace has, and some of every
// class of the engines'. auth is where an auth method is mounted, login what logs in there.
func cells(auth, login string, inRoot bool) []cell {
	aliases := map[string]string{
		"sys/leases/renew": "sys/renew", "sys/leases/revoke": "sys/revoke", "sys/policies/acl": "sys/policy",
		"sys/leases/revoke-prefix": "sys/revoke-prefix", "sys/leases/revoke-force": "sys/revoke-force",
	}
	bodies := map[string]string{
		"sys/leases/lookup": `{"lease_id":"locks/a/x"}`, "sys/leases/renew": `{"lease_id":"locks/a/x"}`, "sys/renew": `{"lease_id":"locks/a/x"}`,
		"sys/leases/revoke": `{"lease_id":"locks/a/x"}`, "sys/revoke": `{"lease_id":"locks/a/x"}`,
		"auth/token/create": `{"type":"batch"}`, "auth/token/create-orphan": `{"type":"batch"}`,
	}
	var all []cell
	for _, row := range httpapi.Rows() {
		if row.RootOnly && !inRoot {
			continue
		}
		c := cell{method: row.Method, path: sample(row), capability: row.Capability, sudo: row.Sudo, open: row.Open, anyToken: row.AnyToken,
			opens: row.Opens, folds: row.Folds}
		if row.Method == "POST" {
			c.body = bodies[row.Path]
		}
		if row.Path == "sys/namespaces/*" {
			c.path = "sys/namespaces/two/parts" // which makes and deletes nothing
		}
		base, _, _ := strings.Cut(row.Path, "/*")
		if old := aliases[base]; old != "" {
			c.alias = old + strings.TrimPrefix(c.path, base)
		}
		all = append(all, c)
	}
	write := policy.Create | policy.Update
	for _, c := range []cell{
		{method: "POST", path: "locks/m", capability: write},
		{method: "GET", path: "locks/m", capability: policy.Read},
		{method: "GET", path: "db/creds/r", capability: policy.Read},
		{method: "POST", path: "db/creds/r", capability: write},
		{method: "GET", path: "db/config", capability: policy.Read},
		{method: "POST", path: "db/config", body: `{"value":"x"}`, capability: write},
		{method: "DELETE", path: "db/config", capability: policy.Delete},
		{method: "LIST", path: "db/config", capability: policy.List},
		{method: "GET", path: "secret/there", capability: policy.Read},
		{method: "GET", path: "secret/none", capability: policy.Read},
		{method: "LIST", path: "secret", capability: policy.List},
		{method: "POST", path: "secret/there", body: `{"a":1}`, capability: policy.Update},
		{method: "POST", path: "secret/none", body: ``, capability: policy.Create},
		{method: "DELETE", path: "secret/none", capability: policy.Delete},
		{method: "PATCH", path: "secret/there", capability: policy.Patch},
		{method: "GET", path: auth + "/role/ci", capability: policy.Read},
		{method: "LIST", path: auth + "/role", capability: policy.List},
		{method: "POST", path: auth + "/role/ci", body: `{"token_ttl":"abc"}`, capability: policy.Update},
		{method: "POST", path: auth + "/role/none", body: `{"token_ttl":"abc"}`, capability: policy.Create},
		{method: "POST", path: auth + "/login", body: login, open: true},
		{method: "GET", path: auth + "/login", capability: policy.Read},
		{method: "LIST", path: "auth/people/users", capability: policy.List},
		{method: "GET", path: "auth/people/users/bob", capability: policy.Read, folds: true},
		{method: "POST", path: "auth/people/users/bob", body: `{"token_ttl":"abc"}`, capability: policy.Update, folds: true},
		{method: "POST", path: "auth/people/users/none", body: `{}`, capability: policy.Create, folds: true},
		{method: "DELETE", path: "auth/people/users/none", capability: policy.Delete, folds: true},
		{method: "POST", path: "auth/people/users/bob/policies", body: `{"token_policies":"x"}`, capability: policy.Update, also: "auth/people/users/BOB/policies"},
		{method: "GET", path: "nope/x", capability: policy.Read},
		{method: "GET", path: "sys/nope", capability: policy.Read},
		{method: "DELETE", path: "sys/leases/lookup", capability: policy.Delete},
	} {
		c.ofMount = true
		all = append(all, c)
	}
	return all
}

// byDefault is what the policy default grants without looking at leases.
var byDefault = map[string]bool{
	"GET auth/token/lookup-self": true, "POST auth/token/renew-self": true, "POST auth/token/revoke-self": true, "POST sys/capabilities-self": true,
	"GET sys/internal/ui/resultant-acl": true, "POST sys/wrapping/wrap": true, "POST sys/wrapping/lookup": true, "POST sys/wrapping/unwrap": true,
}

const (
	allVerbs = `"create", "read", "update", "delete", "list", "patch"`
	verbs    = policy.Create | policy.Read | policy.Update | policy.Delete | policy.List | policy.Patch
)

// grant is a rule for a path.
func grant(caps string) func(path string) string {
	return func(path string) string { return fmt.Sprintf("path %q { capabilities = [%s] }\n", path, caps) }
}

// only is what a rule for the path allows.
func only(has policy.Capability, sudo bool) func(*cell) bool {
	return func(c *cell) bool { return c.open || c.anyToken || c.capability&has != 0 && (sudo || !c.sudo) }
}

// bearer is a kind of token.
type bearer struct {
	name string
	make func() string // a new one
	rule func(path string) string
	// policy is what the rules of a path are written to; "" where there are none.
	policy string
	home   string // ID of the namespace that it belongs to
	may    func(c *cell) bool
	// nobody: it is answered as no token at all is.
	nobody bool
	// wide: its rules reach more than the path.
	wide bool
}

// matrix is a rig with one of each kind of token, all of whose policies are written anew for each cell.
type matrix struct {
	*rig
	bearers []*bearer
	live    map[string]string // bearer secrets by kind
}

// newMatrix makes one about the namespace at path, which is made if need be, and all that cells ask for.
func newMatrix(t *testing.T, path string) (*matrix, []cell) {
	t.Helper()
	m := &matrix{rig: newRigWith(t, lessortest.Options{Backends: []backend.Backend{approle.New(), kv.New(), userpass.New()}}), live: make(map[string]string)}
	for i, end := range slashes(path) {
		m.namespace(fmt.Sprint("above", i), path[:end+1])
	}
	m.namespace("beside", "beside/")
	in := m.tenant(path)
	want(t, "mount", m.root("POST", "sys/mounts/secret", `{"type":"kv"}`, inNamespace(path)), 204)
	want(t, "a value", m.root("POST", "secret/there", `{"a":1}`, inNamespace(path)), 204)
	want(t, "an auth method", m.root("POST", "sys/auth/people", `{"type":"userpass"}`, inNamespace(path)), 204)
	want(t, "a user", m.root("POST", "auth/people/users/bob", `{"password":"a password"}`, inNamespace(path)), 204)
	m.Lead()
	return m, cells("auth/"+in.auth, m.approle(in), path == "")
}

// slashes are the places of all slashes in a path.
func slashes(path string) (at []int) {
	for i := range path {
		if path[i] == '/' {
			at = append(at, i)
		}
	}
	return at
}

// nobodies are the kinds of tokens that are none.
func (m *matrix) nobodies() []*bearer {
	open := func(c *cell) bool { return c.open }
	short := m.NewToken(m.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Minute}).Bearer
	m.Clock.Advance(2 * time.Minute)
	revoked := m.NewToken(m.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour}).Bearer
	want(m.t, "revoke", m.root("POST", "auth/token/revoke", `{"token":"`+revoked+`"}`), 204)
	spent := m.NewToken(m.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour, NumUses: 1}).Bearer
	want(m.t, "spend", m.call("GET", "sys/mounts", spent, ""), 200)
	bound := m.boundToken("10.0.0.0/8", "root")
	var list []*bearer
	for name, token := range map[string]string{"none": "", "unknown": "lhs.unknown", "expired": short, "revoked": revoked, "spent": spent, "bound to another network": bound} {
		list = append(list, &bearer{name: name, make: func() string { return token }, may: open, nobody: true})
	}
	return list
}

// somebodies are the kinds of tokens whose policies count.
func (m *matrix) somebodies() []*bearer {
	list := []*bearer{
		{name: "no policy", rule: func(string) string { return grant(allVerbs)("other/path") }, may: only(0, false)},
		{name: "create only", rule: grant(`"create"`), may: only(policy.Create, false)},
		{name: "read only", rule: grant(`"read"`), may: only(policy.Read, false)},
		{name: "update without sudo", rule: grant(`"update"`), may: only(policy.Update, false)},
		{name: "delete only", rule: grant(`"delete"`), may: only(policy.Delete, false)},
		{name: "list only", rule: grant(`"list"`), may: only(policy.List, false)},
		{name: "sudo alone", rule: grant(`"sudo"`), may: only(0, false)},
		{name: "all without sudo", rule: grant(allVerbs), may: only(verbs, false)},
		{name: "sudo", rule: grant(allVerbs + `, "sudo"`), may: only(verbs, true)},
		{name: "deny over grant", wide: true, may: only(0, false), rule: func(path string) string {
			return grant(allVerbs+`, "sudo"`)("*") + grant(`"deny"`)(path) + grant(`"deny"`)(path+"/")
		}},
		{name: "deny over a longer path's grant", may: only(0, false), rule: func(path string) string {
			return grant(allVerbs+`, "sudo"`)(path+"/more") + grant(`"deny"`)(path+"*")
		}},
	}
	limited := &bearer{name: "limited use", rule: grant(allVerbs + `, "sudo"`), may: only(verbs, true)}
	limited.make = func() string { return m.token(limited, 1) }
	bound := &bearer{name: "bound to its network", rule: limited.rule, may: limited.may}
	bound.make = func() string { return m.boundToken("192.0.0.0/16", bound.policy) }
	list = append(list, limited, bound)
	for i, b := range list {
		b.policy = fmt.Sprint("p", i)
		if b.make == nil {
			b.make = func() string { return m.token(b, 0) }
		}
	}
	return append(list,
		&bearer{name: "default", make: func() string {
			return m.NewToken(m.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Bearer
		}, may: func(c *cell) bool {
			return c.open || c.anyToken || byDefault[c.name()]
		}},
		&bearer{name: "wrapping", make: func() string { return m.wrapped("GET", "sys/policy", "root", "") }, may: func(c *cell) bool { return c.open || c.opens }},
		&bearer{name: "of a child namespace", wide: true, may: func(c *cell) bool { return c.open }, make: func() string {
			return m.NewToken(m.Root(), lessor.TokenRequest{Namespace: "beside", Policies: []string{"root"}, TTL: time.Hour}).Bearer
		}},
	)
}

// token makes one with the policy of its kind and nothing else.
func (m *matrix) token(b *bearer, uses int) string {
	return m.NewToken(m.Root(), lessor.TokenRequest{Namespace: b.home, Policies: []string{b.policy}, NoDefaultPolicy: true, TTL: time.Hour, NumUses: uses}).Bearer
}

// boundToken makes one that serves a network only, as logins do.
func (m *matrix) boundToken(network, name string) string {
	m.t.Helper()
	bearer := "bound-to-" + network + "-" + name
	hash, err := m.Lessor.HashToken(bearer)
	if err != nil {
		m.t.Fatal(err)
	}
	if t := m.Token(bearer); t == nil {
		const path = "auth/token/create"
		tok := &lease.Token{Hash: hash, Accessor: "of-" + hash[:20], Path: path, Policies: []string{name}, BoundCIDRs: []string{network},
			LeaseID: lease.NewID(path, "h"+hash, "")}
		if _, err := m.Proposer.Propose(m.t.Context(), &command.CreateToken{Token: fsm.TokenRecord(tok), Ttl: int64(time.Hour)}); err != nil {
			m.t.Fatal(err)
		}
	}
	return bearer
}

// alive returns a token of a kind, a new one if the last one has been used up.
func (m *matrix) alive(b *bearer) string {
	secret, ok := m.live[b.name]
	if ok && !b.nobody {
		t := m.Token(secret)
		m.State.Read(func(v *fsm.View) { ok = t != nil && v.TokenAlive(t, m.Clock.Now()) && t.NumUses != lease.SpentUses })
	}
	if !ok {
		secret = b.make()
		m.live[b.name] = secret
	}
	return secret
}

// write writes the policies of all kinds for a path.
func (m *matrix) write(path string) {
	m.t.Helper()
	for _, b := range m.bearers {
		if b.policy == "" {
			continue
		}
		if err := m.Lessor.PutPolicy(m.t.Context(), b.home, b.policy, b.rule(path)); err != nil {
			m.t.Fatal(err)
		}
	}
}
