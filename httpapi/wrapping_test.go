package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

const badWrapping = "wrapping token is not valid or does not exist"

func wrapFor(ttl string) func(*http.Request) { return header("X-Vault-Wrap-TTL", ttl) }

// inNamespace makes a request in a namespace by its header.
func inNamespace(path string) func(*http.Request) { return header("X-Vault-Namespace", path) }

func (a reply) object(name string) map[string]any {
	o, _ := a.body[name].(map[string]any)
	return o
}

// wrapped makes a request whose answer is to be wrapped and returns the wrapping token.
func (r *rig) wrapped(method, path, token, body string, edit ...func(*http.Request)) string {
	r.t.Helper()
	got := r.call(method, path, token, body, append(edit, wrapFor("1m"))...)
	bearer, _ := got.object("wrap_info")["token"].(string)
	if got.status != http.StatusOK || bearer == "" {
		r.t.Fatalf("%s %s wrapped: got %d %s", method, path, got.status, got.text)
	}
	return bearer
}

// unwrap opens a wrapping token as root in a namespace.
func (r *rig) unwrap(bearer string, edit ...func(*http.Request)) reply {
	r.t.Helper()
	return r.root("POST", "sys/wrapping/unwrap", `{"token":"`+bearer+`"}`, edit...)
}

func (r *rig) tokenCount() int {
	n := 0
	r.State.Read(func(v *fsm.View) { n = v.TokenCount() })
	return n
}

// TestWrappingEveryKindOfAnswer: what a caller gets is a wrapping token and nothing of the answer;
// what comes out of it is the answer, byte for byte as it would have been.
func TestWrappingEveryKindOfAnswer(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	r.Enable("db/", "fake", lease.MountConfig{})
	want(t, "config", r.root("POST", "db/config", `{"value":"canary"}`), 204)
	id := r.issue("locks/old", "root", "")
	for _, c := range []struct {
		what, method, path, body string
		inside                   string // a text of the answer
	}{
		{"an issue", "POST", "locks/a/b", `{"data":{"host":"canary"}}`, `"host":"canary"`},
		{"an issue by a read", "GET", "db/creds/ci", "", `"password":"secret-1-of-`},
		{"a token", "POST", "auth/token/create", `{"policies":["default"],"ttl":"1h"}`, `"client_token":"lhs.`},
		{"a read", "GET", "db/config", "", `"value":"canary"`},
		{"a read of the system", "GET", "sys/mounts", "", `"locks/":`},
		{"a list", "LIST", "sys/policies/acl", "", `"keys":["default","root"]`},
		{"a list by a query", "GET", "sys/policies/acl?list=true", "", `"keys":["default","root"]`},
		{"a list without keys", "LIST", "sys/leases/lookup/none", "", `"data":null`},
		{"a renewal", "PUT", "sys/leases/renew", `{"lease_id":"` + id + `","increment":77}`, `"lease_duration":77`},
		{"a lookup", "POST", "sys/leases/lookup", `{"lease_id":"` + id + `"}`, `"id":"locks/old/`},
		{"what the engine warns of", "POST", "locks/a", `{"odd":1}`, `unrecognized parameters: [odd]`},
	} {
		got := r.root(c.method, c.path, c.body, wrapFor("90s"))
		want(t, c.what, got, 200)
		info := got.object("wrap_info")
		if strings.Contains(got.text, "canary") || got.body["data"] != nil || got.body["auth"] != nil || got.str("lease_id") != "" || got.str("request_id") != "" {
			t.Errorf("%s: got %s, want nothing but wrap_info", c.what, got.text)
		}
		path, _, _ := strings.Cut(c.path, "?")
		if fmt.Sprint(info["ttl"]) != "90" || info["creation_path"] != path || info["accessor"] == "" || info["creation_time"] != "2030-01-02T03:04:05Z" {
			t.Errorf("%s: got wrap_info %v", c.what, info)
		}
		bearer, _ := info["token"].(string)
		opened := r.unwrap(bearer)
		want(t, c.what+", opened", opened, 200)
		if !strings.Contains(opened.text, c.inside) || opened.body["wrap_info"] != nil || opened.str("request_id") == "" {
			t.Errorf("%s: got %s, want the answer with %s", c.what, opened.text, c.inside)
		}
		want(t, c.what+", again", r.unwrap(bearer), 400, badWrapping)
		r.Settle()
		if tok := r.Token(bearer); tok != nil {
			t.Errorf("%s: the used wrapping token is still there: %+v", c.what, tok)
		}
	}
}

