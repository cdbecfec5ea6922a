package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// TestWrappingTokensOpenAndDoNothingElse walks the table: whatever else a wrapping token is used for is
// refused, and its one use is not spent on it.
func TestWrappingTokensOpenAndDoNothingElse(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	r.Enable("db/", "fake", lease.MountConfig{})
	w := r.wrapped("GET", "sys/mounts", "root", "")
	try := func(method, path string) {
		t.Helper()
		got := r.call(method, path, w, "")
		if !isDenied(got) || len(got.errors()) != 2 || !strings.Contains(got.errors()[1], "sys/wrapping/unwrap") {
			t.Errorf("%s %s: got %d %s, want it denied, and told what the token is for", method, path, got.status, got.text)
		}
	}
	for _, row := range httpapi.Rows() {
		if !row.Open && !row.Opens {
			try(row.Method, sample(row))
		}
	}
	for _, c := range [][2]string{{"POST", "locks/a"}, {"GET", "db/creds/ci"}, {"GET", "nope/x"}, {"GET", "sys/nothing"}, {"POST", "sys/wrapping/unwrap/x"}, {"GET", "sys/wrapping/unwrap"}} {
		try(c[0], c[1])
	}
	if tok := r.Token(w); tok == nil || tok.NumUses != 1 {
		t.Fatalf("got the token %+v, want its use not spent", tok)
	}
	want(t, "after all that", r.call("POST", "sys/wrapping/unwrap", w, ""), 200)
	want(t, "once more", r.call("POST", "sys/wrapping/unwrap", w, ""), 403, "permission denied")
}

// Who may look at tokens sees a wrapping token like any other, but never what it wraps.
func TestWrappingTokensAsTokens(t *testing.T) {
	r := newRig(t)
	fresh := func() (string, *lease.Token) {
		w := r.wrapped("POST", "sys/wrapping/wrap", "root", `{"password":"canary"}`)
		return w, r.Token(w)
	}
	w, tok := fresh()
	body := `{"token":"` + w + `","accessor":"` + tok.Accessor + `","lease_id":"` + tok.LeaseID + `"}`
	for _, path := range []string{"auth/token/lookup", "auth/token/lookup-accessor", "sys/leases/lookup"} {
		got := r.root("POST", path, body)
		want(t, path, got, 200)
		if strings.Contains(got.text, "canary") {
			t.Errorf("%s: got %s, which shows what is wrapped", path, got.text)
		}
	}
	if d := r.root("POST", "auth/token/lookup-accessor", body).data(); d["id"] != "" || fmt.Sprint(d["num_uses"]) != "1" ||
		d["path"] != lease.WrappingPath || fmt.Sprint(d["policies"]) != "[response-wrapping]" {
		t.Errorf("lookup-accessor: got %v", d)
	}
	for path, text := range map[string]string{
		"auth/token/renew": "lease is not renewable", "auth/token/renew-accessor": "lease is not renewable", "sys/leases/renew": "lease is not renewable",
	} {
		want(t, path, r.root("POST", path, body), 400, text)
	}
	want(t, "after all that", r.unwrap(w), 200)
	for what, end := range map[string]func(w string, tok *lease.Token) reply{
		"revoke-accessor": func(_ string, tok *lease.Token) reply {
			return r.root("POST", "auth/token/revoke-accessor", `{"accessor":"`+tok.Accessor+`"}`)
		},
		"revoke": func(w string, _ *lease.Token) reply { return r.root("POST", "auth/token/revoke", `{"token":"`+w+`"}`) },
		"revoke-orphan": func(w string, _ *lease.Token) reply {
			return r.root("POST", "auth/token/revoke-orphan", `{"token":"`+w+`"}`)
		},
		"the lease's end": func(_ string, tok *lease.Token) reply {
			return r.root("PUT", "sys/leases/revoke", `{"lease_id":"`+tok.LeaseID+`"}`)
		},
		"all of them": func(string, *lease.Token) reply {
			return r.root("PUT", "sys/leases/revoke-prefix/"+lease.WrappingPath, "")
		},
	} {
		w, tok := fresh()
		if got := end(w, tok); got.status/100 != 2 {
			t.Errorf("%s: got %d %s", what, got.status, got.text)
		}
		want(t, what+", then unwrap", r.unwrap(w), 400, badWrapping)
		want(t, what+", then lookup", r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+w+`"}`), 400, badWrapping)
		want(t, what+", then unwrap by itself", r.call("POST", "sys/wrapping/unwrap", w, ""), 403, "permission denied")
		r.Settle()
		if r.Lease(tok.LeaseID) != nil {
			t.Errorf("%s: the payload is still there", what)
		}
	}
}

