package clustertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/fsm"
)

// Patience is how long the Wait functions wait before they fail the test.
const Patience = 20 * time.Second

// Options change how the nodes are made. The zero value gives nodes in memory with time-outs short
// enough for tests.
type Options struct {
	// Disk keeps the nodes' data on disk, as a server does. Otherwise it lasts as long as the
	// Cluster, so a stopped node finds it again.
	Disk bool
	// Configure may change a node's configuration before each start.
	Configure func(cfg *cluster.Config)
	// Duties makes the duties of a node, each time it is started.
	Duties func(n func() *cluster.Node) []cluster.Duty
}

// Cluster is a set of nodes named n1, n2, ... of which each can be stopped and started again.
type Cluster struct {
	Network *Network

	t     testing.TB
	opts  Options
	dir   string
	ids   []string
	addrs map[string]string

	mu     sync.Mutex // guards what follows
	nodes  map[string]*cluster.Node
	stores map[string]*cluster.Stores
	fatal  map[string]error
}

// Start runs a cluster of size voters and stops it when the test ends.
func Start(t testing.TB, size int, opts Options) *Cluster {
	t.Helper()
	c := &Cluster{
		Network: NewNetwork(),
		t:       t, opts: opts,
		addrs:  make(map[string]string),
		nodes:  make(map[string]*cluster.Node),
		stores: make(map[string]*cluster.Stores),
		fatal:  make(map[string]error),
	}
	if opts.Disk {
		c.dir = t.TempDir()
	}
	for i := range size {
		id := fmt.Sprintf("n%d", i+1)
		c.ids = append(c.ids, id)
		c.addrs[id] = FreeAddr(t)
	}
	t.Cleanup(c.stopAll)
	for _, id := range c.ids {
		c.Restart(id)
	}
	return c
}

// FreeAddr returns a loopback address that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *Cluster) config(id string) cluster.Config {
	cfg := cluster.Config{
		NodeID:   id,
		PeerBind: c.addrs[id],
		APIAddr:  "http://" + id + ".test",
		Version:  "test",

		FeatureLevel: fsm.FeatureLevel,
		// Long enough for two busy cores, short enough for many elections in a test.
		HeartbeatTimeout:  250 * time.Millisecond,
		CommitTimeout:     10 * time.Millisecond,
		ReconcileInterval: time.Second,
		Stabilization:     500 * time.Millisecond,
		Now:               time.Now,
		Log:               Logger(c.t),
		State:             fsm.New(),
		Network:           c.Network.Of(id),
		Fatal:             func(err error) { c.noteFatal(id, err) },
	}
	for _, other := range c.ids {
		cfg.Bootstrap = append(cfg.Bootstrap, cluster.Server{ID: other, Address: c.addrs[other], Voter: true})
	}
	if c.opts.Disk {
		cfg.DataDir = filepath.Join(c.dir, id)
	} else {
		if c.stores[id] == nil {
			c.stores[id] = cluster.MemoryStores()
		}
		cfg.Stores = c.stores[id]
	}
	if c.opts.Configure != nil {
		c.opts.Configure(&cfg)
	}
	return cfg
}

// Dir is where the nodes' data directories are, each named by its node, with Options.Disk.
func (c *Cluster) Dir() string { return c.dir }

// Logger logs nothing unless the test is verbose.
func Logger(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Output().Write(p)
	return len(p), nil
}

// Restart starts a node that does not run, with the data that it had.
func (c *Cluster) Restart(id string) *cluster.Node {
	c.t.Helper()
	var node *cluster.Node
	started := make(chan struct{})
	c.mu.Lock()
	cfg := c.config(id)
	delete(c.fatal, id)
	c.mu.Unlock()
	if c.opts.Duties != nil {
		cfg.Duties = c.opts.Duties(func() *cluster.Node { <-started; return node })
	}
	node, err := cluster.Open(cfg)
	if err != nil {
		c.t.Fatalf("start %s: %v", id, err)
	}
	close(started)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id] = node
	return node
}

// Join starts one more node, which asks the others to be let in.
func (c *Cluster) Join() *cluster.Node {
	c.t.Helper()
	id := fmt.Sprintf("n%d", len(c.addrs)+1)
	c.addrs[id] = FreeAddr(c.t)
	return c.Rejoined(id)
}

