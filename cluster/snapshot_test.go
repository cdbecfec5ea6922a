package cluster_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// L9 (hashicorp/raft issue 697): a leader that was cut off keeps entries which were never
// committed. When it returns, the others have a snapshot at the index of one of these. Without
// mending, that entry's term never matches and it is sent the snapshot for ever.
//
// The entries are put into the stopped node's log by hand, which is what a leader without a
// majority does to it, with as many as the test needs.
func TestL9_ReturnedLeaderWithUncommittedEntriesCatchesUp(t *testing.T) {
	const tail = 50
	dirs := t.TempDir()
	installs := &installCounter{}
	c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.DataDir, cfg.Stores = filepath.Join(dirs, cfg.NodeID), nil
		cfg.TrailingLogs = 200 // more than the tail, as the proposer's bound sees to
		if cfg.NodeID != installs.id() {
			cfg.TrailingLogs = 2
		}
		cfg.SnapshotThreshold = 1 << 30 // by hand only
	}})
	old := c.WaitLeader()
	mustPut(t, old, "p", "first")
	c.WaitApplied()
	term := old.Term()
	id := old.ID()
	c.Stop(id)
	installs.set(id)

	appendUncommitted(t, filepath.Join(dirs, id), term, tail)

	// The others go on, so that their snapshot lies inside the tail and their log begins after it.
	leader := c.WaitLeaderOtherThan(id)
	for i := range tail / 2 {
		mustPut(t, leader, "q", fmt.Sprint(i))
	}
	mustPut(t, leader, "p", "second")
	c.WaitApplied()
	for _, n := range c.Nodes() {
		_, body, err := n.Snapshot()
		if err != nil {
			t.Fatalf("snapshot of %s: %v", n.ID(), err)
		}
		body.Close()
	}
	mustPut(t, leader, "r", "after the snapshot")

	back := c.Restart(id)
	mustGet(t, back, "p", "second")
	mustGet(t, back, "r", "after the snapshot")
	checkHashes(t, c)
	if list := snapshotsOf(t, filepath.Join(dirs, id)); list != 1 {
		t.Errorf("the returned node has %d snapshots, want 1: it was sent more than one", list)
	}
}

type installCounter struct{ returned string }

func (i *installCounter) id() string    { return i.returned }
func (i *installCounter) set(id string) { i.returned = id }

func snapshotsOf(t *testing.T, dir string) int {
	t.Helper()
	store, err := raft.NewFileSnapshotStore(dir, 2, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// appendUncommitted adds entries of the given term to a stopped node's log.
func appendUncommitted(t *testing.T, dir string, term uint64, count int) {
	t.Helper()
	stores, err := cluster.DiskStores(dir, clustertest.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stores.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	last, err := stores.Log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	framed, err := fsm.EncodeCommand(&command.PutPolicy{Name: "lost", Text: "never committed"})
	if err != nil {
		t.Fatal(err)
	}
	data := fsm.EncodeEntry(lease.At(time.Now()), [][]byte{framed})
	for i := range count {
		entry := &raft.Log{Index: last + 1 + uint64(i), Term: term, Type: raft.LogCommand, Data: data}
		if err := stores.Log.StoreLog(entry); err != nil {
			t.Fatal(err)
		}
	}
}

// L9, the crash between storing a snapshot and mending the log: a start makes it good.
func TestL9_StartMendsTheLog(t *testing.T) {
	dirs := t.TempDir()
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.DataDir, cfg.Stores = filepath.Join(dirs, cfg.NodeID), nil
	}})
	mustPut(t, c.WaitLeader(), "p", "text")
	meta, body, err := c.Leader().Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	c.Stop("n1")

	termAt := func(want uint64) {
		t.Helper()
		stores, err := cluster.DiskStores(filepath.Join(dirs, "n1"), clustertest.Logger(t))
		if err != nil {
			t.Fatal(err)
		}
		defer stores.Close()
		var entry raft.Log
		if err := stores.Log.GetLog(meta.Index, &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Term != want {
			t.Fatalf("term of entry %d: got %d, want %d", meta.Index, entry.Term, want)
		}
		if want == meta.Term {
			entry.Term--
			if err := stores.Log.StoreLog(&entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	termAt(meta.Term) // and make it another's
	mustGet(t, c.Restart("n1"), "p", "text")
	c.Stop("n1")
	termAt(meta.Term)
}

// L9: a node that got a snapshot has a gap in its log, between what it had before and what followed the
// snapshot. It starts again all the same.
func TestL9_RestartAfterASnapshotWasInstalled(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{Disk: true, Configure: func(cfg *cluster.Config) {
		cfg.TrailingLogs, cfg.SnapshotThreshold, cfg.SnapshotInterval = 4, 1<<20, time.Hour
	}})
	leader := c.WaitLeader()
	lagging := others(c, leader.ID())[0]
	for i := range 20 {
		mustPut(t, leader, fmt.Sprintf("p%d", i), "before")
	}
	c.WaitApplied()
	c.Stop(lagging)
	for i := range 20 {
		mustPut(t, leader, fmt.Sprintf("q%d", i), "meanwhile")
	}
	meta, body, err := leader.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	mustGet(t, c.Restart(lagging), "q19", "meanwhile")
	mustPut(t, c.WaitLeader(), "r", "after the snapshot")
	c.WaitApplied()
	c.Stop(lagging)

	stores, err := cluster.DiskStores(filepath.Join(c.Dir(), lagging), clustertest.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := stores.Log.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	gap := stores.Log.GetLog(meta.Index, new(raft.Log))
	if err := stores.Close(); err != nil {
		t.Fatal(err)
	}
	if first >= meta.Index || !errors.Is(gap, raft.ErrLogNotFound) {
		t.Fatalf("the log begins at %d and has entry %d (%v): the test shows nothing", first, meta.Index, gap)
	}
	mustGet(t, c.Restart(lagging), "r", "after the snapshot")
	checkHashes(t, c)
}
