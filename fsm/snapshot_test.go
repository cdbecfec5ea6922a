package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
)

func snapshotOf(t testing.TB, s *fsm.State) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := s.Snapshot().Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func restoredCopy(t testing.TB, s *fsm.State) *fsm.State {
	t.Helper()
	restored := fsm.New()
	if err := restored.Restore(bytes.NewReader(snapshotOf(t, s))); err != nil {
		t.Fatal(err)
	}
	return restored
}

// S22: a damaged snapshot is refused, wherever the damage is, and the state it was to replace is
// untouched.
func TestS22_DamagedSnapshotsAreRefused(t *testing.T) {
	data := snapshotOf(t, goldenWorld(t).s)
	s := newWorld(t).s
	before := describe(s)
	refuse := func(what string, damaged []byte) {
		t.Helper()
		if err := s.Restore(bytes.NewReader(damaged)); err == nil {
			t.Fatalf("%s: accepted", what)
		}
	}
	for n := range len(data) {
		refuse(fmt.Sprintf("cut to %d of %d bytes", n, len(data)), data[:n])
	}
	for at := range data {
		damaged := bytes.Clone(data)
		damaged[at] ^= 1 << rand.IntN(8)
		refuse(fmt.Sprintf("one bit of byte %d flipped", at), damaged)
	}
	for range 2000 {
		damaged := bytes.Clone(data)
		from := rand.IntN(len(data) - 40)
		to := from + 1 + rand.IntN(30)
		refuse(fmt.Sprintf("bytes %d to %d left out", from, to), append(damaged[:from], damaged[to:]...))
	}
	if err := s.CheckInvariants(); err != nil {
		t.Error(err)
	}
	if after := describe(s); after != before {
		t.Errorf("a refused restore changed the state:\n%s", lineDiff(after, before))
	}
	if err := s.Restore(bytes.NewReader(data)); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func TestRestoreNamesWhatIsWrong(t *testing.T) {
	data := snapshotOf(t, newWorld(t).s)
	newer := bytes.Clone(data)
	newer[bytes.Index(newer, []byte("LEASEHLD"))+8+2+1] = 99 // the header's first field is the format
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "no snapshot"},
		{"something else", []byte("PK\x03\x04 an archive"), "no snapshot"},
		{"a newer format", newer, "run a newer leasehold"},
		{"half of it", data[:len(data)/2], "unexpected EOF"},
	} {
		err := fsm.New().Restore(bytes.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

// Restore leaves nothing of the state before it: not a lease, not a key, not a watcher asleep.
func TestRestoreLeavesNothingBehind(t *testing.T) {
	empty := snapshotOf(t, newWorld(t).s)
	w := goldenWorld(t)
	changed, cancel := w.s.WatchLease("db/creds/active/1")
	defer cancel()
	job, cancelJob := w.s.WatchJob(12345)
	defer cancelJob()
	if err := w.s.Restore(bytes.NewReader(empty)); err != nil {
		t.Fatal(err)
	}
	for name, ch := range map[string]<-chan struct{}{"lease": changed, "job": job} {
		select {
		case <-ch:
		default:
			t.Errorf("who watched a %s was not woken", name)
		}
	}
	if got, want := describe(w.s), describe(newWorld(t).s); got != want {
		t.Errorf("the restored state differs:\n%s", lineDiff(got, want))
	}
}

// A snapshot is the state at one point, whatever is applied while it is written.
func TestSnapshotIsOnePoint(t *testing.T) {
	w := newWorld(t)
	for _, id := range ids("locks/a", 500) {
		w.issue(id, rootHash, 1e12)
	}
	before := hashOf(w.s)
	sn := w.s.Snapshot()
	index := w.index
	for i, id := range ids("locks/a", 500) {
		switch i % 3 {
		case 0:
			w.must(&command.Renew{Id: id, Increment: 5e12})
		case 1:
			w.must(&command.Revoke{Ids: []string{id}})
		}
	}
	w.token("t", rootHash, 1e12)
	var buf bytes.Buffer
	if err := sn.Write(&buf); err != nil {
		t.Fatal(err)
	}
	s := fsm.New()
	if err := s.Restore(&buf); err != nil {
		t.Fatal(err)
	}
	if got := hashOf(s); got != before || s.Applied() != index || sn.Index() != index {
		t.Errorf("hash %s at %d, want %s at %d", got, s.Applied(), before, index)
	}
}

type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAFailingSinkIsReported(t *testing.T) {
	sn := goldenWorld(t).s.Snapshot()
	for _, room := range []int{0, 100, 1500} {
		if err := sn.Write(&failingWriter{room}); !errors.Is(err, errFull) {
			t.Errorf("with room for %d bytes: got %v, want %v", room, err, errFull)
		}
	}
}
