package conformance

import (
	"strings"
	"testing"
	"time"
)

func renew(t testing.TB, id string, increment any) *reply {
	t.Helper()
	return call(t, "PUT", "sys/leases/renew", map[string]any{"lease_id": id, "increment": increment})
}

func TestFact01_RenewByPathWithoutBody(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew/" + id}).want(200)
		r.wantGet("lease_id", id).wantGet("renewable", true).wantGet("data", nil)
		if d := r.number("lease_duration"); d != 3600 {
			t.Errorf("lease_duration is %d, want 3600", d)
		}
	})
}

func TestFact38_RenewCallsTheServiceOnce(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	id := issue(t, path+"/creds/ci", nil)
	renew(t, id, 0).want(200).wantGet("lease_id", id).wantGet("lease_duration", 3600)
	calls := s.of("renew", id)
	if len(calls) != 1 || calls[0].TTL != 3600 {
		t.Errorf("renew calls %+v, want one with ttl 3600", calls)
	}
}

func TestFact39_NotRenewableIsNotAskedFor(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	role(t, s, path, "fixed", map[string]any{"renewable": false})
	id := issue(t, path+"/creds/fixed", nil)
	renew(t, id, 0).wantError(400, "lease is not renewable")
	if calls := s.of("renew", id); len(calls) != 0 {
		t.Errorf("%d renew calls, want none", len(calls))
	}
}

func TestFact40_AfterARenewalTheExpiryRevokes(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	id := issue(t, path+"/creds/ci", map[string]any{"ttl": "1h"})
	renew(t, id, 1).want(200).wantGet("lease_duration", 1)
	eventually(t, 5*time.Second, "the lease is gone", func() bool { return gone(t, id) })
	if n, m := len(s.of("renew", id)), len(s.of("revoke", id)); n != 1 || m != 1 {
		t.Errorf("%d renew and %d revoke calls, want one each", n, m)
	}
}

// TestFact41_TheLastSecondBeforeMaxTTL: a renewal there must not make the lease last for ever.
func TestFact41_TheLastSecondBeforeMaxTTL(t *testing.T) {
	path := mount(t, "lease", nil)
	id := issue(t, path+"/a", map[string]any{"ttl": "2s", "max_ttl": "2s"})
	end := time.Now().Add(1600 * time.Millisecond)
	for renewed := 0; ; renewed++ {
		r := renew(t, id, 3600)
		if r.status == 400 {
			r.wantErrorWith(400, "lease")
			break
		}
		if d := r.want(200).number("lease_duration"); d < 1 || d > 2 {
			t.Fatalf("renewal %d answers a lease_duration of %d, want 1 or 2", renewed, d)
		}
		if found := lookup(t, id); found.status == 200 && found.get("data.expire_time") == nil {
			t.Fatal("the lease lasts for ever")
		}
		if time.Since(end) > 3*time.Second {
			t.Fatal("the lease renews past its maximum")
		}
	}
	if time.Now().Before(end) {
		t.Error("the lease ended before its maximum")
	}
	eventually(t, 2*time.Second, "the lease is gone", func() bool { return gone(t, id) })
}

func TestFact42_TheServiceGetsWhatItAskedToKeep(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	id := issue(t, path+"/creds/ci", nil)
	s.set(func(c hook) (int, string) { return 200, `{"ttl": 600}` })
	if d := renew(t, id, 1800).want(200).number("lease_duration"); d < 599 || d > 600 { // from the moment of the call
		t.Errorf("lease_duration is %d, want the 600 that the service allows", d)
	}
	c := s.of("renew", id)[0]
	if c.Internal["id"] != c.ExternalName || c.TTL != 1800 || c.Params["scope"] != "read" {
		t.Errorf("the renew call was %+v, want its internal id, ttl 1800 and the role's params", c)
	}
}

func TestFact44_ARenewedTokenIsTheSameToken(t *testing.T) {
	token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}}).text("auth.client_token")
	send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", body: map[string]any{"increment": 0}, token: token}).
		want(200).wantGet("auth.client_token", token).wantGet("auth.lease_duration", 3600)
	call(t, "PUT", "auth/token/renew", map[string]any{"token": token, "increment": 1800}).
		want(200).wantGet("auth.client_token", token).wantGet("auth.lease_duration", 1800)
}

func TestFact45_APeriodicTokenKeepsItsPeriodAndOneLease(t *testing.T) {
	token := newToken(t, map[string]any{"period": "1m", "ttl": "1h", "policies": []string{"default"}}).text("auth.client_token")
	before := len(call(t, "LIST", "sys/leases/lookup/auth/token/create", nil).want(200).strings("data.keys"))
	r := call(t, "PUT", "auth/token/renew", map[string]any{"token": token, "increment": "1h"}).want(200)
	if d := r.number("auth.lease_duration"); d > 60 || d < 59 {
		t.Errorf("lease_duration is %d, want the period of 60", d)
	}
	after := len(call(t, "LIST", "sys/leases/lookup/auth/token/create", nil).want(200).strings("data.keys"))
	if after != before {
		t.Errorf("%d token leases after the renewal, %d before", after, before)
	}
}