// The accessor of a wrapped token is told, so that it can be revoked by who never sees it.
func TestWrappedTokensAreNamedByAccessor(t *testing.T) {
	r := newRig(t)
	got := r.root("POST", "auth/token/create", `{"policies":["default"],"ttl":"1h"}`, wrapFor("60"))
	accessor, _ := got.object("wrap_info")["wrapped_accessor"].(string)
	bearer, _ := got.object("wrap_info")["token"].(string)
	opened := r.unwrap(bearer)
	if made, _ := opened.object("auth")["accessor"].(string); made == "" || made != accessor {
		t.Errorf("got wrapped_accessor %q, want the new token's, %q", accessor, made)
	}
	if other := r.root("GET", "sys/mounts", "", wrapFor("60")).object("wrap_info"); other["wrapped_accessor"] != nil && other["wrapped_accessor"] != "" {
		t.Errorf("got wrap_info %v of an answer without a token, want no wrapped_accessor", other)
	}
}

// What has no body, errors above all, is answered as it is: the caller has to see it.
func TestWrappingLeavesErrorsAndEmptyAnswersAlone(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	before := r.tokenCount()
	for _, c := range []struct {
		what, method, path, token, body, ttl string
		status                               int
		text                                 string
	}{
		{"done", "DELETE", "sys/policies/acl/none", "root", "", "60", 204, ""},
		{"accepted", "POST", "sys/leases/revoke-prefix/locks/none", "root", "", "60", 202, ""},
		{"no token", "GET", "sys/mounts", "", "", "60", 403, "permission denied"},
		{"an unknown path", "GET", "sys/nothing", "root", "", "60", 404, multi("unsupported path")},
		{"nothing to read", "GET", "sys/policies/acl/none", "root", "", "60", 404, ""},
		{"a refusal", "POST", "sys/leases/renew", "root", `{"lease_id":"locks/none"}`, "60", 400, "lease not found"},
		{"a refusal by its engine", "POST", "locks/a", "root", `{"ttl":"abc"}`, "60", 400, ""},
		{"a stream", "GET", "sys/storage/raft/snapshot", "root", "", "60", 400, ""},
		{"no time at all", "GET", "sys/mounts", "root", "", "zz", 400, `error parsing X-Vault-Wrap-TTL header: time: invalid duration "zz"`},
		{"a negative time", "GET", "sys/mounts", "root", "", "-5", 400, ""},
		{"a fraction", "GET", "sys/mounts", "root", "", "1.5", 400, ""},
		{"a bad time is told before the token is looked at", "GET", "sys/mounts", "", "", "zz", 400, ""},
		{"zero is no wrapping", "GET", "sys/mounts", "root", "", "0", 200, ""},
		{"zero seconds", "GET", "sys/mounts", "root", "", "0s", 200, ""},
	} {
		got := r.call(c.method, c.path, c.token, c.body, wrapFor(c.ttl))
		want(t, c.what, got, c.status)
		if c.text != "" {
			want(t, c.what, got, c.status, c.text)
		}
		if got.body["wrap_info"] != nil {
			t.Errorf("%s: got %s, want it not wrapped", c.what, got.text)
		}
	}
	if n := r.tokenCount(); n != before {
		t.Errorf("%d tokens were made for answers that are not wrapped", n-before)
	}
	if l := r.root("LIST", "sys/leases/lookup/locks", ""); l.status != 404 {
		t.Errorf("a lease was made for an answer that could not be wrapped: %s", l.text)
	}
}

// A wrapping TTL is kept like a lease's end: to the second, and not beyond what the mount allows.
func TestWrappingEnds(t *testing.T) {
	r := newRig(t)
	bearer := r.wrapped("GET", "sys/mounts", "root", "")
	tok := r.Token(bearer)
	if tok == nil || !tok.Wrapping() || tok.NumUses != 1 || tok.Renewable || !tok.Orphan() {
		t.Fatalf("got the token %+v, want an orphan for one use that is not renewable", tok)
	}
	r.Clock.Advance(time.Minute - time.Second)
	want(t, "lookup before its end", r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+bearer+`"}`), 200)
	r.Clock.Advance(2 * time.Second)
	want(t, "lookup past its end", r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+bearer+`"}`), 400, badWrapping)
	want(t, "unwrap past its end", r.unwrap(bearer), 400, badWrapping)
	r.Settle()
	if r.Token(bearer) != nil || r.Lease(tok.LeaseID) != nil {
		t.Error("token or payload outlive their end")
	}
}

