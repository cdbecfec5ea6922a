package failover

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"
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
		Kills: number("LEASEHOLD_KILLS", 20), Others: number("LEASEHOLD_OTHERS", 1), Only: os.Getenv("LEASEHOLD_ONLY"),
		Seed: uint64(number("LEASEHOLD_SEED", int(time.Now().UnixNano()))), Out: os.Getenv("LEASEHOLD_RESULTS"),
		Command: os.Getenv("LEASEHOLD_COMMAND"), Log: t.Logf,
	}
}

// TestFaults plays faults against three nodes under load and wants no guarantee broken.
func TestFaults(t *testing.T) {
	o := options(t)
	dir, err := os.MkdirTemp("", "leasehold-failover-")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	c, err := startProcesses(3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Wipe()
	t.Logf("seed %d, files in %s", o.Seed, o.Dir)
	report, err := Play(context.Background(), o, c, nil)
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
		t.Logf("check its history again with LEASEHOLD_HISTORY=%s/history.jsonl go test -run TestStoredHistory ./test/failover", o.Dir)
		return
	}
	os.RemoveAll(dir)
}