func TestFact48_ATokenThatIsNotRenewable(t *testing.T) {
	token := newToken(t, map[string]any{"ttl": "1h", "renewable": false, "policies": []string{"default"}}).text("auth.client_token")
	call(t, "PUT", "auth/token/renew", map[string]any{"token": token}).wantError(400, "lease is not renewable")
	call(t, "POST", "auth/token/lookup", map[string]any{"token": token}).want(200).wantGet("data.renewable", false)
}

func TestFact50_NoExpiryIsNotRenewable(t *testing.T) {
	self := call(t, "GET", "auth/token/lookup-self", nil).want(200)
	self.wantGet("data.expire_time", nil).wantGet("data.ttl", 0)
	id := rootLease(t)
	lookup(t, id).want(200).wantGet("data.expire_time", nil).wantGet("data.ttl", 0).wantGet("data.renewable", false)
	renew(t, id, 60).wantError(400, "lease is not renewable")
}

// rootLease finds the one token lease that never ends.
func rootLease(t *testing.T) string {
	t.Helper()
	prefix := strings.TrimSuffix(call(t, "GET", "auth/token/lookup-self", nil).want(200).text("data.path"), "/")
	for _, key := range call(t, "LIST", "sys/leases/lookup/"+prefix, nil).want(200).strings("data.keys") {
		id := prefix + "/" + key
		if r := lookup(t, id); r.status == 200 && r.get("data.expire_time") == nil {
			return id
		}
	}
	t.Fatalf("no lease below %s lasts for ever, want root's", prefix)
	return ""
}

func TestFact51_AnExpiredLeaseIsNotRenewable(t *testing.T) {
	s := newService(t, refusing(500, "later"))
	id := issue(t, hooks(t, s, nil)+"/creds/ci", map[string]any{"ttl": "1s"})
	eventually(t, 5*time.Second, "a revoke call", func() bool { return len(s.of("revoke", id)) > 0 })
	lookup(t, id).want(200).wantGet("data.renewable", false).wantGet("data.status", "revoking")
	renew(t, id, 60).wantError(400, "lease expired")
}

func TestFact52_RenewableIsTheFlagOfALiveLease(t *testing.T) {
	path := mount(t, "lease", nil)
	id := issue(t, path+"/a", map[string]any{"ttl": "1h"})
	lookup(t, id).want(200).wantGet("data.renewable", true)
	fixed := issue(t, path+"/a", map[string]any{"ttl": "1h", "renewable": false})
	lookup(t, fixed).want(200).wantGet("data.renewable", false)
	renew(t, fixed, 60).wantError(400, "lease is not renewable")
}

func TestFact53_ATokensLeaseIsRenewableAsTheToken(t *testing.T) {
	for _, renewable := range []bool{true, false} {
		id := tokenLease(t, map[string]any{"ttl": "1h", "renewable": renewable, "policies": []string{"default"}})
		lookup(t, id).want(200).wantGet("data.renewable", renewable)
	}
}

// tokenLease makes a token and finds its lease, which is the one that was not there before.
func tokenLease(t *testing.T, params map[string]any) string {
	t.Helper()
	const prefix = "auth/token/create"
	before := make(map[string]bool)
	if r := call(t, "LIST", "sys/leases/lookup/"+prefix, nil); r.status == 200 {
		for _, key := range r.strings("data.keys") {
			before[key] = true
		}
	}
	newToken(t, params)
	for _, key := range call(t, "LIST", "sys/leases/lookup/"+prefix, nil).want(200).strings("data.keys") {
		if !before[key] {
			return prefix + "/" + key
		}
	}
	t.Fatal("a new token has no lease")
	return ""
}

// TestFact46_ThePeriodBeatsTheMaximum: the shortest way to see it at the door is a token that was
// given an explicit maximum (which holds) beside one that was not (which goes on).
func TestFact46_ThePeriodBeatsTheMaximum(t *testing.T) {
	free := newToken(t, map[string]any{"period": "2s", "policies": []string{"default"}}).text("auth.client_token")
	bound := newToken(t, map[string]any{"period": "2s", "explicit_max_ttl": "4s", "policies": []string{"default"}}).text("auth.client_token")
	begin := time.Now()
	self := func(token string) *reply {
		return send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", body: map[string]any{"increment": 3600}, token: token})
	}
	boundEnded := time.Duration(0)
	for time.Since(begin) < 6*time.Second {
		self(free).want(200).wantGet("auth.lease_duration", 2)
		if r := self(bound); r.status != 200 && boundEnded == 0 {
			boundEnded = time.Since(begin)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if boundEnded < 3500*time.Millisecond {
		t.Errorf("the token with an explicit maximum of 4s ended after %s", boundEnded)
	}
}
