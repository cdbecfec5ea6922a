package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/kv"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// multi is Vault's form of an error, which a caller with a valid token gets for a denial.
func multi(text string) string { return "1 error occurred:\n\t* " + text + "\n\n" }

// sample is a path that a row of the table serves.
func sample(row httpapi.Row) string {
	for pattern, rest := range map[string]string{
		"sys/mounts/*/tune": "locks", "sys/mounts/*": "new", "sys/auth/*/tune": "token", "sys/auth/*": "new", "sys/namespaces/*": "team", "sys/policies/acl/*": "app", "sys/policy/*": "app", "sys/leases/jobs/*": "1",
		"auth/token/create/*": "ci", "auth/token/roles/*": "ci",
	} {
		if row.Path == pattern {
			return strings.Replace(row.Path, "*", rest, 1)
		}
	}
	return strings.Replace(row.Path, "*", "locks/a/x", 1)
}

// isDenied tells a refusal by access control from any other 403.
func isDenied(a reply) bool {
	list := a.errors()
	return a.status == http.StatusForbidden && len(list) > 0 && strings.Contains(list[0], "permission denied")
}

func TestEveryRouteIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range httpapi.Rows() {
		shown := row.Path
		for pattern, name := range map[string]string{
			"sys/mounts/*/tune": "sys/mounts/:path/tune", "sys/mounts/*/freeze": "sys/mounts/:path/freeze",
			"sys/mounts/*/thaw": "sys/mounts/:path/thaw", "sys/remount/status/*": "sys/remount/status/:id", "sys/mounts/*": "sys/mounts/:path", "sys/internal/ui/mounts/*": "sys/internal/ui/mounts/:path",
			"sys/auth/*/tune": "sys/auth/:path/tune", "sys/auth/*": "sys/auth/:path", "sys/namespaces/*": "sys/namespaces/:path",
			"sys/policies/acl/*": "sys/policies/acl/:name", "sys/policy/*": "sys/policy/:name", "sys/leases/jobs/*": "sys/leases/jobs/:id",
			"auth/token/create/*": "auth/token/create/:name", "auth/token/roles/*": "auth/token/roles/:name",
		} {
			if shown == pattern {
				shown = name
			}
		}
		if rest, ok := strings.CutSuffix(shown, "/*"); ok {
			name := ":lease_id"
			if strings.Contains(rest, "prefix") || strings.Contains(rest, "force") || strings.HasSuffix(rest, "lookup") {
				name = ":prefix"
			}
			shown = rest + "/" + name
		}
		if !strings.Contains(string(text), "`"+shown+"`") {
			t.Errorf("docs/api.md does not name `%s`", shown)
		}
		if row.Help == "" {
			t.Errorf("%s %s has no help text", row.Method, row.Path)
		}
	}
}

func TestT5_UnknownPathsAndVerbsAreToldOnlyToThoseWhoMayKnow(t *testing.T) {
	r := newRig(t)
	none := r.policyToken("none", `path "x" { capabilities = ["read"] }`)
	for _, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "sys/nothing", 404, multi("unsupported path")},
		{"GET", "sys/leases/", 404, multi("unsupported path")},
		{"LIST", "sys/leases", 404, multi("unsupported path")},
		{"POST", "sys/leases/revoke-prefix", 404, multi("unsupported path")},
		{"POST", "sys/leases/lookup/a/b", 405, multi("unsupported operation")},
		{"GET", "sys/leases/renew", 405, multi("unsupported operation")},
		{"DELETE", "sys/leases/revoke/a/b", 405, multi("unsupported operation")},
		{"HEAD", "sys/leases/lookup", 405, ""},
		{"POST", "sys/leases/count", 405, multi("unsupported operation")},
		{"POST", "sys/leases", 405, multi("unsupported operation")},
		{"SCAN", "sys/leases/lookup", 405, multi("unsupported operation")},
		{"GET", "auth/token/nothing", 404, multi("unsupported path")},
		{"GET", "nope/x", 404, `no handler for route "nope/x". route entry not found.`},
	} {
		name := c.method + " " + c.path
		want(t, name+" without a token", r.call(c.method, c.path, "", ""), 403)
		want(t, name+" without a policy", r.call(c.method, c.path, none, ""), 403)
		got := r.root(c.method, c.path, "")
		if c.text == "" {
			want(t, name, got, c.status)
		} else {
			want(t, name, got, c.status, c.text)
		}
	}
}

