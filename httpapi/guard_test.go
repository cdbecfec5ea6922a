package httpapi_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// guarded is a rig whose server reads the rig's clock, which stands still until it is moved.
func guarded(t *testing.T) *rig {
	t.Helper()
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{approle.New()}})
	r.server = httpapi.New(httpapi.Config{
		Node: r.node, State: r.State, Lessor: r.Lessor, Now: r.Clock.Wall, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
	})
	return r
}

func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

const tooMany = "too many failed requests from this address: wait a second"

// TestT2_FailuresAreBoundedByAddress: who guesses is slowed down, who has a valid token beside it is not.
func TestT2_FailuresAreBoundedByAddress(t *testing.T) {
	r := guarded(t)
	weak := r.policyToken("weak", `path "x" { capabilities = ["read"] }`)
	fail := func(addr string) reply { return r.call("GET", "sys/mounts", "lhs.guess", "", from(addr)) }
	for i := range httpapi.GuardBurst {
		port := 1024 + i%60_000
		if got := fail(fmt.Sprintf("192.0.2.7:%d", port)); got.status != 403 {
			t.Fatalf("failure %d: got %d %s, want 403", i, got.status, got.text)
		}
	}
	got := fail("192.0.2.7:1")
	want(t, "one failure too many", got, 429, tooMany)
	if h := got.header.Get("Retry-After"); h != "1" {
		t.Errorf("got Retry-After %q, want 1", h)
	}
	for what, got := range map[string]reply{
		"without a token":                  r.call("GET", "sys/mounts", "", "", from("192.0.2.7:2")),
		"the same address, mapped":         fail("[::ffff:192.0.2.7]:2"),
		"a wrapping token looked up":       r.call("POST", "sys/wrapping/lookup", "", `{"token":"lhs.guess"}`, from("192.0.2.7:2")),
		"one looked up in no namespace":    r.call("POST", "sys/wrapping/lookup", "", `{"token":"lhs.guess"}`, from("192.0.2.7:2"), inNamespace("no")),
		"on a path that is not there":      r.call("GET", "sys/none", "lhs.guess", "", from("192.0.2.7:2")),
		"in a namespace that is not there": r.call("GET", "sys/mounts", "lhs.guess", "", from("192.0.2.7:2"), inNamespace("no")),
	} {
		want(t, what, got, 429, tooMany)
	}
	for what, c := range map[string]struct {
		got    reply
		status int
	}{
		"a valid token":            {r.root("GET", "sys/mounts", "", from("192.0.2.7:3")), 200},
		"a denial of a valid one":  {r.call("GET", "sys/mounts", weak, "", from("192.0.2.7:3")), 403},
		"what asks for no token":   {r.call("GET", "sys/health", "lhs.guess", "", from("192.0.2.7:3")), 200},
		"another address":          {fail("192.0.2.8:3"), 403},
		"another kind of address":  {fail("[2001:db8::7]:3"), 403},
		"an address not to be had": {fail("nowhere"), 403},
	} {
		want(t, what, c.got, c.status)
	}
	r.Clock.Advance(time.Second)
	for i := range httpapi.GuardRate {
		if got := fail("192.0.2.7:4"); got.status != 403 {
			t.Fatalf("failure %d a second later: got %d, want 403", i, got.status)
		}
	}
	want(t, "one more", fail("192.0.2.7:4"), 429)
}

// Denials of valid tokens are no guesses, however many there are.
func TestT2_DenialsAreNotFailures(t *testing.T) {
	r := guarded(t)
	weak := r.policyToken("weak", `path "x" { capabilities = ["read"] }`)
	for range httpapi.GuardBurst + 100 {
		if got := r.call("GET", "sys/mounts", weak, ""); got.status != 403 {
			t.Fatalf("got %d %s, want 403", got.status, got.text)
		}
	}
}

// Who owns an IPv6 network has more addresses than can be counted, so the network counts.
func TestT2_NetworksOfIPv6CountAsOne(t *testing.T) {
	r := guarded(t)
	for i := range httpapi.GuardBurst {
		addr := fmt.Sprintf("[2001:db8:0:1::%x]:1", i+1)
		want(t, addr, r.call("GET", "sys/mounts", "lhs.guess", "", from(addr)), 403)
	}
	want(t, "a further address of the network", r.call("GET", "sys/mounts", "lhs.guess", "", from("[2001:db8:0:1:ffff::]:1")), 429, tooMany)
	want(t, "with a zone", r.call("GET", "sys/mounts", "lhs.guess", "", from("[2001:db8:0:1::1%eth0]:1")), 429, tooMany)
	want(t, "the next network", r.call("GET", "sys/mounts", "lhs.guess", "", from("[2001:db8:0:2::1]:1")), 403)
}

