package failover

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// options of the run that the environment asks for; without it, CI's short form.
func options(t *testing.T) Options {
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is %q: use a number", name, text)
		}
		return n
	}
	return Options{
		Compose: os.Getenv("LEASEHOLD_COMPOSE") == "1", Long: os.Getenv("LEASEHOLD_LONG") == "1",
		Kills: number("LEASEHOLD_KILLS", 8), Others: number("LEASEHOLD_OTHERS", 1), Some: number("LEASEHOLD_SOME", 6),
		Only: os.Getenv("LEASEHOLD_ONLY"),
		Seed: uint64(number("LEASEHOLD_SEED", int(time.Now().UnixNano()))), Out: os.Getenv("LEASEHOLD_RESULTS"),
		Command: os.Getenv("LEASEHOLD_COMMAND"), Log: t.Logf,
	}
}

// cluster starts what the run is played on, and the environment of its faults. Both are gone when the
// test ends.
func cluster(t *testing.T, o Options) (Cluster, faults.Environment) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if o.Compose {
		c, err := startCompose(root)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Wipe)
		return c, nil
	}
	var env faults.Environment
	var prepare func(string) ([]string, error)
	switch err := faults.Missing(); {
	case err == nil:
		env = faults.NewProcesses(faults.Options{Ports: ports, Root: root, Clocks: true})
		prepare = func(dir string) ([]string, error) { return env.Prepare(context.Background(), dir, 3) }
		t.Cleanup(func() { // after the nodes are gone
			if err := env.Close(); err != nil {
				t.Error(err)
			}
		})
	case os.Getenv(faults.WithoutRoot) == "1":
		t.Logf("only faults by signals: %v", err)
	default:
		t.Fatal(err)
	}
	c, err := startProcesses(3, prepare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Wipe)
	return c, env
}

// TestFaults plays faults against three nodes under load and wants no guarantee broken.
// (S1 to S3, S5 to S8, S12, S13, S15, S18, S20, L1, L2, L5, L6, L9, L13)
func TestFaults(t *testing.T) {
	o := options(t)
	dir, err := os.MkdirTemp("", "leasehold-failover-")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, env := cluster(t, o)
	t.Logf("seed %d, files in %s", o.Seed, o.Dir)
	report, err := Play(ctx, o, c, env)
	for i, v := range report.Violations {
		if i < 20 {
			t.Error(v)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if report.Void != "" {
		t.Errorf("the run is void: %s", report.Void)
	}
	t.Logf("%d calls checked, %d violations; the target refused %d stale calls and was asked %d times to destroy what was gone",
		report.Checked, len(report.Violations), report.Stale, report.Again)
	if t.Failed() {
		t.Logf("seed, history, logs and data are in %s; check the history again with", o.Dir)
		t.Logf("LEASEHOLD_HISTORY=%s/history.jsonl go test -count=1 -run TestStoredHistory -v ./test/failover", o.Dir)
		return
	}
	os.RemoveAll(dir)
}
