package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// WithoutRoot says, if it is "1", that tests which need root are to be skipped.
const WithoutRoot = "LEASEHOLD_NO_ROOT"

// ErrNoRoot is what Missing returns wrapped, and Prepare.
var ErrNoRoot = errors.New("faults of network and disk need root")

// Options says what the environment of a cluster of processes is to be able to do.
type Options struct {
	Ports    string // the first two digits of every port
	Binary   string // the node's binary; "": what LEASEHOLD_BIN names, or bin/leasehold
	Root     string // of the repository
	DiskSize int64  // bytes of each node's file system; 0: 512 MiB. Only what is written takes space here.
	// Clocks builds a binary whose clock can be set, in place of Binary: see ClockTag.
	Clocks bool
}

// Processes is the environment of a cluster of processes on this host. It implements Environment.
// Prepare, then the nodes, then faults, which may overlap unless they do the same harm to the same node.
type Processes struct {
	opts  Options
	work  string // directory of the images, the wrapper and the clocks
	nodes int
	lock  *os.File
	net   *network
	disks []*disk
}

// NewProcesses makes an environment. Nothing happens before Prepare.
func NewProcesses(o Options) *Processes {
	o.Binary = cmp.Or(o.Binary, os.Getenv("LEASEHOLD_BIN"), "bin/leasehold")
	if !filepath.IsAbs(o.Binary) {
		o.Binary = filepath.Join(o.Root, o.Binary)
	}
	o.DiskSize = cmp.Or(o.DiskSize, 512<<20)
	return &Processes{opts: o}
}

// Missing returns an error that says what this host lacks for faults of processes, nil if nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: run as root, or set %s=1 to go without the tests that need it", ErrNoRoot, WithoutRoot)
	}
	var missing []string
	for tool, from := range map[string]string{"nft": "nftables", "setpriv": "util-linux", "mount": "mount", "umount": "mount", "fsfreeze": "util-linux",
		"mkfs.ext4": "e2fsprogs", "cp": "coreutils", "strace": "strace"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, fmt.Sprintf("%s (package %s)", tool, from))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("faults need programs that are missing: %s: run scripts/deps.sh", strings.Join(missing, ", "))
	}
	return nil
}

func (p *Processes) prefix() string { return "leasehold-faults-" + p.opts.Ports + "-" }

// Prepare implements Environment.
func (p *Processes) Prepare(ctx context.Context, dir string, nodes int) ([]string, error) {
	env, err := p.prepare(ctx, dir, nodes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare faults: %w", err), p.Close())
	}
	return env, nil
}

func (p *Processes) prepare(ctx context.Context, dir string, nodes int) ([]string, error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), p.prefix()+"lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another run has the ports %s…: wait until it is over (%w)", p.opts.Ports, err)
	}
	p.lock, p.nodes, p.net = lock, nodes, &network{ports: p.opts.Ports, nodes: nodes}
	if err := p.sweep(); err != nil {
		return nil, fmt.Errorf("clear up after an earlier run: %w", err)
	}
	if p.work, err = os.MkdirTemp("", p.prefix()); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.work, 0o755); err != nil {
		return nil, err
	}
	if p.opts.Clocks {
		p.opts.Binary = filepath.Join(p.work, "leasehold")
		if err := buildWithClock(ctx, p.opts.Root, p.opts.Binary); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(p.opts.Binary); err != nil {
		return nil, fmt.Errorf("%s is missing: run 'make build' first (%w)", p.opts.Binary, err)
	}
	if err := p.net.open(); err != nil {
		return nil, err
	}
	for node := 1; node <= nodes; node++ {
		if err := p.place(dir, node); err != nil {
			return nil, err
		}
	}
	wrapper := filepath.Join(p.work, "node")
	return []string{"LEASEHOLD_BIN=" + wrapper}, os.WriteFile(wrapper, []byte(p.wrapper()), 0o755)
}

// place gives a node its own file system for its data, and a clock.
func (p *Processes) place(dir string, node int) error {
	d, err := newDisk(filepath.Join(p.work, fmt.Sprintf("n%d", node)), p.opts.DiskSize)
	if err != nil {
		return err
	}
	p.disks = append(p.disks, d)
	if err := d.mount(); err != nil {
		return err
	}
	if err := os.Mkdir(d.data(), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("n%d", node)), 0o700); err != nil {
		return err
	}
	if err := os.Symlink(d.data(), filepath.Join(dir, fmt.Sprintf("n%d", node), "data")); err != nil {
		return err
	}
	return setClock(p.clock(node), 0)
}

// wrapper is the program that cluster.sh takes for the node's: it finds out which node is started, and
// becomes that node in a group of its own. Other commands than server run as they are.
func (p *Processes) wrapper() string {
	return fmt.Sprintf(`#!/bin/sh
for a; do
  case $a in
    */n[1-9]/config.hcl) d=${a%%/config.hcl}; i=${d##*/n} ;;
  esac
done
[ -n "$i" ] || exec '%[1]s' "$@"
export %[2]s="%[3]s$i"
exec setpriv --regid "%[4]s$i" --clear-groups '%[1]s' "$@"
`, p.opts.Binary, clockVariable, p.clockPrefix(), strings.TrimSuffix(group(p.opts.Ports, 1), "1"))
}

func (p *Processes) clockPrefix() string   { return filepath.Join(p.work, "clock-") }
func (p *Processes) clock(node int) string { return fmt.Sprintf("%s%d", p.clockPrefix(), node) }

// Faults implements Environment.
func (p *Processes) Faults(c Cluster) []Fault {
	list := p.net.faults()
	list = append(list, diskFaults(p, c)...)
	list = append(list, syncFaults(p, c)...)
	if p.opts.Clocks {
		list = append(list, clockFaults(p)...)
	}
	return list
}

// Close implements Environment.
func (p *Processes) Close() error {
	if p.lock == nil {
		return nil
	}
	err := p.sweep()
	err = errors.Join(err, p.lock.Close())
	p.lock = nil
	return err
}

// sweep takes away whatever bears the name of these ports: processes, mounts, directories, rules. It is
// the one way in which things end, so that it is in use, and tested, on each run.
func (p *Processes) sweep() error {
	err := thawBelow(filepath.Join(os.TempDir(), p.prefix())) // a process that waits for its disk does not end
	err = errors.Join(err, endGroups(p.opts.Ports))
	err = errors.Join(err, unmountBelow(filepath.Join(os.TempDir(), p.prefix())))
	err = errors.Join(err, p.net.close())
	dirs, globErr := filepath.Glob(filepath.Join(os.TempDir(), p.prefix()+"*"))
	err = errors.Join(err, globErr)
	for _, d := range dirs {
		if d != p.lock.Name() {
			err = errors.Join(err, os.RemoveAll(d))
		}
	}
	return err
}

// endGroups kills every process that runs as a node's group of these ports, and waits until they are gone.
func endGroups(ports string) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		pids := inGroups(ports)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end after SIGKILL", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
	}
}

// inGroups lists the processes that run as a node's group. Those that have ended and wait for their parent are left out.
func inGroups(ports string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it ended
		}
		var gid, state string
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Gid:"); ok {
				gid = strings.Fields(rest)[0]
			}
			if rest, ok := strings.CutPrefix(line, "State:"); ok {
				state = strings.Fields(rest)[0]
			}
		}
		if len(gid) != len(group(ports, 1)) || !strings.HasPrefix(gid, ports+"0000") || state == "Z" {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
