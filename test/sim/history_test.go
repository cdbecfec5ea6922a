package sim

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Outcomes of a call.
const (
	ok      = "ok"
	refused = "refused" // the lease is dead or not there, as a renewal says it
	unknown = "unknown" // it may or may not have happened
	failed  = "failed"  // nothing happened
)

// Kinds of calls.
const (
	kIssue  = "issue"
	kRenew  = "renew"
	kLookup = "lookup"
	kStale  = "stale lookup"
	kRevoke = "revoke"
	kPrefix = "revoke-prefix"
	kList   = "list"
)

// Standings of a lease that was looked up.
const (
	active = "active"
	ending = "ending" // its end is in the log
	lapsed = "lapsed" // only the clock says that it ended
	absent = "absent"
)

// op is one call of a client. Times are since the run began, log times as well.
type op struct {
	Client int           `json:"c"`
	Kind   string        `json:"kind"`
	Node   string        `json:"node"`
	ID     string        `json:"id,omitempty"` // of the lease, or the prefix
	Key    string        `json:"key,omitempty"`
	Inc    time.Duration `json:"inc,omitempty"` // TTL asked for
	Call   time.Duration `json:"call"`
	Ret    time.Duration `json:"ret"`
	Out    string        `json:"out"`
	Gen    uint64        `json:"gen,omitempty"`
	Exp    time.Duration `json:"exp,omitempty"`
	Stands string        `json:"stands,omitempty"`
	Name   string        `json:"name,omitempty"` // at the target
	Left   bool          `json:"left,omitempty"` // the lease was said to be gone, and its credential lived
	Sync   bool          `json:"sync,omitempty"`
	Listed []string      `json:"listed,omitempty"`
	Err    string        `json:"err,omitempty"`
}

// event is what happened beside the calls: calls to the target, faults, leaderships, crashes.
type event struct {
	Action  string        `json:"action"`
	At      time.Duration `json:"at"`
	Node    string        `json:"node,omitempty"`
	Life    int           `json:"life,omitempty"`
	ID      string        `json:"id,omitempty"`
	Name    string        `json:"name,omitempty"`
	Gen     uint64        `json:"gen,omitempty"` // term, for "lead"
	Fence   uint64        `json:"fence,omitempty"`
	Leading bool          `json:"leading,omitempty"`
	Done    bool          `json:"done,omitempty"` // the second record of a call to the target
	End     time.Duration `json:"end,omitempty"`
	Err     string        `json:"err,omitempty"`
}

// sample is what a node's state was at an index.
type sample struct {
	Node  string        `json:"node"`
	Life  int           `json:"life"`
	Index uint64        `json:"index"`
	Now   time.Duration `json:"now"` // log time
	Hash  string        `json:"hash"`
	At    time.Duration `json:"at"`
}

// ending state of a run, as found after all faults were healed.
type aftermath struct {
	Healed   time.Duration `json:"healed"`
	Led      time.Duration `json:"led"`      // a leader was ready
	Level    time.Duration `json:"level"`    // all nodes had applied the same
	Served   time.Duration `json:"served"`   // a write was acknowledged
	Settled  time.Duration `json:"settled"`  // no lease was left
	Leases   []string      `json:"leases"`   // still there at the end
	Living   []string      `json:"living"`   // at the target at the end
	Trouble  []string      `json:"trouble"`  // what went wrong on the way
	Installs int           `json:"installs"` // snapshots that nodes got from a leader
}

// history is all that a run is judged by.
type history struct {
	Seed    uint64    `json:"seed"`
	Nodes   int       `json:"nodes"`
	Ops     []op      `json:"ops"`
	Events  []event   `json:"events"`
	Samples []sample  `json:"samples"`
	After   aftermath `json:"after"`
}

// keep writes a history to a file below dir and returns its path.
func (h *history) keep(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("seed-%d.json.gz", h.Seed))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := gzip.NewWriter(f)
	if err := json.NewEncoder(w).Encode(h); err != nil {
		return "", err
	}
	return path, w.Close()
}

// recall reads what keep wrote.
func recall(path string) (*history, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	h := new(history)
	return h, json.NewDecoder(r).Decode(h)
}
