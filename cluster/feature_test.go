package cluster_test

import (
	"testing"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
)

// TestT30_FeatureLevelWaitsForEveryMember: commands of a level may be proposed once all speak it.
func TestT30_FeatureLevelWaitsForEveryMember(t *testing.T) {
	speaks := map[string]uint32{"n1": 3, "n2": 2, "n3": 3}
	c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.FeatureLevel = speaks[cfg.NodeID]
	}})
	level := func(n *cluster.Node) (level uint32) {
		n.State().Read(func(v *fsm.View) { level = v.FeatureLevel() })
		return level
	}
	c.Wait("level 2 on all nodes", func() bool {
		for _, n := range c.Nodes() {
			if got := level(n); got > 2 {
				t.Fatalf("%s is at level %d although n2 speaks 2", n.ID(), got)
			} else if got < 2 {
				return false
			}
		}
		return true
	})
	speaks["n2"] = 3 // the upgrade of the last node
	c.Stop("n2")
	c.Restart("n2")
	c.Wait("level 3 on all nodes", func() bool {
		for _, n := range c.Nodes() {
			if level(n) != 3 {
				return false
			}
		}
		return true
	})
}
