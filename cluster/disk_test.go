package cluster_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/lease"
)

// sickDisk is a log store whose appends hang or fail while it is told to.
type sickDisk struct {
	raft.LogStore
	mu   sync.Mutex // guards what follows
	hang chan struct{}
	err  error
	held int // appends that hung
}

func (d *sickDisk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

func (d *sickDisk) StoreLogs(l []*raft.Log) error {
	d.mu.Lock()
	hang, err := d.hang, d.err
	if hang != nil {
		d.held++
	}
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return err
	}
	return d.LogStore.StoreLogs(l)
}

func (d *sickDisk) appends() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}

func (d *sickDisk) set(hang chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang, d.err = hang, err
}

// startSick runs three nodes whose disks can be made ill.
func startSick(t *testing.T) (*clustertest.Cluster, map[string]*sickDisk) {
	disks := map[string]*sickDisk{}
	c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.StallLimit = 300 * time.Millisecond
		cfg.WrapLogStore = func(inner raft.LogStore) raft.LogStore {
			d := &sickDisk{LogStore: inner}
			disks[cfg.NodeID] = d
			return d
		}
	}})
	return c, disks
}

// L8: a leader whose disk hangs keeps sending heartbeats, so nobody takes over until the watchdog
// ends it.
func TestL8_HangingDiskEndsTheLeader(t *testing.T) {
	c, disks := startSick(t)
	old := c.WaitLeader()
	hang := make(chan struct{})
	release := sync.OnceFunc(func() {
		disks[old.ID()].set(nil, nil)
		close(hang)
	})
	t.Cleanup(release)
	disks[old.ID()].set(hang, nil)
	done := make(chan error, 1)
	go func() { done <- put(within(t, time.Second), old, "p", "stuck") }()

	c.Wait("the watchdog", func() bool { return c.Fatal(old.ID()) != nil })
	if got := c.Fatal(old.ID()); !errors.Is(got, cluster.ErrDiskStalled) || !strings.Contains(got.Error(), "disk") {
		t.Errorf("reason: got %q, want %q", got, cluster.ErrDiskStalled)
	}
	c.Isolate(old.ID()) // what the end of its process does
	next := c.WaitLeaderOtherThan(old.ID())
	mustPut(t, next, "q", "served")
	if got := code(<-done); got != lease.Uncertain {
		t.Errorf("the write that hung: got %v, want %v", got, lease.Uncertain)
	}
}

// A node whose disk hangs can be closed all the same: Close says what it could not wait for.
func TestCloseDoesNotWaitForAHangingDisk(t *testing.T) {
	disk := &sickDisk{}
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.StallLimit = time.Hour
		cfg.StopLimit = 200 * time.Millisecond
		cfg.WrapLogStore = func(inner raft.LogStore) raft.LogStore {
			disk.LogStore = inner
			return disk
		}
	}})
	leader := c.WaitLeader()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	disk.set(hang, nil)
	done := make(chan error, 1)
	go func() { done <- put(within(t, 10*time.Second), leader, "p", "stuck") }()
	c.Wait("the append to hang", func() bool { return disk.appends() > 0 })
	if err := leader.Close(); err == nil || !strings.Contains(err.Error(), "raft did not stop") {
		t.Errorf("close: got %v, want that raft did not stop", err)
	}
	if got := code(<-done); got != lease.Uncertain {
		t.Errorf("the write that hung: got %v, want %v", got, lease.Uncertain)
	}
	c.Forget("n1")
}

// L11: a leader whose disk fails steps down. The write that met the fault is uncertain.
func TestL11_FailingDiskGivesUpLeadership(t *testing.T) {
	c, disks := startSick(t)
	old := c.WaitLeader()
	disks[old.ID()].set(nil, errors.New("no space left on device"))
	if got := code(put(within(t, 5*time.Second), old, "p", "lost")); got != lease.Uncertain {
		t.Errorf("write: got %v, want %v", got, lease.Uncertain)
	}
	c.Wait("another leader", func() bool {
		l := c.Leader()
		return l != nil && l.ID() != old.ID()
	})
	mustPut(t, c.Leader(), "q", "served")
	disks[old.ID()].set(nil, nil)
	mustGet(t, old, "q", "served")
}
