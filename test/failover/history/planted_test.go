package history_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// bug is one that a store may have. It shows once in a run.
type bug string

const (
	lostRenew  bug = "lost renew"
	staleRead  bug = "stale read"
	lateRenew  bug = "late renew"
	earlyLoss  bug = "early loss"
	lostRevoke bug = "lost revoke"
	leaked     bug = "leaked credential"
	unleased   bug = "leaked credential of an issue that failed"
	twice      bug = "double live lease"
	halfPrefix bug = "partial prefix"
	diverged   bug = "diverging replica"
	tooEarly   bug = "early destroy"
	noTarget   bug = "lease without its credential"
	hasty      bug = "sync revoke that does not wait"
)

// held is a lease of the store below.
type held struct {
	id, group, name string
	end, renewed    time.Duration
	oldEnd          time.Duration // before the last renewal
	gone            bool
	unsure          bool // a renewal of unknown outcome might explain much
	alone           bool // the bug lies here: nobody covers it up by another call
}

// liar is a lease store in a time of its own, correct but for its bug, and the clients that call it. Calls
// overlap; some have unknown outcomes.
type liar struct {
	bug    bug
	shown  bool
	rng    *rand.Rand
	now    time.Duration
	n      int
	leases []*held
	held   map[string]string
	events []history.Event
}

// lies reports whether the bug shows now. It shows once, not at the first chance.
func (l *liar) lies(b bug) bool {
	if l.bug != b || l.shown || l.rng.IntN(3) > 0 {
		return false
	}
	l.shown = true
	return true
}

func (l *liar) live(h *held) bool { return !h.gone && l.now < h.end }

// call puts an event around the present moment.
func (l *liar) call(e history.Event) {
	around := func() time.Duration { return time.Duration(l.rng.IntN(int(8 * time.Millisecond))) }
	e.Client, e.Node = 1+l.rng.IntN(6), 1+l.rng.IntN(3)
	e.Call, e.Back = l.now-around(), l.now+around()
	l.events = append(l.events, e)
}

func (l *liar) issue(group string) {
	l.n++
	h := &held{id: fmt.Sprintf("%s/%d", group, l.n), group: group}
	ttl := time.Duration(600+l.rng.IntN(100000)) * time.Second
	if l.rng.IntN(4) == 0 {
		ttl = time.Duration(3+l.rng.IntN(3)) * time.Second
	}
	h.end = l.now + ttl
	e := history.Event{Verb: history.Issue, Outcome: history.OK, Lease: h.id, Group: group, Span: ttl, Key: fmt.Sprint("key-", l.n)}
	if strings.HasPrefix(group, "hooks/") {
		h.name = fmt.Sprint("cred-", l.n)
		l.held[h.name] = h.id
		e.Name = h.name
		l.events = append(l.events, history.Event{Verb: history.Made, Name: h.name, Lease: h.id, Key: e.Key, Call: l.now, Back: l.now})
		if l.lies(unleased) {
			l.leave(h.name)
			return
		}
		if ttl > time.Minute && l.lies(noTarget) {
			delete(l.held, h.name)
			h.alone = true
		}
	}
	l.leases = append(l.leases, h)
	l.call(e)
	if l.lies(twice) {
		second := *h
		second.id += "-again"
		l.leases = append(l.leases, &second)
		e.Lease = second.id
		l.call(e)
	}
}

// leave turns a credential into one of a lease that nobody was told of and that is not listed.
func (l *liar) leave(name string) { l.held[name] = "hooks/creds/a/nobody" }

// end ends a lease, at the target too.
func (l *liar) end(h *held) {
	if h.gone {
		return
	}
	h.gone = true
	if h.name == "" || l.lies(leaked) {
		return
	}
	delete(l.held, h.name)
	l.events = append(l.events, history.Event{Verb: history.Destroyed, Name: h.name, Lease: h.id, Call: l.now, Back: l.now})
}

