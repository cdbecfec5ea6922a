package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// S23, T11: a cluster is saved and lost for good; a new one with the same seal key takes its snapshot, by
// force only. The lease is there, and everything is held on all nodes until it is released.
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
	c.script("down")
	for _, name := range []string{"n1", "n2", "n3"} { // the key and the configuration stay
		if err := os.RemoveAll(filepath.Join(c.Dir, name, "data")); err != nil {
			t.Fatal(err)
		}
	}
	c.script("up", "3")
	if out := cli(2, "list", "sys/leases/lookup/slots"); strings.Contains(out, "a/") {
		t.Fatalf("the new cluster has %q", out)
	}
	if out := cli(2, "operator", "raft", "snapshot", "restore", file); !strings.Contains(out, "-force") {
		t.Errorf("the snapshot of another cluster is refused with %q", out)
	}
	for deadline := time.Now().Add(patient); ; time.Sleep(100 * time.Millisecond) {
		_, stderr, code := c.CLI("operator", "raft", "snapshot", "restore", "-force", file)
		if code == 0 {
			break
		}
		// A new cluster learns from its members what they understand.
		if !strings.Contains(stderr, "feature level") || time.Now().After(deadline) {
			t.Fatalf("restore -force: exit code %d: %s", code, stderr)
		}
	}
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
	for i := range 3 {
		status, body, err := c.Do(i, "GET", "/v1/sys/storage/raft/hold", "")
		if err != nil || status != 200 || !strings.Contains(body, `"held":false`) {
			t.Errorf("node %d: %d %s %v, want it released", i, status, body, err)
		}
	}
}
