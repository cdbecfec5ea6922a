package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var errSurvived = errors.New("no test failed")

// bench is a copy of the repository in which bugs are planted one by one.
type bench struct {
	dir   string
	with  string // the tests to run instead of those named, "" for those
	limit time.Duration
	green map[string]bool // what was seen to pass without a bug, by package and test
}

// copyTree copies what git knows and what it does not ignore, as it lies in the working tree.
func copyTree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	dir, err := os.MkdirTemp("", "leasehold-mutate-")
	if err != nil {
		return "", err
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		if err := copyFile(name, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			os.RemoveAll(dir)
			return "", fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return dir, nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// plant runs m's test with and without its bug and returns which test noticed it first.
func (b *bench) plant(ctx context.Context, m mutation) (string, error) {
	test := "^" + strings.ReplaceAll(m.test, "/", "$/^") + "$"
	if b.with != "" {
		test = b.with
	}
	if key := m.pkg + " " + test; !b.green[key] {
		if by, err := b.test(ctx, m.pkg, test); !errors.Is(err, errSurvived) {
			return "", fmt.Errorf("it proves nothing, for without the bug there is: %s %v", by, err)
		}
		b.green[key] = true
	}
	path := filepath.Join(b.dir, m.file)
	sound, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(string(sound))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		return "", err
	}
	by, err := b.test(ctx, m.pkg, test)
	return by, errors.Join(err, os.WriteFile(path, sound, 0o644))
}

// apply returns text with the bug in it.
func (m mutation) apply(text string) (string, error) {
	for _, e := range m.edits {
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s: this text occurs %d times, want exactly once:\n%s", m.file, n, e.old)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}

// event is a line of "go test -json".
type event struct {
	Action, Test, Output string
}

// test returns the first test that fails, or errSurvived.
func (b *bench) test(ctx context.Context, pkg, pattern string) (string, error) {
	// -trimpath lets unchanged packages come from the build cache although the copy's path is new.
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-trimpath", "-vet=off", "-failfast", "-count=1",
		"-timeout="+b.limit.String(), "-run="+pattern, "./"+pkg)
	cmd.Dir = b.dir
	// The test is a child of the go command: whoever gives up ends both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	first, ran, said := follow(out)
	switch err := cmd.Wait(); {
	case err == nil && ran == 0:
		return "", fmt.Errorf("no test of %s matches %s", pkg, pattern)
	case err == nil:
		return "", errSurvived
	case ran == 0:
		return "", fmt.Errorf("%s does not compile:\n%s%s", pkg, said, faults.String())
	case first == "":
		return "", fmt.Errorf("%s failed outside of its tests:\n%s", pkg, said)
	}
	return first, nil
}

// follow reads events: which test failed first, how many began, and what was said outside of tests. A
// test that was running when the process died has failed.
func follow(r io.Reader) (first string, ran int, said string) {
	var outside strings.Builder
	running := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Action == "run":
			ran++
			running = e.Test
		case e.Action == "fail" && e.Test != "" && first == "":
			first = e.Test
		case e.Action == "fail" && e.Test == "" && first == "":
			first = running
		case e.Test == "" && (e.Action == "output" || e.Action == "build-output"):
			outside.WriteString(e.Output)
		}
	}
	_, _ = io.Copy(io.Discard, r)
	return first, ran, outside.String()
}
