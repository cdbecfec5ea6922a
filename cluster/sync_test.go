package cluster_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/cluster"
)

// appendDir makes the test binary append to the stores in that directory instead of testing them.
const appendDir = "LEASEHOLD_TEST_APPEND_DIR"

// appends is how many times it does so.
const appends = 20

// S21: the kernel is asked to sync after each append and each vote, before the store says that it is
// done. It is the system calls that are looked at, since nothing short of a power cut tells a synced
// file from one that is not.
func TestS21_EveryAppendIsSynced(t *testing.T) {
	if dir := os.Getenv(appendDir); dir != "" {
		appendAndTell(t, dir)
		return
	}
	if out, err := exec.Command("strace", "-qq", "-f", "-e", "trace=fdatasync", "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here (scripts/deps.sh installs it): %v %s", err, out)
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-qq", "-f", "-e", "trace=fdatasync,fsync,write", "-e", "signal=none", "-o", trace,
		os.Args[0], "-test.run=^TestS21_EveryAppendIsSynced$", "-test.count=1")
	cmd.Env = append(os.Environ(), appendDir+"="+filepath.Join(dir, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("append under strace: %v\n%s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	told, syncs := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.Contains(line, "sync") && strings.HasSuffix(line, "= 0"):
			syncs++
		case strings.Contains(line, `"opened\n"`):
			syncs = 0
		case strings.Contains(line, `"appended\n"`), strings.Contains(line, `"voted\n"`):
			if told++; syncs == 0 {
				t.Errorf("the store answered write %d before anything was synced", told)
			}
			syncs = 0
		}
	}
	if told != appends+1 {
		t.Errorf("saw %d writes answered, want %d:\n%s", told, appends+1, text)
	}
}

// appendAndTell appends, votes, and writes a line after each, for the trace.
func appendAndTell(t *testing.T, dir string) {
	stores, err := cluster.DiskStores(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	tell := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		fmt.Fprintln(os.Stderr, what)
	}
	tell("opened", nil)
	for i := range uint64(appends) {
		tell("appended", stores.Log.StoreLogs([]*raft.Log{{Index: i + 1, Term: 1, Data: []byte("entry")}}))
	}
	tell("voted", stores.Stable.SetUint64([]byte("CurrentTerm"), 2))
}

// S21: where no system call can be watched, the library's own switch is looked at. Log and vote lie in
// one file, and syncing it is on.
func TestS21_SyncingIsOn(t *testing.T) {
	stores, err := cluster.DiskStores(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	for name, store := range map[string]any{"log": stores.Log, "vote": stores.Stable} {
		off := reflect.ValueOf(store).Elem().FieldByName("conn").Elem().FieldByName("NoSync")
		if !off.IsValid() || off.Bool() {
			t.Errorf("%s: NoSync is %v, want false", name, off)
		}
	}
}
