package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// cli runs the command line against a node.
func (c *cluster) cli(node int, args ...string) (string, error) {
	c.t.Helper()
	cmd := exec.Command(c.Bin, args...)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+c.Nodes[node-1], "VAULT_TOKEN="+c.Token)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// configure adds lines to the head of a node's file.
func (c *cluster) configure(node int, lines string) {
	c.t.Helper()
	text, err := os.ReadFile(c.file(node, "config.hcl"))
	if err == nil {
		err = os.WriteFile(c.file(node, "config.hcl"), []byte(lines+string(text)), 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestT9_JoinByTheCommandLine: where a join token is asked for, a fourth node waits until its file has
// one; both sides say why. All of it by the commands that the documents name.
func TestT9_JoinByTheCommandLine(t *testing.T) {
	c := start(t, 3)
	c.script("down")
	for node := range 3 {
		c.configure(node+1, "require_join_token = true\n")
	}
	c.script("up")
	eventually(t, "a leader", func() bool { return c.leader() != 0 })
	c.addNode(4)
	token := c.file(4, "join-token")
	c.configure(4, "join_token_file = \""+token+"\"\n")
	c.script("start", "4")
	eventually(t, "node 4 to say why it is not let in", func() bool {
		return strings.Contains(c.log(4), "the cluster does not let this node in") && strings.Contains(c.log(4), "presents no join token")
	})
	if log := c.log(c.leader()); !strings.Contains(log, "a node was not let in") || !strings.Contains(log, "id=n4") {
		t.Error("the leader does not say that it refused node 4")
	}
	c.tellOfClusters(4)
	made, err := c.cli(2, "operator", "raft", "join-token", "-field=token", "n4")
	if err != nil {
		t.Fatalf("join-token: %v: %s", err, made)
	}
	if err := os.WriteFile(token, []byte(made), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node 4 votes", func() bool { _, voter := c.votes("n4"); return voter })
	members, err := c.cli(3, "operator", "members")
	if err != nil || !strings.Contains(members, "n4") || strings.Contains(members, "no answer") || !strings.Contains(members, "leader") {
		t.Errorf("members: %v: %s", err, members)
	}
	for _, args := range []string{"operator raft list-peers", "operator raft autopilot state", "operator raft autopilot get-config",
		"operator raft autopilot set-config -cleanup-dead-servers=true -min-quorum=3"} {
		if out, err := c.cli(1, strings.Fields(args)...); err != nil {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
	for node := range 4 {
		if strings.Contains(c.log(node+1), strings.TrimSpace(made)) {
			t.Errorf("the join token is in the log of node %d", node+1)
		}
	}
}

// tellOfClusters tells a node without state of clusters by the stock client, which lets it in nowhere: T16.
func (c *cluster) tellOfClusters(node int) {
	c.t.Helper()
	cfg := vault.DefaultConfig()
	cfg.Address, cfg.MaxRetries = c.Nodes[node-1], 0
	client, err := vault.NewClient(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	for addr, status := range map[string]int{
		"http://127.0.0.1:1": 503, "http://169.254.169.254": 503, c.Nodes[0] + "/v1/sys/mounts": 400, "file:///etc/passwd": 400, "": 400,
	} {
		_, err := client.Sys().RaftJoin(&vault.RaftJoinRequest{LeaderAPIAddr: addr, Retry: true})
		var refused *vault.ResponseError
		if !errors.As(err, &refused) || refused.StatusCode != status || len(refused.Errors) != 1 {
			c.t.Errorf("join %q: got %v, want one error with status %d", addr, err, status)
		}
	}
	joined, err := client.Sys().RaftJoin(&vault.RaftJoinRequest{LeaderAPIAddr: c.Nodes[0]})
	if err != nil || joined.Joined {
		c.t.Errorf("join the cluster, without a token: got %+v, %v; want it not joined yet", joined, err)
	}
}
