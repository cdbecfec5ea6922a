package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// ErrDiskStalled is in what Config.Fatal is told when the disk of a leader hangs. The process must then end
// without Close, which waits for that disk, while raft goes on with its heartbeats and nobody takes over.
var ErrDiskStalled = errors.New("the disk did not finish an append")

// diskWatch is a log store that knows since when an append is outstanding. raft keeps sending
// heartbeats while its disk hangs, so nobody else would take over (guarantee L8, hashicorp/raft
// issues 503 and 683).
type diskWatch struct {
	raft.LogStore
	now   func() time.Time
	since atomic.Pointer[time.Time] // nil: no append outstanding
}

// StoreLog implements raft.LogStore.
func (w *diskWatch) StoreLog(entry *raft.Log) error {
	return w.StoreLogs([]*raft.Log{entry})
}

// StoreLogs implements raft.LogStore.
func (w *diskWatch) StoreLogs(entries []*raft.Log) error {
	start := w.now()
	w.since.Store(&start)
	defer w.since.Store(nil)
	return w.LogStore.StoreLogs(entries)
}

// outstanding is how long the current append has taken so far, 0 if there is none.
func (w *diskWatch) outstanding() time.Duration {
	start := w.since.Load()
	if start == nil {
		return 0
	}
	return w.now().Sub(*start)
}

// watchDisk ends the node when it leads and an append is outstanding for longer than the limit: it
// tries to hand over, which a hanging main loop as a rule does not do any more, and calls Fatal.
func (n *Node) watchDisk(ctx context.Context) {
	tick := time.NewTicker(max(n.cfg.StallLimit/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stalled := n.disk.outstanding()
		if stalled < n.cfg.StallLimit || n.raft.State() != raft.Leader {
			continue
		}
		n.log.Error("the disk does not finish an append: giving up leadership", "outstanding", stalled)
		moved := make(chan error, 1)
		go func() { moved <- n.raft.LeadershipTransfer().Error() }()
		select {
		case <-moved:
		case <-time.After(n.cfg.StallLimit / 5):
		}
		n.fatal(fmt.Errorf("%w for %v: leaving, so that another node can lead", ErrDiskStalled, stalled.Round(time.Millisecond)))
		return
	}
}