// TestT2_GuardIsBounded: what is remembered of addresses does not grow with them.
func TestT2_GuardIsBounded(t *testing.T) {
	r := guarded(t)
	most := 0
	for i := range 3 * httpapi.GuardAddresses {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		httpapi.GuardTake(r.server, addr)
		most = max(most, httpapi.GuardSize(r.server))
	}
	if most > httpapi.GuardAddresses || most < httpapi.GuardAddresses/2 {
		t.Errorf("at most %d addresses were remembered, want %d", most, httpapi.GuardAddresses)
	}
}

// TestT2_FailedLoginsCountForMore: passwords are shorter than tokens.
func TestT2_FailedLoginsCountForMore(t *testing.T) {
	r := guarded(t)
	n := r.tenant("")
	good, bad := r.approle(n), `{"role_id":"x","secret_id":"y"}`
	login := func(addr, body string) reply { return r.call("PUT", "auth/"+n.auth+"/login", "", body, from(addr)) }
	for i := range httpapi.GuardBurst / httpapi.LoginCost {
		want(t, fmt.Sprint("failure ", i), login("192.0.2.7:1", bad), 400)
		want(t, "a login that succeeds does not count", login("192.0.2.7:1", good), 200)
	}
	got := login("192.0.2.7:1", bad)
	want(t, "one failure too many", got, 429, tooMany)
	if h := got.header.Get("Retry-After"); h != "1" {
		t.Errorf("got Retry-After %q, want 1", h)
	}
	want(t, "the same address with the right secret", login("192.0.2.7:1", good), 200)
	want(t, "another address", login("192.0.2.8:1", bad), 400)
	want(t, "a token of the same address", r.root("GET", "sys/mounts", "", from("192.0.2.7:1")), 200)
}

// TestT29_LoginsFailAlike: whether a role is there, whether a secret was, cannot be told from the answer.
func TestT29_LoginsFailAlike(t *testing.T) {
	r := guarded(t)
	n := r.tenant("")
	good := r.approle(n)
	var proof struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	if err := json.Unmarshal([]byte(good), &proof); err != nil {
		t.Fatal(err)
	}
	base := "auth/" + n.auth + "/role/ci"
	want(t, "a secret to be destroyed", r.root("POST", base+"/custom-secret-id", `{"secret_id":"once-was-good"}`), 200)
	want(t, "destroy it", r.root("POST", base+"/secret-id/destroy", `{"secret_id":"once-was-good"}`), 204)
	want(t, "a secret for one use", r.root("POST", base+"/custom-secret-id", `{"secret_id":"spent-by-now","num_uses":1}`), 200)
	body := func(role, secret string) string { return fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, role, secret) }
	want(t, "spend it", r.call("PUT", "auth/"+n.auth+"/login", "", body(proof.RoleID, "spent-by-now")), 200)
	seen := map[string]string{}
	for what, text := range map[string]string{
		"no such role": body("unknown", proof.SecretID), "a wrong secret": body(proof.RoleID, "unknown"), "both wrong": body("unknown", "unknown"),
		"a destroyed secret": body(proof.RoleID, "once-was-good"), "a spent secret": body(proof.RoleID, "spent-by-now"),
		"a role's name for its ID": body("ci", proof.SecretID),
	} {
		got := r.call("PUT", "auth/"+n.auth+"/login", "", text)
		if got.status/100 != 4 {
			t.Errorf("%s: got %d %s, want a refusal", what, got.status, got.text)
		}
		seen[fmt.Sprint(got.status, got.text, got.header)] = what
	}
	if len(seen) != 1 {
		t.Errorf("got %d different answers, want one: %v", len(seen), seen)
	}
}

// TestT29_UnknownUsersFailAlike: a name that nobody has is answered as one that somebody has is, at each
// attempt, the lock-out included, and its last word is the same for the right password.
func TestT29_UnknownUsersFailAlike(t *testing.T) {
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{userpass.New()}})
	want(t, "enable", r.root("POST", "sys/auth/people", `{"type":"userpass"}`), 204)
	want(t, "a user", r.root("POST", "auth/people/users/bob", `{"password":"right"}`), 204)
	login := func(name, password string) reply {
		got := r.call("PUT", "auth/people/login/"+name, "", `{"password":"`+password+`"}`)
		got.header.Del("X-Vault-Index") // each failure is an entry in the log
		return got
	}
	want(t, "the right password", login("bob", "right"), 200)
	want(t, "the name in another case", login("BOB", "right"), 200)
	locked := false
	for i, password := range []string{"wrong", "", "wrong", "wrong", "Right", "wrong", "right"} {
		known, unknown := login("bob", password), login("eve", password)
		if known.status/100 != 4 || known.seen("bob") != unknown.seen("eve") || fmt.Sprint(known.header) != fmt.Sprint(unknown.header) {
			t.Errorf("attempt %d: got %d %s for a user and %d %s for none", i, known.status, known.text, unknown.status, unknown.text)
		}
		locked = known.status == http.StatusForbidden
	}
	if !locked {
		t.Error("the name was not locked in the end: the test does not reach the lock-out")
	}
}
