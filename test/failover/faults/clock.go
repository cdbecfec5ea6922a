package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// ClockTag is the build tag with which a node takes its time of day from a file: see cmd/leasehold.
const ClockTag = "faultclock"

// clockVariable names that file to the node.
const clockVariable = "FAULTCLOCK_FILE"

// skew is how far a clock is off. A lease of the runs is much shorter.
const skew = time.Hour

// buildWithClock builds a node whose clock can be set.
func buildWithClock(ctx context.Context, root, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", ClockTag, "-o", to, "./cmd/leasehold")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build a node whose clock can be set: %w: %s", err, out)
	}
	return nil
}

// setClock puts a clock off by a duration. The node sees all of the old file or all of the new one.
func setClock(file string, off time.Duration) error {
	if err := os.WriteFile(file+".new", []byte(off.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// clockFaults set a node's clock, which jumps at the beginning and at the end.
func clockFaults(p *Processes) []Fault {
	to := func(off time.Duration) func(context.Context, int) (func() error, error) {
		return func(_ context.Context, node int) (func() error, error) {
			for _, n := range p.struck(node) {
				if err := setClock(p.clock(n), off); err != nil {
					return nil, err
				}
			}
			return func() error {
				for _, n := range p.struck(node) {
					if err := setClock(p.clock(n), 0); err != nil {
						return err
					}
				}
				return nil
			}, nil
		}
	}
	const short, long = 3 * time.Second, 10 * time.Second
	return []Fault{
		{Name: "clock of the leader an hour ahead", Aim: Leader, Keeps: true, Strike: to(skew), Least: short, Most: long},
		{Name: "clock of the leader an hour behind", Aim: Leader, Keeps: true, Strike: to(-skew), Least: short, Most: long},
		{Name: "clock of a follower an hour ahead", Aim: Follower, Strike: to(skew), Least: short, Most: long},
		{Name: "clock of a follower an hour behind", Aim: Follower, Strike: to(-skew), Least: short, Most: long},
	}
}
