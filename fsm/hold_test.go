package fsm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// rebased is the state of a snapshot as a restore over current makes it, the way it goes through raft.
func rebased(snapshot []byte, current *fsm.State, r fsm.Restoration) (state *fsm.State, data []byte, err error) {
	carrier, state := fsm.New(), fsm.New()
	if err := carrier.Restore(bytes.NewReader(snapshot)); err != nil {
		return nil, nil, err
	}
	if err := carrier.Rebase(current, r); err != nil {
		return nil, nil, err
	}
	var buf bytes.Buffer
	if err := carrier.Snapshot().Write(&buf); err != nil {
		return nil, nil, err
	}
	data = bytes.Clone(buf.Bytes())
	return state, data, state.Restore(&buf)
}

// restore replaces w's state by a snapshot.
func (w *world) restore(snapshot []byte, id string) error {
	var term uint64
	w.s.Read(func(v *fsm.View) { term = v.Epoch() })
	state, data, err := rebased(snapshot, w.s, fsm.Restoration{ID: id, Reason: "test", Now: w.now, Term: term, Index: w.index})
	if err != nil {
		return err
	}
	w.s, w.log, w.base = state, nil, data
	return nil
}

// rebase restores the present state in place of itself: all is held from there on.
func (m *model) rebase(w *world) error {
	var buf bytes.Buffer
	if err := w.s.Snapshot().Write(&buf); err != nil {
		return err
	}
	m.held = fmt.Sprintf("r%d", w.index)
	return w.restore(buf.Bytes(), m.held)
}

// mayNotEnd is why a command of the leader's may end nothing.
func (m *model) mayNotEnd(epoch uint64) string {
	switch {
	case epoch != m.epoch:
		return "newer leader"
	case m.held != "":
		return "nothing is destroyed until"
	}
	return ""
}

func (m *model) release(c *command.ReleaseHold) string {
	if m.held != "" && c.Restore != "" && c.Restore != m.held {
		return "of another restore"
	}
	m.held = ""
	return ""
}

// holdCommand is about restores.
func (s *script) holdCommand(verb string, a *args) fsm.Command {
	if verb == "release" {
		return &command.ReleaseHold{Restore: a.get("restore", "")}
	}
	return nil
}

// save remembers the state, and rebase restores what was remembered.
func (s *script) rebase(a *args) []string {
	if a.yes("save") {
		s.saved = snapshotOf(s.t, s.s)
		return []string{"saved"}
	}
	if err := s.restore(s.saved, a.word()); err != nil {
		return []string{err.Error()}
	}
	var out []string
	s.s.Read(func(v *fsm.View) {
		h := v.Hold()
		out = append(out, fmt.Sprintf("held %s since=%s snapshot=%s lineage=%s seq=%d", h.Restore, since(h.Since), since(h.SnapshotNow), v.Lineage(), v.Seq()))
	})
	return out
}

// S10, S14: what must never go back does not, however old the snapshot is: log time, the count of
// commands, from which fencing indexes and job IDs are made, the index, and the policies' versions. The
// members are the present ones.
func TestS10_ARestoreTakesNothingBack(t *testing.T) {
	w := newWorld(t)
	w.must(&command.PutPolicy{Name: "p", Text: "old"}, &command.PutNode{Id: "n1", ApiAddr: "http://old"})
	old := snapshotOf(t, w.s)
	w.advance(time.Hour)
	w.must(&command.PutPolicy{Name: "p", Text: "new"}, &command.PutNode{Id: "n1", ApiAddr: "http://new"}, &command.PutNode{Id: "n2"},
		&command.SetFeatureLevel{Level: 3}, &command.Epoch{Term: 7})
	for range 20 {
		w.issue(fmt.Sprintf("locks/a/%d", w.index), rootHash, time.Hour)
	}
	before := w.s
	var version uint64
	before.Read(func(v *fsm.View) { version = v.PolicyVersion("") })
	if err := w.restore(old, "r1"); err != nil {
		t.Fatal(err)
	}
	before.Read(func(was *fsm.View) {
		w.s.Read(func(v *fsm.View) {
			if v.Now() != was.Now() || v.Seq() <= was.Seq() || v.Epoch() != 7 || v.FeatureLevel() != 3 || v.Index() < was.Index() {
				t.Errorf("time %s, commands %d, epoch %d, level %d, index %d; before %s, %d, 7, 3, %d", since(v.Now()), v.Seq(),
					v.Epoch(), v.FeatureLevel(), v.Index(), since(was.Now()), was.Seq(), was.Index())
			}
			if got := v.PolicyVersion(""); got <= version {
				t.Errorf("the policies have version %d, and had %d: a cache would take the old for the new", got, version)
			}
			if v.Policy("", "p").Text != "old" {
				t.Error("the policy is not the snapshot's")
			}
			if n, _ := v.Node("n1"); n.APIAddr != "http://new" || len(v.Nodes()) != 2 {
				t.Errorf("the members are %+v, want those of now", v.Nodes())
			}
			if v.Cluster().ID != was.Cluster().ID || v.Hold().Cluster != "" {
				t.Errorf("cluster %q, hold %+v", v.Cluster().ID, v.Hold())
			}
		})
	})
	if before, after := w.index, w.s.Applied(); after < before {
		t.Errorf("index %d is applied, was %d", after, before)
	}
	if err := w.restore(old, "r1"); err == nil {
		t.Error("two restores have one ID")
	}
}