// A wrapping token is opened by whoever has it: by itself, or named by another that may.
func TestUnwrapByTheTokenItself(t *testing.T) {
	r := newRig(t)
	plain := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Bearer
	none := r.policyToken("none", `path "x" { capabilities = ["read"] }`)
	bodyOf := func(bearer string) string { return `{"token":"` + bearer + `"}` }
	for what, c := range map[string]struct {
		token, body func(w string) string
		status      int
	}{
		"as the caller's own":                  {func(w string) string { return w }, func(string) string { return "" }, 200},
		"as the caller's own, named again":     {func(w string) string { return w }, bodyOf, 200},
		"by the default policy":                {func(string) string { return plain }, bodyOf, 200},
		"by no policy":                         {func(string) string { return none }, bodyOf, 403},
		"by nobody":                            {func(string) string { return "" }, bodyOf, 403},
		"without naming it":                    {func(string) string { return plain }, func(string) string { return "" }, 400},
		"of another kind":                      {func(string) string { return "root" }, func(string) string { return bodyOf(plain) }, 400},
		"by another wrapping token":            {func(string) string { return r.wrapped("GET", "sys/mounts", "root", "") }, bodyOf, 403},
		"of nothing known":                     {func(string) string { return "root" }, func(string) string { return bodyOf("lhs.unknown") }, 400},
		"by its accessor, which is no secret":  {func(string) string { return "root" }, func(w string) string { return bodyOf(r.Token(w).Accessor) }, 400},
		"by the hash that the state keeps":     {func(string) string { return "root" }, func(w string) string { return bodyOf(r.Token(w).Hash) }, 400},
		"in upper case, which is another text": {func(string) string { return "root" }, func(w string) string { return bodyOf(strings.ToUpper(w)) }, 400},
	} {
		w := r.wrapped("GET", "sys/mounts", "root", "")
		got := r.call("PUT", "sys/wrapping/unwrap", c.token(w), c.body(w))
		want(t, what, got, c.status)
		if c.status == 200 {
			if got.data()["auth/token/"] == nil && got.data()["sys/"] == nil && got.body["data"] == nil {
				t.Errorf("%s: got %s, want the mounts", what, got.text)
			}
			want(t, what+", a second time", r.unwrap(w), 400, badWrapping)
			continue
		}
		if c.status == 400 {
			if text := strings.Join(got.errors(), ""); text != badWrapping && !strings.Contains(text, `missing "token"`) {
				t.Errorf("%s: got %q", what, text)
			}
		}
		want(t, what+": it was not spent", r.unwrap(w), 200)
	}
}

// Looking at a wrapping token takes nothing but itself and does not use it up.
func TestWrappingLookup(t *testing.T) {
	r := newRig(t)
	w := r.wrapped("GET", "sys/mounts", "root", "")
	other := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Bearer
	for what, got := range map[string]reply{
		"without a token":     r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+w+`"}`),
		"with PUT":            r.call("PUT", "sys/wrapping/lookup", "", `{"token":"`+w+`"}`),
		"with itself":         r.call("POST", "sys/wrapping/lookup", w, ""),
		"with GET":            r.call("GET", "sys/wrapping/lookup", w, ""),
		"with a broken token": r.call("POST", "sys/wrapping/lookup", "wrong", `{"token":"`+w+`"}`),
	} {
		want(t, what, got, 200)
		if d := got.data(); d["creation_path"] != "sys/mounts" || fmt.Sprint(d["creation_ttl"]) != "60" || d["creation_time"] != "2030-01-02T03:04:05Z" {
			t.Errorf("%s: got %v", what, d)
		}
		if strings.Contains(got.text, w) || strings.Contains(got.text, `"data":{"auth`) {
			t.Errorf("%s: got %s, which tells more than when and where", what, got.text)
		}
	}
	for what, got := range map[string]reply{
		"unknown":         r.call("POST", "sys/wrapping/lookup", "", `{"token":"lhs.unknown"}`),
		"another kind":    r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+other+`"}`),
		"the root token":  r.call("POST", "sys/wrapping/lookup", "", `{"token":"root"}`),
		"as bearer alone": r.call("POST", "sys/wrapping/lookup", other, ""),
	} {
		want(t, what, got, 400, badWrapping)
	}
	want(t, "nothing given", r.call("POST", "sys/wrapping/lookup", "", ""), 400, `missing "token" value in input: give the wrapping token`)
	want(t, "after all that", r.unwrap(w), 200)
}

// Rewrapping moves the answer: the old token opens nothing any more, the new one the same.
func TestRewrap(t *testing.T) {
	r := newRig(t)
	w := r.wrapped("GET", "sys/mounts", "root", "")
	r.Clock.Advance(30 * time.Second)
	got := r.root("POST", "sys/wrapping/rewrap", `{"token":"`+w+`"}`)
	want(t, "rewrap", got, 200)
	info := got.object("wrap_info")
	next, _ := info["token"].(string)
	if next == "" || next == w || info["creation_path"] != "sys/mounts" || fmt.Sprint(info["ttl"]) != "60" {
		t.Fatalf("got %s, want a new token with the old path and the full time", got.text)
	}
	want(t, "the old one", r.unwrap(w), 400, badWrapping)
	want(t, "rewrapping the old one", r.root("POST", "sys/wrapping/rewrap", `{"token":"`+w+`"}`), 400, badWrapping)
	r.Clock.Advance(45 * time.Second) // past the old one's end
	opened := r.unwrap(next)
	want(t, "the new one", opened, 200)
	if opened.body["data"] == nil {
		t.Errorf("got %s, want the mounts", opened.text)
	}
	want(t, "the new one again", r.unwrap(next), 400, badWrapping)
	ended := r.wrapped("GET", "sys/mounts", "root", "")
	r.Clock.Advance(2 * time.Minute)
	want(t, "rewrapping what has ended", r.root("POST", "sys/wrapping/rewrap", `{"token":"`+ended+`"}`), 400, badWrapping)
	r.Settle()
	if n := r.tokenCount(); n != 1 {
		t.Errorf("%d tokens are left, want root's alone", n)
	}
}

