package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Violation is a guarantee that was broken.
type Violation struct {
	Rule   string // numbers of guarantees, "S5 S7"
	What   string
	Lease  string
	Events []Event // those that show it
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s %s", v.Rule, v.What, v.Lease) }

// undecided bounds the search for an order of the calls on one lease.
const undecided = 20 * time.Second

// life is what is known of one lease that was acknowledged.
type life struct {
	id     string
	from   state
	name   string        // of its credential, "" if it has none
	since  time.Duration // when its issue was answered
	events []Event
}

// Checker judges events. It is not safe for concurrent use.
type Checker struct {
	Checked   int // calls of clients that were judged
	Expired   int // leases that ended by themselves
	Undecided int // leases whose calls could not be put in order in time

	lives   map[string]*life
	groups  map[string][]Event // calls on prefixes: revoke-prefix and list
	keys    map[string]string  // lease by Idempotency-Key
	held    map[string]credential
	early   map[string][]Event // about leases that no client was told of yet
	pending int                // calls since the last audit
}

type credential struct {
	lease, key string
	made       time.Duration
}

// NewChecker returns one that has seen nothing.
func NewChecker() *Checker {
	return &Checker{
		lives: map[string]*life{}, groups: map[string][]Event{}, keys: map[string]string{},
		held: map[string]credential{}, early: map[string][]Event{},
	}
}

// Add takes one event, in any order between two audits. An audit judges all that came before and
// returns what is wrong.
func (c *Checker) Add(e Event) []Violation {
	if e.Client > 0 && e.Outcome != "" {
		c.pending++
	}
	switch e.Verb {
	case Fault:
	case Audit:
		return c.audit(e)
	case Made:
		c.held[e.Name] = credential{e.Lease, e.Key, e.Call}
	case Destroyed:
		delete(c.held, e.Name)
		c.about(e)
	case Prefix, List:
		c.groups[e.Group] = append(c.groups[e.Group], e)
	case Issue:
		return c.issued(e)
	default:
		c.about(e)
	}
	return nil
}

// about files an event with its lease. Those of leases that no client was told of are kept until the
// next audit: the answer of the issue may come later.
func (c *Checker) about(e Event) {
	if l := c.lives[e.Lease]; l != nil {
		l.events = append(l.events, e)
	} else {
		c.early[e.Lease] = append(c.early[e.Lease], e)
	}
}

// issued: one lease for one key (S20), one issue for one lease.
func (c *Checker) issued(e Event) (found []Violation) {
	if e.Outcome != OK {
		return nil
	}
	if first := c.keys[e.Key]; e.Key != "" && first != "" && first != e.Lease {
		found = append(found, Violation{"S20", "two leases for one Idempotency-Key: " + first + " and", e.Lease, []Event{e}})
	}
	if e.Key != "" {
		c.keys[e.Key] = e.Lease
	}
	l := c.lives[e.Lease]
	if l == nil {
		l = &life{id: e.Lease, name: e.Name, since: e.Back}
		c.lives[e.Lease] = l
	}
	l.events = append(l.events, e)
	l.events = append(l.events, c.early[e.Lease]...)
	delete(c.early, e.Lease)
	return found
}

// audit judges all that came before. The cluster was quiet, and each lease was looked up last.
func (c *Checker) audit(e Event) (found []Violation) {
	found = append(found, replicas(e)...)
	for group, calls := range c.groups {
		found = append(found, c.moments(group, calls)...)
	}
	for _, id := range slices.Sorted(maps.Keys(c.lives)) {
		found = append(found, c.judge(c.lives[id])...)
	}
	found = append(found, c.target(e)...)
	c.forget()
	c.Checked += c.pending
	c.pending = 0
	return found
}

// replicas: equal states at equal indexes on every node (S18).
func replicas(e Event) []Violation {
	for _, h := range e.Hashes {
		if h != e.Hashes[0] {
			return []Violation{{Rule: "S18", What: "replicas differ: " + strings.Join(e.Hashes, ", "), Events: []Event{e}}}
		}
	}
	return nil
}

// whole is all that was seen of a lease, calls on its prefix included.
func (c *Checker) whole(l *life) []Event {
	events := slices.Clone(l.events)
	for group, calls := range c.groups {
		if !strings.HasPrefix(l.id, group+"/") {
			continue
		}
		for _, e := range calls {
			e.Lease = l.id
			if e.Verb == List && e.Outcome != OK {
				continue
			}
			events = append(events, e)
		}
	}
	return events
}

// judge: one order of all calls on one lease.
func (c *Checker) judge(l *life) []Violation {
	events := c.whole(l)
	if l.last() == nil {
		return []Violation{{"audit", "nobody looked up", l.id, events}}
	}
	fits, decided := linearizable(l.from, events, undecided)
	switch {
	case !decided:
		c.Undecided++
	case !fits:
		return []Violation{{"S1 S2 S3 S5 S7 S15", "no order of its calls explains what was seen of", l.id, events}}
	}
	return nil
}

// forget keeps of each lease how it stood in the audit, and the calls that may still take effect; of
// those that are gone nothing.
func (c *Checker) forget() {
	for id, l := range c.lives {
		last := l.last()
		if last == nil {
			continue
		}
		if last.Seen != Active {
			if !ended(c.whole(l)) {
				c.Expired++
			}
			delete(c.lives, id)
			continue
		}
		var open []Event
		for _, e := range l.events {
			// A lease that was seen alive last and is destroyed expired while the audit went on.
			if e.Outcome == Unknown && last.Call-e.Call < linger || e.Verb == Destroyed {
				open = append(open, e)
			}
		}
		l.from = state{phase: live, least: last.End, most: last.End, renewedAtLatest: never, made: l.name != ""}
		l.events = open
	}
	for group, calls := range c.groups {
		calls = slices.DeleteFunc(calls, func(e Event) bool { return e.Outcome != Unknown })
		if c.groups[group] = calls; len(calls) == 0 || !c.inhabited(group) {
			delete(c.groups, group)
		}
	}
	for key, id := range c.keys {
		if c.lives[id] == nil {
			delete(c.keys, key)
		}
	}
	clear(c.early)
}

// last is the look at a lease that began last.
func (l *life) last() *Event {
	var last *Event
	for i, e := range l.events {
		if e.Verb == Lookup && e.Outcome == OK && (last == nil || e.Call > last.Call) {
			last = &l.events[i]
		}
	}
	return last
}

// ended reports whether anybody asked for a lease's end.
func ended(events []Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool { return e.Verb == Revoke || e.Verb == Prefix })
}

func (c *Checker) inhabited(group string) bool {
	for id := range c.lives {
		if strings.HasPrefix(id, group+"/") {
			return true
		}
	}
	return false
}
