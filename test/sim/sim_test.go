// Package sim runs whole clusters in virtual time: three to five nodes, each the real raft, state, lessor
// and scheduler, in a synctest bubble with a network, disks, clocks and a target whose faults a seed
// chooses, and clients that write down what they saw. Each run is judged by its history alone.
//
//	go test ./test/sim                                    200 runs
//	LEASEHOLD_SIM_RUNS=20000 go test -timeout 6h ./test/sim   the long form
//	LEASEHOLD_SIM_SEED=17 go test ./test/sim              the faults and calls of one seed again
//	LEASEHOLD_SIM_HISTORY=file go test ./test/sim         the judgement on a kept history
//
// A seed fixes faults and calls, not the order in which goroutines run, so the history of a run that fails
// is kept (below LEASEHOLD_SIM_DIR, or a directory for temporary files) and can be judged again.
// LEASEHOLD_SIM_LOG=1 prints what the nodes log.
package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

const (
	defaultRuns = 200
	standstill  = 5 * time.Minute // of real time, for one run
)

// simulate runs one seed in a bubble of its own.
func simulate(t *testing.T, seed uint64, opts options) *history {
	t.Helper()
	// In a bubble time stands still while anything waits for what is no part of it.
	watch := time.AfterFunc(standstill, func() { panic(fmt.Sprintf("seed %d stands still", seed)) })
	defer watch.Stop()
	var h *history
	synctest.Test(t, func(t *testing.T) {
		s, err := newSim(seed, opts)
		if err != nil {
			t.Fatal(err)
		}
		s.run()
		h = &s.hist
	})
	return h
}

// optionsOf are those of a seed: most clusters have three nodes, some four or five.
func optionsOf(seed uint64) options {
	nodes := 3
	switch seed % 8 {
	case 3, 7:
		nodes = 5
	case 5:
		nodes = 4
	}
	return options{nodes: nodes, length: 25 * time.Second, clients: 6, faults: faults}
}

// number reads a whole number from the environment.
func number(t *testing.T, name string, or uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v: give a whole number", name, err)
	}
	return n
}

func historyDir() string {
	if dir := os.Getenv("LEASEHOLD_SIM_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "leasehold-sim")
}

// S1 to S3, S5 to S8, S10 to S15, S18, S20, S24, L1 to L3, L5, L6, L8, L9: a cluster under faults keeps what
// it says, and serves and cleans up when they are over.
func TestSimulation(t *testing.T) {
	if path := os.Getenv("LEASEHOLD_SIM_HISTORY"); path != "" {
		t.Skip("a kept history is judged instead")
	}
	first := number(t, "LEASEHOLD_SIM_SEED", 0)
	runs := uint64(defaultRuns)
	if first != 0 {
		runs = 1
	} else {
		first = uint64(time.Now().UnixNano()) % 1e12
	}
	runs = number(t, "LEASEHOLD_SIM_RUNS", runs)
	fmt.Printf("seeds %d to %d\n", first, first+runs-1)
	seen := newTally()
	t.Run("runs", func(t *testing.T) {
		for seed := first; seed < first+runs; seed++ {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				h := simulate(t, seed, optionsOf(seed))
				wrong := h.check()
				seen.add(h, len(wrong))
				report(t, h, wrong)
			})
		}
	})
	fmt.Print(seen)
	if why := seen.void(); why != "" && runs >= 50 {
		t.Errorf("the runs prove nothing:\n%s", why)
	}
}

// report fails the test for each violation and keeps the history.
func report(t *testing.T, h *history, wrong []violation) {
	t.Helper()
	for i, v := range wrong {
		if i == 10 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(v)
	}
	if len(wrong) == 0 {
		return
	}
	path, err := h.keep(historyDir())
	if err != nil {
		t.Errorf("the history is lost: %v", err)
		return
	}
	t.Errorf("seed %d of %d nodes; the history is in %s; LEASEHOLD_SIM_HISTORY=%s judges it again", h.Seed, h.Nodes, path, path)
}

// A kept history is judged alone.
func TestKeptHistory(t *testing.T) {
	path := os.Getenv("LEASEHOLD_SIM_HISTORY")
	if path == "" {
		t.Skip("LEASEHOLD_SIM_HISTORY is not set")
	}
	h, err := recall(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range h.check() {
		t.Error(v)
	}
}
