package history

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// Epsilon is max_clock_skew of the cluster: what its log time and a client's clock may differ by.
const Epsilon = 2 * time.Second

// never is later than every run.
const never = 1000 * time.Hour

// linger bounds how long after its call one of unknown outcome can still take effect.
const linger = 2 * time.Minute

type phase int

const (
	none   phase = iota // not issued yet
	live                //
	doomed              // revoked or expired, perhaps still at the target
	gone                // destroyed, and not to be found any more
)

// state is one lease as a caller may expect it. After a renewal its end is known only to lie in an
// interval; a lookup makes it exact.
type state struct {
	phase           phase
	least, most     time.Duration // bounds of its end
	renewedAtLatest time.Duration // its last renewal lies before this; never: there was none to bound
	made            bool          // the target may have made a credential for it
	destroyed       bool          // the target destroyed its credential
}

// step says what becomes of s by a call, and whether what was seen of it fits. It is a pure function.
func (s state) step(e Event) (bool, state) {
	if e.Outcome == Unknown {
		return true, s.perhaps(e)
	}
	switch e.Verb {
	case Issue:
		return s.phase == none, s.issued(e)
	case Renew:
		if e.Outcome == Refused {
			return s.mayBeDead(e), s.dead(s.phase)
		}
		return s.mayBeLive(e), s.renewed(e)
	case Revoke:
		return s.revoked(e)
	case Prefix:
		return true, s.dead(s.phase)
	case Destroyed:
		fits := s.phase != none && s.mayBeDead(e)
		s = s.dead(s.phase)
		s.destroyed = true
		return fits, s
	case List:
		return s.listed(e)
	}
	return s.lookedUp(e)
}

// perhaps is what becomes of s if a call of unknown outcome did its work.
func (s state) perhaps(e Event) state {
	switch {
	case e.Verb == Renew && s.phase == live:
		next := s.renewed(e)
		next.most = e.Call + linger + e.Span
		return next
	case e.Verb == Revoke || e.Verb == Prefix:
		return s.dead(s.phase)
	}
	return s
}

func (s state) issued(e Event) state {
	return state{phase: live, least: e.Call + e.Span, most: e.Back + e.Span, renewedAtLatest: never, made: e.Name != ""}
}

func (s state) renewed(e Event) state {
	s.renewedAtLatest = s.most + Epsilon
	s.least, s.most = e.Call+e.Span, e.Back+e.Span
	return s
}

// revoked: an unknown lease is no error of a revoke. One that waits answers when the target is done; it is
// two steps (see linearizable), and this is the second.
func (s state) revoked(e Event) (bool, state) {
	if s.phase == none {
		return true, s
	}
	if e.Sync {
		fits := s.phase != live && (!s.made || s.destroyed)
		s.phase = gone
		return fits, s
	}
	return true, s.dead(s.phase)
}

func (s state) listed(e Event) (bool, state) {
	for _, id := range e.Keys {
		if id == e.Lease {
			return s.phase == live || s.phase == doomed, s
		}
	}
	if s.phase == none || s.phase == gone {
		return true, s
	}
	fits := s.mayBeDead(e) && (!s.made || s.destroyed)
	s.phase = gone
	return fits, s
}

func (s state) lookedUp(e Event) (bool, state) {
	switch e.Seen {
	case Active:
		fits := s.mayBeLive(e) && s.least-Epsilon <= e.End && e.End <= s.most+Epsilon && e.Renewed <= s.renewedAtLatest
		s.least, s.most = e.End, e.End
		return fits, s
	case Revoking:
		return s.phase == doomed || s.phase == live && s.mayBeDead(e), s.dead(s.phase)
	}
	if s.phase == none || s.phase == gone {
		return true, s
	}
	fits := s.mayBeDead(e) && (!s.made || s.destroyed)
	s.phase = gone
	return fits, s
}

// dead is s after its end. What is gone stays gone, what was never issued stays that.
func (s state) dead(was phase) state {
	if was == live {
		s.phase = doomed
	}
	return s
}

// mayBeDead: a live lease ends by itself no earlier than Epsilon before its end (S1, S2).
func (s state) mayBeDead(e Event) bool { return s.phase != live || e.Back >= s.least-Epsilon }

// mayBeLive: and is not seen alive later than Epsilon after it (S3, S11).
func (s state) mayBeLive(e Event) bool { return s.phase == live && e.Call <= s.most+Epsilon }

// model is what porcupine checks one lease against.
func model(from state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return from },
		Step: func(s, in, _ any) (bool, any) { return s.(state).step(in.(Event)) },
		DescribeOperation: func(in, _ any) string {
			e := in.(Event)
			return fmt.Sprintf("%s by %d at node %d: %s %s", e.Verb, e.Client, e.Node, e.Outcome, e.Seen)
		},
	}
}

// linearizable reports whether events of one lease have an order that fits; decided is false if that
// could not be told within a limit.
func linearizable(from state, events []Event, limit time.Duration) (fits, decided bool) {
	ops := make([]porcupine.Operation, 0, len(events))
	for _, e := range events {
		back := e.Back
		if e.Outcome == Unknown {
			back = never
		}
		ops = append(ops, porcupine.Operation{ClientId: e.Client, Input: e, Call: int64(e.Call), Return: int64(back)})
		if e.Verb == Revoke && e.Sync && e.Outcome == OK { // the lease dies, the target destroys, it is gone
			e.Sync = false
			ops = append(ops, porcupine.Operation{ClientId: e.Client, Input: e, Call: int64(e.Call), Return: int64(back)})
		}
	}
	switch porcupine.CheckOperationsTimeout(model(from), ops, limit) {
	case porcupine.Ok:
		return true, true
	case porcupine.Illegal:
		return false, true
	}
	return false, false
}
