package conformance

import (
	"fmt"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFact02_RevokeOfAnUnknownLease(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		// sync is false unless asked for, so the answer is 202; with sync it is upstream's 204.
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/revoke/secret/foo/1234"}).want(202)
		r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/revoke/secret/foo/1234", body: `{"sync":true}`}).want(204)
		if r.body != "" {
			t.Errorf("the body is %q, want none", r.body)
		}
	})
}

func TestFact03_RevokePrefixThatMatchesNothing(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		if r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/revoke-prefix/secret/foo/1234"}).want(202); r.body != "" {
			t.Errorf("the body is %q, want none", r.body)
		}
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/revoke-prefix/secret/foo/1234", body: `{"sync":true}`}).want(204)
	})
}

func TestFact28_RevokeCallsTheServiceOnce(t *testing.T) {
	s := newService(t, healthy)
	id := issue(t, hooks(t, s, nil)+"/creds/ci", nil)
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).want(204)
	if n := len(s.of("revoke", id)); n != 1 {
		t.Errorf("%d revoke calls, want 1", n)
	}
	if !gone(t, id) {
		t.Error("the lease is still there after a sync revoke")
	}
}

func TestFact29_ExpiryCallsTheServiceUnasked(t *testing.T) {
	s := newService(t, healthy)
	begin := time.Now()
	id := issue(t, hooks(t, s, nil)+"/creds/ci", map[string]any{"ttl": 1})
	eventually(t, 4*time.Second, "a revoke call", func() bool { return len(s.of("revoke", id)) == 1 })
	if took := time.Since(begin); took < time.Second {
		t.Errorf("the lease of 1 s was revoked after %s", took)
	}
}

// tree makes the leases of the upstream test: three roles below one mount.
func tree(t *testing.T, s *service) (path string, ids []string) {
	t.Helper()
	path = hooks(t, s, nil)
	for _, name := range []string{"foo", "bar", "zip"} {
		role(t, s, path, name, nil)
		ids = append(ids, issue(t, path+"/creds/"+name, nil))
	}
	return path, ids
}

func TestFact30_SyncPrefixCallsForEach(t *testing.T) {
	s := newService(t, healthy)
	path, ids := tree(t, s)
	call(t, "PUT", "sys/leases/revoke-prefix/"+path+"/creds", map[string]any{"sync": true}).want(204)
	var got []string
	for _, c := range s.of("revoke", path+"/") {
		got = append(got, c.LeaseID)
	}
	sort.Strings(got)
	sort.Strings(ids)
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("revoke calls for %v, want %v", got, ids)
	}
}

func TestFact31_ATokensEndRevokesWhatItLeased(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	token := newToken(t, map[string]any{"ttl": "1h"}).text("auth.client_token")
	for range 3 {
		send(t, request{method: "GET", path: "/v1/" + path + "/creds/ci", token: token}).want(200)
	}
	call(t, "PUT", "auth/token/revoke", map[string]any{"token": token}).want(204)
	eventually(t, 5*time.Second, "three revoke calls", func() bool { return len(s.of("revoke", path+"/")) == 3 })
}

func TestFact32_ATokensEndDoesNotWaitForTheService(t *testing.T) {
	var running, most atomic.Int32
	release := make(chan struct{})
	s := newService(t, func(c hook) (int, string) {
		if c.Action == "revoke" {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			running.Add(-1)
		}
		return healthy(c)
	})
	path := hooks(t, s, nil)
	token := newToken(t, map[string]any{"ttl": "1h"}).text("auth.client_token")
	for range 3 {
		send(t, request{method: "GET", path: "/v1/" + path + "/creds/ci", token: token}).want(200)
	}
	call(t, "PUT", "auth/token/revoke", map[string]any{"token": token}).want(204) // answers though no call can complete
	eventually(t, 5*time.Second, "three calls at once", func() bool { return most.Load() == 3 })
	close(release)
	eventually(t, 5*time.Second, "nothing is left", func() bool {
		return call(t, "LIST", "sys/leases/lookup/"+path, nil).status == 404
	})
}

func TestFact33_AFailingServiceFailsThePrefixButNotTheForce(t *testing.T) {
	s := newService(t, refusing(500, "broken"))
	path, ids := tree(t, s)
	call(t, "PUT", "sys/leases/revoke-prefix/"+path, map[string]any{"sync": true}).wantErrorWith(400, "failed to revoke")
	call(t, "PUT", "sys/leases/revoke-force/"+path, nil).want(204)
	for _, id := range ids {
		if !gone(t, id) {
			t.Errorf("%s is still there after revoke-force", id)
		}
	}
}

func TestFact34_TheSameWithOneLeaseAsThePrefix(t *testing.T) {
	s := newService(t, refusing(500, "broken"))
	id := issue(t, hooks(t, s, nil)+"/creds/ci", nil)
	lookup(t, id).want(200).wantGet("data.id", id)
	call(t, "PUT", "sys/leases/revoke-prefix/"+id, map[string]any{"sync": true}).wantErrorWith(400, "failed to revoke")
	call(t, "PUT", "sys/leases/revoke-force/"+id, nil).want(204)
	lookup(t, id).wantError(400, "invalid lease")
}

