package cluster

import (
	"context"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
)

// raiseFeatureLevel is a duty: it raises the cluster's feature level to what every member
// understands, so that a command of a newer level is proposed only when no member is too old for it
// (guarantee T30). The level never falls, and a member without a record keeps it where it is.
func (n *Node) raiseFeatureLevel(ctx context.Context) error {
	ticker := time.NewTicker(n.cfg.ReconcileInterval)
	defer ticker.Stop()
	for {
		if level, raise := n.commonLevel(); raise {
			if _, err := n.proposer.propose(ctx, &command.SetFeatureLevel{Level: level}); err != nil {
				n.log.Debug("feature level not raised", "level", level, "error", err)
			} else {
				n.log.Info("feature level raised", "level", level)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// commonLevel is the highest level that every member understands, and whether it is above the
// cluster's.
func (n *Node) commonLevel() (level uint32, raise bool) {
	servers := n.servers()
	if len(servers) == 0 {
		return 0, false
	}
	level = n.cfg.FeatureLevel
	n.cfg.State.Read(func(v *fsm.View) {
		for _, s := range servers {
			member, _ := v.Node(string(s.ID)) // without a record: level 0
			level = min(level, member.FeatureLevel)
		}
		raise = level > v.FeatureLevel()
	})
	return level, raise
}
