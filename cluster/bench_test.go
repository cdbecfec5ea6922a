package cluster_test

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm/command"
)

func benchReads(b *testing.B, size, clients int, pick func(*clustertest.Cluster) *cluster.Node) {
	c := clustertest.Start(b, size, clustertest.Options{Configure: func(cfg *cluster.Config) { cfg.Network = cluster.TCP{} }})
	c.WaitLeader()
	c.WaitApplied()
	n := pick(c)
	ctx := within(b, time.Minute)
	b.SetParallelism(max(clients/2, 1)) // times two cores
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.ReadIndex(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func leader(c *clustertest.Cluster) *cluster.Node { return c.WaitLeader() }

func follower(c *clustertest.Cluster) *cluster.Node {
	id := c.WaitLeader().ID()
	for _, n := range c.Nodes() {
		if n.ID() != id {
			return n
		}
	}
	return nil
}

func BenchmarkReadIndexLeader64(b *testing.B)   { benchReads(b, 3, 64, leader) }
func BenchmarkReadIndexLeader2(b *testing.B)    { benchReads(b, 3, 2, leader) }
func BenchmarkReadIndexFollower64(b *testing.B) { benchReads(b, 3, 64, follower) }
func BenchmarkReadIndexSingleNode(b *testing.B) { benchReads(b, 1, 64, leader) }

func benchPropose(b *testing.B, clients int, disk bool) {
	c := clustertest.Start(b, 3, clustertest.Options{Disk: disk, Configure: func(cfg *cluster.Config) { cfg.Network = cluster.TCP{} }})
	n := c.WaitLeader()
	ctx := within(b, time.Minute)
	cmd := &command.PutPolicy{Name: "p", Text: "a text of the size that a lease has, more or less, which is a hundred bytes and some more to fill it up"}
	b.SetParallelism(max(clients/2, 1))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Propose(ctx, cmd); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkPropose1Disk(b *testing.B)    { benchPropose(b, 1, true) }
func BenchmarkPropose64Disk(b *testing.B)   { benchPropose(b, 64, true) }
func BenchmarkPropose1024Disk(b *testing.B) { benchPropose(b, 1024, true) }
