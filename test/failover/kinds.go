package failover

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// Names of the faults that need only signals and restarts.
const (
	killLeader     = "kill -9 of the leader"
	killFollower   = "kill -9 of a follower"
	killTwo        = "kill -9 of the leader and a follower"
	killAll        = "kill -9 of all nodes"
	pauseLeader    = "pause of the leader"
	pauseFollower  = "pause of a follower"
	stutter        = "short pause of the leader"
	stopLeader     = "graceful stop of the leader"
	rollingRestart = "rolling restart"
	restartAll     = "restart of all nodes"
)

// signals are the faults that every cluster knows.
func (r *Run) signals() []faults.Fault {
	const s, ms = time.Second, time.Millisecond
	return []faults.Fault{
		{Name: killLeader, Aim: faults.Leader, Strike: r.ends(r.cluster.Kill, alone), Least: 800 * ms, Most: 3 * s},
		{Name: killFollower, Aim: faults.Follower, Strike: r.ends(r.cluster.Kill, alone), Least: 500 * ms, Most: 3 * s},
		{Name: killTwo, Aim: faults.Leader, Keeps: true, Strike: r.ends(r.cluster.Kill, andAnother), Least: 500 * ms, Most: 3 * s},
		{Name: killAll, Aim: faults.All, Strike: r.ends(r.cluster.Kill, all), Least: 100 * ms, Most: 2 * s},
		{Name: pauseLeader, Aim: faults.Leader, Strike: r.stands, Least: 2500 * ms, Most: 20 * s},
		{Name: pauseFollower, Aim: faults.Follower, Strike: r.stands, Least: s, Most: 20 * s},
		{Name: stutter, Aim: faults.Leader, Keeps: true, Strike: r.stands, Least: 300 * ms, Most: 1500 * ms},
		{Name: stopLeader, Aim: faults.Leader, Strike: r.ends(r.cluster.Stop, alone), Least: 500 * ms, Most: 2 * s},
		{Name: rollingRestart, Aim: faults.All, Strike: r.rolls, Least: 0, Most: 100 * ms},
		{Name: restartAll, Aim: faults.All, Strike: r.ends(r.cluster.Stop, all), Least: 100 * ms, Most: s},
	}
}

// rollPause is between two nodes of a rolling restart.
const rollPause = time.Second

// Which nodes a strike at one ends.
func alone(_, node int) []int         { return []int{node} }
func andAnother(size, node int) []int { return []int{node, node%size + 1} }

func all(size, _ int) []int {
	nodes := make([]int, size)
	for i := range nodes {
		nodes[i] = i + 1
	}
	return nodes
}

// ends makes a Strike that ends nodes, all at once, and starts them again.
func (r *Run) ends(end func(context.Context, int) error, which func(size, node int) []int) func(context.Context, int) (func() error, error) {
	return func(ctx context.Context, node int) (func() error, error) {
		nodes := which(r.cluster.Size(), node)
		heal := func() error {
			return r.each(nodes, func(node int) error { return r.cluster.Start(context.Background(), node) })
		}
		if err := r.each(nodes, func(node int) error { return end(ctx, node) }); err != nil {
			return nil, errors.Join(err, heal())
		}
		return heal, nil
	}
}

// each does something to nodes at the same time.
func (r *Run) each(nodes []int, do func(node int) error) error {
	errs := make(chan error, len(nodes))
	for _, node := range nodes {
		go func() { errs <- do(node) }()
	}
	var failed error
	for range nodes {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

// stands is a Strike that pauses a node's process.
func (r *Run) stands(_ context.Context, node int) (func() error, error) {
	pid := r.cluster.Pid(node)
	if pid == 0 {
		return nil, fmt.Errorf("node %d does not run", node)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("pause node %d: %w", node, err)
	}
	return func() error { return syscall.Kill(pid, syscall.SIGCONT) }, nil
}

// rolls is a Strike that restarts one node after the other, under the eyes of stock clients. (L13)
func (r *Run) rolls(ctx context.Context, _ int) (func() error, error) {
	nothing := func() error { return nil }
	stock, err := startStock(r.cluster)
	if err != nil {
		return nil, err
	}
	pause(ctx, rollPause)
	for node := 1; node <= r.cluster.Size() && err == nil; node++ {
		if err = r.cluster.Stop(ctx, node); err != nil {
			break
		}
		if err = r.cluster.Start(ctx, node); err != nil {
			break
		}
		err = r.well(ctx)
		pause(ctx, rollPause)
	}
	s := stock.end()
	r.stock.add(s)
	if s.failed > 0 {
		r.rec.violate("L13", "%d of %d calls of stock clients failed in a rolling restart, retries included; the first: %v", s.failed, s.calls, s.first)
	}
	return nothing, err
}
