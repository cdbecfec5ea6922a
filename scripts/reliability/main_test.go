package main

import (
	"strings"
	"testing"
)

// TestTable: runs of one fault add up, those of another form are another row, quantiles are of all.
func TestTable(t *testing.T) {
	ten := []float64{100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}
	got := table([]result{
		{Form: "processes", Fault: "kill", Strikes: 10, Checked: 1000, Unknown: 4, Failover: ten, Gaps: ten, Command: "scripts/failover.sh -long"},
		{Form: "processes", Fault: "kill", Strikes: 1, Checked: 234, Violations: 1, Failover: []float64{3000}, Gaps: []float64{3100}},
		{Form: "compose", Fault: "rolling restart", Strikes: 2, Checked: 10, Gaps: []float64{5, 15}, Stock: 1500, Bare: 900, BareFailed: 3},
	})
	for _, want := range []string{
		"| kill | processes | 11 | 1,234 | 4 | 1 | 0.60 s, 1.00 s, 3.00 s, 3.00 s | 0.60 s, 3.10 s | `scripts/failover.sh -long -kills 11 -others 11 -only 'kill'` |\n",
		"| rolling restart (stock clients with their retries: 0 of 1,500 calls failed; without: 3 of 900) | compose | 2 | 10 | 0 | 0 |  | 0.01 s, 0.01 s | " +
			"`scripts/failover.sh -compose -kills 2 -others 2 -only 'rolling restart'` |\n",
		"| **all** | | **13** | **1,244** | **4** | **1** | | | |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant in it\n%s", got, want)
		}
	}
	if strings.Index(got, "| kill |") > strings.Index(got, "| rolling") {
		t.Errorf("got compose before processes:\n%s", got)
	}
}

// TestReplace keeps what is around the table.
func TestReplace(t *testing.T) {
	text := "a\n" + begin + "\n\nold\n" + end + "\nb\n"
	for range 2 {
		got, err := replace(text, "new\n")
		if want := "a\n" + begin + "\n\nnew\n\n" + end + "\nb\n"; err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		text = got
	}
	if _, err := replace("a", "b"); err == nil {
		t.Error("a page without marks was taken")
	}
}

// TestThePageSaysWhatWasRecorded: the table is written from the runs, not by hand.
func TestThePageSaysWhatWasRecorded(t *testing.T) {
	t.Chdir("../..")
	if err := run(true); err != nil {
		t.Error(err)
	}
}
