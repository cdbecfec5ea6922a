package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// disk is a node's own file system: ext4 on a loop device over a sparse file.
type disk struct {
	dir string // holds the image and the place where it is mounted
}

// newDisk makes a file system of a size in bytes.
func newDisk(dir string, size int64) (*disk, error) {
	d := &disk{dir}
	if err := os.MkdirAll(d.root(), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(d.image())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return nil, err
	}
	// No blocks are kept for root, as which the nodes run.
	return d, run("mkfs.ext4", "-q", "-m", "0", "-O", "^resize_inode", d.image())
}

func (d *disk) image() string  { return filepath.Join(d.dir, "image") }
func (d *disk) root() string   { return filepath.Join(d.dir, "fs") }
func (d *disk) data() string   { return filepath.Join(d.root(), "data") }
func (d *disk) filler() string { return filepath.Join(d.root(), "filler") }

func (d *disk) mount() error { return run("mount", "-o", "loop", d.image(), d.root()) }

// unmount tries for a moment: the kernel closes the files of a process a little after it looks gone.
func (d *disk) unmount() error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := run("umount", d.root()); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// freeze lets every write and sync wait until thaw, as a disk does that answers no more.
func (d *disk) freeze() error { return run("fsfreeze", "--freeze", d.root()) }
func (d *disk) thaw() error   { return run("fsfreeze", "--unfreeze", d.root()) }

// fill leaves no block free. The node goes on in the blocks that its files have.
func (d *disk) fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var at int64
	for size := int64(256 << 20); size >= 1024; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, at, size); {
		case err == nil:
			at += size
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case !errors.Is(err, syscall.EINTR):
			return errors.Join(fmt.Errorf("fill %s: %w", d.root(), err), os.Remove(d.filler()))
		}
	}
	return nil
}

// empty gives the space back.
func (d *disk) empty() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// diskFaults are full disks and power cuts.
func diskFaults(p *Processes, c Cluster) []Fault {
	full := func(ctx context.Context, node int) (func() error, error) { return p.fill(c, node) }
	cut := func(ctx context.Context, node int) (func() error, error) { return p.powerCut(ctx, c, node) }
	const short, long = 2 * time.Second, 10 * time.Second
	return []Fault{
		// The library's file has free pages, so that a leader may go on for a while.
		{Name: "full disk of the leader", Aim: Leader, Strike: full, Least: short, Most: long},
		{Name: "full disk of a follower", Aim: Follower, Strike: full, Least: short, Most: long},
		{Name: "full disks of all", Aim: All, Keeps: true, Strike: full, Least: short, Most: long},
		{Name: "power cut of the leader", Aim: Leader, Strike: cut, Least: short, Most: long},
		{Name: "power cut of a follower", Aim: Follower, Strike: cut, Least: short, Most: long},
		{Name: "power cut of all", Aim: All, Strike: cut, Least: 0, Most: short},
	}
}

// struck is the nodes that a fault aims at: all for 0.
func (p *Processes) struck(node int) []int {
	if node == 0 {
		return p.net.all()
	}
	return []int{node}
}

// fill fills up the disks. A node that ended for want of space is started again when there is some.
func (p *Processes) fill(c Cluster, node int) (func() error, error) {
	heal := func() (err error) {
		for _, n := range p.struck(node) {
			err = errors.Join(err, p.disks[n-1].empty())
		}
		for _, n := range p.struck(node) {
			err = errors.Join(err, startAgain(c, n))
		}
		return err
	}
	for _, n := range p.struck(node) {
		if err := p.disks[n-1].fill(); err != nil {
			return nil, errors.Join(err, heal())
		}
	}
	return heal, nil
}

// startLimit bounds how long a fault's end waits for a node to start.
const startLimit = time.Minute

// startAgain sees to it that a node runs. A process may be about to end for what it met while the fault
// lasted; so either it answers, or it is gone and is started.
func startAgain(c Cluster, node int) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for c.Pid(node) != 0 {
		if answers(ctx, c.API(node)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %d neither answers nor ends within %v", node, startLimit)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return c.Start(ctx, node)
}

// answers reports whether a node says anything at all.
func answers(ctx context.Context, api string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/v1/sys/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}

// powerCut takes the power from nodes at one moment: they stand still, what their disks hold is copied,
// and the copies are what they find when they are started.
func (p *Processes) powerCut(ctx context.Context, c Cluster, node int) (func() error, error) {
	var down []int
	heal := func() (err error) {
		for _, n := range down {
			err = errors.Join(err, startAgain(c, n))
		}
		return err
	}
	wake := func(err error) (func() error, error) { // nothing is to be done
		for _, n := range p.struck(node) {
			if pid := c.Pid(n); pid != 0 {
				err = errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
			}
		}
		return nil, errors.Join(err, heal())
	}
	for _, n := range p.struck(node) {
		if err := freeze(ctx, c.Pid(n)); err != nil {
			return wake(fmt.Errorf("power cut of node %d: %w", n, err))
		}
	}
	for _, n := range p.struck(node) {
		if err := run("cp", "--sparse=always", p.disks[n-1].image(), p.disks[n-1].image()+".cut"); err != nil {
			return wake(err)
		}
	}
	for _, n := range p.struck(node) {
		if err := c.Kill(ctx, n); err != nil {
			return wake(err)
		}
		d := p.disks[n-1]
		if err := errors.Join(d.unmount(), os.Rename(d.image()+".cut", d.image()), d.mount()); err != nil {
			return wake(err)
		}
		down = append(down, n)
	}
	return heal, nil
}

// freeze stops a process and waits until each of its threads stands still, so that none is inside a
// system call that could still end well.
func freeze(ctx context.Context, pid int) error {
	if pid == 0 {
		return errors.New("the node does not run")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		moving := 0
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			_, rest, _ := strings.Cut(string(text), ") ")
			if !strings.HasPrefix(rest, "T") {
				moving++
			}
		}
		if moving == 0 && len(files) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d does not stop: %w", pid, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// mountsBelow lists the places of file systems that begin with a path, the latest first.
func mountsBelow(prefix string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], prefix) {
			found = append([]string{f[1]}, found...)
		}
	}
	return found, nil
}

func unmountBelow(prefix string) error {
	mounts, err := mountsBelow(prefix)
	for _, at := range mounts {
		err = errors.Join(err, run("umount", at))
	}
	return err
}

// thawBelow lets file systems go on that stand still. Of the others the system says that they do not.
func thawBelow(prefix string) error {
	mounts, err := mountsBelow(prefix)
	for _, at := range mounts {
		_ = run("fsfreeze", "--unfreeze", at)
	}
	return err
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