// TestT2_OneAnswerForEveryBadToken: missing, malformed, unknown, expired and revoked tokens cannot
// be told apart.
func TestT2_OneAnswerForEveryBadToken(t *testing.T) {
	r := newRig(t)
	expired := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Minute}).Bearer
	revoked := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Bearer
	want(t, "revoke", r.root("POST", "auth/token/revoke", `{"token":"`+revoked+`"}`), 204)
	r.Clock.Advance(2 * time.Minute)
	texts := map[string]bool{}
	for _, token := range []string{"", "x", "lhs.unknown", expired, revoked, strings.Repeat("a", 4000)} {
		got := r.call("GET", "auth/token/lookup-self", token, "")
		want(t, token, got, 403, "permission denied")
		texts[got.text] = true
	}
	if len(texts) != 1 {
		t.Errorf("got %d different answers, want one: %v", len(texts), texts)
	}
}

func TestBearerHeader(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		vault, authorization string
		status               int
	}{
		{"", "Bearer root", 200}, {"", "bearer root", 403}, {"", "root", 403}, {"root", "Bearer wrong", 200}, {"wrong", "Bearer root", 403},
	} {
		got := r.call("GET", "auth/token/lookup-self", c.vault, "", header("Authorization", c.authorization))
		want(t, fmt.Sprint(c), got, c.status)
	}
}

// TestT4_TheLeaseThatIsActedOnIsAuthorized: a policy on one lease's path cannot be used for
// another, however the other is named.
func TestT4_TheLeaseThatIsActedOnIsAuthorized(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	mine, other := r.issue("locks/mine", "root", ""), r.issue("locks/other", "root", "")
	for _, verb := range []string{"renew", "revoke"} {
		for _, base := range []string{"sys/leases/" + verb, "sys/" + verb} {
			token := r.policyToken(verb, fmt.Sprintf("path %q { capabilities = [\"update\"] }", "sys/leases/"+verb+"/"+mine))
			escaped := strings.ReplaceAll(other, "/", "%2F")
			for what, c := range map[string][2]string{
				"by path":                {base + "/" + other, ""},
				"by body over path":      {base + "/" + mine, `{"lease_id":"` + other + `"}`},
				"by body":                {base, `{"lease_id":"` + other + `"}`},
				"by form over path":      {base + "/" + mine, "lease_id=" + other},
				"percent-encoded":        {base + "/" + escaped, ""},
				"a lease that is not":    {base + "/locks/other/none", ""},
				"upper case":             {base + "/" + strings.ToUpper(mine), ""},
				"encoded twice":          {base + "/" + strings.ReplaceAll(other, "/", "%252F"), ""},
				"a body that only looks": {base + "/" + other, `{"lease_id":""}`},
			} {
				got := r.call("PUT", c[0], token, c[1], header("Content-Type", "application/x-www-form-urlencoded"))
				if !isDenied(got) {
					t.Errorf("%s %s: got %d %s, want it denied", base, what, got.status, got.text)
				}
			}
			if got := r.call("PUT", base+"/"+mine, token, ""); isDenied(got) {
				t.Errorf("%s of the lease in the rule: got %s, want it allowed", base, got.text)
			}
			if got := r.call("PUT", base+"/"+mine+"/", token, ""); got.status != 400 {
				t.Errorf("%s with a slash at the end: got %d, want 400", base, got.status)
			}
		}
	}
	if l := r.Lease(other); l == nil || l.Ending != nil || l.LastRenewal != 0 {
		t.Errorf("the other lease was touched: %+v", l)
	}
}

