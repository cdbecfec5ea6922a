package conformance

import (
	"testing"
	"time"
)

// login logs in with plain requests and returns the answer.
func login(t testing.TB, p proof) *reply {
	t.Helper()
	return send(t, request{method: "PUT", path: "/v1/" + p.path, body: p.params, token: anonymous}).want(200)
}

// Upstream keeps the role with each lease for its quotas; here it is shown as well.
func TestFact23_WhatALoginMadeKeepsItsRole(t *testing.T) {
	people, machines := authMethod(t, "userpass", nil), authMethod(t, "approle", nil)
	for role, p := range map[string]proof{"ann": person(t, people, "ann", nil), "ci": machine(t, machines, "ci", nil)} {
		made := login(t, p)
		token := made.text("auth.client_token")
		lookup := send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: token}).want(200).wantGet("data.role", role)
		if path := lookup.text("data.path"); path != p.path {
			t.Errorf("the path of a login's token is %s, want %s", path, p.path)
		}
		if role == "ci" {
			made.wantGet("auth.metadata.role_name", role)
		}
	}
}

// Batch tokens, which cannot be revoked, are not made; who asks for them is told so.
func TestFact27_BatchTokensAreRefused(t *testing.T) {
	call(t, "POST", "auth/token/create", map[string]any{"type": "batch", "ttl": "1s"}).wantErrorWith(400, "batch")
	role := unique("batch")
	call(t, "POST", "auth/token/roles/"+role, map[string]any{"token_type": "batch"}).wantErrorWith(400, "batch")
	path := authMethod(t, "approle", nil)
	call(t, "POST", "auth/"+path+"/role/ci", map[string]any{"token_type": "batch"}).wantErrorWith(400, "batch")
}

// The method decides by what its user is now: the times of a renewal, and whether there is one.
func TestFact43_ARenewalAsksTheLoginMethod(t *testing.T) {
	path := authMethod(t, "userpass", nil)
	user := "auth/" + path + "/users/ann"
	p := person(t, path, "ann", map[string]any{"token_ttl": "1h", "token_policies": "a"})
	token := login(t, p).wantGet("auth.lease_duration", 3600).text("auth.client_token")
	renew := func() *reply {
		return send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", token: token})
	}
	renew().want(200).wantGet("auth.lease_duration", 3600)
	call(t, "POST", user, map[string]any{"token_ttl": "20m", "token_max_ttl": "40m"}).want(204)
	renew().want(200).wantGet("auth.lease_duration", 1200)
	r := send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", token: token, body: map[string]any{"increment": "2h"}}).want(200)
	if d := r.number("auth.lease_duration"); d > 2400 || d < 2300 {
		t.Errorf("renewed to %d s, want what is left of the user's 2400", d)
	}
	call(t, "POST", user, map[string]any{"token_policies": "b"}).want(204)
	renew().wantErrorWith(400, "policies have changed")
	call(t, "POST", user, map[string]any{"token_policies": "a"}).want(204)
	renew().want(200)
	call(t, "DELETE", user, nil).want(204)
	renew().wantErrorWith(400, "does not exist any more")
	// What it has it keeps to its end.
	if ttl := send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: token}).want(200).number("data.ttl"); ttl > 2400 || ttl < 1000 {
		t.Errorf("the token lasts %d s after renewals that were refused", ttl)
	}
}

func TestFact47_ThePeriodBeatsTheMaximumAtALogin(t *testing.T) {
	t.Parallel() // it waits
	path := authMethod(t, "approle", nil)
	call(t, "POST", "sys/mounts/auth/"+path+"/tune", map[string]any{"default_lease_ttl": "5s", "max_lease_ttl": "5s"}).want(204)
	made := login(t, machine(t, path, "ci", map[string]any{"token_period": "5s"})).wantGet("auth.lease_duration", 5)
	token := made.text("auth.client_token")
	for range 2 {
		time.Sleep(3 * time.Second)
		send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", token: token}).want(200)
		ttl := send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: token}).want(200).number("data.ttl")
		if ttl < 4 || ttl > 5 {
			t.Errorf("after a renewal the token lasts %d s, want its period of 5", ttl)
		}
	}
}
