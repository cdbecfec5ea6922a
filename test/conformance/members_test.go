package conformance

import (
	"slices"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	openbao "github.com/openbao/openbao/api/v2"
)

// The methods for members have types of their own in each client, so that they are called as they are.

func vaultSys(t *testing.T, node int) *vault.Sys { return openVault(t, node).(*vaultClient).c.Sys() }
func baoSys(t *testing.T, node int) *openbao.Sys { return openBao(t, node).(*baoClient).c.Sys() }

// restoreAutopilot puts the settings back that are there now.
func restoreAutopilot(t *testing.T) {
	t.Helper()
	before, err := vaultSys(t, 1).RaftAutopilotConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vaultSys(t, 1).PutRaftAutopilotConfiguration(before); err != nil {
			t.Error(err)
		}
	})
}

// TestVaultAutopilot: HashiCorp's client reads and writes the settings through any node, all fields arrive,
// and what is refused changes nothing.
func TestVaultAutopilot(t *testing.T) {
	restoreAutopilot(t)
	onEachNode(t, func(t *testing.T, node int) {
		want := vault.AutopilotConfig{CleanupDeadServers: true, LastContactThreshold: 3 * time.Second,
			DeadServerLastContactThreshold: time.Duration(node) * time.Hour, MaxTrailingLogs: 1000, MinQuorum: 3, ServerStabilizationTime: 12 * time.Second}
		if err := vaultSys(t, node).PutRaftAutopilotConfiguration(&want); err != nil {
			t.Fatal(err)
		}
		got, err := vaultSys(t, node%3+1).RaftAutopilotConfiguration()
		if err != nil || *got != want {
			t.Errorf("read through another node: got %+v, %v; want %+v", got, err, want)
		}
		bad := want
		bad.MinQuorum = 2
		refused(t, openVault(t, node), vaultSys(t, node).PutRaftAutopilotConfiguration(&bad), 400)
		c := openVault(t, node)
		_, err = c.Write("sys/storage/raft/autopilot/configuration", map[string]any{"disable_upgrade_migration": true}) // the type leaves it out
		refused(t, c, err, 400)
		if got, err := vaultSys(t, node).RaftAutopilotConfiguration(); err != nil || *got != want {
			t.Errorf("after a refusal: got %+v, %v; want %+v", got, err, want)
		}
	})
}

// TestOpenBaoAutopilot: as above, with OpenBao's client.
func TestOpenBaoAutopilot(t *testing.T) {
	restoreAutopilot(t)
	onEachNode(t, func(t *testing.T, node int) {
		want := openbao.AutopilotConfig{LastContactThreshold: 4 * time.Second, DeadServerLastContactThreshold: time.Duration(node) * time.Hour,
			MaxTrailingLogs: 500, MinQuorum: 5, ServerStabilizationTime: 15 * time.Second}
		if err := baoSys(t, node).PutRaftAutopilotConfiguration(&want); err != nil {
			t.Fatal(err)
		}
		if got, err := baoSys(t, node%3+1).RaftAutopilotConfiguration(); err != nil || *got != want {
			t.Errorf("read through another node: got %+v, %v; want %+v", got, err, want)
		}
	})
}

// settle waits until the leader knows all members, which tell their versions after the cluster is founded.
func settle(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "all members are healthy and known", func() bool {
		state, err := vaultSys(t, 1).RaftAutopilotState()
		known := err == nil && state != nil && state.Healthy && len(state.Servers) == len(cluster.Nodes)
		for _, id := range []string{"n1", "n2", "n3"} {
			known = known && state.Servers[id] != nil && state.Servers[id].Version != ""
		}
		return known
	})
}

