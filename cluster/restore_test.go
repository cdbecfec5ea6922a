package cluster_test

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// startRestorable starts a cluster that is initialized and understands restores.
func startRestorable(t *testing.T, size int, opts clustertest.Options) *clustertest.Cluster {
	t.Helper()
	c := clustertest.Start(t, size, opts)
	leader := c.WaitLeader()
	_, err := leader.Propose(t.Context(), &command.Init{ClusterId: "c1", ClusterName: "test", Keyring: []byte("wrapped"),
		TokenMount: &command.EnableMount{Id: "m-token", Accessor: "acc", Path: "auth/token/", Type: "token"},
		Root: fsm.TokenRecord(&lease.Token{Hash: "root", Accessor: "acc-root", LeaseID: "auth/token/root/h",
			Path: "auth/token/root", Policies: []string{"root"}})})
	if err != nil {
		t.Fatal(err)
	}
	c.Wait("the feature level", func() bool { return seen(leader, (*fsm.View).FeatureLevel) >= fsm.FeatureLevel })
	return c
}

// seen reads one thing of a node's state.
func seen[T any](n *cluster.Node, what func(*fsm.View) T) (got T) {
	n.State().Read(func(v *fsm.View) { got = what(v) })
	return got
}

// saved is the state of a node as a snapshot's reader would have it.
func saved(t *testing.T, n *cluster.Node) func() *fsm.State {
	t.Helper()
	var buf bytes.Buffer
	if err := n.State().Snapshot().Write(&buf); err != nil {
		t.Fatal(err)
	}
	return func() *fsm.State {
		s := fsm.New()
		if err := s.Restore(bytes.NewReader(buf.Bytes())); err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// S10, S18, S23: the three nodes have the snapshot's state, held, with equal hashes; log time, index and
// count of commands go on. The hold survives a change of leaders and a restart of all nodes, and is released
// on all.
func TestS23_ARestoreReachesAllNodesHeld(t *testing.T) {
	c := startRestorable(t, 3, clustertest.Options{Disk: true})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "old")
	state := saved(t, leader)
	mustPut(t, leader, "p", "new")
	mustPut(t, leader, "q", "later")
	c.WaitApplied()
	now, index, seq := leader.Now(), leader.AppliedIndex(), seen(leader, (*fsm.View).Seq)
	lagging := c.WaitLeader().ID()
	for _, n := range c.Nodes() { // one follower misses all of it
		if n.ID() != leader.ID() {
			lagging = n.ID()
		}
	}
	c.Stop(lagging)
	if err := leader.Restore(within(t, 20*time.Second), state(), "a test"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, c.WaitLeader(), "r", "after it")
	c.Restart(lagging)
	check := func(when string, held bool) {
		t.Helper()
		c.WaitApplied()
		for _, n := range c.Nodes() {
			if n.Now() < now || n.AppliedIndex() <= index || seen(n, (*fsm.View).Seq) <= seq {
				t.Errorf("%s: %s is at time %d, index %d, command %d; was at %d, %d, %d", when, n.ID(), n.Now(), n.AppliedIndex(),
					seen(n, (*fsm.View).Seq), now, index, seq)
			}
			if hold := seen(n, (*fsm.View).Hold); (hold != nil) != held || held && hold.Reason != "a test" {
				t.Errorf("%s: %s holds %+v, want %v", when, n.ID(), hold, held)
			}
			mustGet(t, n, "p", "old")
			mustGet(t, n, "r", "after it")
			if seen(n, func(v *fsm.View) *fsm.Policy { return v.Policy("", "q") }) != nil {
				t.Errorf("%s: %s has what is newer than the snapshot", when, n.ID())
			}
		}
		checkHashes(t, c)
	}
	check("restored", true)
	before := c.WaitLeader()
	if err := before.StepDown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	c.WaitLeaderOtherThan(before.ID())
	check("another leads", true)
	for _, id := range []string{"n1", "n2", "n3"} {
		c.Stop(id)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		c.Restart(id)
	}
	c.WaitLeader()
	check("all were started again", true)
	if _, err := c.WaitLeader().Propose(within(t, 10*time.Second), &command.ReleaseHold{}); err != nil {
		t.Fatal(err)
	}
	check("released", false)
}

// S23, S24: no duty runs while the state is replaced, and all run again afterwards; what is proposed
// meanwhile is refused, not lost.
func TestS23_DutiesEndBeforeARestore(t *testing.T) {
	var c *clustertest.Cluster
	started, ended := make(chan uint64, 100), make(chan string, 100)
	c = startRestorable(t, 3, clustertest.Options{Duties: func(n func() *cluster.Node) []cluster.Duty {
		return []cluster.Duty{func(ctx context.Context) error {
			started <- n().Term()
			<-ctx.Done()
			ended <- seen(n(), (*fsm.View).Lineage)
			return ctx.Err()
		}}
	}})
	leader := c.WaitLeader()
	term := <-started
	if err := leader.Restore(within(t, 20*time.Second), saved(t, leader)(), "a test"); err != nil {
		t.Fatal(err)
	}
	if lineage := <-ended; lineage != "" {
		t.Errorf("a duty ran when the state was that of restore %q", lineage)
	}
	c.Wait("the duty runs again", func() bool { return len(started) > 0 })
	if again := <-started; again != term && leader.Term() == term {
		t.Errorf("the duty runs in term %d, want %d", again, term)
	}
}

// What cannot be restored is refused, and nothing is replaced.
func TestARestoreIsRefused(t *testing.T) {
	c := startRestorable(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "text")
	state := saved(t, leader)
	refuse := func(what string, n *cluster.Node, s *fsm.State, want lease.Code, text string) {
		t.Helper()
		err := n.Restore(within(t, 10*time.Second), s, "a test")
		if code(err) != want || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want code %s and %q", what, err, want, text)
		}
	}
	for _, n := range c.Nodes() {
		if n.ID() != leader.ID() {
			refuse("on a follower", n, state(), lease.Unavailable, "")
		}
	}
	refuse("of nothing", leader, fsm.New(), lease.Invalid, "not initialized")
	newer := state()
	if err := applyAll(newer, &command.SetFeatureLevel{Level: 99}); err != nil {
		t.Fatal(err)
	}
	refuse("of a newer level", leader, newer, lease.Invalid, "run a newer leasehold")
	for _, n := range c.Nodes() {
		if seen(n, (*fsm.View).Lineage) != "" {
			t.Errorf("%s has another state", n.ID())
		}
		mustGet(t, n, "p", "text")
	}
}

