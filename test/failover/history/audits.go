package history

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// moments: a revoke-prefix is one moment for all leases below it (S8). If one that it alone can have ended
// was seen dead, no other that was there before the call may be seen alive by a call that began later,
// nor at last, whatever the outcome of the call. A group knows one such call.
func (c *Checker) moments(group string, calls []Event) (found []Violation) {
	for _, p := range calls {
		if p.Verb != Prefix {
			continue
		}
		dead, alive := never, time.Duration(-1)
		var shows [2]Event
		for _, l := range c.lives {
			if !strings.HasPrefix(l.id, group+"/") || l.since >= p.Call {
				continue
			}
			for _, e := range l.events {
				if e.Call <= p.Call && e.Back <= p.Call {
					continue
				}
				if isDead(e) && e.Back < dead && !endedBy(l, e) {
					dead, shows[0] = e.Back, e
				}
				if isAlive(e) && e.Call > alive {
					alive, shows[1] = e.Call, e
				}
			}
		}
		if alive > dead {
			found = append(found, Violation{"S8", "a revoke-prefix ended one lease before another, below", group, []Event{p, shows[0], shows[1]}})
		}
	}
	return found
}

func isDead(e Event) bool {
	return e.Verb == Lookup && e.Outcome == OK && e.Seen != Active || e.Verb == Renew && e.Outcome == Refused ||
		e.Verb == Destroyed
}

func isAlive(e Event) bool {
	return e.Verb == Lookup && e.Outcome == OK && e.Seen == Active || e.Verb == Renew && e.Outcome == OK
}

// endedBy reports whether a lease may have been dead at e for another reason than the prefix.
func endedBy(l *life, e Event) bool {
	least := l.from.least
	for _, o := range l.events {
		switch {
		case o.Verb == Revoke && o.Call < e.Back:
			return true
		case (o.Verb == Issue || o.Verb == Renew) && o.Outcome != Refused:
			if end := o.Call + o.Span; least == 0 || end < least {
				least = end
			}
		}
	}
	return e.Back >= least-Epsilon
}

// target: what lives at the target is in the list of leases, and what is listed as somebody's living
// lease lives at the target; one credential for one Idempotency-Key. The run waited before the audit
// for all that needs time: intents of dead leaders, destroys under way. (S12, S15, S20)
func (c *Checker) target(e Event) (found []Violation) {
	if e.Held == nil {
		return nil
	}
	listed, leases, keys := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, id := range e.Listed {
		listed[id] = true
	}
	for _, name := range slices.Sorted(maps.Keys(e.Held)) {
		id := e.Held[name]
		leases[id] = true
		if !listed[id] {
			found = append(found, Violation{"S12", "the target holds " + name + ", which no lease stands for:", id, []Event{e}})
		}
		if key := c.held[name].key; key != "" {
			if other := keys[key]; other != "" {
				found = append(found, Violation{"S20", "two credentials live for one Idempotency-Key: " + other + " and", name, []Event{e}})
			}
			keys[key] = name
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.lives)) {
		l := c.lives[id]
		last := l.last()
		if l.name == "" || last == nil {
			continue
		}
		if last.Seen == Active && !leases[id] && e.Back < last.End-Epsilon {
			found = append(found, Violation{"S1 S15", "a living lease whose credential is not at the target:", id, l.events})
		}
		if last.Seen == Gone && leases[id] {
			found = append(found, Violation{"S12 S15", "a lease is gone and its credential lives:", id, l.events})
		}
	}
	return found
}