func TestT4_OldAliasesAreNoWayRoundADeny(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	id := r.issue("locks/a", "root", "")
	r.Lead()
	grant := `path "sys/*" { capabilities = ["update", "sudo"] }` + "\n"
	for _, c := range []struct{ deny, path, body string }{
		{"sys/leases/revoke/*", "sys/revoke/" + id, ""},
		{"sys/leases/revoke", "sys/revoke", `{"lease_id":"` + id + `"}`},
		{"sys/leases/revoke-prefix/*", "sys/revoke-prefix/locks", ""},
		{"sys/leases/revoke-force/*", "sys/revoke-force/locks/", ""},
		{"sys/revoke/*", "sys/revoke/" + id, ""},
	} {
		token := r.policyToken("p", grant+fmt.Sprintf("path %q { capabilities = [\"deny\"] }", c.deny))
		if got := r.call("PUT", c.path, token, c.body); !isDenied(got) {
			t.Errorf("%s with a deny on %s: got %d %s, want it denied", c.path, c.deny, got.status, got.text)
		}
		want(t, "revoke", r.root("POST", "auth/token/revoke", `{"token":"`+token+`"}`), 204)
	}
}

// TestT29_OwnLeasesOnly: with lease_scope "own" a token reaches its own leases and those of its
// descendants; all others are answered alike, there or not.
func TestT29_OwnLeasesOnly(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	issue := `path "locks/*" { capabilities = ["update"] }` + "\n" + `path "auth/token/create" { capabilities = ["update"] }`
	if err := r.Lessor.PutPolicy(t.Context(), "", "issue", issue); err != nil {
		t.Fatal(err)
	}
	mine := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"issue", "default"}, TTL: time.Hour})
	child := r.NewToken(mine.Token, lessor.TokenRequest{Policies: []string{"issue", "default"}, TTL: time.Hour})
	stranger := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"issue", "default"}, TTL: time.Hour})
	ids := map[string]string{
		"own": r.issue("locks/a", mine.Bearer, ""), "the child's": r.issue("locks/a", child.Bearer, ""), "a stranger's": r.issue("locks/a", stranger.Bearer, ""),
		"root's": r.issue("locks/a", "root", ""), "no lease": "locks/a/none", "odd": "../x", "its own token's": mine.Lease.ID, "the stranger's token's": stranger.Lease.ID,
	}
	allowed := []string{"own", "the child's", "its own token's"}
	for _, path := range []string{"sys/leases/lookup", "sys/leases/renew", "sys/renew"} {
		texts := map[string]bool{}
		for what, id := range ids {
			got := r.call("PUT", path, mine.Bearer, `{"lease_id":"`+id+`"}`)
			if slices.Contains(allowed, what) {
				if isDenied(got) {
					t.Errorf("%s of %s: got %d %s, want it allowed", path, what, got.status, got.text)
				}
				continue
			}
			want(t, path+" of "+what, got, 403, multi("permission denied"))
			texts[got.text] = true
		}
		if len(texts) != 1 {
			t.Errorf("%s: got %d different refusals, want one: %v", path, len(texts), texts)
		}
	}
	// The child does not reach its parent's.
	want(t, "lookup by the child", r.call("PUT", "sys/leases/lookup", child.Bearer, `{"lease_id":"`+ids["own"]+`"}`), 403)
	// A scoped rule on a path that acts on no single lease reaches nothing.
	scoped := r.policyToken("scoped", `path "sys/leases/tidy" {
		capabilities = ["update"]
		lease_scope = "own"
	}`)
	want(t, "tidy with a scoped rule", r.call("PUT", "sys/leases/tidy", scoped, ""), 403)
}

