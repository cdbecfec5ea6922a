package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is all that was acknowledged about one lease, and what is known about calls whose outcome
// is not.
type record struct {
	id       string
	issued   time.Time // when the issue was sent; zero while its outcome is unknown
	earliest time.Time // no end before this is right: what the last acknowledged call granted
	latest   time.Time // no end after this is right, whatever calls of unknown outcome did
	revoked  time.Time // when a revoke was acknowledged; zero if none was
	revoking bool      // a revoke was sent, acknowledged or not
}

// seen is how a lease stood when it was looked at.
type seen struct {
	id    string
	at    time.Time // when the answer came
	alive bool
	end   time.Time // of a live one, as the node says
}

// Bounds of what may pass between the client's clock, the cluster's and the sweep.
const (
	slack = 2 * time.Second
	grace = 4 * time.Second // of an expired lease until it is gone, an election included
)

// judge compares what was seen of a lease with its record and returns what is wrong, "" if nothing.
// It is the whole of what the failover test claims, so it is tested by itself.
func judge(r record, s seen) string {
	switch {
	case !r.revoked.IsZero() && s.at.After(r.revoked) && s.alive:
		return "alive after an acknowledged revoke"
	case !s.alive && !r.revoking && s.at.Before(r.earliest.Add(-slack)):
		return fmt.Sprintf("lost or ended early: gone %s before its end", r.earliest.Sub(s.at))
	case s.alive && s.at.After(r.latest.Add(grace)):
		return fmt.Sprintf("alive %s after its last possible end", s.at.Sub(r.latest))
	case s.alive && s.end.Before(r.earliest.Add(-slack)):
		return fmt.Sprintf("an acknowledged renewal is lost: its end is %s too early", r.earliest.Sub(s.end))
	case s.alive && s.end.After(r.latest.Add(slack)):
		return fmt.Sprintf("its end is %s later than any call allowed", s.end.Sub(r.latest))
	}
	return ""
}

// tally is what a run saw; a run that saw too little proves nothing.
type tally struct {
	kinds     map[string]int // acknowledged calls
	unknown   int            // calls without a clear answer
	expired   int            // leases that ended by themselves
	elections int
	faults    int
	before    float64 // acknowledged calls a second before the first fault
}

// void says why a run proves nothing, "" if it does.
func (c tally) void() string {
	var why []string
	for _, kind := range []string{"issue", "renew", "lookup", "revoke"} {
		if c.kinds[kind] < 20 {
			why = append(why, fmt.Sprintf("only %d calls of kind %s", c.kinds[kind], kind))
		}
	}
	if c.unknown < 10 {
		why = append(why, fmt.Sprintf("only %d calls of unknown outcome", c.unknown))
	}
	if c.expired < 10 {
		why = append(why, fmt.Sprintf("only %d leases expired", c.expired))
	}
	if c.elections < c.faults || c.faults == 0 {
		why = append(why, fmt.Sprintf("%d elections for %d faults", c.elections, c.faults))
	}
	if c.before < 50 {
		why = append(why, fmt.Sprintf("only %.0f calls a second before the first fault", c.before))
	}
	return strings.Join(why, ", ")
}

// TestTheJudgeFindsPlantedBugs: each bug that the failover test is to find, and histories without.
func TestTheJudgeFindsPlantedBugs(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(1800000000, 0).Add(time.Duration(seconds) * time.Second) }
	live := record{id: "a", issued: at(0), earliest: at(60), latest: at(60)}
	revoked := live
	revoked.revoked, revoked.revoking = at(10), true
	maybe := live
	maybe.revoking = true
	renewed := live
	renewed.earliest, renewed.latest = at(60), at(120) // the renewal to 120 has an unknown outcome
	cases := []struct {
		says string
		r    record
		s    seen
		want string // the beginning of the verdict
	}{
		{"a live lease", live, seen{at: at(30), alive: true, end: at(60)}, ""},
		{"a lost lease", live, seen{at: at(30)}, "lost or ended early"},
		{"an early end", live, seen{at: at(55)}, "lost or ended early"},
		{"an end in time", live, seen{at: at(61)}, ""},
		{"a lease that lives on", live, seen{at: at(70), alive: true, end: at(60)}, "alive 10s after"},
		{"a lost renewal", live, seen{at: at(30), alive: true, end: at(40)}, "an acknowledged renewal is lost"},
		{"a renewal that nobody asked for", live, seen{at: at(30), alive: true, end: at(90)}, "its end is 30s later"},
		{"a revoked lease", revoked, seen{at: at(30)}, ""},
		{"a revoke undone", revoked, seen{at: at(30), alive: true, end: at(60)}, "alive after an acknowledged revoke"},
		{"seen before the revoke", revoked, seen{at: at(9), alive: true, end: at(60)}, ""},
		{"a revoke of unknown outcome that happened", maybe, seen{at: at(30)}, ""},
		{"one that did not", maybe, seen{at: at(30), alive: true, end: at(60)}, ""},
		{"a renewal of unknown outcome that happened", renewed, seen{at: at(100), alive: true, end: at(120)}, ""},
		{"one that did not", renewed, seen{at: at(62)}, ""},
	}
	for _, c := range cases {
		got := judge(c.r, c.s)
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: the verdict is %q, want %q", c.says, got, c.want)
		}
	}
	enough := tally{kinds: map[string]int{"issue": 20, "renew": 20, "lookup": 20, "revoke": 20}, unknown: 10, expired: 10, elections: 3, faults: 3, before: 50}
	if why := enough.void(); why != "" {
		t.Errorf("a run that saw enough is void: %s", why)
	}
	if why := (tally{}).void(); strings.Count(why, "only") != 7 {
		t.Errorf("an empty run is void for %q, want each kind of thing that is missing", why)
	}
	if same := []string{"a", "a", "b"}; diverged([]string{"a", "a", "a"}) || !diverged(same) {
		t.Error("a replica that differs is not seen")
	}
}

// diverged reports whether the state hashes of the nodes, taken at one index, differ.
func diverged(hashes []string) bool {
	return slices.ContainsFunc(hashes, func(h string) bool { return h != hashes[0] })
}
