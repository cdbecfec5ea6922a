package cluster

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
)

// Bounds of what a restart replays. raft counts entries, and an entry here holds up to 256 commands:
// its own threshold alone would let eight million commands pile up.
const (
	compactAfter    = 131072 // commands since the last snapshot
	compactShare    = 4      // or a quarter of the leases, if that is more
	compactSpread   = 50     // percent by which nodes differ, so that not all of them are at it at once
	compactInterval = time.Second
)

// compact takes a snapshot whenever so many commands were applied that replaying them would make a
// restart slow. Every node does so on its own.
func (n *Node) compact(ctx context.Context) {
	ticker := time.NewTicker(compactInterval)
	defer ticker.Stop()
	since := compaction{spread: spreadOf(n.cfg.NodeID)}
	since.begin(n.cfg.State)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !since.due(n.cfg.State) {
			continue
		}
		begin := n.cfg.Now()
		err := n.raft.Snapshot().Error()
		switch {
		case err == nil:
			n.log.Info("snapshot taken", "took", n.cfg.Now().Sub(begin))
		case errors.Is(err, raft.ErrRaftShutdown):
			return
		case !errors.Is(err, raft.ErrNothingNewToSnapshot):
			n.log.Warn("snapshot not taken", "error", err)
		}
		since.begin(n.cfg.State)
	}
}

// compaction counts commands since the last snapshot.
type compaction struct {
	from   uint64
	spread uint64 // percent added to the bound
}

// spreadOf gives each node a share of compactSpread of its own.
func spreadOf(nodeID string) uint64 {
	h := fnv.New32a()
	h.Write([]byte(nodeID))
	return uint64(h.Sum32() % (compactSpread + 1))
}

func (c *compaction) begin(s *fsm.State) {
	s.Read(func(v *fsm.View) { c.from = v.Seq() })
}

// due reports whether a snapshot is worth its cost now.
func (c *compaction) due(s *fsm.State) bool {
	var commands, leases uint64
	s.Read(func(v *fsm.View) { commands, leases = v.Seq()-c.from, uint64(v.Counts().Total()) })
	return commands >= max(compactAfter, leases/compactShare)*(100+c.spread)/100
}
