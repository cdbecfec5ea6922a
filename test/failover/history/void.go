package history

import (
	"fmt"
	"strings"
)

// Tally is what a run saw. One that saw too little proves nothing.
type Tally struct {
	Acked     map[Verb]int // acknowledged calls of clients
	Unknown   int          // calls of unknown outcome
	Expired   int          // leases that ended by themselves
	Before    float64      // acknowledged calls a second before the first fault
	Aimed     int          // faults that must change the leader
	Changes   int          // of those, how many did
	Breaking  int          // faults that break calls off: kills, pauses, cuts
	Undecided int          // leases whose calls could not be put in order in time
}

// Void says why a run proves nothing, "" if it does.
func (t Tally) Void() string {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if t.Before < 50 {
		add("only %.0f acknowledged calls a second before the first fault", t.Before)
	}
	for _, v := range []Verb{Issue, Renew, Lookup, Revoke, Prefix, List} {
		if t.Acked[v] < 20 {
			add("only %d acknowledged calls of kind %s", t.Acked[v], v)
		}
	}
	if t.Expired < 10 {
		add("only %d leases that expired by themselves", t.Expired)
	}
	if t.Changes < t.Aimed {
		add("%d changes of leader for %d faults aimed at the leader", t.Changes, t.Aimed)
	}
	if t.Breaking > 0 && t.Unknown < 10 {
		add("only %d calls of unknown outcome for %d faults that break calls off", t.Unknown, t.Breaking)
	}
	if t.Undecided > 0 {
		add("the calls on %d leases could not be put in order in time", t.Undecided)
	}
	return strings.Join(why, "; ")
}
