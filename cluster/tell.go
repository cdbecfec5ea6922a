package cluster

import (
	"context"

	"github.com/hashicorp/raft"
)

// HasState reports whether this node belongs to a cluster already.
func (n *Node) HasState() bool { return n.hasState() }

// tell logs whom this node follows and, on the leader, which members do not answer, each time that
// changes. Raft itself says so in many lines, again and again.
func (n *Node) tell(ctx context.Context) {
	seen := make(chan raft.Observation, 64)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(observer)
	defer n.raft.DeregisterObserver(observer)
	silent := make(map[raft.ServerID]bool) // members that this leader has told of
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-seen:
			switch about := o.Data.(type) {
			case raft.LeaderObservation:
				clear(silent)
				n.tellLeader(string(about.LeaderID))
			case raft.FailedHeartbeatObservation:
				if !silent[about.PeerID] {
					silent[about.PeerID] = true
					n.log.Warn("a member does not answer", "id", about.PeerID)
				}
			case raft.ResumedHeartbeatObservation:
				if silent[about.PeerID] {
					delete(silent, about.PeerID)
					n.log.Info("the member answers again", "id", about.PeerID)
				}
			}
		}
	}
}

func (n *Node) tellLeader(leader string) {
	switch leader {
	case n.cfg.NodeID: // leading is told when it is ready to
	case "":
		n.log.Warn("no leader is known")
	default:
		n.log.Info("following", "leader", leader)
	}
}
