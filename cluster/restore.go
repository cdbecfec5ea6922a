package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

const (
	restoreDrain   = 10 * time.Second      // for entries still with raft
	restoreEnqueue = 30 * time.Second      // for raft's main loop to take the snapshot
	restoreLook    = 50 * time.Millisecond // between looks whether this node leads still
)

// restoreOrder is a state that the leader is to take on.
type restoreOrder struct {
	state  *fsm.State
	reason string
	done   chan error // takes one, never blocks
}

// Restore replaces the replicated state of the cluster by that of a snapshot, which nobody else uses. It
// is the leader's. The duties end first, as if leadership were lost, and begin again afterwards; the new
// state is held from its first moment (S23), takes back neither time nor numbers, and keeps the members as
// they are. The error is a *lease.Error: Uncertain when it may have happened, else nothing did.
func (n *Node) Restore(ctx context.Context, state *fsm.State, reason string) error {
	var level uint32
	state.Read(func(v *fsm.View) { level = v.FeatureLevel() })
	if needs := fsm.LevelOf(&command.ReleaseHold{}); n.featureLevel() < needs {
		return tooEarly(needs)
	}
	if level > n.cfg.FeatureLevel {
		return lease.Errorf(lease.Invalid, "the snapshot is of feature level %d and this node knows %d: run a newer leasehold", level, n.cfg.FeatureLevel)
	}
	order := &restoreOrder{state: state, reason: reason, done: make(chan error, 1)}
	for given := false; !given; {
		if n.term.Load() == nil {
			return errNotLeader
		}
		select {
		case n.restores <- order:
			given = true
		case <-ctx.Done():
			return notQueued(ctx.Err())
		case <-time.After(restoreLook):
		}
	}
	select {
	case err := <-order.done:
		return err
	case <-ctx.Done():
		return proposalError(ctx.Err())
	}
}

var errRestoring = errors.New("a snapshot is restored")

// takeRestores is a duty that ends the leadership's work when a snapshot is to be restored.
func (n *Node) takeRestores(ctx context.Context) error {
	select {
	case order := <-n.restores:
		n.restoring.Store(order)
		return errRestoring
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restoreTaken restores what takeRestores has taken, now that no duty runs. It reports whether there was
// anything.
func (n *Node) restoreTaken(ctx context.Context) bool {
	order := n.restoring.Swap(nil)
	if order == nil {
		return false
	}
	err := n.restore(ctx, order)
	if err != nil {
		n.log.Error("the snapshot was not restored", "error", err)
	}
	order.done <- err
	return true
}

// restore hands the state to raft. Every entry before it is committed: should this leader be lost before
// the others have the state, the next one begins behind them, with an entry that names its lineage, and a
// node that holds the lost state stops there (see fsm.State.Rebase and command.Lineage).
func (n *Node) restore(ctx context.Context, order *restoreOrder) error {
	n.awaitIdle(restoreDrain)
	if err := n.barrier(ctx); err != nil {
		return &lease.Error{Code: lease.Unavailable, Message: "this node stopped leading before the snapshot was restored: nothing was done", Err: err}
	}
	what := fsm.Restoration{ID: rand.Text(), Reason: order.reason, Now: n.clock.Now(), Term: n.raft.CurrentTerm(), Index: n.raft.LastIndex()}
	if err := order.state.Rebase(n.cfg.State, what); err != nil {
		return err
	}
	frozen := order.state.Snapshot()
	order.state = nil // it is large, and its copy comes from the disk
	var size counter
	if err := frozen.Write(&size); err != nil {
		return &lease.Error{Code: lease.Internal, Message: "the snapshot cannot be written", Err: err}
	}
	from, to := io.Pipe()
	go func() { to.CloseWithError(frozen.Write(to)) }()
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: frozen.Index(), Term: what.Term, Size: int64(size)}
	err := n.raft.Restore(meta, from, restoreEnqueue)
	from.CloseWithError(errRestoring) // or the writer would wait for ever, had raft not read it
	if err == nil {
		n.log.Warn("a snapshot was restored: nothing is destroyed until the hold is released", "restore", what.ID, "reason", order.reason)
		return nil
	}
	var lineage string
	n.cfg.State.Read(func(v *fsm.View) { lineage = v.Lineage() })
	if lineage == what.ID {
		// Raft would neither apply nor get what the others go on with.
		n.fatal(fmt.Errorf("this node was lost as the leader while the others took on restore %q: if they went on without it, "+
			"remove its data directory; then start it again: %w", what.ID, err))
		return &lease.Error{Code: lease.Uncertain, Err: err,
			Message: "this node was lost as the leader while the others took on the snapshot: it may have been restored, look at the hold"}
	}
	return &lease.Error{Code: lease.Unavailable, Message: "the snapshot was not restored: nothing was done", Err: err}
}

// counter counts what is written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// nameLineage proposes the restore that this leader's state descends from: a node whose state descends from
// another one must not go on. While some member does not know the command there has been no restore.
func (n *Node) nameLineage(ctx context.Context) error {
	var lineage string
	if n.featureLevel() < fsm.LevelOf(&command.Lineage{}) {
		return nil
	}
	n.cfg.State.Read(func(v *fsm.View) { lineage = v.Lineage() })
	if _, err := n.proposer.propose(ctx, &command.Lineage{Restore: lineage}); err != nil {
		return fmt.Errorf("name lineage %q: %w", lineage, err)
	}
	return nil
}
