package dbtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Pause stops the server where it stands, with all its processes: connections stay open, and nothing
// is answered any more. Resume lets it go on. It needs the /proc of Linux.
func (s *Server) Pause() error {
	pid := s.cmd.Process.Pid
	s.paused = true
	// The first process goes first, so that no other is born meanwhile.
	if err := signal(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	children, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := signal(child, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	return nil
}

// Resume lets a server go on that was paused.
func (s *Server) Resume() error {
	pid := s.cmd.Process.Pid
	children, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, child := range append(children, pid) {
		if err := signal(child, syscall.SIGCONT); err != nil {
			return err
		}
	}
	s.paused = false
	return nil
}

// signal signals a process. One that has ended meanwhile is no error; SIGSTOP is waited for.
func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	if sig != syscall.SIGSTOP {
		return nil
	}
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, state, err := stat(pid); err != nil || state == 'T' || state == 'Z' {
			return nil
		}
	}
	return fmt.Errorf("process %d does not stop", pid)
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if parent, _, err := stat(child); err == nil && parent == pid { // an error: it has ended
			children = append(children, child)
		}
	}
	return children, nil
}

// stat reads a process's parent and state.
func stat(pid int) (parent int, state byte, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name, in parentheses, may hold anything; behind it come state and parent.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("/proc/%d/stat is cut", pid)
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, fields[0][0], err
}
