package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// levelPause is between two looks while the cluster's level is below this build's.
const levelPause = 100 * time.Millisecond

// levelWait is how long a command waits for the level that it needs: a new cluster has it when each member
// has said once what it understands.
const levelWait = 1500 * time.Millisecond

// raiseFeatureLevel is a duty: it raises the cluster's feature level to what every member
// understands, so that a command of a newer level is proposed only when no member is too old for it
// (guarantee T30). The level never falls, and a member without a record keeps it where it is.
func (n *Node) raiseFeatureLevel(ctx context.Context) error {
	for {
		pause := n.cfg.ReconcileInterval
		if level, raise := n.commonLevel(); raise {
			if _, err := n.proposer.propose(ctx, &command.SetFeatureLevel{Level: level}); err != nil {
				n.log.Debug("feature level not raised", "level", level, "error", err)
			} else {
				n.log.Info("feature level raised", "level", level)
			}
		}
		if n.featureLevel() < n.cfg.FeatureLevel {
			pause = min(pause, levelPause) // members may still be on their way in
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
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

// featureLevel is the cluster's, as this node has applied it.
func (n *Node) featureLevel() (level uint32) {
	n.cfg.State.Read(func(v *fsm.View) { level = v.FeatureLevel() })
	return level
}

// awaitLevel returns nil when the cluster's level is high enough, which it may have to wait for a little.
func (p *proposer) awaitLevel(ctx context.Context, needs uint32) error {
	if needs <= 1 || needs <= p.level() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, levelWait)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return tooEarly(needs)
		case <-time.After(levelPause / 4):
			if needs <= p.level() {
				return nil
			}
		}
	}
}

// tooEarly refuses a command that some member would not understand, and would stop at.
func tooEarly(needs uint32) error {
	return lease.Errorf(lease.Unavailable, "not every member of the cluster understands this yet (it needs feature level %d): "+
		"upgrade them all, then try again", needs)
}

// tooOld says that the cluster speaks of what this build does not understand. It is why a node stops.
func tooOld(level, understood uint32) error {
	return fmt.Errorf("the cluster is at feature level %d and this build understands up to %d: run a newer leasehold on this node",
		level, understood)
}
