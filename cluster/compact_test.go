package cluster

import (
	"testing"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// A restart replays what was applied since the last snapshot, so a snapshot must be due by commands,
// however few entries they came in.
func TestSnapshotIsDueByCommands(t *testing.T) {
	state := fsm.New()
	tick, err := fsm.EncodeCommand(&command.Tick{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([][]byte, 4096)
	for i := range batch {
		batch[i] = tick
	}
	apply := func(index uint64, commands int) {
		if _, err := state.Apply(index, fsm.EncodeEntry(lease.Time(1), batch[:commands])); err != nil {
			t.Fatal(err)
		}
	}
	var c compaction
	c.begin(state)
	index, commands := uint64(0), 0
	for ; commands < compactAfter-4096; commands += 4096 {
		index++
		apply(index, 4096)
	}
	apply(index+1, compactAfter-commands-1)
	if c.due(state) {
		t.Fatalf("a snapshot is due after %d commands, want %d", compactAfter-1, compactAfter)
	}
	apply(index+2, 1)
	if !c.due(state) {
		t.Fatalf("no snapshot is due after %d commands in %d entries", compactAfter, index+2)
	}
	c.begin(state)
	if c.due(state) {
		t.Fatal("a snapshot is due right after one was taken")
	}
}
