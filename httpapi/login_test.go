package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// newLoginRig has userpass at auth/userpass/ with the user ann, who carries the policy dev.
func newLoginRig(t *testing.T) *rig {
	t.Helper()
	r := newRigWith(t, lessortest.Options{Backends: []backend.Backend{userpass.New()}})
	want(t, "enable", r.root("POST", "sys/auth/userpass", `{"type":"userpass"}`), 204)
	want(t, "a user", r.root("POST", "auth/userpass/users/ann", `{"password":"correct horse","token_policies":"dev","token_ttl":"1h","token_max_ttl":"2h"}`), 204)
	return r
}

func TestLoginMakesALeasedToken(t *testing.T) {
	r := newLoginRig(t)
	got := r.call("POST", "auth/userpass/login/Ann", "", `{"password":"correct horse"}`)
	want(t, "login", got, 200)
	auth, _ := got.body["auth"].(map[string]any)
	if fmt.Sprint(auth["policies"]) != "[default dev]" || fmt.Sprint(auth["lease_duration"]) != "3600" || auth["renewable"] != true ||
		fmt.Sprint(auth["metadata"]) != "map[username:ann]" || auth["orphan"] != true {
		t.Errorf("got auth %v", auth)
	}
	token, _ := auth["client_token"].(string)
	self := r.call("GET", "auth/token/lookup-self", token, "")
	if self.data()["path"] != "auth/userpass/login/ann" || self.data()["display_name"] != "userpass-ann" {
		t.Errorf("got %s", self.text)
	}
	l := r.Lease(r.Token(token).LeaseID)
	if l == nil || !strings.HasPrefix(l.ID, "auth/userpass/login/ann/h") {
		t.Fatalf("got lease %+v, want one at the path of the login", l)
	}
	want(t, "renew", r.call("POST", "auth/token/renew-self", token, `{"increment":"10h"}`), 200)
	if left := r.Lease(l.ID).Remaining(r.Clock.Now()); left.Hours() != 2 {
		t.Errorf("renewed to %s, want the user's limit of 2h", left)
	}
	want(t, "other policies", r.root("POST", "auth/userpass/users/ann/policies", `{"token_policies":"ops"}`), 204)
	want(t, "renew after that", r.call("POST", "auth/token/renew-self", token, ""), 400, "policies have changed, not renewing")
}

// One thing has one path: capitals in a login's path are no way around a rule, nor past a revocation.
func TestT4_PathsOfLoginsAreFolded(t *testing.T) {
	r := newLoginRig(t)
	token := r.policyToken("p", `path "auth/userpass/users/*" { capabilities = ["read", "update", "create"] }
		path "auth/userpass/users/ann" { capabilities = ["deny"] }`)
	for _, name := range []string{"ann", "ANN", "Ann"} {
		if got := r.call("GET", "auth/userpass/users/"+name, token, ""); !isDenied(got) {
			t.Errorf("users/%s: got %d %s, want it denied", name, got.status, got.text)
		}
	}
}

func TestAuthMountsHaveTheirOwnPaths(t *testing.T) {
	r := newLoginRig(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "sys/mounts/auth/more", `{"type":"userpass"}`, 400},
		{"DELETE", "sys/mounts/auth/userpass", "", 400},
		{"GET", "sys/mounts/auth/userpass", "", 200}, // as the stock client reads it
		{"GET", "sys/mounts/auth/nothing", "", 400},
		{"GET", "sys/auth/userpass", "", 200},
		{"POST", "sys/mounts/secret", `{"type":"userpass"}`, 400},
		{"POST", "sys/auth/locks", `{"type":"lease"}`, 400},
		{"POST", "sys/auth/token", `{"type":"userpass"}`, 400},
		{"DELETE", "sys/auth/token", "", 400},
		{"DELETE", "sys/auth/nothing", "", 204},
	} {
		if got := r.root(c.method, c.path, c.body); got.status != c.status {
			t.Errorf("%s %s: got %d %s, want %d", c.method, c.path, got.status, got.text, c.status)
		}
	}
	// Tuning by the path of secrets engines takes sudo, as by that of auth methods.
	plain := r.policyToken("plain", `path "sys/mounts/*" { capabilities = ["read", "update"] }`)
	if got := r.call("POST", "sys/mounts/auth/userpass/tune", plain, `{"default_lease_ttl":"1h"}`); !isDenied(got) {
		t.Errorf("tune without sudo: got %d %s, want it denied", got.status, got.text)
	}
	want(t, "reading takes none", r.call("GET", "sys/mounts/auth/userpass", plain, ""), 200)
	want(t, "tune", r.root("POST", "sys/mounts/auth/userpass/tune", `{"default_lease_ttl":"1h","user_lockout_config":{"lockout_threshold":"2","lockout_counter_reset_duration":"1m"}}`), 204)
	if options := r.root("GET", "sys/auth/userpass", "").data()["options"]; fmt.Sprint(options) != "map[lockout_counter_reset:1m lockout_threshold:2]" {
		t.Errorf("got options %v, want those of the lock-out", options)
	}
	want(t, "a bad lock-out", r.root("POST", "sys/mounts/auth/userpass/tune", `{"user_lockout_config":{"lockout_threshold":"none"}}`), 400)
	for i := range 3 {
		status := 400
		if i == 2 {
			status = 403
		}
		want(t, "a wrong password", r.call("POST", "auth/userpass/login/ann", "", `{"password":"wrong"}`), status)
	}
	want(t, "the right password while locked", r.call("POST", "auth/userpass/login/ann", "", `{"password":"correct horse"}`), 403, "permission denied")
}

// Disabling an auth method ends all that it made, by a job.
func TestDisablingAnAuthMethodEndsItsTokens(t *testing.T) {
	r := newLoginRig(t)
	r.Lead()
	login := r.call("POST", "auth/userpass/login/ann", "", `{"password":"correct horse"}`)
	token := login.body["auth"].(map[string]any)["client_token"].(string)
	want(t, "before", r.call("GET", "auth/token/lookup-self", token, ""), 200)
	want(t, "disable", r.root("DELETE", "sys/auth/userpass", ""), 204)
	want(t, "after", r.call("GET", "auth/token/lookup-self", token, ""), 403, "permission denied")
	want(t, "login after", r.call("POST", "auth/userpass/login/ann", "", `{"password":"correct horse"}`), 403)
	if r.Token(token) != nil {
		t.Error("the token is still kept")
	}
}
