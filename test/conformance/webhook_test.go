package conformance

import (
	"strings"
	"testing"
	"time"
)

// TestWebhookFromEndToEnd plays the life of a lease whose service breaks: issued, renewed, its destroy
// fails until it is irrevocable, it is counted and listed, retried by hand in vain, and goes when
// the service is well again.
func TestWebhookFromEndToEnd(t *testing.T) {
	s := newService(t, healthy)
	path := hooks(t, s, map[string]any{"revoke_attempts": 1})
	made := call(t, "POST", path+"/creds/ci", map[string]any{"ttl": "30m", "params": map[string]any{"for": "tests"}}).want(200)
	id := made.text("lease_id")
	c := s.of("issue", id)[0]
	made.wantGet("lease_duration", 1800).wantGet("renewable", true).wantGet("data.login", c.ExternalName).wantGet("mount_type", "webhook")
	if c.Role != "ci" || c.TTL != 1800 || c.Params["scope"] != "read" || c.Params["for"] != "tests" || c.Internal != nil || c.key == "" ||
		!strings.HasPrefix(c.ExternalName, "lh-") {
		t.Errorf("the issue call was %+v", c)
	}
	lookup(t, id).want(200).wantGet("data.status", "active")
	renew(t, id, "10m").want(200).wantGet("lease_duration", 600)

	s.set(refusing(500, "the database is away"))
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id}).want(202)
	eventually(t, 5*time.Second, "irrevocable after the one attempt it has", func() bool {
		return lookup(t, id).want(200).get("data.status") == "irrevocable"
	})
	accessor := accessorOf(t, path)
	onEachNode(t, func(t *testing.T, node int) {
		send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count?type=IRREVOCABLE"}).want(200).
			wantGet("data.lease_count", 1).wantGet("data.counts."+accessor, 1)
		list := irrevocables(send(t, request{node: node, method: "GET", path: "/v1/sys/leases?type=irrevocable"}).want(200))
		if len(list) != 1 || list[0].id != id || list[0].mount != accessor || len(list[0].text) > 240 || !strings.Contains(list[0].text, "500") {
			t.Errorf("listed %v, want %s of %s with its error", list, id, accessor)
		}
	})
	if text := lookup(t, id).want(200).text("data.revoke_error"); !strings.Contains(text, "500") {
		t.Errorf("revoke_error is %q, want the status in it", text)
	}
	calls := len(s.of("revoke", id))
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).wantErrorWith(400, "failed to revoke entry")
	if n := len(s.of("revoke", id)); n != calls+1 {
		t.Errorf("a sync revoke made %d calls, want 1", n-calls)
	}
	s.set(healthy)
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).want(204)
	lookup(t, id).wantError(400, "invalid lease")
	call(t, "GET", "sys/leases/count?type=irrevocable", nil).want(200).wantGet("data.lease_count", 0)

	attempts := s.of("revoke", id)
	for i, c := range attempts {
		if c.Attempt != i+1 || c.key != attempts[0].key || i > 0 && c.Fence <= attempts[i-1].Fence {
			t.Errorf("revoke call %d: attempt %d, key %s, fencing index %d; want attempts counted, one key, and a rising index", i+1, c.Attempt, c.key, c.Fence)
		}
	}
}

// TestWebhookRetriesWithGrowingPauses: failures that may pass are tried again, unasked.
func TestWebhookRetriesWithGrowingPauses(t *testing.T) {
	failures := 3
	s := newService(t, nil)
	s.set(func(c hook) (int, string) {
		if c.Action == "revoke" && c.Attempt <= failures {
			return 503, ""
		}
		return healthy(c)
	})
	path := hooks(t, s, map[string]any{"revoke_backoff": "1s", "revoke_backoff_max": "1s"})
	id := issue(t, path+"/creds/ci", map[string]any{"ttl": 1})
	eventually(t, 20*time.Second, "the lease is gone", func() bool { return gone(t, id) })
	if n := len(s.of("revoke", id)); n != failures+1 {
		t.Errorf("%d revoke calls, want %d", n, failures+1)
	}
}

// TestWebhookForce: what cannot be destroyed can be dropped.
func TestWebhookForce(t *testing.T) {
	s := newService(t, refusing(500, ""))
	path := hooks(t, s, nil)
	id := issue(t, path+"/creds/ci", nil)
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id}).want(202)
	call(t, "PUT", "sys/leases/revoke-force/"+path, nil).want(204)
	lookup(t, id).wantError(400, "invalid lease")
}

// TestWebhookAFailedIssueIsCleanedUp: what may have been made is taken back.
func TestWebhookAFailedIssueIsCleanedUp(t *testing.T) {
	s := newService(t, nil)
	s.set(func(c hook) (int, string) {
		if c.Action == "issue" {
			return 500, "made, perhaps"
		}
		return 404, ""
	})
	path := hooks(t, s, nil)
	if r := call(t, "POST", path+"/creds/ci", nil).want(502); strings.Contains(r.body, "made, perhaps") {
		t.Errorf("the caller sees the service's words: %s", r.body)
	}
	eventually(t, 5*time.Second, "a revoke call", func() bool { return len(s.of("revoke", path+"/")) == 1 })
	if a, b := s.of("issue", path+"/")[0], s.of("revoke", path+"/")[0]; a.ExternalName != b.ExternalName {
		t.Errorf("revoked %s, want %s", b.ExternalName, a.ExternalName)
	}
	eventually(t, 5*time.Second, "no lease is left", func() bool { return call(t, "LIST", "sys/leases/lookup/"+path, nil).status == 404 })
}
