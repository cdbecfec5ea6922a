package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// renewNode has a node that was lost come back as another machine would: with an empty data directory, a join
// token of its own, and no word of founding a cluster.
func (c *cluster) renewNode(node int, by int) {
	c.t.Helper()
	made, err := c.cli(by, "operator", "raft", "join-token", "-field=token", fmt.Sprintf("n%d", node))
	if err != nil {
		c.t.Fatalf("join-token: %v: %s", err, made)
	}
	token := c.file(node, "join-token")
	if err := os.WriteFile(token, []byte(made), 0o600); err != nil {
		c.t.Fatal(err)
	}
	text, err := os.ReadFile(c.file(node, "config.hcl"))
	if err != nil {
		c.t.Fatal(err)
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "join_token_file = %q\n", token)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "bootstrap_") {
			lines.WriteString(line)
		}
	}
	if err := os.WriteFile(c.file(node, "config.hcl"), []byte(lines.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.script("start", fmt.Sprint(node))
}

// TestS1_LostMajorityIsRecovered: docs/recovery.md, step by step. Two of three nodes are lost with their data.
// The third goes on by peers.json with every lease and token that was acknowledged, S1; two new nodes join with
// join tokens, and the three are a cluster that bears the loss of one again.
func TestS1_LostMajorityIsRecovered(t *testing.T) {
	c := start(t, 3)
	c.script("down")
	for node := range 3 {
		c.configure(node+1, "require_join_token = true\n")
	}
	c.script("up")
	eventually(t, "a leader", func() bool { return c.leader() != 0 })
	c.mount("slots")
	var ids, tokens []string
	for i := range 30 {
		ids = append(ids, c.issue(i%3+1, "slots/a", `{"ttl":"1h"}`))
	}
	for range 5 {
		tokens = append(tokens, c.must(200, 1, "POST", "auth/token/create", `{"ttl":"1h","policies":["default"]}`).body)
	}
	c.must(204, 1, "PUT", "sys/leases/revoke", `{"lease_id":"`+ids[0]+`","sync":true}`)
	c.alike(1, 2, 3)

	left := c.others(c.leader())[0] // the leader is among the lost
	lost := c.others(left)
	for _, node := range lost {
		c.script("kill", fmt.Sprint(node))
		if err := os.RemoveAll(c.file(node, "data")); err != nil {
			t.Fatal(err)
		}
	}
	if r := c.send(left, "POST", "slots/a", `{"ttl":"1h"}`); r.status == 200 {
		t.Fatalf("one node of three makes a lease: %v", r)
	}

	// 1: stop what is left. 2, 3: write who is left. 4: start.
	c.script("stop", fmt.Sprint(left))
	peers := filepath.Join(c.file(left, "data"), "raft", "peers.json")
	text := fmt.Sprintf(`[{"id": "n%d", "address": "127.0.0.1:%s%d1", "non_voter": false}]`, left, ports, left)
	if err := os.Mkdir(filepath.Dir(peers), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(peers, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.script("start", fmt.Sprint(left))
	eventually(t, "the node that is left makes leases", func() bool { return c.send(left, "POST", "slots/b", `{"ttl":"1h"}`).status == 200 })
	if !strings.Contains(c.log(left), "the cluster is recovered") {
		t.Error("the log does not say that the cluster is recovered")
	}
	if done, _ := filepath.Glob(peers + ".*.done"); len(done) != 1 {
		t.Errorf("peers.json was renamed to %v, want one file", done)
	}
	intact := func(node int) {
		t.Helper()
		for _, id := range ids[1:] {
			if r := c.lookup(node, id); r.status != 200 {
				t.Errorf("node %d: a lease is %v", node, r)
			}
		}
		if r := c.lookup(node, ids[0]); r.status != 400 {
			t.Errorf("node %d: the revoked lease is %v", node, r)
		}
		for _, body := range tokens {
			token := reply{body: body}.field("auth.client_token")
			if r := c.send(node, "GET", "auth/token/lookup-self", "", header("X-Vault-Token", token)); r.status != 200 {
				t.Errorf("node %d: a token is %v", node, r)
			}
		}
	}
	intact(left)

	// 5: look, and let new ones join.
	if members, err := c.cli(left, "operator", "members"); err != nil || strings.Count(members, "127.0.0.1:"+ports) != 2 { // its two addresses
		t.Errorf("members: %v: %s", err, members)
	}
	c.must(204, left, "POST", "sys/storage/raft/autopilot/configuration", `{"server_stabilization_time":"1s"}`) // not to wait for it here
	for _, node := range lost {
		c.renewNode(node, left)
	}
	for _, node := range lost {
		eventually(t, fmt.Sprintf("node %d votes", node), func() bool {
			out, err := c.cli(left, "operator", "raft", "list-peers")
			return err == nil && strings.Contains(peerLine(out, node), "true")
		})
	}
	c.alike(1, 2, 3)
	for node := range 3 {
		intact(node + 1)
	}
	c.script("kill", fmt.Sprint(left)) // what was one node's alone is the others' now
	eventually(t, "the new nodes make leases", func() bool { return c.send(lost[0], "POST", "slots/c", `{"ttl":"1h"}`).status == 200 })
	intact(lost[1])
}

// peerLine is a node's line of "operator raft list-peers".
func peerLine(out string, node int) string {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, fmt.Sprintf("n%d ", node)) {
			return line
		}
	}
	return ""
}
