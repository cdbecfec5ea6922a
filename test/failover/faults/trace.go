package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// slowSync is how much longer a slow sync takes.
const slowSync = 300 * time.Millisecond

// syncFaults alter what the system calls that sync a file do, or let the whole file system hang.
func syncFaults(p *Processes, c Cluster) []Fault {
	slow := func(ctx context.Context, node int) (func() error, error) {
		return inject(ctx, c, node, fmt.Sprintf("delay_enter=%d", slowSync.Microseconds()))
	}
	// Not by strace, which does not let go of a thread that it delays, even when the process is killed.
	hung := func(_ context.Context, node int) (func() error, error) {
		d := p.disks[node-1]
		if err := d.freeze(); err != nil {
			return nil, err
		}
		return func() error { return errors.Join(d.thaw(), startAgain(c, node)) }, nil
	}
	failing := func(ctx context.Context, node int) (func() error, error) {
		return inject(ctx, c, node, "error=EIO")
	}
	const short, long = 2 * time.Second, 8 * time.Second
	return []Fault{
		{Name: "slow sync at the leader", Aim: Leader, Keeps: true, Strike: slow, Least: short, Most: long},
		{Name: "slow sync at a follower", Aim: Follower, Strike: slow, Least: short, Most: long},
		// Longer than the watchdog's 5 s, so that the leader gives up.
		{Name: "hanging disk of the leader", Aim: Leader, Strike: hung, Least: long, Most: 2 * long},
		{Name: "hanging disk of a follower", Aim: Follower, Strike: hung, Least: short, Most: 2 * long},
		{Name: "failing sync at the leader", Aim: Leader, Strike: failing, Least: short, Most: long},
		{Name: "failing sync at a follower", Aim: Follower, Strike: failing, Least: short, Most: long},
	}
}

// inject attaches strace to a node's process and lets its syncs do something else. Every system call of
// the process becomes slower by that, as on a machine that is short of everything. The end lets go of the
// process, or starts it if it gave up.
func inject(ctx context.Context, c Cluster, node int, what string) (func() error, error) {
	pid := c.Pid(node)
	if pid == 0 {
		return nil, fmt.Errorf("node %d does not run", node)
	}
	cmd := exec.Command("strace", "-f", "-p", strconv.Itoa(pid), "-o", "/dev/null", "-e", "signal=none",
		"-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:"+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	words, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	attached := make(chan bool, 1)
	ended := make(chan struct{})
	var said strings.Builder
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(words); lines.Scan(); {
			if said.Len() < 4096 {
				fmt.Fprintln(&said, lines.Text())
			}
			if strings.Contains(lines.Text(), " attached") {
				select {
				case attached <- true:
				default:
				}
			}
		}
		_ = cmd.Wait() // its exit status is the signal that ends it
	}()
	detach := func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !strings.Contains(err.Error(), "already finished") {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-time.After(10 * time.Second):
			return errors.Join(fmt.Errorf("strace does not let go of node %d", node), cmd.Process.Kill())
		}
	}
	select {
	case <-attached:
	case <-ended:
		return nil, fmt.Errorf("strace of node %d: %s", node, said.String())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), detach())
	}
	return func() error { return errors.Join(detach(), startAgain(c, node)) }, nil
}
