package failover

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Result is what a run found about one kind of fault: a line of the report.
type Result struct {
	Form       string    `json:"form"` // processes or compose
	Command    string    `json:"command"`
	Started    time.Time `json:"started"`
	Seed       uint64    `json:"seed"`
	Fault      string    `json:"fault"`
	Strikes    int       `json:"strikes"`
	Checked    int       `json:"checked"`    // calls of clients in its rounds that were judged
	Violations int       `json:"violations"` // found in its rounds
	Unknown    int       `json:"unknown"`    // calls of unknown outcome
	Calls      int       `json:"calls"`      // of clients, those that did nothing included
	Missed     int       `json:"missed"`     // of those, without an answer that says what happened
	// Milliseconds. Failover: from a strike at the leader to the first acknowledged write that began after it.
	// Gaps: the longest time without an acknowledged write, from a strike until all is well again.
	Failover []float64 `json:"failover_ms,omitempty"`
	Gaps     []float64 `json:"gaps_ms"`
	// Calls of stock clients in rolling restarts: with their retries, and without.
	Stock     int `json:"stock,omitempty"`
	StockFail int `json:"stock_failed,omitempty"`
	Bare      int `json:"bare,omitempty"`
	BareFail  int `json:"bare_failed,omitempty"`
}

// Report is what a run found.
type Report struct {
	Results    []*Result
	Violations []string // with their numbers
	Void       string   // why the run proves nothing, "" if it does
	Dir        string   // of the history and, if something is wrong, of logs and data
	Checked    int      // calls of clients
	Stale      int      // calls that the target refused since a node with a higher fencing index had called
	Again      int      // destroys of what was gone already
}

// write stores the results as lines of JSON in a directory, in a file named after the run.
func (r *Report) write(dir string) error {
	if len(r.Results) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	first := r.Results[0]
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s.jsonl", first.Form, first.Started.UTC().Format("20060102T150405"))))
	if err != nil {
		return err
	}
	enc := json.NewEncoder(file)
	for _, result := range r.Results {
		if err := enc.Encode(result); err != nil {
			file.Close()
			return err
		}
	}
	return file.Close()
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}
