package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script runs a verb of scripts/cluster.sh.
func script(t testing.TB, args ...string) {
	t.Helper()
	if _, err := cluster.Script(args...); err != nil {
		t.Fatal(err)
	}
}

// leader is the number of the node that leads.
func leader(t testing.TB) int {
	t.Helper()
	i, err := cluster.Leader()
	if err != nil {
		t.Fatal(err)
	}
	return i + 1
}

// restart stops all nodes, does what is to be done meanwhile, and starts them again.
func restart(t *testing.T, meanwhile func()) {
	t.Helper()
	script(t, "down")
	meanwhile()
	script(t, "up")
	waitAll(t)
}

// waitAll waits until every node serves.
func waitAll(t testing.TB) {
	t.Helper()
	for node := 1; node <= len(cluster.Nodes); node++ {
		eventually(t, 15*time.Second, fmt.Sprintf("node %d serves", node), func() bool {
			r, err := request{node: node, method: "GET", path: "/v1/auth/token/lookup-self"}.do()
			return err == nil && r.status == 200
		})
	}
}

// TestRestartOfAllNodes holds what upstream asserts of a restart, under one restart.
func TestRestartOfAllNodes(t *testing.T) {
	var failing, well *service
	failing = newService(t, refusing(403, "no such right"))
	well = newService(t, healthy)
	stuck := irrevocable(t, hooks(t, failing, stubborn), 2)
	before := lookup(t, stuck[0]).want(200)

	path := hooks(t, well, nil)
	var short []string
	for range 3 {
		short = append(short, issue(t, path+"/creds/ci", map[string]any{"ttl": "3s"}))
	}
	long := issue(t, path+"/creds/ci", map[string]any{"ttl": "1h"})
	call(t, "PUT", "sys/leases/renew", map[string]any{"lease_id": long, "increment": "2h"}).want(200)
	kept := lookup(t, long).want(200)
	restart(t, func() { time.Sleep(3 * time.Second) })

	t.Run("TestFact58_WhatExpiredWhileAllWereDownIsRevoked", func(t *testing.T) {
		// The time during which no node ran counts: an end is an end.
		eventually(t, 10*time.Second, "all three are revoked", func() bool { return len(well.of("revoke", path+"/")) == 3 })
		for _, id := range short {
			eventually(t, 5*time.Second, id+" is gone", func() bool { return gone(t, id) })
		}
	})
	t.Run("TestFact49_TimesSurviveARestart", func(t *testing.T) {
		after := lookup(t, long).want(200)
		for _, field := range []string{"data.issue_time", "data.expire_time", "data.last_renewal", "data.renewable", "data.path"} {
			after.wantGet(field, kept.get(field))
		}
	})
	t.Run("TestFact59_IrrevocableSurvivesARestart", func(t *testing.T) {
		after := lookup(t, stuck[0]).want(200)
		for _, field := range []string{"data.status", "data.revoke_error", "data.expire_time"} {
			after.wantGet(field, before.get(field))
		}
		call(t, "GET", "sys/leases/count?type=irrevocable", nil).wantGet("data.lease_count", 2)
	})
}

func TestFact36_ARejectedRevokeIsTriedAgainAfterARestart(t *testing.T) {
	s := newService(t, refusing(500, "not now"))
	path := hooks(t, s, map[string]any{"revoke_backoff": "2s", "revoke_backoff_max": "2s"})
	id := issue(t, path+"/creds/ci", nil)
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id}).want(202)
	eventually(t, 5*time.Second, "a first revoke call", func() bool { return len(s.of("revoke", id)) > 0 })
	node := strconv.Itoa(leader(t))
	script(t, "kill", node)
	t.Cleanup(func() { waitAll(t) })
	t.Cleanup(func() { script(t, "start", node) })
	s.set(healthy)
	calls := func() []hook { return s.of("revoke", id) }
	eventually(t, 15*time.Second, "another leader's call", func() bool { return len(calls()) > 1 })
	// By another leader, with a higher fencing index; the service checks that it never falls.
	if c := calls(); c[len(c)-1].Fence <= c[0].Fence {
		t.Errorf("the fencing index went from %d to %d, want it higher", c[0].Fence, c[len(c)-1].Fence)
	}
	eventually(t, 5*time.Second, "the lease is gone", func() bool {
		r, err := request{node: other(node), method: "PUT", path: "/v1/sys/leases/lookup", body: map[string]any{"lease_id": id}}.do()
		return err == nil && r.status == 400 && strings.Contains(r.body, "invalid lease")
	})
}

// other is a node that is not this one.
func other(node string) int {
	if node == "1" {
		return 2
	}
	return 1
}

// TestRemovePeer takes a dead follower out of the cluster and lets it come back empty.
func TestRemovePeer(t *testing.T) {
	follower := leader(t)%3 + 1
	node := strconv.Itoa(follower)
	members := func() string {
		return fmt.Sprint(send(t, request{node: other(node), method: "GET", path: "/v1/sys/storage/raft/configuration"}).want(200).get("data.config.servers"))
	}
	script(t, "kill", node)
	send(t, request{node: other(node), method: "PUT", path: "/v1/sys/storage/raft/remove-peer", body: map[string]any{"server_id": "n" + node}}).want(204)
	if got := members(); strings.Count(got, "node_id:") != 2 || strings.Contains(got, "node_id:n"+node) {
		t.Errorf("the members are %s, want the two others", got)
	}
	if err := os.RemoveAll(filepath.Join(cluster.Dir, "n"+node, "data")); err != nil {
		t.Fatal(err)
	}
	script(t, "start", node)
	eventually(t, 30*time.Second, "it is a voter again", func() bool { return strings.Count(members(), "voter:true") == 3 })
	waitAll(t)
}

// TestStepDown: asked through any node, the leader hands over, and writes go on.
func TestStepDown(t *testing.T) {
	path := mount(t, "lease", nil)
	onEachNode(t, func(t *testing.T, node int) {
		before := leader(t)
		id := issue(t, path+"/a", map[string]any{"ttl": "1h"})
		begin := time.Now()
		send(t, request{node: node, method: "PUT", path: "/v1/sys/step-down", header: map[string]string{"X-Vault-Request": "true"}}).want(204)
		eventually(t, 5*time.Second, "a write is acknowledged", func() bool {
			r, err := request{node: node, method: "PUT", path: "/v1/sys/leases/renew", body: map[string]any{"lease_id": id}}.do()
			return err == nil && r.status == 200
		})
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("handing over took %s", took)
		}
		if after := leader(t); after == before {
			t.Errorf("node %d still leads", after)
		}
	})
}