func applyAll(s *fsm.State, cmds ...fsm.Command) error {
	var framed [][]byte
	for _, c := range cmds {
		f, err := fsm.EncodeCommand(c)
		if err != nil {
			return err
		}
		framed = append(framed, f)
	}
	_, err := s.Apply(s.Applied()+1, fsm.EncodeEntry(0, framed))
	return err
}

// cuttingSnapshots calls cut, once, when a snapshot is begun while it is set.
type cuttingSnapshots struct {
	raft.SnapshotStore
	cut *atomic.Pointer[func()]
}

func (s cuttingSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	if cut := s.cut.Swap(nil); cut != nil {
		(*cut)()
	}
	return s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
}

// S18: the leader is cut off while it takes on the state, and the others go on without. The caller is told
// that it may have happened, and the node stops. Started again with its data it does not serve, and without
// it gets the others' state.
func TestS18_ALeaderLostInARestoreStops(t *testing.T) {
	var cut atomic.Pointer[func()]
	c := startRestorable(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		stores := *cfg.Stores
		stores.Snapshots = cuttingSnapshots{stores.Snapshots, &cut}
		cfg.Stores = &stores
	}})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "old")
	state := saved(t, leader)
	mustPut(t, leader, "p", "new")
	c.WaitApplied()
	isolate := func() { c.Isolate(leader.ID()) }
	cut.Store(&isolate)
	if err := leader.Restore(within(t, 20*time.Second), state(), "a test"); code(err) != lease.Uncertain {
		t.Errorf("cut off in a restore: got %v, want that it may have happened", err)
	}
	other := c.WaitLeaderOtherThan(leader.ID())
	mustPut(t, other, "q", "without it")
	c.Wait("the lost leader stops", func() bool { return c.Fatal(leader.ID()) != nil })
	if err := c.Fatal(leader.ID()); !strings.Contains(err.Error(), "remove its data directory") {
		t.Errorf("it stops with %v", err)
	}
	c.Stop(leader.ID())
	c.Rejoin(leader.ID())
	back := c.Restart(leader.ID())
	if text, err := get(within(t, time.Second), back, "q"); err == nil {
		t.Errorf("started again with its data it serves: %q", text)
	}
	c.Stop(leader.ID())
	c.Wipe(leader.ID())
	c.Restart(leader.ID())
	for _, n := range c.Nodes() {
		mustGet(t, n, "p", "new")
		mustGet(t, n, "q", "without it")
	}
	checkHashes(t, c)
}
