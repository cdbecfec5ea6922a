package cluster_test

import (
	"crypto/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

func voter(t *testing.T, n *cluster.Node, id string) (voter, member bool) {
	t.Helper()
	cfg, err := n.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cfg.Servers {
		if s.ID == id {
			return s.Voter, true
		}
	}
	return false, false
}

// A new node joins as a non-voter, and votes once it has been well for long enough.
func TestJoinAsNonVoterThenPromoted(t *testing.T) {
	const stable = 1500 * time.Millisecond
	c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.Stabilization = stable
	}})
	mustPut(t, c.WaitLeader(), "p", "text")
	start := time.Now()
	n4 := c.Join()
	c.Wait("the new member", func() bool { _, member := voter(t, c.WaitLeader(), n4.ID()); return member })
	if v, _ := voter(t, c.WaitLeader(), n4.ID()); v {
		t.Error("the new node votes at once")
	}
	mustGet(t, n4, "p", "text")
	c.Wait("its promotion", func() bool { v, _ := voter(t, c.WaitLeader(), n4.ID()); return v })
	mustGet(t, c.WaitLeader(), "p", "text") // the last entry is a change of membership
	if took := time.Since(start); took < stable {
		t.Errorf("promoted after %v, want at least %v", took, stable)
	}
	if got, want := n4.APIAddr(n4.ID()), "http://n4.test"; got != want {
		t.Errorf("recorded API address: got %q, want %q", got, want)
	}
}

// A removed node stops, and does not come back by itself.
func TestRemovedPeerStops(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	id := others(c, leader.ID())[0]
	c.Wait("the recorded address", func() bool { return leader.APIAddr(id) != "" })
	if err := leader.RemovePeer(within(t, 5*time.Second), id); err != nil {
		t.Fatalf("remove: %v", err)
	}
	if _, member := voter(t, leader, id); member {
		t.Error("still a member after its removal")
	}
	if got := leader.APIAddr(id); got != "" {
		t.Errorf("its address is still %q, want none", got)
	}
	c.Wait("the removed node to stop", func() bool { return c.Fatal(id) != nil })
	if got := c.Fatal(id).Error(); !strings.Contains(got, "removed") {
		t.Errorf("reason: got %q, want one that says removed", got)
	}
	if got := code(leader.RemovePeer(within(t, 5*time.Second), "nobody")); got != lease.NotFound {
		t.Errorf("remove a stranger: got %v, want %v", got, lease.NotFound)
	}
}

// A removed node that is started again with what it has is told the same, even if it got the entry that
// removed it, by which it is no member in its own eyes.
func TestRemovedPeerStaysOut(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	id := others(c, leader.ID())[0]
	c.Wait("the recorded address", func() bool { return leader.APIAddr(id) != "" })
	if err := leader.RemovePeer(within(t, 5*time.Second), id); err != nil {
		t.Fatalf("remove: %v", err)
	}
	c.Wait("the removed node to stop", func() bool { return c.Fatal(id) != nil })
	for range 2 {
		c.Stop(id)
		c.Restart(id)
		c.Wait("the removed node to stop again", func() bool { return c.Fatal(id) != nil })
	}
	if _, member := voter(t, c.WaitLeader(), id); member {
		t.Error("a removed node is a member again")
	}
}

// A stop is no leave; a leave is one.
func TestLeaveAndStop(t *testing.T) {
	c := clustertest.Start(t, 4, clustertest.Options{})
	leader := c.WaitLeader()
	ids := others(c, leader.ID())
	c.Stop(ids[0])
	if err := c.Node(ids[1]).Leave(within(t, 5*time.Second)); err != nil {
		t.Fatalf("leave: %v", err)
	}
	leader = c.WaitLeader()
	if _, member := voter(t, leader, ids[0]); !member {
		t.Error("a stopped node is no member any more")
	}
	if _, member := voter(t, leader, ids[1]); member {
		t.Error("a node that left is still a member")
	}
	if err := c.Fatal(ids[1]); err != nil {
		t.Errorf("leaving is no fault: got %v", err)
	}
}