func (l *liar) renew(h *held) {
	inc := time.Duration(600+l.rng.IntN(100000)) * time.Second
	e := history.Event{Verb: history.Renew, Lease: h.id, Span: inc, Outcome: history.OK}
	late := !l.live(h) && l.now > h.end+history.Epsilon+20*time.Millisecond && l.lies(lateRenew)
	switch {
	case late:
		h.gone, h.end, h.renewed = false, l.now+inc, l.now
	case !l.live(h):
		e.Outcome = history.Refused
	case l.rng.IntN(20) == 0:
		e.Outcome, h.unsure = history.Unknown, true
		if l.rng.IntN(2) == 0 {
			h.oldEnd, h.end, h.renewed = h.end, l.now+inc, l.now
		}
	case !h.unsure && l.lies(lostRenew):
		h.alone = true
		l.now += 50 * time.Millisecond // no other renewal overlaps it
	default:
		h.oldEnd, h.end, h.renewed = h.end, l.now+inc, l.now
	}
	l.call(e)
}

func (l *liar) lookup(h *held) {
	e := history.Event{Verb: history.Lookup, Lease: h.id, Outcome: history.OK, Seen: history.Gone}
	if h.end-l.now > 20*history.Epsilon && !h.gone && l.lies(earlyLoss) {
		h.gone = true
	}
	if l.live(h) {
		e.Seen, e.End, e.Renewed = history.Active, h.end, h.renewed
		if h.oldEnd > 0 && !h.unsure && (h.oldEnd-h.end).Abs() > 5*history.Epsilon && l.now-h.renewed > time.Second && l.lies(staleRead) {
			e.End, e.Renewed = h.oldEnd, 0
			h.alone = true
		}
	} else {
		l.end(h)
	}
	l.call(e)
}

func (l *liar) revoke(h *held) {
	e := history.Event{Verb: history.Revoke, Lease: h.id, Outcome: history.OK, Sync: l.rng.IntN(2) == 0}
	switch {
	case l.rng.IntN(20) == 0:
		e.Outcome = history.Unknown
		if l.rng.IntN(2) == 0 {
			l.end(h)
		}
	case l.live(h) && h.end-l.now > time.Minute && l.lies(lostRevoke):
		h.alone = true
	case e.Sync && h.name != "" && !h.gone && l.lies(hasty):
		l.call(e)
		l.now += time.Second
		l.end(h)
		return
	default:
		l.end(h)
	}
	l.call(e)
}

func (l *liar) prefix(group string, outcome history.Outcome) {
	happens := outcome == history.OK || l.rng.IntN(2) == 0
	spared := false
	for _, h := range slices.Backward(l.leases) {
		if h.group != group || !l.live(h) || !happens || h.alone {
			continue
		}
		if outcome == history.OK && h.end-l.now > time.Minute && !spared && l.lies(halfPrefix) {
			spared = true
			continue
		}
		l.end(h)
	}
	l.call(history.Event{Verb: history.Prefix, Group: group, Outcome: outcome})
}

func (l *liar) list(group string) {
	e := history.Event{Verb: history.List, Group: group, Outcome: history.OK}
	for _, h := range l.leases {
		if h.group == group && !h.gone {
			e.Keys = append(e.Keys, h.id)
		}
	}
	l.call(e)
}

func (l *liar) audit() {
	l.now += 10 * time.Second // what was short has expired
	var listed []string
	for _, h := range l.leases {
		if l.bug == tooEarly && !l.shown && h.name != "" && l.live(h) && h.end-l.now > time.Minute {
			l.shown = true
			l.events = append(l.events, history.Event{Verb: history.Destroyed, Name: h.name, Lease: h.id, Call: l.now, Back: l.now})
			l.held[h.name+"-kept"] = h.id // so that nothing else shows it
		}
		l.now += 20 * time.Millisecond
		l.lookup(h)
		if l.live(h) {
			listed = append(listed, h.id)
		}
	}
	hashes := []string{"7 abc", "7 abc", "7 abc"}
	if l.lies(diverged) {
		hashes[2] = "7 abd"
	}
	l.now += 20 * time.Millisecond
	copied := map[string]string{}
	for name, id := range l.held {
		copied[name] = id
	}
	l.events = append(l.events, history.Event{Verb: history.Audit, Call: l.now, Back: l.now, Hashes: hashes, Held: copied, Listed: listed})
	l.leases = slices.DeleteFunc(l.leases, func(h *held) bool { return !l.live(h) })
}

