package sim

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
)

// disk is what one life of a node stores, in virtual time. Like the real stores it answers when a write
// is synced; a power cut takes what is not, and the next life gets a copy. What a dead life still writes
// goes to its own copy, where nobody sees it.
type disk struct {
	latency time.Duration // of a sync, at most; drawn
	broken  func()        // called when the vote cannot be stored: raft ends the process then
	// lies makes the disk answer before it has synced, which is a planted bug.
	lies bool

	mu       sync.Mutex // guards all below
	rng      *rand.Rand
	logs     map[uint64]*raft.Log
	kv       map[string][]byte
	snaps    []snapshot // newest first
	pending  []*pending
	unsure   []func(*disk) // lies only: how to take back what was answered and not synced
	stalled  chan struct{} // not nil: writes wait until it is closed
	failing  bool          // syncs fail
	full     bool
	serial   int
	installs int // snapshots got from a leader, in all lives
}

type snapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

// pending is a write that is not synced yet.
type pending struct{ apply func(*disk) }

var errSync = errors.New("sync: input/output error")

func newDisk(rng *rand.Rand) *disk {
	return &disk{latency: 2 * time.Millisecond, rng: rng, logs: make(map[uint64]*raft.Log), kv: make(map[string][]byte)}
}

// stores are the disk as raft has it.
func (d *disk) stores() *cluster.Stores {
	return &cluster.Stores{Log: d, Stable: d, Snapshots: snapStore{d}}
}

// after returns what the next life finds: each write that was not synced is there or not.
func (d *disk) after() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newDisk(d.rng)
	next.lies = d.lies
	next.logs, next.kv, next.snaps = maps.Clone(d.logs), maps.Clone(d.kv), slices.Clone(d.snaps)
	next.serial, next.installs = d.serial, d.installs
	for _, undo := range slices.Backward(d.unsure) {
		undo(next)
	}
	for _, p := range d.pending {
		if d.rng.IntN(2) == 0 {
			p.apply(next)
		}
	}
	if d.stalled != nil {
		close(d.stalled)
		d.stalled = nil
	}
	return next
}

// write carries out one write: wait for the disk, then apply.
func (d *disk) write(apply func(*disk)) error {
	p := &pending{apply}
	d.mu.Lock()
	d.pending = append(d.pending, p)
	stalled := d.stalled
	wait := time.Duration(d.rng.Int64N(int64(d.latency)))
	d.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	time.Sleep(wait)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = slices.DeleteFunc(d.pending, func(q *pending) bool { return q == p })
	switch {
	case d.full:
		return syscall.ENOSPC
	case d.failing:
		return errSync
	}
	apply(d)
	return nil
}

// mend ends the disk's faults.
func (d *disk) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing, d.full = false, false
	if d.stalled != nil {
		close(d.stalled)
		d.stalled = nil
	}
}

func (d *disk) fault(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// FirstIndex implements raft.LogStore.
func (d *disk) FirstIndex() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var first uint64
	for i := range d.logs {
		if first == 0 || i < first {
			first = i
		}
	}
	return first, nil
}

// LastIndex implements raft.LogStore.
func (d *disk) LastIndex() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last(), nil
}

// last is the last index; the caller holds the lock.
func (d *disk) last() (last uint64) {
	for i := range d.logs {
		last = max(last, i)
	}
	return last
}

// GetLog implements raft.LogStore.
func (d *disk) GetLog(index uint64, out *raft.Log) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.logs[index]
	if l == nil {
		return raft.ErrLogNotFound
	}
	*out = *l
	return nil
}

// StoreLog implements raft.LogStore.
func (d *disk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (d *disk) StoreLogs(logs []*raft.Log) error {
	kept := make([]*raft.Log, len(logs))
	for i, l := range logs {
		c := *l
		kept[i] = &c
	}
	apply := func(to *disk) {
		for _, l := range kept {
			to.logs[l.Index] = l
		}
	}
	if d.lies {
		return d.lie(apply, func(to *disk) {
			for _, l := range kept {
				delete(to.logs, l.Index)
			}
		})
	}
	return d.write(apply)
}

// lie answers at once and syncs fifty writes later.
func (d *disk) lie(apply, undo func(*disk)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	apply(d)
	d.unsure = append(d.unsure, undo)
	if len(d.unsure) > 50 {
		d.unsure = d.unsure[1:]
	}
	return nil
}

// DeleteRange implements raft.LogStore.
func (d *disk) DeleteRange(low, high uint64) error {
	return d.write(func(to *disk) {
		for i := low; i <= high; i++ {
			delete(to.logs, i)
		}
	})
}

// Set implements raft.StableStore.
func (d *disk) Set(key, value []byte) error {
	err := d.write(func(to *disk) { to.kv[string(key)] = append([]byte(nil), value...) })
	if err != nil {
		d.broken() // raft panics here, and the process is gone
	}
	return nil
}

var errNotFound = errors.New("not found") // raft compares the text

// Get implements raft.StableStore.
func (d *disk) Get(key []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.kv[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return v, nil
}

// SetUint64 implements raft.StableStore.
func (d *disk) SetUint64(key []byte, v uint64) error {
	return d.Set(key, strconv.AppendUint(nil, v, 10))
}

// GetUint64 implements raft.StableStore.
func (d *disk) GetUint64(key []byte) (uint64, error) {
	v, err := d.Get(key)
	if err != nil {
		return 0, nil
	}
	return strconv.ParseUint(string(v), 10, 64)
}

// snapStore is the disk's snapshots.
type snapStore struct{ d *disk }

// Create implements raft.SnapshotStore.
func (s snapStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.full {
		return nil, syscall.ENOSPC
	}
	if last := s.d.last(); index > last && (len(s.d.snaps) == 0 || index > s.d.snaps[0].meta.Index) {
		s.d.installs++ // a node's own snapshot is never ahead of its log
	}
	s.d.serial++
	return &sink{d: s.d, meta: raft.SnapshotMeta{
		Version: version, ID: strconv.Itoa(s.d.serial), Index: index, Term: term, Configuration: c, ConfigurationIndex: ci,
	}}, nil
}

// List implements raft.SnapshotStore.
func (s snapStore) List() ([]*raft.SnapshotMeta, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	var list []*raft.SnapshotMeta
	for _, sn := range s.d.snaps {
		meta := sn.meta
		list = append(list, &meta)
	}
	return list, nil
}

// Open implements raft.SnapshotStore.
func (s snapStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	for _, sn := range s.d.snaps {
		if sn.meta.ID == id {
			meta := sn.meta
			return &meta, io.NopCloser(bytes.NewReader(sn.data)), nil
		}
	}
	return nil, nil, errNotFound
}

// sink is a snapshot being written. It is there as a whole or not at all.
type sink struct {
	d    *disk
	meta raft.SnapshotMeta
	buf  bytes.Buffer
	done bool
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) { return s.buf.Write(p) }

// Close implements io.Closer.
func (s *sink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	s.meta.Size = int64(s.buf.Len())
	sn := snapshot{meta: s.meta, data: s.buf.Bytes()}
	return s.d.write(func(to *disk) {
		to.snaps = append([]snapshot{sn}, to.snaps...)
		slices.SortStableFunc(to.snaps, func(a, b snapshot) int {
			if a.meta.Term != b.meta.Term {
				return int(b.meta.Term) - int(a.meta.Term)
			}
			return int(b.meta.Index) - int(a.meta.Index)
		})
		to.snaps = to.snaps[:min(len(to.snaps), 2)]
	})
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.meta.ID }

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	s.done = true
	return nil
}
