package fsm

import (
	"fmt"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Hold says why nothing is destroyed: a snapshot was restored, and what was renewed after it was taken
// looks expired (S23). It stands until an operator releases it.
type Hold struct {
	Restore       string // ID
	Reason        string
	Since         lease.Time
	SnapshotIndex uint64     // raft index that the restored snapshot stood at
	SnapshotNow   lease.Time // log time of it
	Cluster       string     // ID of the cluster that it was restored into, if the snapshot is of another one; else ""
}

func (h *Hold) record() *command.Hold {
	if h == nil {
		return nil
	}
	return &command.Hold{Restore: h.Restore, Reason: h.Reason, Since: int64(h.Since), SnapshotIndex: h.SnapshotIndex,
		SnapshotNow: int64(h.SnapshotNow), Cluster: h.Cluster}
}

func holdFromRecord(m *command.Hold) *Hold {
	if m == nil {
		return nil
	}
	return &Hold{Restore: m.Restore, Reason: m.Reason, Since: lease.Time(m.Since), SnapshotIndex: m.SnapshotIndex,
		SnapshotNow: lease.Time(m.SnapshotNow), Cluster: m.Cluster}
}

// mayEnd is nil if the leader of an epoch may end leases now: nothing is ended, claimed or swept while a
// hold stands, whoever asks.
func (c *core) mayEnd(epoch uint64) *lease.Error {
	switch {
	case epoch != c.epoch:
		return lease.ErrStaleEpoch
	case c.hold != nil:
		return lease.ErrHeld
	}
	return nil
}

// applyReleaseHold ends the hold: all that waited is due. Without one it changes nothing.
func (c *core) applyReleaseHold(r *Result, m *command.ReleaseHold) {
	if c.hold == nil {
		return
	}
	if m.Restore != "" && m.Restore != c.hold.Restore {
		r.Err = lease.Errorf(lease.Conflict, "the hold is of another restore, %s: look at it again", c.hold.Restore)
		return
	}
	c.hold = nil
	c.host.attend()
}

// checkLineage returns why this node must stop before an entry: its state descends from another restore
// than that of the leader who wrote the entry. Raft has a leader take on a restored state before the others
// have it; should the leader be lost in between, they go on without, and it must not go on at all.
func (c *core) checkLineage(cmds []decoded) error {
	for _, d := range cmds {
		m, ok := d.cmd.(*command.Lineage)
		if !ok || m.Restore == c.lineage {
			continue
		}
		return fmt.Errorf("the state of this node comes from %s and that of the cluster from %s: a restore was cut off "+
			"before the others had it. Stop this node, remove its data directory and start it again: it gets the cluster's state",
			origin(c.lineage), origin(m.Restore))
	}
	return nil
}

func origin(restore string) string {
	if restore == "" {
		return "no restore"
	}
	return fmt.Sprintf("restore %q", restore)
}

// foreignGap is how far the count of commands leaps when the snapshot of another cluster is restored. That
// cluster may have gone on after the snapshot was taken, nobody knows for how long; targets refuse what
// comes with a lower fencing index than they have seen. It is enough for four months of 100,000 commands a
// second, and leaves room for millions of restores.
const foreignGap = 1 << 40

// Restoration is what a restore adds to a snapshot's state.
type Restoration struct {
	ID     string // unique
	Reason string
	Now    lease.Time // the leader's log time
	Term   uint64     // the leader's
	Index  uint64     // last one of the leader's log
}

// Rebase makes the state of a snapshot, which nobody else uses yet, one that may replace current: it
// holds everything, and what must never go back does not. That is log time (S10), the count of commands,
// from which fencing indexes, job IDs and the ages of policies are made (S14), and raft's index. The
// members, their join tokens and autopilot's settings are current's. The error says that the snapshot cannot be restored here.
func (s *State) Rebase(current *State, r Restoration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	current.mu.RLock()
	defer current.mu.RUnlock()
	c, old := s.core, current.core
	if r.ID == "" || r.ID == old.lineage || r.ID == c.lineage {
		return fmt.Errorf("restore %q: the ID is not a new one", r.ID)
	}
	if !c.cluster.Initialized {
		return lease.Errorf(lease.Invalid, "the snapshot is of a cluster that was not initialized: there is nothing in it to restore")
	}
	hold := &Hold{Restore: r.ID, Reason: r.Reason, SnapshotIndex: c.index, SnapshotNow: c.now}
	gap := uint64(1)
	if c.cluster.ID != old.cluster.ID {
		gap, hold.Cluster = foreignGap, old.cluster.ID
	}
	if max(c.seq, old.seq) > 1<<63 {
		return lease.Errorf(lease.Invalid, "the snapshot's count of commands, %d, leaves no room", c.seq)
	}
	c.now = max(c.now, old.now, r.Now)
	c.seq = max(c.seq, old.seq) + gap
	c.index = max(c.index, old.index, r.Index)
	c.epoch = r.Term
	c.level = max(c.level, old.level)
	c.nodes.Clear()
	old.nodes.Scan(func(id string, n Node) bool {
		c.nodes.Set(id, n)
		return true
	})
	c.joinTokens.Clear()
	old.joinTokens.Scan(func(id string, t JoinToken) bool {
		c.joinTokens.Set(id, t)
		return true
	})
	c.autopilot = old.autopilot
	hold.Since = c.now
	c.hold, c.lineage = hold, r.ID
	s.applied.Store(c.index)
	return nil
}
