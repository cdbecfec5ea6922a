package cluster_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// hold is how long a test looks for what must not happen.
const hold = 300 * time.Millisecond

// gatedLog is a log store that hangs once, at a point that the test chooses, until it is released.
type gatedLog struct {
	raft.LogStore
	onRead   uint64 // hangs when the entry is read a second time: at the start all are read once
	onAppend bool   // hangs when a command is appended

	mu      sync.Mutex // guards reads
	reads   int
	reach   sync.Once
	reached chan struct{}
	opened  sync.Once
	release chan struct{}
}

func newGate(onRead uint64, onAppend bool) *gatedLog {
	return &gatedLog{onRead: onRead, onAppend: onAppend, reached: make(chan struct{}), release: make(chan struct{})}
}

func (g *gatedLog) wait() {
	g.reach.Do(func() { close(g.reached) })
	<-g.release
}

func (g *gatedLog) open() { g.opened.Do(func() { close(g.release) }) }

func (g *gatedLog) GetLog(index uint64, log *raft.Log) error {
	if index == g.onRead {
		g.mu.Lock()
		g.reads++
		second := g.reads > 1
		g.mu.Unlock()
		if second {
			g.wait()
		}
	}
	return g.LogStore.GetLog(index, log)
}

func (g *gatedLog) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

func (g *gatedLog) StoreLogs(logs []*raft.Log) error {
	for _, l := range logs {
		if g.onAppend && l.Type == raft.LogCommand {
			g.wait()
		}
	}
	return g.LogStore.StoreLogs(logs)
}

// startGated runs one node whose wall clock is an hour ahead, stops it, and starts it again with the
// right time and a log that gate makes of the index of an entry in its middle.
func startGated(t *testing.T, gate func(middle uint64) *gatedLog) (*clustertest.Cluster, *gatedLog, lease.Time) {
	ahead := time.Hour
	var g *gatedLog
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) {
		off := ahead
		cfg.Wall = func() time.Time { return time.Now().Add(off) }
		if g != nil {
			cfg.WrapLogStore = func(inner raft.LogStore) raft.LogStore {
				g.LogStore = inner
				return g
			}
		}
	}})
	for _, name := range []string{"a", "b", "c"} {
		mustPut(t, c.WaitLeader(), name, "kept")
	}
	node := c.Node("n1")
	var logged lease.Time
	node.State().Read(func(v *fsm.View) { logged = v.Now() })
	middle := node.AppliedIndex() - 1
	c.Stop("n1")
	ahead, g = 0, gate(middle)
	t.Cleanup(g.open) // before the cluster is stopped
	c.Restart("n1")
	select {
	case <-g.reached:
	case <-time.After(clustertest.Patience):
		t.Fatal("the node never came to the gate")
	}
	return c, g, logged
}

// S10: a new leader's clock starts where the log ends, so it must have read the log to its end. One
// that starts before stamps entries with times that the log has passed.
func TestS10_TheBarrierComesBeforeTheClock(t *testing.T) {
	c, g, logged := startGated(t, func(middle uint64) *gatedLog { return newGate(middle, false) })
	node := c.Node("n1")
	for end := time.Now().Add(hold); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if now := node.Now(); now > 0 && now < logged {
			t.Errorf("log time begins at %v, before the %v of the log that is not read yet", now, logged)
			break
		}
	}
	g.open()
	if now := c.WaitLeader().Now(); now < logged {
		t.Errorf("the leader's log time is %v, want at least the log's %v", now, logged)
	}
}

// S6, S14: a leader is not ready, and answers no read, before the entry is applied that opens its
// epoch. Until then its state may lack what was acknowledged.
func TestS6_NotReadyBeforeTheEpoch(t *testing.T) {
	c, g, _ := startGated(t, func(uint64) *gatedLog { return newGate(0, true) })
	node := c.Node("n1")
	for end := time.Now().Add(hold); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if node.Ready() {
			t.Error("the leader is ready before its epoch is in the log")
			break
		}
	}
	g.open()
	mustGet(t, c.WaitLeader(), "a", "kept")
}
