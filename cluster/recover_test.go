package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
)

// recoverable is a cluster on disk, with the data directory of each node.
func recoverable(t *testing.T) (*clustertest.Cluster, map[string]string) {
	dirs := map[string]string{}
	c := clustertest.Start(t, 3, clustertest.Options{Disk: true, Configure: func(cfg *cluster.Config) { dirs[cfg.NodeID] = cfg.DataDir }})
	return c, dirs
}

func writePeers(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "raft", "peers.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPeersRecovery: two of three nodes are lost for good. The third goes on with all that was
// acknowledged, S1, and two new ones join it.
func TestPeersRecovery(t *testing.T) {
	c, dirs := recoverable(t)
	leader := c.WaitLeader()
	for i := range 100 {
		mustPut(t, leader, fmt.Sprintf("p%d", i), "text")
	}
	c.WaitApplied()
	left := others(c, leader.ID())[0]
	addr := c.Node(left).PeerAddr()
	for _, id := range []string{"n1", "n2", "n3"} {
		c.Kill(id)
	}
	file := writePeers(t, dirs[left], fmt.Sprintf(`[{"id": %q, "address": %q, "non_voter": false}]`, left, addr))
	c.Restart(left)
	n := c.WaitLeader()
	for i := range 100 {
		mustGet(t, n, fmt.Sprintf("p%d", i), "text")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("peers.json is still there: %v", err)
	}
	if done, _ := filepath.Glob(file + ".*.done"); len(done) != 1 {
		t.Errorf("peers.json was renamed to %v, want one file", done)
	}
	c.Wait("the lost nodes to be forgotten", func() bool {
		var nodes []fsm.Node
		n.State().Read(func(v *fsm.View) { nodes = v.Nodes() })
		return len(nodes) == 1 && voters(t, n) == 1
	})
	mustPut(t, n, "after", "text")
	c.Stop(left) // and a restart asks for nothing more
	n = c.Restart(left)
	c.WaitLeader()
	mustGet(t, n, "after", "text")
	for _, id := range []string{"n1", "n2", "n3"} {
		if id != left {
			c.Wipe(id)
			c.Rejoined(id)
		}
	}
	c.Wait("three voters", func() bool { return voters(t, c.WaitLeader()) == 3 })
	mustGet(t, c.WaitLeader(), "p99", "text")
}

// TestPeersRecoveryRefusesWhatItCannotUse, and leaves file and data as they are.
func TestPeersRecoveryRefusesWhatItCannotUse(t *testing.T) {
	c, dirs := recoverable(t)
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "text")
	c.WaitApplied()
	id := others(c, leader.ID())[0]
	c.Stop(id)
	for text, want := range map[string]string{
		`not json`: "cannot be used",
		`[]`:       "cannot be used",
		`[{"id": "n9", "address": "127.0.0.1:1"}]`:                              "does not name this node",
		fmt.Sprintf(`[{"id":%q,"address":"127.0.0.1:1","non_voter":true}]`, id): "cannot be used",
	} {
		file := writePeers(t, dirs[id], text)
		_, err := cluster.Open(cluster.Config{NodeID: id, DataDir: dirs[id], PeerBind: "127.0.0.1:0", Now: time.Now,
			Log: clustertest.Logger(t), State: fsm.New()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: the file is gone: %v", text, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	mustGet(t, c.Restart(id), "p", "text")
}
