package cluster

// These tests are inside the package: a disk that is full is told to the file that keeps space back.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// L11: the space that was kept back is given up once, for a disk that is full and for nothing else; it is kept
// back again when there is space.
func TestL11_BallastIsGivenUpOnce(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	b := newBallast(dir, 3<<20, quiet)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "ballast"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	if err := b.keep(); err != nil || size() != 3<<20 || b.short() {
		t.Fatalf("kept %d bytes, error %v, short %v, want 3 MiB", size(), err, b.short())
	}
	if b = newBallast(dir, 3<<20, quiet); !b.kept.Load() {
		t.Error("after a restart the file is not known")
	}
	if b.giveUp(errors.New("input/output error")) || b.short() || size() == 0 {
		t.Error("the space is given up for a disk that fails")
	}
	full := fmt.Errorf("write raft.db: %w", &os.PathError{Op: "write", Path: "raft.db", Err: syscall.ENOSPC})
	if !b.giveUp(full) || !b.short() || size() != 0 {
		t.Errorf("a disk that is full: short %v, %d bytes kept, want none", b.short(), size())
	}
	if b.giveUp(full) {
		t.Error("the same space was given up twice")
	}
	if err := b.keep(); err != nil || b.short() || size() != 3<<20 {
		t.Errorf("with space again: kept %d bytes, error %v, short %v", size(), err, b.short())
	}
	if b := newBallast(dir, 1<<60, quiet); b.keep() == nil || size() != 3<<20 {
		t.Errorf("more was kept back than there is: %d bytes", size())
	}
}
