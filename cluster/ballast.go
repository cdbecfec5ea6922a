package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

const (
	ballastSize  = 8 << 20 // bytes that are kept back on the disk
	ballastCheck = time.Second
	// handOverPause is between two attempts of a leader without space to hand over: the others may be
	// no better off.
	handOverPause = 30 * time.Second
)

// ballast is a file that keeps space back. When the disk is full it is given up, so that there is room for
// the few entries without which a node can neither lead nor follow: a new leader's first one, and those
// that were on their way. Until there is space again no other command is taken (guarantee L11).
type ballast struct {
	path string
	size int
	log  *slog.Logger
	kept atomic.Bool // the file is there
	full atomic.Bool // an append found the disk full, and the file has not been made again since
}

func newBallast(dir string, size int, log *slog.Logger) *ballast {
	b := &ballast{path: filepath.Join(dir, "ballast"), size: size, log: log}
	info, err := os.Stat(b.path)
	b.kept.Store(err == nil && info.Size() == int64(size))
	return b
}

// short reports whether the disk was full and has no space yet.
func (b *ballast) short() bool { return b != nil && b.full.Load() }

// giveUp makes room after err, which a write returned. It reports whether to try that again.
func (b *ballast) giveUp(err error) bool {
	if !errors.Is(err, syscall.ENOSPC) {
		return false
	}
	if !b.full.Swap(true) {
		b.log.Error("the disk is full: no writes are taken until there is space", "path", b.path, "error", err)
	}
	return b.kept.Swap(false) && os.Remove(b.path) == nil
}

// keep makes the file unless it is there. There must be room for twice its size: the entries that come
// meanwhile need some.
func (b *ballast) keep() error {
	if b.kept.Load() {
		return nil
	}
	free, err := freeSpace(filepath.Dir(b.path))
	if err != nil {
		return err
	}
	if free < 2*uint64(b.size) {
		return fmt.Errorf("%d bytes are free", free)
	}
	if err := b.fill(); err != nil {
		return errors.Join(err, os.Remove(b.path))
	}
	b.kept.Store(true)
	if b.full.Swap(false) {
		b.log.Info("the disk has space again", "path", b.path)
	}
	return nil
}

// fill writes what no file system can store in less space.
func (b *ballast) fill() (err error) {
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, 1<<20)
	for written := 0; written < b.size; written += len(chunk) {
		rand.Read(chunk) // never fails
		if _, err := f.Write(chunk[:min(len(chunk), b.size-written)]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// roomyStore is raft's store on disk, which makes room once when the disk is full.
type roomyStore struct {
	*raftboltdb.BoltStore
	ballast *ballast
}

func (s *roomyStore) again(write func() error) error {
	err := write()
	if err != nil && s.ballast.giveUp(err) {
		err = write()
	}
	return err
}

// StoreLog implements raft.LogStore.
func (s *roomyStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (s *roomyStore) StoreLogs(entries []*raft.Log) error {
	return s.again(func() error { return s.BoltStore.StoreLogs(entries) })
}

// DeleteRange implements raft.LogStore.
func (s *roomyStore) DeleteRange(from, to uint64) error {
	return s.again(func() error { return s.BoltStore.DeleteRange(from, to) })
}

// Set implements raft.StableStore.
func (s *roomyStore) Set(key, value []byte) error {
	return s.again(func() error { return s.BoltStore.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (s *roomyStore) SetUint64(key []byte, value uint64) error {
	return s.again(func() error { return s.BoltStore.SetUint64(key, value) })
}

// keepBallast keeps space back while there is some. A leader that has none hands over, now and then.
func (n *Node) keepBallast(ctx context.Context) {
	b := n.stores.ballast
	if b == nil {
		return
	}
	tick := time.NewTicker(ballastCheck)
	defer tick.Stop()
	var handedOver time.Time
	told := false
	for {
		if err := b.keep(); err != nil && !b.short() && !told {
			told = true
			n.log.Warn(fmt.Sprintf("no space could be kept back for when the disk is full: make at least %d MiB free", 2*b.size>>20), "error", err)
		}
		if b.short() && n.raft.State() == raft.Leader && n.cfg.Now().Sub(handedOver) > handOverPause {
			handedOver = n.cfg.Now()
			if err := n.transfer(ctx); err != nil {
				n.log.Warn("leadership was not handed over", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