// TestWrappingTokensAreNotMade: nobody makes a token that could pass for a wrapping one, or gives one
// out with its policy.
func TestWrappingTokensAreNotMade(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, path, body string }{
		{"POST", "auth/token/create", `{"policies":["response-wrapping"]}`},
		{"POST", "auth/token/create", `{"policies":["default"," Response-Wrapping "]}`},
		{"POST", "auth/token/create-orphan", `{"policies":"response-wrapping"}`},
		{"PUT", "sys/policies/acl/response-wrapping", `{"policy":"path \"*\" { capabilities = [\"sudo\"] }"}`},
		{"PUT", "sys/policy/Response-Wrapping", `{"policy":"path \"*\" { capabilities = [\"sudo\"] }"}`},
		{"DELETE", "sys/policies/acl/response-wrapping", ""},
		{"POST", "sys/mounts/sys/wrapping", `{"type":"lease"}`},
	} {
		want(t, c.method+" "+c.path+" "+c.body, r.root(c.method, c.path, c.body), 400)
	}
	forged := r.root("POST", "auth/token/create", `{"policies":["root"],"path":"sys/wrapping/wrap","creation_path":"sys/wrapping/wrap","num_uses":1,
		"meta":{"creation_path":"sys/mounts"},"display_name":"wrapping","type":"service"}`)
	want(t, "a path forged", forged, 200)
	bearer, _ := forged.object("auth")["client_token"].(string)
	if tok := r.Token(bearer); tok == nil || tok.Wrapping() {
		t.Errorf("got the token %+v, want an ordinary one", tok)
	}
	for _, path := range []string{"lookup", "unwrap", "rewrap"} {
		want(t, path+" of the forgery", r.root("POST", "sys/wrapping/"+path, `{"token":"`+bearer+`"}`), 400, badWrapping)
	}
	// It is an ordinary one: its use is good for anything once.
	want(t, "the forgery as a token", r.call("GET", "sys/mounts", bearer, ""), 200)
}

// TestWrappingTTLsOfPolicies: a rule can ask for wrapping and bound its time.
func TestWrappingTTLsOfPolicies(t *testing.T) {
	r := newRig(t)
	r.Enable("db/", "fake", lease.MountConfig{})
	r.Enable("locks/", "lease", lease.MountConfig{})
	want(t, "config", r.root("POST", "db/config", `{"value":"x"}`), 204)
	rule := func(bounds string) string {
		return r.policyToken("wrap", `path "db/*" { capabilities = ["read"]
			`+bounds+`
		}
		path "locks/*" { capabilities = ["update"]
			`+bounds+`
		}
		path "sys/policies/acl" { capabilities = ["list"]
			`+bounds+`
		}`)
	}
	both := "min_wrapping_ttl = \"30s\"\nmax_wrapping_ttl = \"2m\""
	for _, c := range []struct {
		bounds, ttl string
		allowed     bool
	}{
		{both, "", false}, {both, "0", false}, {both, "29", false}, {both, "30", true}, {both, "2m", true}, {both, "121s", false},
		{`min_wrapping_ttl = "30s"`, "", false}, {`min_wrapping_ttl = "30s"`, "24h", true},
		{`max_wrapping_ttl = "2m"`, "", false}, {`max_wrapping_ttl = "2m"`, "1", true}, {"", "", true}, {"", "1h", true},
	} {
		token := rule(c.bounds)
		for _, q := range [][2]string{{"GET", "db/config"}, {"GET", "db/creds/ci"}, {"POST", "locks/a"}, {"LIST", "sys/policies/acl"}, {"GET", "sys/policies/acl?list=1"}} {
			got := r.call(q[0], q[1], token, "", wrapFor(c.ttl))
			if isDenied(got) == c.allowed || c.allowed && got.status != 200 {
				t.Errorf("%s %s with %q for %q: got %d %s, want allowed: %t", q[0], q[1], c.bounds, c.ttl, got.status, got.text, c.allowed)
			}
			if wrapped := got.body["wrap_info"] != nil; wrapped != (c.allowed && c.ttl != "") {
				t.Errorf("%s %s with %q for %q: wrapped is %t", q[0], q[1], c.bounds, c.ttl, wrapped)
			}
		}
	}
	r.State.Read(func(v *fsm.View) {
		if n := v.Counts().Of(lease.Active); n == 0 {
			t.Error("no lease was made: the test tries nothing")
		}
	})
}

// Of many who open one token at the same moment, by itself and by others, one gets the answer.
func TestUnwrapRacesOverHTTP(t *testing.T) {
	r := newRig(t)
	for range 5 {
		w := r.wrapped("POST", "sys/wrapping/wrap", "root", `{"password":"canary"}`)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				token, body := w, ""
				if i%2 == 0 {
					token, body = "root", `{"token":"`+w+`"}`
				}
				got := ask(t, r.server.Handler(), "POST", "sys/wrapping/unwrap", token, body)
				switch {
				case got.status == http.StatusOK && strings.Contains(got.text, "canary"):
					won.Add(1)
				case got.status != 400 && got.status != 403:
					t.Errorf("got %d %s", got.status, got.text)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d callers opened it, want one", won.Load())
		}
	}
}