// lie plays a run of some rounds against a store with a bug.
func lie(b bug, seed uint64) *liar {
	l := &liar{bug: b, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Second, held: map[string]string{}}
	for round := range 4 {
		groups := []string{fmt.Sprint("slots/a", round), fmt.Sprint("slots/b", round), fmt.Sprint("hooks/creds/c", round)}
		for range 300 {
			l.now += time.Duration(l.rng.IntN(int(60 * time.Millisecond)))
			if len(l.leases) < 10 {
				l.issue(groups[l.rng.IntN(3)])
				continue
			}
			h := l.leases[l.rng.IntN(len(l.leases))]
			if h.alone {
				l.lookup(h)
				continue
			}
			switch l.rng.IntN(12) {
			case 0, 1:
				l.issue(groups[l.rng.IntN(3)])
			case 2, 3, 4:
				l.renew(h)
			case 5:
				l.revoke(h)
			case 6:
				l.list(groups[l.rng.IntN(3)])
			default:
				l.lookup(h)
			}
		}
		l.now += 50 * time.Millisecond // nothing overlaps it
		l.prefix(groups[round%3], []history.Outcome{history.OK, history.Unknown}[round/3])
		l.audit()
	}
	return l
}

// judged is what a Checker finds, by way of a file.
func judged(t *testing.T, events []history.Event) (*history.Checker, []history.Violation) {
	t.Helper()
	var file bytes.Buffer
	if err := history.Write(&file, events...); err != nil {
		t.Fatal(err)
	}
	c := history.NewChecker()
	var found []history.Violation
	if err := history.Read(&file, func(e history.Event) { found = append(found, c.Add(e)...) }); err != nil {
		t.Fatal(err)
	}
	return c, found
}

// TestNothingIsFoundWhereNothingIs: a correct store, with overlapping calls and unknown outcomes.
func TestNothingIsFoundWhereNothingIs(t *testing.T) {
	for seed := range uint64(20) {
		l := lie("", seed)
		c, found := judged(t, l.events)
		for _, v := range found {
			t.Errorf("seed %d: %v\n%+v", seed, v, v.Events)
		}
		if c.Checked < 1000 || c.Expired < 5 || c.Undecided > 0 {
			t.Errorf("seed %d: %d calls judged, %d leases expired, %d undecided: the run shows nothing", seed, c.Checked, c.Expired, c.Undecided)
		}
	}
}

// TestPlantedBugsAreFound: each bug that the failover runs are to find, in runs of its own.
// (guarantees.md section 6)
func TestPlantedBugsAreFound(t *testing.T) {
	for b, rules := range map[bug][]string{
		lostRenew: {"S5"}, staleRead: {"S5"}, lateRenew: {"S3"}, earlyLoss: {"S1 S2"}, lostRevoke: {"S7"},
		leaked: {"S12", "S15"}, unleased: {"S12"}, twice: {"S20"}, halfPrefix: {"S8", "S7"}, diverged: {"S18"},
		tooEarly: {"S2"}, noTarget: {"S1 S15"}, hasty: {"S15"},
	} {
		t.Run(string(b), func(t *testing.T) {
			planted := 0
			for seed := range uint64(12) {
				l := lie(b, seed)
				if !l.shown {
					continue
				}
				planted++
				_, found := judged(t, l.events)
				if !slices.ContainsFunc(found, func(v history.Violation) bool {
					return slices.ContainsFunc(rules, func(r string) bool { return strings.Contains(v.Rule, r) })
				}) {
					t.Errorf("seed %d: got %v, want one of %v", seed, found, rules)
				}
			}
			if planted < 3 {
				t.Errorf("the bug showed in %d of 12 runs, want 3 or more", planted)
			}
		})
	}
}