// TestT29_WritesDoNotTellWhatIsThere: who may neither create nor update is refused in the same words
// whether there is a value or not. Who may do one of them finds out, as in Vault: that is what it is for.
func TestT29_WritesDoNotTellWhatIsThere(t *testing.T) {
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{kv.New()}})
	r.Enable("secret/", "kv", lease.MountConfig{})
	want(t, "a value", r.root("POST", "secret/x1", `{"a":1}`), 204)
	for caps, differ := range map[string]bool{
		"": false, `"read", "list", "delete", "sudo"`: false, `"deny"`: false, `"create"`: true, `"update"`: true, `"create", "update"`: false,
	} {
		rules := `path "other" { capabilities = ["update"] }`
		if caps != "" {
			rules = `path "secret/*" { capabilities = [` + caps + `] }`
		}
		token := r.policyToken("p", rules)
		there, none := r.call("POST", "secret/x1", token, "{}"), r.call("POST", "secret/x2", token, "{}") // neither is written
		if same := there.seen("x1") == none.seen("x2"); same == differ {
			t.Errorf("with [%s]: got %s and %s, want them to differ: %t", caps, there.text, none.text, differ)
		}
	}
	// A rule that refuses the parameters refuses them either way.
	token := r.policyToken("p", `path "secret/*" {
		capabilities = ["create"]
		denied_parameters = { "a" = [] }
	}`)
	there, none := r.call("POST", "secret/x1", token, `{"a":2}`), r.call("POST", "secret/x2", token, `{"a":2}`)
	if !isDenied(there) || there.seen("x1") != none.seen("x2") {
		t.Errorf("with a denied parameter: got %s and %s, want the same denial", there.text, none.text)
	}
}

func TestPolicyChangesCountAtOnce(t *testing.T) {
	r := newRig(t)
	token := r.policyToken("p", `path "sys/mounts" { capabilities = ["read"] }`)
	want(t, "before", r.call("GET", "sys/mounts", token, ""), 200)
	want(t, "write", r.root("PUT", "sys/policies/acl/p", `{"policy":"path \"x\" {\n capabilities = [\"read\"]\n}"}`), 204)
	want(t, "after", r.call("GET", "sys/mounts", token, ""), 403)
	want(t, "delete", r.root("DELETE", "sys/policies/acl/p", ""), 204)
	want(t, "after it was deleted", r.call("GET", "x", token, ""), 403)
}

func TestLimitedUseTokens(t *testing.T) {
	r := newRig(t)
	token := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour, NumUses: 2}).Bearer
	want(t, "first use", r.call("GET", "sys/mounts", token, ""), 200)
	if got := r.call("GET", "auth/token/lookup-self", token, ""); got.status != 200 {
		t.Errorf("the last use: got %d %s, want 200", got.status, got.text)
	}
	want(t, "one use too many", r.call("GET", "sys/mounts", token, ""), 403, "permission denied")
	r.Settle()
	if r.Token(token) != nil {
		t.Error("the spent token is still there")
	}
}

func TestNamespaces(t *testing.T) {
	r := newRig(t)
	r.namespace("abc12", "team/")
	r.Enable("locks/", "lease", lease.MountConfig{})
	id := r.issue("locks/a", "root", "")
	in := header("X-Vault-Namespace", "team")
	want(t, "unknown namespace", r.root("GET", "sys/mounts", "", header("X-Vault-Namespace", "nope")), 404, "namespace not found")
	want(t, "unknown namespace without a token", r.call("GET", "sys/mounts", "", "", header("X-Vault-Namespace", "nope")), 403)
	got := r.root("GET", "sys/mounts", "", in)
	want(t, "its mounts", got, 200)
	if h := got.header.Get("X-Vault-Namespace"); h != "team/" || got.data()["locks/"] != nil {
		t.Errorf("got namespace %q and mounts %v, want team/ without the root's mounts", h, got.data())
	}
	for path, wantStatus := range map[string]int{"lookup": 400, "renew": 400, "revoke": 202} {
		want(t, path+" of a lease in another namespace", r.root("PUT", "sys/leases/"+path, `{"lease_id":"`+id+`"}`, in), wantStatus)
	}
	if l := r.Lease(id); l == nil || l.Ending != nil {
		t.Error("the lease of the root namespace was revoked from a child namespace")
	}
	inner := r.NewToken(r.Root(), lessor.TokenRequest{Namespace: "abc12", Policies: []string{"default"}, TTL: time.Hour}).Bearer
	want(t, "a child's token in the root", r.call("GET", "auth/token/lookup-self", inner, ""), 403)
	want(t, "a child's token at home", r.call("GET", "auth/token/lookup-self", inner, "", in), 200)
}
