package cluster

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// adapter is the state as raft wants it. raft calls it from one goroutine.
type adapter struct {
	state *fsm.State
	clock *logClock
	fatal func(error)
	// understood is the highest feature level that this build knows.
	understood uint32
	// inherited is the last index in the log when this process started. Entries up to it may be
	// of any age, so they say nothing about the time of now.
	inherited uint64

	mu     sync.Mutex // guards broken
	broken error      // why nothing more may be applied
}

// errStopped is the answer to entries after one that could not be understood.
var errStopped = errors.New("the node stopped applying entries")

// Apply implements raft.FSM. Its answer is a []fsm.Result, or an error when the node must stop.
// Skipping an entry that others applied would fork the state, so after an error nothing is applied
// any more: reads wait in vain, and the process ends by Fatal (guarantee S19).
func (a *adapter) Apply(entry *raft.Log) any {
	if err := a.stopped(); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	results, err := a.state.Apply(entry.Index, entry.Data)
	if err != nil {
		err = fmt.Errorf("apply entry %d: %w", entry.Index, err)
		a.stop(err)
		return err
	}
	if len(results) > 0 {
		a.clock.applied(results[0].Now, entry.Index > a.inherited)
	}
	if err := a.checkLevel(); err != nil {
		a.stop(err)
		return err
	}
	return results
}

// checkLevel returns an error when the others may propose what this build would not understand. It is
// better to stop before such a command than at it.
func (a *adapter) checkLevel() error {
	var level uint32
	a.state.Read(func(v *fsm.View) { level = v.FeatureLevel() })
	if level > a.understood {
		return tooOld(level, a.understood)
	}
	return nil
}

// StoreConfiguration implements raft.ConfigurationStore, so that the state's index also passes
// changes of membership: a read index may be one of theirs.
func (a *adapter) StoreConfiguration(index uint64, _ raft.Configuration) {
	if a.stopped() == nil {
		a.state.Advance(index)
	}
}

// Snapshot implements raft.FSM.
func (a *adapter) Snapshot() (raft.FSMSnapshot, error) {
	if err := a.stopped(); err != nil {
		return nil, fmt.Errorf("%w: %w", errStopped, err)
	}
	return snapshot{a.state.Snapshot()}, nil
}

// Restore implements raft.FSM. raft calls it at start and whenever a leader sends a snapshot.
func (a *adapter) Restore(r io.ReadCloser) error {
	defer r.Close()
	if err := a.state.Restore(r); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	var now lease.Time
	a.state.Read(func(v *fsm.View) { now = v.Now() })
	a.clock.applied(now, false)
	if err := a.checkLevel(); err != nil {
		a.stop(err)
		return err
	}
	return nil
}

func (a *adapter) stop(err error) {
	a.mu.Lock()
	a.broken = err
	a.mu.Unlock()
	a.fatal(err)
}

func (a *adapter) stopped() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// snapshot is a point in time of the state, for raft to write down beside further applies.
type snapshot struct{ state *fsm.Snapshot }

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.state.Write(sink); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s snapshot) Release() {}
