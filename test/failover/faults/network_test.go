package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// talks finds out along which wires a call is answered, on kept or on new connections, and along which
// datagrams arrive.
func (r *rig) talks(how string) map[wire]bool {
	r.t.Helper()
	result := map[wire]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, i := range r.p.net.all() {
		all.Go(func() { // a stand-in makes one call at a time
			for _, j := range r.p.net.others(i) {
				w := wire{i, j}
				var ok bool
				if how == "datagrams" {
					ok = r.datagrams(w, 3) == 3
				} else {
					_, err := r.ask(i, fmt.Sprintf("%s/%d", how, j))
					ok = err == nil
				}
				mu.Lock()
				result[w] = ok
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return result
}

// but is all wires except those given.
func (r *rig) but(lost ...wire) map[wire]bool {
	want := map[wire]bool{}
	for _, w := range r.p.net.around(0) {
		want[w] = true
	}
	for _, w := range lost {
		want[w] = false
	}
	return want
}

func (r *rig) expect(when, how string, want map[wire]bool) {
	r.t.Helper()
	if got := r.talks(how); !reflect.DeepEqual(got, want) {
		r.t.Errorf("%s, %s: got %v, want %v", when, how, got, want)
	}
}

// recovers waits until everybody talks to everybody again.
func (r *rig) recovers() {
	r.t.Helper()
	for _, how := range []string{"new", "kept", "datagrams"} {
		var got map[wire]bool
		for deadline := time.Now().Add(20 * time.Second); ; {
			if got = r.talks(how); reflect.DeepEqual(got, r.but()) {
				break
			}
			if time.Now().After(deadline) {
				r.t.Fatalf("after the end, %s: got %v, want all", how, got)
			}
		}
	}
}

// TestPartitions: each kind loses exactly what it is said to, on connections that were there before as
// well as on new ones, and nothing after its end.
func TestPartitions(t *testing.T) {
	r := newRig(t, 3)
	n := r.p.net
	to1, from1 := []wire{{2, 1}, {3, 1}}, []wire{{1, 2}, {1, 3}}
	around1 := append(append([]wire(nil), to1...), from1...)
	for _, test := range []struct {
		name             string
		harm             *harm
		calls, datagrams []wire // that are lost
	}{
		{"symmetric", n.isolation(1), around1, around1},
		{"deaf", n.deaf(1), around1, to1}, // a call needs its answer
		{"unreachable", n.unreachable(1), to1, to1},
		{"mute", n.mute(1), from1, from1},
		{"bridge", n.bridge(1), []wire{{1, 3}, {3, 1}}, []wire{{1, 3}, {3, 1}}},
	} {
		r.recovers()
		heal, err := n.do(test.harm)
		if err != nil {
			t.Fatal(err)
		}
		r.expect(test.name, "new", r.but(test.calls...))
		r.expect(test.name, "kept", r.but(test.calls...))
		r.expect(test.name, "datagrams", r.but(test.datagrams...))
		if err := heal(); err != nil {
			t.Fatal(err)
		}
	}
	r.recovers()

	// Two at once are independent of each other.
	first, err := n.do(n.isolation(1))
	if err != nil {
		t.Fatal(err)
	}
	second, err := n.do(n.mute(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := first(); err != nil {
		t.Fatal(err)
	}
	r.expect("one of two healed", "new", r.but(wire{2, 1}, wire{2, 3}))
	if err := second(); err != nil {
		t.Fatal(err)
	}
	r.recovers()
}

// Five nodes: the middle one sees both sides, which do not see each other.
func TestBridgeOfFive(t *testing.T) {
	n := &network{ports: ports, nodes: 5}
	want := n.packets(100, each([]int{2, 1}, []int{4, 5})...)
	if got := n.bridge(2); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got.lose, want.lose)
	}
}

func TestFlap(t *testing.T) {
	r := newRig(t, 2)
	r.recovers()
	heal, err := r.p.net.flap(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for deadline := time.Now().Add(4500 * time.Millisecond); time.Now().Before(deadline); {
		now := "-"
		if r.datagrams(wire{1, 2}, 1) == 1 {
			now = "+"
		}
		if !strings.HasSuffix(seen, now) {
			seen += now
		}
	}
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(seen, "-+-+") {
		t.Errorf("cut and back by turns for 4.5 s: got %s, want -+-+-", seen)
	}
	r.recovers()
}

func TestLoss(t *testing.T) {
	r := newRig(t, 2)
	heal, err := r.p.net.do(r.p.net.lossy(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.p.net.around(0) {
		if got := r.datagrams(w, 2000); got < 1300 || got > 1500 {
			t.Errorf("%v: %d of 2000 datagrams arrive, want 70 %%", w, got)
		}
	}
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	r.recovers()
}

// TestDelay: an answer takes two delays longer, and connections of before do not get round it.
func TestDelay(t *testing.T) {
	r := newRig(t, 2)
	r.recovers()
	heal, err := r.p.net.late(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.p.net.around(0) {
		if _, err := r.ask(w.from, fmt.Sprintf("kept/%d", w.to)); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("%v: a connection of before: got %v, want a reset", w, err)
		}
		begin := time.Now()
		if _, err := r.ask(w.from, fmt.Sprintf("new/%d", w.to)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 2*linkDelay {
			t.Errorf("%v: an answer takes %v, want at least %v", w, took, 2*linkDelay)
		}
		before := r.got(w.to, w.from)
		if _, err := r.ask(w.from, fmt.Sprintf("send/%d/100", w.to)); err != nil {
			t.Error(err)
		}
		if now := r.got(w.to, w.from) - before; now > 50 {
			t.Errorf("%v: %d of 100 datagrams are there at once", w, now)
		}
		time.Sleep(4 * linkDelay)
		if now := r.got(w.to, w.from) - before; now != 110 {
			t.Errorf("%v: %d datagrams came, want 110: every tenth comes twice", w, now)
		}
	}
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	for _, w := range r.p.net.around(0) {
		if _, err := r.ask(w.from, fmt.Sprintf("new/%d", w.to)); err != nil {
			t.Errorf("%v: after the end: %v", w, err)
		}
	}
}

// TestSweep: what a run that was killed left behind does not outlast the next one's beginning, and two runs
// do not meet.
func TestSweep(t *testing.T) {
	r := newRig(t, 2)
	heal, err := r.p.net.do(r.p.net.isolation(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = heal }() // as after a crash, nobody heals
	other := NewProcesses(Options{Ports: ports, Binary: os.Args[0], DiskSize: 64 << 20})
	if _, err := other.Prepare(t.Context(), t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Fatalf("prepare while another runs: got %v, want a refusal", err)
	}
	work := r.p.work
	if err := r.p.lock.Close(); err != nil { // the kernel does this for a process that was killed
		t.Fatal(err)
	}
	r.p.lock = nil
	if pids := inGroups(ports); len(pids) != 2 {
		t.Fatalf("stand-ins: got %v, want two", pids)
	}
	if _, err := other.Prepare(t.Context(), t.TempDir(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(work); err == nil {
		t.Errorf("%s is left", work)
	}
	if pids := inGroups(ports); len(pids) != 0 {
		t.Errorf("processes are left: %v", pids)
	}
	rules, err := exec.Command("nft", "list", "table", "inet", tableName(ports)).Output()
	if err != nil || strings.Contains(string(rules), "drop") {
		t.Errorf("rules are left (%v):\n%s", err, rules)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailedPrepare leaves nothing.
func TestFailedPrepare(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "n2", "data"), 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	p := NewProcesses(Options{Ports: ports, Binary: os.Args[0], DiskSize: 64 << 20})
	if _, err := p.Prepare(t.Context(), dir, 3); err == nil {
		t.Error("prepared, with a directory in the way of node 2's data")
	}
	nothingLeft(t)
}
