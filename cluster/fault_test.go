package cluster_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S1, L2: what was acknowledged survives the leader, and a survivor goes on.
func TestS1_AcknowledgedWritesSurviveTheLeader(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	old := c.WaitLeader()
	for i := range 20 {
		mustPut(t, old, fmt.Sprintf("p%d", i), "kept")
	}
	c.Kill(old.ID())
	next := c.WaitLeaderOtherThan(old.ID())
	for i := range 20 {
		mustGet(t, next, fmt.Sprintf("p%d", i), "kept")
	}
	mustPut(t, next, "after", "failover")
	back := c.Restart(old.ID())
	mustGet(t, back, "after", "failover")
}

// S6, L14: a leader that cannot reach a majority answers neither reads nor writes, and says so soon.
func TestS6_IsolatedLeaderRefuses(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	old := c.WaitLeader()
	mustPut(t, old, "p", "old")
	c.Isolate(old.ID())

	start := time.Now()
	_, err := old.ReadIndex(within(t, 10*time.Second))
	if got := code(err); got != lease.Unavailable {
		t.Errorf("read on an isolated leader: got %v (%v), want %v", got, err, lease.Unavailable)
	}
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("the isolated leader refused after %v, want at most 2.5 s", took)
	}
	err = put(within(t, 3*time.Second), old, "p", "lost")
	if got := code(err); got != lease.Unavailable && got != lease.Uncertain {
		t.Errorf("write on an isolated leader: got %v (%v), want unavailable or uncertain", got, err)
	}

	next := c.WaitLeaderOtherThan(old.ID())
	mustPut(t, next, "p", "new")
	c.Heal()
	mustGet(t, old, "p", "new")
}

// startStubborn runs three nodes of which n1 leads, and goes on believing so for long after it was
// cut off, as one does that was paused. raft's own leader lease does not help it.
func startStubborn(t *testing.T) (c *clustertest.Cluster, old *cluster.Node) {
	c = clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		if cfg.NodeID == "n1" {
			cfg.HeartbeatTimeout = 20 * time.Second
			cfg.ElectionTimeout = 20 * time.Second
		}
	}})
	c.Wait("n1 to lead", func() bool {
		if l := c.Leader(); l != nil && l.ID() != "n1" {
			l.StepDown(within(t, 5*time.Second))
		}
		return c.Node("n1").Ready()
	})
	return c, c.Node("n1")
}

// S6: an old leader that still believes to lead serves no read after its successor wrote, whichever
// directions are cut: nothing arrives, only its questions do not, or only the answers do not.
func TestS6_OldLeaderThatBelievesToLead(t *testing.T) {
	tests := []struct {
		name string
		cut  func(c *clustertest.Cluster, other string)
	}{
		{"cut off", func(c *clustertest.Cluster, other string) { c.Cut("n1", other); c.Cut(other, "n1") }},
		{"not heard", func(c *clustertest.Cluster, other string) { c.Cut("n1", other) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, old := startStubborn(t)
			mustPut(t, old, "p", "old")
			tt.cut(c, "n2")
			tt.cut(c, "n3")
			next := c.WaitLeaderOtherThan("n1")
			mustPut(t, next, "p", "new")
			if tt.name == "cut off" && !old.IsLeader() {
				t.Fatal("the old leader knows that it is none: the test shows nothing")
			}
			if text, err := get(within(t, 5*time.Second), old, "p"); err == nil && text != "new" {
				t.Errorf("the old leader served %q after the new one acknowledged %q", text, "new")
			}
			c.Heal()
			mustGet(t, old, "p", "new")
		})
	}
}

// S6: questions asked before a pause do not confirm a read that began after it. The answers wait in
// the cable while a successor writes, and arrive first when the cable works again.
func TestS6_LateAnswersDoNotConfirmALeader(t *testing.T) {
	c, old := startStubborn(t)
	mustPut(t, old, "p", "old")
	for _, id := range []string{"n2", "n3"} {
		c.Cut(id, "n1")
	}
	early := make(chan error, 1)
	go func() { // asks; the answers of this round stay in the cable
		_, err := old.ReadIndex(within(t, 5*time.Second))
		early <- err
	}()
	for _, id := range []string{"n2", "n3"} { // its heartbeats end as well
		time.AfterFunc(50*time.Millisecond, func() { c.Cut("n1", id) })
	}
	next := c.WaitLeaderOtherThan("n1")
	mustPut(t, next, "p", "new")
	c.Heal()
	if text, err := get(within(t, 5*time.Second), old, "p"); err == nil && text != "new" {
		t.Errorf("the old leader served %q, want %q or a refusal", text, "new")
	}
	<-early
}

// S1, S21: all nodes stop and start again, with the data on disk.
func TestS21_RestartOfAllKeepsState(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{Disk: true})
	mustPut(t, c.WaitLeader(), "p", "kept")
	c.WaitApplied()
	for _, id := range []string{"n1", "n2", "n3"} {
		c.Stop(id)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		c.Restart(id)
	}
	c.WaitLeader()
	for _, n := range c.Nodes() {
		mustGet(t, n, "p", "kept")
	}
	checkHashes(t, c)
}

// checkHashes compares the states of all running nodes (S18).
func checkHashes(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	c.Wait("equal states", func() bool {
		var index uint64
		var hash string
		for i, n := range c.Nodes() {
			at, h := n.State().Hash()
			if i > 0 && at == index && h != hash {
				t.Fatalf("states differ at index %d", at)
			}
			if i > 0 && at != index {
				return false
			}
			index, hash = at, h
		}
		return true
	})
}