// The leader removes itself: another one takes over without it.
func TestRemoveTheLeader(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	old := c.WaitLeader()
	if err := old.RemovePeer(within(t, 5*time.Second), old.ID()); err != nil {
		t.Fatalf("remove: %v", err)
	}
	next := c.WaitLeaderOtherThan(old.ID())
	mustPut(t, next, "p", "served")
	c.Wait("the old leader to stop", func() bool { return c.Fatal(old.ID()) != nil })
}

// gossipers starts nodes that find each other by gossip alone.
type gossipers struct {
	t     *testing.T
	key   []byte
	seeds []string
	nodes []*cluster.Node

	configure func(*cluster.Config) // may be nil
}

func newGossipers(t *testing.T, count int) *gossipers {
	g := &gossipers{t: t, key: make([]byte, 32)}
	rand.Read(g.key)
	for range count {
		g.seeds = append(g.seeds, udpAddr(t))
	}
	return g
}

// udpAddr is a loopback address free for both TCP and UDP.
func udpAddr(t *testing.T) string {
	for {
		addr := clustertest.FreeAddr(t)
		if l, err := net.ListenPacket("udp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

func (g *gossipers) start(i, expect int) *cluster.Node {
	g.t.Helper()
	id := string(rune('a' + i))
	cfg := cluster.Config{
		NodeID: id, ClusterName: g.t.Name(), PeerBind: "127.0.0.1:0",
		GossipBind: g.seeds[i], GossipKeys: [][]byte{g.key}, RetryJoin: g.seeds, BootstrapExpect: expect,
		APIAddr: "http://" + id + ".test", Version: "test",
		HeartbeatTimeout: 250 * time.Millisecond, Stabilization: 300 * time.Millisecond,
		ReconcileInterval: time.Second,
		Now:               time.Now, Log: clustertest.Logger(g.t), State: fsm.New(),
	}
	if g.configure != nil {
		g.configure(&cfg)
	}
	node, err := cluster.Open(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { node.Close() })
	g.nodes = append(g.nodes, node)
	return node
}

func (g *gossipers) leader() *cluster.Node {
	g.t.Helper()
	var leader *cluster.Node
	clustertest.Wait(g.t, "a leader", func() bool {
		for _, n := range g.nodes {
			if n.Ready() {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// Three nodes start at once and found one cluster; a fourth joins it as what it is told to be.
func TestBootstrapAllAtOnce(t *testing.T) {
	g := newGossipers(t, 4)
	for i := range 3 {
		g.start(i, 3)
	}
	leader := g.leader()
	mustPut(t, leader, "p", "text")
	for _, n := range g.nodes {
		mustGet(t, n, "p", "text")
	}
	cfg, err := leader.Configuration()
	if err != nil || len(cfg.Servers) != 3 {
		t.Fatalf("configuration: got %+v, %v, want three servers", cfg, err)
	}
	late := g.start(3, 3) // it expects to found one too, and must not
	mustGet(t, late, "p", "text")
	clustertest.Wait(t, "the fourth to vote", func() bool { v, _ := voter(t, leader, late.ID()); return v })
}

// Two of three wait for the third rather than found a cluster of two.
func TestBootstrapWaitsForTheLast(t *testing.T) {
	g := newGossipers(t, 3)
	a := g.start(0, 3)
	b := g.start(1, 3)
	time.Sleep(1500 * time.Millisecond) // long enough to do the wrong thing
	for _, n := range []*cluster.Node{a, b} {
		if cfg, err := n.Configuration(); err != nil || len(cfg.Servers) != 0 {
			t.Fatalf("two of three founded a cluster: %+v, %v", cfg, err)
		}
	}
	g.start(2, 3)
	mustPut(t, g.leader(), "p", "text")
}

// Nodes that disagree on the number found nothing.
func TestBootstrapNeedsAgreement(t *testing.T) {
	g := newGossipers(t, 3)
	for i, expect := range []int{3, 3, 2} {
		g.start(i, expect)
	}
	time.Sleep(1500 * time.Millisecond) // long enough to do the wrong thing
	for _, n := range g.nodes {
		if cfg, err := n.Configuration(); err != nil || len(cfg.Servers) != 0 {
			t.Errorf("%s founded a cluster of %+v, %v", n.ID(), cfg, err)
		}
	}
}