// A repetition that fails to wrap does not take back what the first call gave out.
func TestWrappingThatFailsSparesWhatWasGivenOutBefore(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	r.Enable("db/", "fake", lease.MountConfig{})
	token := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour})
	key := header("Idempotency-Key", "k1")
	ids := []string{r.issue("locks/a", "root", "")}
	for _, path := range []string{"locks/b", "db/creds/ci"} {
		first := r.root("POST", path, "", key)
		want(t, path, first, 200)
		ids = append(ids, first.str("lease_id"))
	}
	r.Proposer.Strike(&command.CreateToken{}, lessortest.Refuse)
	for _, c := range []struct{ what, token, path, body string }{
		{"an issue repeated by its key", "root", "locks/b", ""},
		{"an issue with a target, repeated", "root", "db/creds/ci", ""},
		{"a renewal", "root", "sys/leases/renew", `{"lease_id":"` + ids[0] + `"}`},
		{"a token's renewal", token.Bearer, "auth/token/renew-self", ""},
		{"a lookup of itself", token.Bearer, "auth/token/lookup-self", ""},
	} {
		if got := r.call("POST", c.path, c.token, c.body, key, wrapFor("60")); got.status < 500 {
			t.Errorf("%s: got %d %s, want a failure", c.what, got.status, got.text)
		}
	}
	r.Proposer.Fault(nil)
	r.Settle()
	for _, id := range append(ids, token.Lease.ID) {
		if l := r.Lease(id); l == nil || l.Status != lease.Active {
			t.Errorf("%s was taken back: %+v", id, l)
		}
	}
}

// TestWrappingStaysInItsNamespace: what is wrapped in one is unknown in all others.
func TestWrappingStaysInItsNamespace(t *testing.T) {
	r := newRig(t)
	r.namespace("team1", "team/")
	r.namespace("inner", "team/inner/")
	r.namespace("other", "other/")
	for _, home := range []string{"", "team/", "team/inner/", "other/"} {
		for _, elsewhere := range []string{"", "team/", "team/inner/", "other/"} {
			w := r.wrapped("GET", "sys/mounts", "root", "", inNamespace(home))
			status, text := 400, []string{badWrapping}
			if home == elsewhere {
				status, text = 200, nil
			}
			what := fmt.Sprintf("wrapped in %q and opened in %q", home, elsewhere)
			body := `{"token":"` + w + `"}`
			want(t, what+", looked up", r.call("POST", "sys/wrapping/lookup", "", body, inNamespace(elsewhere)), status, text...)
			if home != elsewhere {
				want(t, what+", rewrapped", r.root("POST", "sys/wrapping/rewrap", body, inNamespace(elsewhere)), status, text...)
			}
			want(t, what, r.unwrap(w, inNamespace(elsewhere)), status, text...)
			if home != elsewhere {
				want(t, what+" by itself", r.call("POST", elsewhere+"sys/wrapping/unwrap", w, ""), map[bool]int{true: 400, false: 403}[strings.HasPrefix(elsewhere, home)])
				want(t, what+", then at home by its path", r.call("POST", home+"sys/wrapping/unwrap", w, ""), 200)
			}
		}
	}
	bad := r.call("POST", "sys/wrapping/lookup", "", `{"token":"`+r.wrapped("GET", "sys/mounts", "root", "")+`"}`, inNamespace("nope"))
	want(t, "looked up in a namespace that is not there", bad, 400, badWrapping)
	// A parent's token wraps in the namespace that it works in.
	w := r.wrapped("GET", "auth/token/lookup-self", "root", "", inNamespace("team"))
	want(t, "lookup-self of a parent's token", r.unwrap(w, inNamespace("team")), 200)
}

// A follower wraps and opens through the leader: of many on both nodes one gets the answer.
func TestWrappingThroughAFollower(t *testing.T) {
	p := newPair(t)
	for _, c := range [][2]string{{"GET", "sys/mounts"}, {"POST", "locks/a"}, {"GET", "db/creds/ci"}, {"LIST", "sys/policies/acl"}} {
		got := p.via(c[0], c[1], "root", "", wrapFor("60"))
		want(t, c[1]+" wrapped", got, 200)
		w, _ := got.object("wrap_info")["token"].(string)
		want(t, "looked up", p.via("POST", "sys/wrapping/lookup", "", `{"token":"`+w+`"}`), 200)
		want(t, "used for something else", p.via("GET", "sys/mounts", w, ""), 403)
		moved := p.via("POST", "sys/wrapping/rewrap", "root", `{"token":"`+w+`"}`)
		want(t, "rewrapped", moved, 200)
		w, _ = moved.object("wrap_info")["token"].(string)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				node := [2]http.Handler{p.server.Handler(), p.second.Handler()}[i%2]
				if got := ask(t, node, "PUT", "sys/wrapping/unwrap", "root", `{"token":"`+w+`"}`); got.status == 200 && got.body["wrap_info"] == nil {
					won.Add(1)
				} else if got.status != 400 {
					t.Errorf("got %d %s", got.status, got.text)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%s: %d callers opened it, want one", c[1], won.Load())
		}
	}
}
