package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standIns is the Cluster of a rig: what faults of disks need of one.
type standIns struct {
	Cluster // what is not below is not called
	r       *rig
	started []int
}

func (s *standIns) Pid(node int) int {
	for _, pid := range inGroups(ports) {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if bytes.Contains(status, []byte("Gid:\t"+group(ports, node)+"\t")) {
			return pid
		}
	}
	return 0
}

func (s *standIns) Kill(_ context.Context, node int) error {
	for pid := s.Pid(node); pid != 0 && s.Pid(node) != 0; time.Sleep(time.Millisecond) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

func (s *standIns) Start(_ context.Context, node int) error {
	s.started = append(s.started, node)
	return nil
}

func (s *standIns) API(node int) string { return "http://" + port(strconv.Itoa(node), 0) }

// strike finds a fault by its name and does it.
func (s *standIns) strike(name string, node int) (heal func()) {
	s.r.t.Helper()
	for _, f := range s.r.p.Faults(s) {
		if f.Name == name {
			h, err := f.Strike(s.r.t.Context(), node)
			if err != nil {
				s.r.t.Fatal(err)
			}
			return func() {
				s.r.t.Helper()
				if err := h(); err != nil {
					s.r.t.Fatal(err)
				}
			}
		}
	}
	s.r.t.Fatalf("there is no fault %q", name)
	return nil
}

// TestL11_FullDisk: no byte fits on the disk of the node that is struck, and all on the others'.
func TestL11_FullDisk(t *testing.T) {
	r := newRig(t, 2)
	s := &standIns{r: r}
	write := func(node int) error {
		return os.WriteFile(filepath.Join(r.p.disks[node-1].data(), "more"), []byte("x"), 0o600)
	}
	expect := func(when string, want ...error) {
		t.Helper()
		for i, want := range want {
			if got := write(i + 1); !errors.Is(got, want) {
				t.Errorf("%s, node %d: got %v, want %v", when, i+1, got, want)
			}
			os.Remove(filepath.Join(r.p.disks[i].data(), "more"))
		}
	}
	heal := s.strike("full disk of a follower", 1)
	expect("one is full", syscall.ENOSPC, nil)
	heal()
	expect("one was full", nil, nil)
	heal = s.strike("full disks of all", 0)
	expect("all are full", syscall.ENOSPC, syscall.ENOSPC)
	if len(s.started) > 0 {
		t.Errorf("started: %v", s.started)
	}
	if err := s.Kill(t.Context(), 2); err != nil { // as a node may end itself
		t.Fatal(err)
	}
	heal()
	expect("all were full", nil, nil)
	if len(s.started) != 1 || s.started[0] != 2 {
		t.Errorf("started: got %v, want the one that had ended", s.started)
	}
}

// TestS21_PowerCut: what was synced is there afterwards, what was not is lost.
func TestS21_PowerCut(t *testing.T) {
	r := newRig(t, 2)
	s := &standIns{r: r}
	for _, d := range r.p.disks {
		for _, name := range []string{"synced", "not"} {
			f, err := os.Create(filepath.Join(d.data(), name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(name); err != nil {
				t.Fatal(err)
			}
			if name == "synced" {
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			f.Close()
		}
	}
	read := func(node int, name string) string {
		text, _ := os.ReadFile(filepath.Join(r.p.disks[node-1].data(), name))
		return string(text)
	}
	heal := s.strike("power cut of a follower", 1)
	if pid := s.Pid(1); pid != 0 {
		t.Errorf("process %d of the node without power is there", pid)
	}
	if s.Pid(2) == 0 {
		t.Error("the other node ended")
	}
	for node, want := range map[int][2]string{1: {"synced", ""}, 2: {"synced", "not"}} {
		if got := [2]string{read(node, "synced"), read(node, "not")}; got != want {
			t.Errorf("node %d: got %q, want %q", node, got, want)
		}
	}
	heal()
	if len(s.started) != 1 || s.started[0] != 1 {
		t.Errorf("started: got %v, want node 1", s.started)
	}
	// A node that does not run has no power to lose, and nothing is done.
	for _, f := range r.p.Faults(s) {
		if f.Name == "power cut of all" {
			if _, err := f.Strike(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "node 1: the node does not run") {
				t.Errorf("node 1 is down: got %v, want a refusal", err)
			}
		}
	}
	if _, err := r.ask(2, "got/1"); err != nil {
		t.Errorf("a strike that failed leaves node 2 behind: %v", err)
	}
}

// TestSyncs: a sync takes longer, fails or hangs while the fault lasts, and does not afterwards.
func TestSyncs(t *testing.T) {
	r := newRig(t, 1)
	s := &standIns{r: r}
	file := filepath.Join(r.p.disks[0].data(), "file")
	sync := func() (time.Duration, string) {
		begin := time.Now()
		text, err := r.ask(1, "sync"+file)
		if err != nil {
			text = err.Error()
		}
		return time.Since(begin), strings.TrimSpace(text)
	}
	expect := func(when string, least, most time.Duration, want string) {
		t.Helper()
		if took, got := sync(); got != want || took < least || took > most {
			t.Errorf("%s: got %q after %v, want %q after %v to %v", when, got, took, want, least, most)
		}
	}
	const fast = 250 * time.Millisecond
	expect("before", 0, fast, "")
	heal := s.strike("slow sync at the leader", 1)
	expect("slow", slowSync, time.Hour, "")
	heal()
	expect("after slow", 0, fast, "")
	heal = s.strike("failing sync at a follower", 1)
	expect("failing", 0, time.Hour, "sync "+file+": input/output error")
	heal()
	expect("after failing", 0, fast, "")
	heal = s.strike("hanging disk of the leader", 1)
	done := make(chan string, 1)
	go func() { _, got := sync(); done <- got }()
	select {
	case got := <-done:
		t.Errorf("hanging: the sync is done: %q", got)
	case <-time.After(3 * slowSync):
	}
	heal()
	if got := <-done; got != "" {
		t.Errorf("after hanging: got %q, want the sync to be done", got)
	}
	heal = s.strike("slow sync at a follower", 1)
	heal()
	tracers, _ := os.ReadFile("/proc/" + strconv.Itoa(s.Pid(1)) + "/status")
	if !bytes.Contains(tracers, []byte("TracerPid:\t0\n")) {
		t.Errorf("strace is there still:\n%s", tracers)
	}
	// A node that ends while its sync hangs is started at the end of the fault.
	heal = s.strike("hanging disk of the leader", 1)
	go sync()
	time.Sleep(slowSync)
	if err := syscall.Kill(s.Pid(1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	heal()
	if len(s.started) != 1 {
		t.Errorf("started: got %v, want node 1", s.started)
	}
	s.strike("hanging disk of the leader", 1) // Close undoes it, too
}