// TestAPartialPrefixOfUnknownOutcome: nobody knows whether it happened, but half of it cannot have.
func TestAPartialPrefixOfUnknownOutcome(t *testing.T) {
	at := func(s int) time.Duration { return time.Duration(s) * time.Second }
	play := func(second history.Standing) []history.Violation {
		events := []history.Event{
			{Verb: history.Issue, Outcome: history.OK, Lease: "a/1", Call: at(1), Back: at(2), Span: time.Hour, Client: 1},
			{Verb: history.Issue, Outcome: history.OK, Lease: "a/2", Call: at(1), Back: at(2), Span: time.Hour, Client: 2},
			{Verb: history.Prefix, Outcome: history.Unknown, Group: "a", Call: at(3), Back: at(8), Client: 1},
			{Verb: history.Lookup, Outcome: history.OK, Lease: "a/1", Call: at(9), Back: at(10), Seen: history.Gone},
			{Verb: history.Lookup, Outcome: history.OK, Lease: "a/2", Call: at(11), Back: at(12), Seen: second, End: at(3601)},
			{Verb: history.Audit, Call: at(13), Back: at(13)},
		}
		_, found := judged(t, events)
		return found
	}
	if found := play(history.Gone); len(found) > 0 {
		t.Errorf("both are dead: got %v, want nothing", found)
	}
	if found := play(history.Active); len(found) != 1 || found[0].Rule != "S8" {
		t.Errorf("one is dead: got %v, want S8", found)
	}
}

// TestAnAuditThatForgetsALeaseIsFound: what nobody looked up is not taken for checked.
func TestAnAuditThatForgetsALeaseIsFound(t *testing.T) {
	_, found := judged(t, []history.Event{
		{Verb: history.Issue, Outcome: history.OK, Lease: "a/1", Call: 1, Back: 2, Span: time.Hour, Client: 1},
		{Verb: history.Audit, Call: 3, Back: 3},
	})
	if len(found) != 1 || found[0].Rule != "audit" {
		t.Errorf("got %v, want the audit's own fault", found)
	}
}

// TestVoidRuns: each thing that a run must have seen. (guarantees.md section 6)
func TestVoidRuns(t *testing.T) {
	enough := func() history.Tally {
		acked := map[history.Verb]int{}
		for _, v := range []history.Verb{history.Issue, history.Renew, history.Lookup, history.Revoke, history.Prefix, history.List} {
			acked[v] = 20
		}
		return history.Tally{Acked: acked, Unknown: 10, Expired: 10, Before: 50, Aimed: 3, Changes: 3, Breaking: 3}
	}
	if why := enough().Void(); why != "" {
		t.Errorf("a run that saw enough is void: %s", why)
	}
	for want, less := range map[string]func(*history.Tally){
		"calls a second":           func(y *history.Tally) { y.Before = 49.9 },
		"kind issue":               func(y *history.Tally) { y.Acked[history.Issue] = 19 },
		"kind renew":               func(y *history.Tally) { y.Acked[history.Renew] = 19 },
		"kind lookup":              func(y *history.Tally) { y.Acked[history.Lookup] = 19 },
		"kind revoke":              func(y *history.Tally) { y.Acked[history.Revoke] = 19 },
		"kind revoke-prefix":       func(y *history.Tally) { y.Acked[history.Prefix] = 19 },
		"kind list":                func(y *history.Tally) { y.Acked[history.List] = 19 },
		"expired by themselves":    func(y *history.Tally) { y.Expired = 9 },
		"2 changes of leader":      func(y *history.Tally) { y.Changes = 2 },
		"calls of unknown outcome": func(y *history.Tally) { y.Unknown = 9 },
		"put in order":             func(y *history.Tally) { y.Undecided = 1 },
	} {
		tally := enough()
		less(&tally)
		if why := tally.Void(); !strings.Contains(why, want) || strings.Contains(why, ";") {
			t.Errorf("void for %q, want %q alone", why, want)
		}
	}
}
