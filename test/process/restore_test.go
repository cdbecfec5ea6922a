package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// S23, T11: a cluster is saved and lost for good; a new one with the same seal key takes its snapshot, by
// force only, asked at any node. The old root token rules, the lease is there, everything is held on all nodes
// and over a restart until it is released.
func TestS23_ALostClusterComesBack(t *testing.T) {
	c := start(t, 3)
	cli := func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := c.CLI(args...)
		if code != want {
			t.Fatalf("leasehold %s: exit code %d, want %d: %s%s", strings.Join(args, " "), code, want, stdout, stderr)
		}
		return stdout + stderr
	}
	file := filepath.Join(t.TempDir(), "backup.snap")
	cli(0, "secrets", "enable", "-path=slots", "lease")
	cli(0, "write", "slots/a", "ttl=1h")
	cli(0, "operator", "raft", "snapshot", "save", file)
	if out := cli(0, "operator", "raft", "snapshot", "inspect", file); !strings.Contains(out, "Cluster ID") {
		t.Errorf("inspect says %q", out)
	}
	keep := map[string][]byte{}
	for _, name := range []string{"seal.key", "root-token"} {
		text, err := os.ReadFile(filepath.Join(c.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		keep[name] = text
	}
	c.script("wipe")
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range keep {
		if err := os.WriteFile(filepath.Join(c.Dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.script("up", "3")
	if out := cli(2, "operator", "raft", "snapshot", "restore", file); !strings.Contains(out, "-force") {
		t.Errorf("the snapshot of another cluster is refused with %q", out)
	}
	cli(0, "operator", "raft", "snapshot", "restore", "-force", file)
	for i := range 3 {
		status, body, err := c.Do(i, "GET", "/v1/sys/storage/raft/hold", "")
		if err != nil || status != 200 || !strings.Contains(body, `"held":true`) {
			t.Errorf("node %d: %d %s %v, want it held", i, status, body, err)
		}
	}
	if out := cli(0, "list", "sys/leases/lookup/slots"); !strings.Contains(out, "a/") {
		t.Errorf("the leases are %q", out)
	}
	if out := cli(0, "status"); !strings.Contains(out, "Held") {
		t.Errorf("status says %q", out)
	}
	cli(0, "operator", "raft", "snapshot", "release")
	if out := cli(0, "status"); strings.Contains(out, "Held") {
		t.Errorf("released, status says %q", out)
	}
}