// TestClientsAutopilotState: both clients decode the same picture of three voters.
func TestClientsAutopilotState(t *testing.T) {
	settle(t)
	onEachNode(t, func(t *testing.T, node int) {
		v, err := vaultSys(t, node).RaftAutopilotState()
		if err != nil {
			t.Fatal(err)
		}
		o, err := baoSys(t, node).RaftAutopilotState()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(v.Voters)
		slices.Sort(o.Voters)
		if want := []string{"n1", "n2", "n3"}; !slices.Equal(v.Voters, want) || !slices.Equal(o.Voters, want) || v.FailureTolerance != 1 || o.FailureTolerance != 1 ||
			!o.Healthy || v.Leader == "" || v.Leader != o.Leader || len(v.NonVoters)+len(o.NonVoters) != 0 {
			t.Fatalf("got %+v and %+v", v, o)
		}
		for _, id := range v.Voters {
			s, b := v.Servers[id], o.Servers[id]
			if s == nil || b == nil {
				t.Fatalf("%s is missing in %v or %v", id, v.Servers, o.Servers)
			}
			role := map[bool]string{true: "leader", false: "voter"}[id == v.Leader]
			if s.ID != id || s.Status != role || b.Status != role || s.Address == "" || s.NodeStatus != "alive" || s.LastIndex == 0 || s.LastTerm == 0 || s.Version == "" {
				t.Errorf("%s: got %+v and %+v, want a healthy %s", id, s, b, role)
			}
			if _, err := time.ParseDuration(s.LastContact); err != nil {
				t.Errorf("%s: last contact: %v", id, err)
			}
			if _, err := time.Parse(time.RFC3339, s.StableSince); err != nil {
				t.Errorf("%s: stable since: %v", id, err)
			}
		}
	})
}

// TestClientsHAStatus: the members as the clients' own types have them; one is active.
func TestClientsHAStatus(t *testing.T) {
	settle(t)
	onEachNode(t, func(t *testing.T, node int) {
		v, err := vaultSys(t, node).HAStatus()
		if err != nil {
			t.Fatal(err)
		}
		o, err := baoSys(t, node).HAStatus()
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Nodes) != 3 || len(o.Nodes) != 3 {
			t.Fatalf("got %+v and %+v, want three members", v, o)
		}
		active := 0
		for i, n := range v.Nodes {
			if n.Hostname == "" || n.ClusterAddress == "" || n.Version == "" || !slices.Contains(cluster.Nodes, n.APIAddress) {
				t.Errorf("got %+v", n)
			}
			if b := o.Nodes[i]; b.Hostname != n.Hostname || b.APIAddress != n.APIAddress || b.ActiveNode != n.ActiveNode {
				t.Errorf("OpenBao's client has %+v, want %+v", b, n)
			}
			if n.ActiveNode {
				active++
			} else if n.LastEcho == nil || time.Since(*n.LastEcho) > time.Minute {
				t.Errorf("%s was last heard at %v", n.Hostname, n.LastEcho)
			}
		}
		if active != 1 {
			t.Errorf("%d active members, want 1", active)
		}
	})
}

// TestClientsRaftJoin: a member says that it is one, whatever it is told of, and calls nobody; test/process
// has a node that is none. What a leader makes for a new node needs a token.
func TestClientsRaftJoin(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		v, err := vaultSys(t, node).RaftJoin(&vault.RaftJoinRequest{LeaderAPIAddr: "http://127.0.0.1:1", Retry: true})
		if err != nil || !v.Joined {
			t.Errorf("HashiCorp's client: got %+v, %v; want it joined", v, err)
		}
		o, err := baoSys(t, node).RaftJoin(&openbao.RaftJoinRequest{LeaderAPIAddr: "http://127.0.0.1:1"})
		if err != nil || !o.Joined {
			t.Errorf("OpenBao's client: got %+v, %v; want it joined", o, err)
		}
	})
	withEach(t, func(t *testing.T, at func(int) sdk) {
		c := at(0)
		made := must[*secret](t)(c.Write("sys/storage/raft/join-token", map[string]any{"node_id": "n9", "ttl": "1m"}))
		if token, _ := made.Data["token"].(string); token == "" || made.Data["node_id"] != "n9" {
			t.Errorf("got %v, want a token for n9", made.Data)
		}
		_, err := c.Write("sys/storage/raft/join-token", map[string]any{"node_id": "n1"})
		refused(t, c, err, 409)
		c.ClearToken()
		_, err = c.Write("sys/storage/raft/join-token", map[string]any{"node_id": "n9"})
		refused(t, c, err, 403)
		_, err = c.Read("sys/ha-status")
		refused(t, c, err, 403)
	})
}
