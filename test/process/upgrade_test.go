package process

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// git runs git in the repository.
func (b oldBinary) git(args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = b.root
	return cmd.Output()
}

// oldBinary is the release that clusters are upgraded from, as scripts/upgrade-from names it by its
// commit. That file moves on with each release.
type oldBinary struct{ root, commit string }

// build makes the binary in dir. A shallow clone without the commit asks its origin for it.
func (b oldBinary) build(t *testing.T, dir string) string {
	t.Helper()
	if _, err := b.git("cat-file", "-e", b.commit+"^{commit}"); err != nil {
		if _, err := b.git("fetch", "--quiet", "--depth=1", "origin", b.commit); err != nil {
			shallow, _ := b.git("rev-parse", "--is-shallow-repository")
			if strings.TrimSpace(string(shallow)) == "true" {
				t.Skipf("this clone is shallow and has not %s, from which clusters are upgraded: fetch it, or clone in full", b.commit)
			}
			t.Fatalf("scripts/upgrade-from names %s, which is not in this repository", b.commit)
		}
	}
	source, err := b.git("archive", b.commit)
	if err != nil {
		t.Fatal(err)
	}
	untar := exec.Command("tar", "-x", "-C", dir)
	untar.Stdin = bytes.NewReader(source)
	if out, err := untar.CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", b.commit, err, out)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -X main.version=before", "-o", "leasehold", "./cmd/leasehold")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", b.commit, err, out)
	}
	return filepath.Join(dir, "leasehold")
}

// roll stops nodes one after the other and starts each with another binary. Between two of them all are
// alike: a new build must hash a state that an old one wrote as that does.
func (c *cluster) roll(l *load, binary string, nodes ...int) {
	c.t.Helper()
	for _, node := range nodes {
		c.script("stop", strconv.Itoa(node))
		c.Bin = binary
		c.script("start", strconv.Itoa(node))
		eventually(c.t, "node "+strconv.Itoa(node)+" serves", func() bool {
			return c.send(node, "GET", "auth/token/lookup-self", "").status == 200
		})
		l.more(c.t)
	}
}

// lead moves leadership until a node has it.
func (c *cluster) lead(node int) {
	c.t.Helper()
	eventually(c.t, "node "+strconv.Itoa(node)+" leads", func() bool {
		if c.leader() == node {
			return true
		}
		c.send(node, "PUT", "sys/step-down", "")
		return false
	})
}

// TestT30_RollingUpgrade: nodes of the last release and of this build are one cluster, whichever leads, while
// clients write. As long as one is old it can be rolled back. What the old do not know is refused until all are
// new; afterwards an old node stops before it harms anything.
func TestT30_RollingUpgrade(t *testing.T) {
	current := os.Getenv("LEASEHOLD_BIN")
	text, err := os.ReadFile("../../scripts/upgrade-from")
	if err != nil {
		t.Fatal(err)
	}
	old := oldBinary{root: "../..", commit: strings.TrimSpace(string(text))}.build(t, t.TempDir())
	t.Setenv("LEASEHOLD_BIN", old)
	c := start(t, 3)
	if current == "" {
		current = filepath.Join(c.Root, "bin/leasehold")
	}
	l := c.startLoad(3)

	t.Log("two of three are upgraded; each kind leads")
	c.roll(l, current, 1, 2)
	for node := range c.Nodes {
		c.lead(node + 1)
		l.more(t)
	}
	c.lead(1)
	if r := c.joinToken(2); r.status != 503 || !strings.Contains(r.body, "upgrade them all") {
		t.Errorf("what node 3 would not understand: got %v, want 503 and what to do", r)
	}

	t.Log("and back")
	c.roll(l, old, 2, 1)
	c.lead(1)
	l.more(t)

	t.Log("all are upgraded")
	c.roll(l, current, 1, 2, 3)
	eventually(t, "what needs all nodes to be new is done", func() bool { return c.joinToken(3).status == 200 })
	l.more(t)

	t.Log("node 3 is started with the old binary")
	c.script("stop", "3")
	c.Bin = old
	_, _ = c.Script("start", "3") // it may be gone before it answers
	eventually(t, "node 3 ends", func() bool { return c.pid(3) == 0 })
	if !strings.Contains(c.log(3), "run a newer leasehold on this node") {
		t.Error("the log of node 3 does not say that a newer build is needed")
	}
	l.more(t)
	c.roll(l, current, 3)
	l.end(t)
}

// joinToken asks a node for something that only this build knows.
func (c *cluster) joinToken(node int) reply {
	return c.send(node, "POST", "sys/storage/raft/join-token", `{"node_id":"n9"}`)
}
