package fsm_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/leasehold/leasehold/fsm"
)

// FuzzApply feeds entries to a state that holds something of everything: no entry may panic, break
// an invariant or be applied differently by another node (S19).
func FuzzApply(f *testing.F) {
	for _, e := range goldenLog(f) {
		f.Add(e)
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 48, 48})                              // no command, and something behind
	f.Add([]byte{1, 0, 1, 0, 1, 1})                             // Init without anything
	f.Add([]byte{1, 0, 3, 2, 1, 10, 1, 11, 1, 30})              // Issue, Reserve, CreateToken without anything
	f.Add([]byte{1, 0, 255, 255, 255, 255, 255, 255, 255, 127}) // very many commands
	base := snapshotOf(f, goldenWorld(f).s)
	f.Fuzz(func(t *testing.T, e []byte) {
		var states [2]*fsm.State
		var stopped [2]bool
		for i := range states {
			states[i] = fsm.New()
			if err := states[i].Restore(bytes.NewReader(base)); err != nil {
				t.Fatal(err)
			}
			index := states[i].Applied() + 1
			results, err := states[i].Apply(index, e)
			stopped[i] = err != nil
			if err == nil && (len(results) == 0) != emptyEntry(e) {
				t.Fatalf("%d results", len(results))
			}
			if err := states[i].CheckInvariants(); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := describe(states[0]), describe(states[1]); a != b || stopped[0] != stopped[1] {
			t.Fatalf("two nodes differ:\n%s", lineDiff(a, b))
		}
		restored := fsm.New()
		if err := restored.Restore(bytes.NewReader(snapshotOf(t, states[0]))); err != nil {
			t.Fatal(err)
		}
		if a, b := describe(restored), describe(states[0]); a != b {
			t.Fatalf("restored, the state differs:\n%s", lineDiff(a, b))
		}
	})
}

// emptyEntry: well formed, without a command, and with nothing behind.
func emptyEntry(e []byte) bool {
	if len(e) < 2 || e[0] != 1 || e[1] != 0 {
		return false
	}
	count, n := binary.Uvarint(e[2:])
	if n <= 0 || count != 0 {
		return false
	}
	_, m := binary.Varint(e[2+n:])
	return m > 0 && 2+n+m == len(e)
}

// FuzzRestore: a snapshot that is not whole changes nothing; one that is has a state that holds
// together (S22).
func FuzzRestore(f *testing.F) {
	f.Add(snapshotOf(f, goldenWorld(f).s))
	f.Add(snapshotOf(f, fsm.New()))
	f.Add([]byte("LEASEHLD"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newWorld(t).s
		before := hashOf(s)
		if err := s.Restore(bytes.NewReader(data)); err != nil {
			if after := hashOf(s); after != before {
				t.Errorf("a refused restore changed the state")
			}
			return
		}
		if again := snapshotOf(t, s); !bytes.HasPrefix(data, again) {
			t.Errorf("%d bytes restored come out as %d other bytes", len(data), len(again))
		}
	})
}