// Rejoined starts a node that joined once and was stopped, as Join does.
func (c *Cluster) Rejoined(id string) *cluster.Node {
	c.t.Helper()
	var known []string
	for _, other := range c.ids {
		known = append(known, c.addrs[other])
	}
	c.mu.Lock()
	cfg := c.config(id)
	delete(c.fatal, id)
	c.mu.Unlock()
	cfg.Bootstrap = nil
	cfg.AskPeers = known
	node, err := cluster.Open(cfg)
	if err != nil {
		c.t.Fatalf("start %s: %v", id, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id] = node
	return node
}

// Move gives a stopped node another address.
func (c *Cluster) Move(id string) { c.addrs[id] = FreeAddr(c.t) }

// Stop stops a node as SIGTERM does. Its data stays.
func (c *Cluster) Stop(id string) {
	c.t.Helper()
	c.mu.Lock()
	node := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if node == nil {
		return
	}
	if err := node.Close(); err != nil {
		c.t.Errorf("stop %s: %v", id, err)
	}
}

// Forget leaves a node to the test, which has closed it.
func (c *Cluster) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, id)
}

// Kill stops a node without a word to the others: nothing that it says on the way out arrives.
func (c *Cluster) Kill(id string) {
	c.t.Helper()
	c.Isolate(id)
	c.Stop(id)
	c.Rejoin(id)
}

// Wipe forgets a stopped node's data.
func (c *Cluster) Wipe(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.stores, id)
	if c.opts.Disk {
		if err := os.RemoveAll(filepath.Join(c.dir, id)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *Cluster) stopAll() {
	c.Network.Heal()
	for _, id := range c.all() {
		c.Stop(id)
	}
}

func (c *Cluster) noteFatal(id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fatal[id] = err
}

// Fatal is why a node asked to be ended, nil if it did not.
func (c *Cluster) Fatal(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fatal[id]
}

func (c *Cluster) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := append([]string(nil), c.ids...)
	for id := range c.nodes {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Nodes returns the running nodes.
func (c *Cluster) Nodes() []*cluster.Node {
	var nodes []*cluster.Node
	for _, id := range c.all() {
		if n := c.Node(id); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Node returns a running node, nil if it does not run.
func (c *Cluster) Node(id string) *cluster.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id]
}

// Cut stops what from sends to to; the other direction stays.
func (c *Cluster) Cut(from, to string) { c.Network.Cut(from, to) }

// Isolate cuts a node off from all others.
func (c *Cluster) Isolate(id string) {
	for _, other := range c.all() {
		if other != id {
			c.Network.Cut(id, other)
			c.Network.Cut(other, id)
		}
	}
}

// Rejoin ends the cuts around one node.
func (c *Cluster) Rejoin(id string) {
	for _, other := range c.all() {
		c.Network.Open(id, other)
		c.Network.Open(other, id)
	}
}

// Heal ends all faults of the network.
func (c *Cluster) Heal() { c.Network.Heal() }

// Leader returns the node that leads and is ready, nil if there is none. With a partition there
// may be two for a moment: then it is that of the later term.
func (c *Cluster) Leader() *cluster.Node {
	var leader *cluster.Node
	for _, n := range c.Nodes() {
		if n.Ready() && (leader == nil || n.Term() > leader.Term()) {
			leader = n
		}
	}
	return leader
}

// WaitLeader waits for a ready leader.
func (c *Cluster) WaitLeader() *cluster.Node {
	c.t.Helper()
	return c.WaitLeaderOtherThan("")
}

// WaitLeaderOtherThan waits for a ready leader that is not the given node.
func (c *Cluster) WaitLeaderOtherThan(id string) *cluster.Node {
	c.t.Helper()
	var leader *cluster.Node
	c.Wait("a ready leader", func() bool {
		leader = nil
		for _, n := range c.Nodes() {
			if n.ID() != id && n.Ready() && (leader == nil || n.Term() > leader.Term()) {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// WaitApplied waits until every running node has applied what the leader has committed.
func (c *Cluster) WaitApplied() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	index := c.WaitLeader().AppliedIndex()
	for _, n := range c.Nodes() {
		if err := n.State().WaitApplied(ctx, index); err != nil {
			c.t.Fatalf("%s applied %d, want %d: %v", n.ID(), n.AppliedIndex(), index, err)
		}
	}
}

// Wait waits until cond holds.
func (c *Cluster) Wait(what string, cond func() bool) {
	c.t.Helper()
	Wait(c.t, what, cond)
}

// Wait waits until cond holds, and fails the test when that takes longer than Patience.
func Wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", Patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