func TestFact35_RevokingATokensLeaseEndsTheToken(t *testing.T) {
	token := "chosen-" + unique("token")
	id := tokenLease(t, map[string]any{"id": token, "ttl": "1h", "policies": []string{"root"}})
	path := mount(t, "lease", nil)
	owned := send(t, request{method: "POST", path: "/v1/" + path + "/a", token: token}).want(200).text("lease_id")
	other := issue(t, path+"/a", nil)
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).want(204)
	onEachNode(t, func(t *testing.T, node int) {
		send(t, request{node: node, method: "GET", path: "/v1/auth/token/lookup-self", token: token}).wantError(403, "permission denied")
	})
	if !gone(t, id) || !gone(t, owned) {
		t.Error("the token's lease or what was leased with it is still there")
	}
	lookup(t, other).want(200).wantGet("data.status", "active")
}

func TestFact37_RevokeHandsBackWhatWasKept(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, nil)
	id := issue(t, path+"/creds/ci", map[string]any{"params": map[string]any{"more": "yes"}})
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).want(204)
	c := s.of("revoke", id)[0]
	if c.Internal["id"] != c.ExternalName || c.Role != "ci" || c.Attempt != 1 || c.Params["scope"] != "read" || c.Params["more"] != "yes" {
		t.Errorf("the revoke call was %+v, want internal, role, the first attempt and all params", c)
	}
}

func TestFact73_TheListOfTokenLeasesShrinksByOne(t *testing.T) {
	var tokens []string
	for range 4 {
		tokens = append(tokens, newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}}).text("auth.client_token"))
	}
	count := func() int {
		return len(call(t, "LIST", "sys/leases/lookup/auth/token/create", nil).want(200).strings("data.keys"))
	}
	newToken(t, map[string]any{"policies": []string{"default"}}) // something stays
	before := count()
	for i, token := range tokens {
		call(t, "PUT", "auth/token/revoke", map[string]any{"token": token}).want(204)
		want := before - i - 1
		eventually(t, 3*time.Second, fmt.Sprintf("%d token leases", want), func() bool { return count() == want })
	}
}

func TestFact76_PrefixesEndAtSlashes(t *testing.T) {
	path := mount(t, "lease", nil)
	in := []string{issue(t, path+"/creds/r", nil), issue(t, path+"/creds/r/sub", nil)}
	out := []string{issue(t, path+"/creds/r2", nil), issue(t, path+"/creds/ro", nil), issue(t, path+"/creds", nil)}
	call(t, "PUT", "sys/leases/revoke-prefix/"+path+"/creds/r", map[string]any{"sync": true}).want(204)
	for _, id := range in {
		if !gone(t, id) {
			t.Errorf("%s is still there", id)
		}
	}
	for _, id := range out {
		lookup(t, id).want(200).wantGet("data.status", "active")
	}
}

func TestFact77_TheBodyBeatsThePath(t *testing.T) {
	path := mount(t, "lease", nil)
	inPath, inBody := issue(t, path+"/a", map[string]any{"ttl": "1h"}), issue(t, path+"/b", map[string]any{"ttl": "1h"})
	call(t, "PUT", "sys/leases/renew/"+inPath, map[string]any{"lease_id": inBody}).want(200).wantGet("lease_id", inBody)
	call(t, "PUT", "sys/leases/renew/"+inPath, map[string]any{"lease_id": "bogus/id"}).wantError(400, "lease not found")
	call(t, "PUT", "sys/leases/revoke/"+inPath, map[string]any{"lease_id": inBody, "sync": true}).want(204)
	lookup(t, inPath).want(200).wantGet("data.status", "active")
	if !gone(t, inBody) {
		t.Error("the lease of the body is still there")
	}
}

func TestFact78_AnUnknownLease(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		body := map[string]any{"lease_id": "no/such/lease"}
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: body}).wantError(400, "invalid lease")
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew", body: body}).wantError(400, "lease not found")
		body["sync"] = true
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/revoke", body: body}).want(204)
	})
}

func TestFact80_DisablingAMountWhoseServiceFails(t *testing.T) {
	s := newService(t, refusing(500, "broken"))
	path := hooks(t, s, map[string]any{"revoke_backoff": "1s", "revoke_backoff_max": "1s"})
	id := issue(t, path+"/creds/ci", nil)
	call(t, "DELETE", "sys/mounts/"+path, nil).wantErrorWith(400, "failed to revoke")
	call(t, "GET", path+"/creds/ci", nil).wantErrorWith(404, "tainted")
	lookup(t, id).want(200).wantGet("data.status", "revoking")
	s.set(healthy)
	call(t, "DELETE", "sys/mounts/"+path, nil).want(204)
	if !gone(t, id) {
		t.Error("the mount is gone and its lease is not")
	}
	if r := call(t, "GET", path+"/creds/ci", nil).want(404); !strings.Contains(r.body, "no handler for route") {
		t.Errorf("the mount still answers: %s", r.body)
	}
}