// L9: a node that lost its data, or was away while the log was cut, gets a snapshot and catches up.
func TestL9_SnapshotInstall(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{Disk: true, Configure: func(cfg *cluster.Config) {
		cfg.TrailingLogs = 4
		cfg.SnapshotThreshold = 8
		cfg.SnapshotInterval = 50 * time.Millisecond
	}})
	leader := c.WaitLeader()
	ids := others(c, leader.ID())
	lagging, wiped := ids[0], ids[1]
	c.Stop(lagging)
	for i := range 100 {
		mustPut(t, leader, fmt.Sprintf("p%d", i), "text")
	}
	if _, body, err := leader.Snapshot(); err != nil {
		t.Fatalf("snapshot: %v", err)
	} else {
		body.Close()
	}
	mustGet(t, c.Restart(lagging), "p99", "text")
	c.Stop(wiped)
	c.Wipe(wiped)
	mustGet(t, c.Restart(wiped), "p99", "text")
	checkHashes(t, c)
}

func others(c *clustertest.Cluster, id string) []string {
	var ids []string
	for _, n := range c.Nodes() {
		if n.ID() != id {
			ids = append(ids, n.ID())
		}
	}
	return ids
}

// S24: leadership moves a hundred times. A duty never runs twice at once, here or elsewhere in
// the same epoch, and nothing is left running.
func TestS24_LeadershipFlaps(t *testing.T) {
	transfers := 100
	if testing.Short() {
		transfers = 10
	}
	var mu sync.Mutex
	running := map[string]int{}
	most := 0
	c := clustertest.Start(t, 3, clustertest.Options{Duties: func(node func() *cluster.Node) []cluster.Duty {
		return []cluster.Duty{func(ctx context.Context) error {
			id := node().ID()
			mu.Lock()
			running[id]++
			most = max(most, running[id])
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			running[id]--
			mu.Unlock()
			return ctx.Err()
		}}
	}})
	c.WaitLeader()
	before := runtime.NumGoroutine()
	for range transfers {
		leader := c.WaitLeader()
		term := leader.Term()
		if err := leader.StepDown(within(t, 5*time.Second)); err != nil {
			t.Fatalf("step down: %v", err)
		}
		c.Wait("another leadership", func() bool {
			l := c.Leader()
			return l != nil && l.Term() > term
		})
	}
	mustPut(t, c.WaitLeader(), "p", "after the flaps")
	c.Wait("one running duty", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return running["n1"]+running["n2"]+running["n3"] == 1
	})
	if most != 1 {
		t.Errorf("a node ran its duty %d times at once, want 1", most)
	}
	c.Wait("no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// A duty that fails ends the leadership, and another node takes over.
func TestFailingDutyGivesUpLeadership(t *testing.T) {
	fail := make(chan struct{})
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	leader.Register(func(ctx context.Context) error {
		select {
		case <-fail:
			return fmt.Errorf("broken")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(fail)
	next := c.WaitLeaderOtherThan(leader.ID())
	mustPut(t, next, "p", "served")
}

// L2: a graceful stop hands leadership over.
func TestL2_GracefulStopHandsOver(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	term := leader.Term()
	start := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.Stop(leader.ID())
	}()
	next := c.WaitLeaderOtherThan(leader.ID())
	t.Logf("the successor was ready after %v", time.Since(start))
	<-stopped
	if next.Term() != term+1 {
		t.Errorf("the successor leads in term %d, want %d: an election was needed", next.Term(), term+1)
	}
}

// The epoch in the state is the leader's term, and its addresses are recorded before it is ready.
func TestEpochAndAddressesBeforeReady(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	var epoch uint64
	leader.State().Read(func(v *fsm.View) { epoch = v.Epoch() })
	if epoch != leader.Term() {
		t.Errorf("epoch: got %d, want %d", epoch, leader.Term())
	}
	if got, want := leader.LeaderAPIAddr(), "http://"+leader.ID()+".test"; got != want {
		t.Errorf("leader's API address: got %q, want %q", got, want)
	}
	for _, n := range c.Nodes() {
		c.Wait("every member's address", func() bool { return leader.APIAddr(n.ID()) != "" })
	}
}

// A command that the state refuses comes back as its error, with the result.
func TestRefusedCommand(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Options{})
	leader := c.WaitLeader()
	res, err := leader.Propose(within(t, 5*time.Second), &command.Renew{Id: "no/such/lease"})
	if err == nil || res.Err == nil || err.Error() != res.Err.Error() {
		t.Errorf("got result %+v, error %v, want the state's refusal in both", res.Err, err)
	}
}

// A node on its own, as -dev starts it, is ready in well under a second.
func TestSingleNodeIsReadySoon(t *testing.T) {
	start := time.Now()
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.Bootstrap, cfg.BootstrapExpect = nil, 1
		cfg.HeartbeatTimeout = 50 * time.Millisecond
	}})
	leader := c.WaitLeader()
	took := time.Since(start)
	t.Logf("ready after %v", took)
	if took > time.Second {
		t.Errorf("ready after %v, want at most 1 s", took)
	}
	mustPut(t, leader, "p", "text")
	mustGet(t, leader, "p", "text")
}
