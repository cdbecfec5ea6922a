package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	logCacheEntries = 512 // replication and apply read back what was just written
	snapshotsKept   = 2   // the older one is the fallback when the newer is damaged
	boltLockWait    = 3 * time.Second
	dirMode         = 0o700
)

// ErrDataInUse is the cause of Open's error when another process has the data directory open.
var ErrDataInUse = errors.New("another process uses it")

// Stores is where raft keeps its log, its vote and its snapshots.
type Stores struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Close     func() error // may be nil

	ballast *ballast // nil: nothing is on disk
}

// MemoryStores returns stores that last as long as the process.
func MemoryStores() *Stores {
	mem := raft.NewInmemStore()
	return &Stores{Log: mem, Stable: mem, Snapshots: raft.NewInmemSnapshotStore()}
}

// DiskStores opens the stores below dir. Every append is synced to disk before it returns: that is
// the promise raft makes to the cluster (guarantee S21), and nothing here can turn it off.
func DiskStores(dir string, log *slog.Logger) (*Stores, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	path := filepath.Join(dir, "raft.db")
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout: boltLockWait,
			// The free list is found by a scan at open instead of being written in every commit,
			// where it would grow with each burst of entries.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: %w", path, ErrDataInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, newHclogger(log, "snapshot"))
	if err != nil {
		bolt.Close()
		return nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	store := &roomyStore{BoltStore: bolt, ballast: newBallast(dir, ballastSize, log)}
	return &Stores{Log: store, Stable: store, Snapshots: snapshots, Close: bolt.Close, ballast: store.ballast}, nil
}

// openStores opens what cfg asks for and puts the disk watch, the cache and the mending of
// snapshots in front.
func openStores(cfg Config) (*Stores, *diskWatch, error) {
	s := cfg.Stores
	switch {
	case s != nil:
		copied := *s
		s = &copied
	case cfg.DataDir == "":
		s = MemoryStores()
	default:
		var err error
		if s, err = DiskStores(cfg.DataDir, cfg.Log); err != nil {
			return nil, nil, err
		}
	}
	if cfg.WrapLogStore != nil {
		s.Log = cfg.WrapLogStore(s.Log)
	}
	watch := &diskWatch{LogStore: s.Log, now: cfg.Now}
	cache, err := raft.NewLogCache(logCacheEntries, watch)
	if err != nil {
		s.shut()
		return nil, nil, fmt.Errorf("open log cache: %w", err)
	}
	s.Log = cache
	s.Snapshots = &mendingSnapshots{SnapshotStore: s.Snapshots, logs: cache, log: cfg.Log}
	if err := mendNewest(s.Snapshots, cache, cfg.Log); err != nil {
		s.shut()
		return nil, nil, err
	}
	return s, watch, nil
}

func (s *Stores) shut() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

// mendingSnapshots heals a log whose entry at a new snapshot's index belongs to another leader's
// term. A leader that was cut off and comes back with entries that never were committed gets a
// snapshot, then the entries after it. They are refused as long as the entry at the snapshot's
// index has the wrong term, so the leader sends the snapshot again, for ever (hashicorp/raft issue
// 697, guarantee L9). What was committed at that index is in the snapshot, so the entry itself is
// not needed any more: an empty one of the right term takes its place.
//
// The tail that such a node may hold is bounded: the proposer has two entries outstanding, far
// fewer than stay behind a snapshot, so raft's compaction never removes the mended entry.
type mendingSnapshots struct {
	raft.SnapshotStore
	logs raft.LogStore
	log  *slog.Logger
}

// Create implements raft.SnapshotStore.
func (m *mendingSnapshots) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration, configurationIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := m.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		return nil, err
	}
	return &mendingSink{SnapshotSink: sink, store: m, index: index, term: term}, nil
}

type mendingSink struct {
	raft.SnapshotSink
	store       *mendingSnapshots
	index, term uint64
	cancelled   bool
}

// Cancel implements raft.SnapshotSink.
func (s *mendingSink) Cancel() error {
	s.cancelled = true
	return s.SnapshotSink.Cancel()
}

// Close implements io.Closer. The snapshot is on disk when the log is touched; a crash between the
// two is made good by mendNewest.
func (s *mendingSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil || s.cancelled {
		return err
	}
	return mendLog(s.store.logs, s.index, s.term, s.store.log)
}

// mendNewest mends the log against the newest snapshot. It must run before raft reads either.
func mendNewest(snapshots raft.SnapshotStore, logs raft.LogStore, log *slog.Logger) error {
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	return mendLog(logs, list[0].Index, list[0].Term, log)
}

// mendLog overwrites the entry at index unless it has the given term or is not there. It may be missing
// between others: a node that got a snapshot keeps the end of its old log, and the entries after the
// snapshot follow behind a gap.
func mendLog(logs raft.LogStore, index, term uint64, log *slog.Logger) error {
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index of the log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return fmt.Errorf("read last index of the log: %w", err)
	}
	if first == 0 || index < first || index > last {
		return nil
	}
	var entry raft.Log
	switch err := logs.GetLog(index, &entry); {
	case errors.Is(err, raft.ErrLogNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read entry %d of the log: %w", index, err)
	}
	if entry.Term == term {
		return nil
	}
	log.Warn("mending the log: its entry at the snapshot's index was never committed",
		"index", index, "term", entry.Term, "snapshot_term", term)
	if err := logs.StoreLog(&raft.Log{Index: index, Term: term, Type: raft.LogNoop}); err != nil {
		return fmt.Errorf("mend entry %d of the log: %w", index, err)
	}
	return nil
}
