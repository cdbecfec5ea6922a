package conformance

import (
	"os/exec"
	"strings"
	"testing"
)

// cli runs the command line against node 1 and checks its exit code and, in either stream, a text.
func cli(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	out, errs, got := cluster.CLI(args...)
	if got != code {
		t.Fatalf("leasehold %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	if !strings.Contains(out+errs, text) {
		t.Fatalf("leasehold %s: printed\n%s%s\nwant %q in it", strings.Join(args, " "), out, errs, text)
	}
}

func TestFact10_LookupWithoutIDIsAMistake(t *testing.T) { cli(t, 1, "Missing ID!", "lease", "lookup") }

func TestFact11_Lookup(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	cli(t, 0, id, "lease", "lookup", id)
}

func TestFact12_RenewWithoutIDIsAMistake(t *testing.T) { cli(t, 1, "Missing ID!", "lease", "renew") }

func TestFact13_RenewByAMinute(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	cli(t, 0, "1m", "lease", "renew", "-increment", "60s", id)
}

func TestFact14_RenewBySeconds(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	cli(t, 0, "1m", "lease", "renew", "-increment", "60", id)
}

func TestFact15_ForceNeedsPrefix(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", nil)
	cli(t, 1, "-prefix", "lease", "revoke", "-force", id)
	lookup(t, id).want(200).wantGet("data.status", "active")
}

func TestFact16_RevokeIsQueued(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", nil)
	cli(t, 0, "queued", "lease", "revoke", id)
	if !gone(t, id) {
		t.Error("a revoked lease of the lease engine is still there")
	}
}

func TestFact17_RevokeSync(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", nil)
	cli(t, 0, "Success", "lease", "revoke", "-sync", id)
	if !gone(t, id) {
		t.Error("the lease is still there")
	}
}

func TestFact18_APrefixMayBeOneLease(t *testing.T) {
	path := mount(t, "lease", nil)
	id, other := issue(t, path+"/a", nil), issue(t, path+"/a", nil)
	cli(t, 0, "queued", "lease", "revoke", "-prefix", id)
	call(t, "PUT", "sys/leases/renew", map[string]any{"lease_id": id}).want(400)
	lookup(t, other).want(200).wantGet("data.status", "active")
}

func TestFact19_APrefixMayBeOneLeaseSync(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", nil)
	cli(t, 0, "Success", "lease", "revoke", "-prefix", "-sync", id)
	if !gone(t, id) {
		t.Error("the lease is still there")
	}
}

func TestFact20_AForcedPrefixMayBeOneLease(t *testing.T) {
	s := newService(t, refusing(500, "never"))
	id := issue(t, hooks(t, s, nil)+"/creds/ci", nil)
	cli(t, 0, "Success", "lease", "revoke", "-force", "-prefix", id)
	if !gone(t, id) {
		t.Error("the lease is still there")
	}
}

func TestFact21_ADeadServerIsExitCodeTwo(t *testing.T) {
	for _, args := range [][]string{
		{"lease", "lookup", "a/b"}, {"lease", "renew", "a/b"}, {"lease", "renew", "-increment", "60s", "a/b"},
		{"lease", "renew", "-increment", "60", "a/b"}, {"lease", "revoke", "a/b"}, {"lease", "revoke", "-sync", "a/b"},
		{"lease", "revoke", "-prefix", "a/b"}, {"lease", "revoke", "-prefix", "-sync", "a/b"}, {"lease", "revoke", "-force", "-prefix", "a/b"},
	} {
		cmd := exec.Command(cluster.Bin, args...)
		cmd.Env = append(cluster.Env(), "VAULT_ADDR=http://127.0.0.1:1", "VAULT_MAX_RETRIES=0")
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v: exit code %d, want 2\n%s", args, cmd.ProcessState.ExitCode(), out)
		}
	}
}