// TestWrap: a caller's own values can be wrapped; the header is what makes it a wrapping.
func TestWrap(t *testing.T) {
	r := newRig(t)
	want(t, "without the header", r.root("POST", "sys/wrapping/wrap", `{"a":1}`), 400)
	plain := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour}).Bearer
	body := `{"password":"s3cret","n":1.50,"list":[1,"2"],"data":{"a":null},"lease_id":"mine"}`
	w := r.wrapped("POST", "sys/wrapping/wrap", plain, body)
	opened := r.unwrap(w)
	want(t, "unwrap", opened, 200)
	got, _ := json.Marshal(opened.data())
	if !sameJSON(t, string(got), body) || opened.str("lease_id") != "" {
		t.Errorf("got %s, want %s under data", opened.text, body)
	}
	empty := r.unwrap(r.wrapped("POST", "sys/wrapping/wrap", plain, ""))
	want(t, "nothing wrapped", empty, 200)
	want(t, "more than one command holds", r.root("POST", "sys/wrapping/wrap", `{"a":"`+strings.Repeat("x", lessor.MaxWrapped)+`"}`, wrapFor("60")), 413)
	none := r.policyToken("none", `path "x" { capabilities = ["read"] }`)
	want(t, "without a policy", r.call("POST", "sys/wrapping/wrap", none, `{"a":1}`, wrapFor("60")), 403)
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var va, vb any
	for text, v := range map[string]*any{a: &va, b: &vb} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return reflect.DeepEqual(va, vb)
}

// TestWrappingThatFailsTakesBack: if the wrapping cannot be written, nobody will ever see what it was
// to hold, so the new lease or token does not live on.
func TestWrappingThatFailsTakesBack(t *testing.T) {
	for _, c := range []struct{ what, method, path, body string }{
		{"a lease", "POST", "locks/a", ""},
		{"a lease with a target", "GET", "db/creds/ci", ""},
		{"a token", "POST", "auth/token/create", `{"policies":["default"],"ttl":"1h"}`},
		{"an orphan", "POST", "auth/token/create-orphan", `{"policies":["default"],"ttl":"1h"}`},
	} {
		for _, fate := range []lessortest.Fate{lessortest.Refuse, lessortest.LoseBefore} {
			r := newRig(t)
			r.Enable("locks/", "lease", lease.MountConfig{})
			r.Enable("db/", "fake", lease.MountConfig{})
			r.Proposer.Fault(func(cmd fsm.Command) lessortest.Fate {
				if made, ok := cmd.(*command.CreateToken); ok && made.Token.Path == lease.WrappingPath {
					return fate
				}
				return lessortest.Commit
			})
			got := r.root(c.method, c.path, c.body, wrapFor("60"))
			if got.status < 500 || strings.Contains(got.text, "lhs.") {
				t.Errorf("%s: got %d %s, want a failure that shows nothing", c.what, got.status, got.text)
			}
			r.Proposer.Fault(nil)
			r.State.Read(func(v *fsm.View) {
				v.Ascend("", "", func(l *lease.Lease) bool {
					if l.ID != r.Root().LeaseID && v.Standing(l, r.Clock.Now()) == lease.Active {
						t.Errorf("%s: the lease %s lives on", c.what, l.ID)
					}
					return true
				})
			})
			r.Settle()
			if n := r.tokenCount(); n != 1 {
				t.Errorf("%s: %d tokens are left, want root's alone", c.what, n)
			}
		}
	}
}

// The job that an answer names is named beside what wraps it, too: that it runs is no secret.
func TestAWrappedAnswerNamesItsJob(t *testing.T) {
	r := newRig(t)
	got := r.root("POST", "sys/leases/tidy", "", wrapFor("60"))
	want(t, "tidy", got, 200)
	if got.header.Get(client.JobHeader) == "" || got.object("wrap_info")["token"] == "" || got.body["warnings"] != nil {
		t.Errorf("got the job %q and %s, want a job and wrap_info", got.header.Get(client.JobHeader), got.text)
	}
}
