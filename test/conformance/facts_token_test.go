package conformance

import (
	"strings"
	"testing"
	"time"
)

func TestFact22_AnIDBeginsWithTheRequestsPath(t *testing.T) {
	path := mount(t, "lease", nil) + "/jobs/nightly"
	id := issue(t, path, nil)
	random, ok := strings.CutPrefix(id, path+"/")
	if !ok || len(random) != 24 {
		t.Errorf("the ID is %q, want %s/ and 24 characters", id, path)
	}
}

func TestFact24_PathsWithDotsAreRefused(t *testing.T) {
	path := mount(t, "lease", nil)
	issue(t, path+"/a/b", nil)
	for _, bad := range []string{"/a/..%2fb", "/%2e%2e/b", "/a/%2e%2e"} {
		r := send(t, request{method: "POST", path: "/v1/" + path + bad})
		if r.status < 300 || r.status >= 500 {
			t.Errorf("%s: got %d, want it refused", r.asked, r.status)
		}
		if strings.Contains(r.body, "lease_id") {
			t.Errorf("%s: made a lease: %s", r.asked, r.body)
		}
	}
	if keys := call(t, "LIST", "sys/leases/lookup/"+path, nil).want(200).strings("data.keys"); len(keys) != 1 {
		t.Errorf("the mount has the keys %v, want a/ alone", keys)
	}
}

func TestFact25_ARootTokenLastsAndDoesNotRenew(t *testing.T) {
	token := newToken(t, map[string]any{"policies": []string{"root"}}).text("auth.client_token")
	send(t, request{method: "PUT", path: "/v1/auth/token/renew-self", token: token}).wantError(400, "lease is not renewable")
	r := send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: token}).want(200)
	r.wantGet("data.ttl", 0).wantGet("data.expire_time", nil)
}

func TestFact26_OnlyRootLastsForEver(t *testing.T) {
	r := newToken(t, map[string]any{"policies": []string{"default"}})
	if d := r.number("auth.lease_duration"); d < 2764800-1 || d > 2764800 {
		t.Errorf("a token without a TTL gets %d s, want the system's 2764800", d)
	}
	newToken(t, map[string]any{"policies": []string{"root"}}).wantGet("auth.lease_duration", 0)
}

func TestFact56_TwoTidiesAtOnce(t *testing.T) {
	for range 2 {
		r := call(t, "PUT", "sys/leases/tidy", nil).want(202)
		if w := r.strings("warnings"); len(w) != 1 || !strings.HasPrefix(w[0], "Tidy operation successfully started.") {
			t.Errorf("warnings are %q", w)
		}
	}
}

func TestFact57_TidyLeavesLeasesOfLivingTokens(t *testing.T) {
	path := mount(t, "lease", nil)
	token := newToken(t, map[string]any{"ttl": "1h"}).text("auth.client_token")
	id := send(t, request{method: "POST", path: "/v1/" + path + "/a", token: token}).want(200).text("lease_id")
	call(t, "POST", "sys/leases/tidy", nil).want(202)
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
		lookup(t, id).want(200).wantGet("data.status", "active")
	}
}
