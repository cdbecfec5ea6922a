package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lessor"
)

func TestGoldenCapabilities(t *testing.T) {
	s := newTranscript(t)
	s.policyToken("app", `path "db/creds/+" { capabilities = ["read"] } path "db/*" { capabilities = ["list"] } path "db/config" { policy = "deny" }`)
	made := s.NewToken(s.Root(), lessor.TokenRequest{Policies: []string{"app", "default"}, TTL: time.Hour})
	token, accessor := s.name(made.Bearer, "made"), s.name(made.Token.Accessor, "its accessor")
	s.say("root itself", "POST", "sys/capabilities-self", `{"paths":["sys/mounts","x"]}`)
	s.sayAs(token, "a token itself, as the stock client asks", "POST", "sys/capabilities-self", `{"path":"db/creds/ci","token":"`+token+`"}`)
	s.say("of a token", "POST", "sys/capabilities", `{"token":"`+token+`","paths":["db/creds/ci","/db/x","db/config","sys/mounts","auth/token/lookup-self"]}`)
	s.say("of one path", "POST", "sys/capabilities", `{"token":"`+token+`","path":"db/creds/ci"}`)
	s.say("of a list in one text", "PUT", "sys/capabilities", `{"token":"`+token+`","paths":"db/creds/ci,db/config"}`)
	s.say("by accessor", "POST", "sys/capabilities-accessor", `{"accessor":"`+accessor+`","paths":["db/creds/ci","nope"]}`)
	s.say("of root", "POST", "sys/capabilities", `{"token":"root","path":"sys/mounts"}`)
	s.say("of an unknown token", "POST", "sys/capabilities", `{"token":"lhs.none","path":"x"}`)
	s.say("by an unknown accessor", "POST", "sys/capabilities-accessor", `{"accessor":"none","path":"x"}`)
	s.say("without a token", "POST", "sys/capabilities", `{"path":"x"}`)
	s.say("without an accessor", "POST", "sys/capabilities-accessor", `{"path":"x"}`)
	s.say("without a path", "POST", "sys/capabilities", `{"token":"`+token+`"}`)
	s.say("by accessor without a path", "POST", "sys/capabilities-accessor", `{"accessor":"`+accessor+`"}`)
	s.say("of no text", "POST", "sys/capabilities", `{"token":{"a":1},"path":"x"}`)
	s.say("the wrong verb", "GET", "sys/capabilities", "")
	s.sayAs(token, "who may not ask", "POST", "sys/capabilities", `{"token":"root","path":"x"}`)
}

// TestT3_OthersCapabilitiesAreThoseOfLivingTokensHere: a token that is dead, spent, or of another
// namespace is unknown, in one answer with those that never were (T29).
func TestT3_OthersCapabilitiesAreThoseOfLivingTokensHere(t *testing.T) {
	r, tenants := tenancy(t)
	r.Lead()
	expired := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Minute})
	revoked := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"default"}, TTL: time.Hour})
	spent := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour, NumUses: 1})
	want(t, "revoke", r.root("POST", "auth/token/revoke", `{"token":"`+revoked.Bearer+`"}`), 204)
	want(t, "spend", r.call("GET", "sys/mounts", spent.Bearer, ""), 200)
	r.Clock.Advance(2 * time.Minute)
	ask := func(n *tenant, bearer, accessor string) (byToken, byAccessor reply) {
		in := inNamespace(n.path)
		return r.call("POST", "sys/capabilities", n.admin, fmt.Sprintf(`{"token":%q,"path":"sys/mounts"}`, bearer), in),
			r.call("POST", "sys/capabilities-accessor", n.admin, fmt.Sprintf(`{"accessor":%q,"path":"sys/mounts"}`, accessor), in)
	}
	texts := map[string]bool{}
	unknown := func(what string, n *tenant, bearer, accessor string) {
		t.Helper()
		byToken, byAccessor := ask(n, bearer, accessor)
		want(t, what+" by token", byToken, 403, "invalid token")
		want(t, what+" by accessor", byAccessor, 403, "invalid accessor")
		texts[byToken.text], texts[byAccessor.text] = true, true
	}
	for name, made := range map[string]*lessor.NewToken{"expired": expired, "revoked": revoked, "spent": spent} {
		unknown(name, tenants[""], made.Bearer, made.Token.Accessor)
	}
	for path, n := range tenants {
		unknown("never made", n, "lhs.none", "none")
		for other, o := range tenants {
			if other != path {
				unknown(other+" from "+path, n, o.bearer, o.accessor)
			}
		}
		byToken, byAccessor := ask(n, n.bearer, n.accessor)
		for what, got := range map[string]reply{"token": byToken, "accessor": byAccessor} {
			want(t, "its own by "+what, got, 200)
			if caps := fmt.Sprint(got.data()["sys/mounts"]); caps != "[create delete list read sudo update]" {
				t.Errorf("in %q by %s: got %s", path, what, got.text)
			}
		}
	}
	if len(texts) != 2 {
		t.Errorf("got %d different answers, want one for tokens and one for accessors: %v", len(texts), texts)
	}
}

// A token of a parent namespace asks about paths of the namespace in which it asks.
func TestCapabilitiesAreRelativeToTheNamespace(t *testing.T) {
	r := newRig(t)
	r.namespace("abc12", "team/")
	token := r.policyToken("above", `path "team/db/*" { capabilities = ["read"] } path "sys/capabilities-self" { policy = "write" }
		path "team/sys/capabilities-self" { policy = "write" } path "db/*" { policy = "deny" }`)
	for ns, want := range map[string]string{"": `["deny"]`, "team": `["read"]`} {
		got := r.call("POST", "sys/capabilities-self", token, `{"path":"db/x"}`, inNamespace(ns))
		if caps := fmt.Sprintf("%q", got.data()["db/x"]); got.status != 200 || caps != want {
			t.Errorf("in %q: got %d %s, want %s", ns, got.status, got.text, want)
		}
	}
}