// S14: a restore into another cluster leaves room for what the lost one did after the snapshot.
func TestS14_ARestoreFromAnotherClusterLeapsAhead(t *testing.T) {
	lost := newWorld(t)
	data := snapshotOf(t, lost.s)
	for i := range 50 {
		lost.issue(fmt.Sprintf("locks/a/%d", i), rootHash, time.Hour)
	}
	var seen uint64
	lost.s.Read(func(v *fsm.View) { seen = v.Seq() })
	w := bareWorld(t)
	init := initCommand()
	init.ClusterId = "c2"
	w.must(init, &command.Epoch{Term: 1})
	if err := w.restore(data, "r1"); err != nil {
		t.Fatal(err)
	}
	w.s.Read(func(v *fsm.View) {
		if v.Seq() < seen+1_000_000_000 {
			t.Errorf("commands are counted from %d, and the lost cluster had come to %d", v.Seq(), seen)
		}
		if v.Cluster().ID != "c1" || v.Hold().Cluster != "c2" {
			t.Errorf("cluster %q, hold %+v, want c1 and c2", v.Cluster().ID, v.Hold())
		}
	})
	var empty bytes.Buffer
	if err := fsm.New().Snapshot().Write(&empty); err != nil {
		t.Fatal(err)
	}
	if err := w.restore(empty.Bytes(), "r2"); err == nil || !strings.Contains(err.Error(), "not initialized") {
		t.Errorf("the snapshot of nothing: %v", err)
	}
}

// S18: a node whose state comes from a restore that the cluster does not have stops, and so does one that
// lacks it. The entry changes nothing.
func TestS18_AnotherLineageStopsTheNode(t *testing.T) {
	w := newWorld(t)
	w.must(&command.Lineage{})
	refuse := func(restore string) {
		t.Helper()
		before := hashOf(w.s)
		_, err := w.s.Apply(w.index+1, entry(t, w.now, &command.Tick{}, &command.Lineage{Restore: restore}, &command.PutPolicy{Name: "p"}))
		if err == nil || !strings.Contains(err.Error(), "remove its data directory") {
			t.Errorf("lineage %q: %v", restore, err)
		}
		if hashOf(w.s) != before || w.s.Applied() != w.index {
			t.Errorf("lineage %q: the entry was applied", restore)
		}
	}
	refuse("r1")
	if err := w.restore(snapshotOf(t, w.s), "r1"); err != nil {
		t.Fatal(err)
	}
	w.must(&command.Lineage{Restore: "r1"}, &command.ReleaseHold{})
	refuse("")
	refuse("r2")
}

// The hold is part of the state: a copy holds as well, and its hash shows it.
func TestS23_TheHoldIsReplicated(t *testing.T) {
	w := newWorld(t)
	if err := w.restore(snapshotOf(t, w.s), "r1"); err != nil {
		t.Fatal(err)
	}
	held := hashOf(w.s)
	replica := restoredCopy(t, w.s)
	if hashOf(replica) != held {
		t.Error("a copy has another hash")
	}
	replica.Read(func(v *fsm.View) {
		if h := v.Hold(); h == nil || h.Reason != "test" || h.SnapshotIndex == 0 || h.Since == 0 {
			t.Errorf("a copy holds %+v", h)
		}
	})
	if w.must(&command.ReleaseHold{}); hashOf(w.s) == held {
		t.Error("the hash does not show the hold")
	}
	w.s.Read(func(v *fsm.View) {
		if v.Hold() != nil || v.Lineage() != "r1" {
			t.Errorf("released: hold %+v, lineage %q", v.Hold(), v.Lineage())
		}
	})
}

// Releasing rouses the leader.
func TestReleasingRousesTheLeader(t *testing.T) {
	w := newWorld(t)
	if err := w.restore(snapshotOf(t, w.s), "r1"); err != nil {
		t.Fatal(err)
	}
	for len(w.s.Attention()) > 0 {
		<-w.s.Attention()
	}
	if r := w.one(&command.ReleaseHold{Restore: "r2"}); r.Err == nil || r.Err.Code != lease.Conflict || len(w.s.Attention()) > 0 {
		t.Errorf("a release of another restore: %v", r.Err)
	}
	if w.must(&command.ReleaseHold{Restore: "r1"}); len(w.s.Attention()) == 0 {
		t.Error("the leader is not roused")
	}
}
