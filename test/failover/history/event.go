package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Verb says what an event is about.
type Verb string

// Calls of clients, what the target saw, and marks of the run.
const (
	Issue  Verb = "issue"
	Renew  Verb = "renew"
	Lookup Verb = "lookup"
	Revoke Verb = "revoke"
	Prefix Verb = "revoke-prefix"
	List   Verb = "list"

	Made      Verb = "made"      // the target made a credential
	Destroyed Verb = "destroyed" // the target destroyed it; the first time only

	Fault Verb = "fault" // Note says which
	Audit Verb = "audit" // of a quiet cluster: everything before it is judged
)

// Outcome is what a caller knows afterwards. A call that certainly did nothing is no event.
type Outcome string

// Outcomes.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused" // a clear no: the lease is not there, or has ended
	Unknown Outcome = "unknown" // a time-out, a broken connection, a 5xx that promises nothing
)

// Standing is how a lookup shows a lease.
type Standing string

// Standings.
const (
	Active   Standing = "active"
	Revoking Standing = "revoking" // irrevocable ones as well
	Gone     Standing = "gone"
)

// Event is one call, or one thing that happened. Times are since the run began.
type Event struct {
	Verb    Verb          `json:"verb"`
	Client  int           `json:"client,omitempty"`
	Node    int           `json:"node,omitempty"` // that was asked
	Lease   string        `json:"lease,omitempty"`
	Group   string        `json:"group,omitempty"` // prefix that the lease lies below, or that the call names
	Call    time.Duration `json:"call"`
	Back    time.Duration `json:"back"` // when the answer came; of an unknown outcome, when nobody waited any longer
	Outcome Outcome       `json:"outcome,omitempty"`

	Span    time.Duration `json:"span,omitempty"`    // TTL of an issue, increment of a renewal
	Sync    bool          `json:"sync,omitempty"`    // a revoke that answers when the target has destroyed
	Seen    Standing      `json:"seen,omitempty"`    // of a lookup
	End     time.Duration `json:"end,omitempty"`     // expire_time in a lookup
	Renewed time.Duration `json:"renewed,omitempty"` // last_renewal in a lookup
	Key     string        `json:"key,omitempty"`     // Idempotency-Key of an issue; the target is told it too
	Name    string        `json:"name,omitempty"`    // of a credential at the target
	Keys    []string      `json:"keys,omitempty"`    // leases that a list showed

	// Of an audit.
	Hashes []string          `json:"hashes,omitempty"` // index and hash of each node's state
	Held   map[string]string `json:"held,omitempty"`   // what the target holds: name, lease
	Listed []string          `json:"listed,omitempty"` // leases of the mount whose target that is
	Note   string            `json:"note,omitempty"`
}

// Write appends events to a history, a line of JSON each.
func Write(w io.Writer, events ...Event) error {
	enc := json.NewEncoder(w)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return nil
}

// Read hands every event of a stored history to fn.
func Read(r io.Reader, fn func(Event)) error {
	dec := json.NewDecoder(bufio.NewReader(r))
	for n := 1; ; n++ {
		var e Event
		switch err := dec.Decode(&e); err {
		case nil:
			fn(e)
		case io.EOF:
			return nil
		default:
			return fmt.Errorf("event %d of the history: %w", n, err)
		}
	}
}
