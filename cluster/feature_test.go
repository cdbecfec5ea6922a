package cluster_test

import (
	"strings"
	"testing"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
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
	if _, err := c.Leader().Propose(t.Context(), &command.Tick{}); err != nil {
		t.Errorf("a command of the first level: %v", err)
	}
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

// TestT30_ATooOldNodeStops: what is below the cluster's level would stop at the first command that it does
// not understand. It stops before, and says what to run.
func TestT30_ATooOldNodeStops(t *testing.T) {
	speaks := map[string]uint32{"n1": 2, "n2": 2, "n3": 2}
	c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.FeatureLevel = speaks[cfg.NodeID]
	}})
	c.Wait("level 2", func() bool {
		for _, n := range c.Nodes() {
			var level uint32
			n.State().Read(func(v *fsm.View) { level = v.FeatureLevel() })
			if level != 2 {
				return false
			}
		}
		return true
	})
	speaks["n3"] = 1 // somebody starts an older binary
	c.Stop("n3")
	c.Restart("n3")
	c.Wait("n3 stops", func() bool { return c.Fatal("n3") != nil })
	if got, want := c.Fatal("n3").Error(), "feature level 2 and this build understands up to 1: run a newer leasehold"; !strings.Contains(got, want) {
		t.Errorf("n3 stops with %q, want %q in it", got, want)
	}
}
