package expiration

import (
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// breakerFailures is how many attempts at a mount must fail in a row, whichever leases they are at, for
// its circuit breaker to open.
const breakerFailures = 5

// maxAsked bounds the leases of one mount that wait for an attempt out of turn.
const maxAsked = 64

// Target is what this leadership has learned of a mount's target from the attempts it made: the mount's
// circuit breaker, and how much of its rate is used. Nil is a target that nothing is known of.
//
// While the breaker is open one attempt is made at a time, a probe, with back-off between them. So the
// other leases lose none of their quick attempts to an outage. A lease that was never tried is the better
// probe, and need not wait unless one such was the last to fail: leases that fail for a reason of their
// own must not keep a target from those that would not. Beside the probes, those leases are tried that
// somebody asks for by name (settled decision 3), and those revoked by force, which are to go anyway.
type Target struct {
	Open    bool
	ProbeAt lease.Time // when the next probe may be made
	Proven  bool       // the last failure was of a lease that had never been tried
	Asked   []string   // IDs of leases to be tried out of turn

	// Recovering: the target answers again, and what waits for a later attempt is made due, in steps.
	// From and After are where that stands; see fsm.View.Attempts.
	Recovering bool
	From       lease.Time
	After      string

	// Calls is when the attempts of the last second began, where the mount has a rate.
	Calls []lease.Time

	failures int    // in a row
	pauses   int    // between probes, so far
	probe    string // ID of the lease under probe
	err      string // of the last failure
}

// verdict is what an attempt says of the target.
type verdict uint8

const (
	silent  verdict = iota // nothing: it was not reached, or it is this one lease that is refused for good
	answers                // it works
	fails                  // it does not, as far as one can tell
)

// outcome is what came of an attempt.
type outcome struct {
	lease   *lease.Lease // as it was claimed
	mount   *lease.Mount // nil: gone
	verdict verdict
	err     error
}

// change is what an outcome does to a circuit breaker.
type change uint8

const (
	none change = iota
	opened
	closed
)

// learn takes note of an outcome. chance is that of the jitter.
func (t *Target) learn(now lease.Time, out outcome, chance float64) change {
	probe := t.probe == out.lease.ID
	if probe {
		t.probe = ""
	}
	conf := out.mount.Config.WithDefaults()
	switch {
	case out.verdict == answers:
		t.failures = 0
		if t.Open {
			t.answered(now)
			return closed
		}
	case out.verdict == silent:
		if probe {
			t.ProbeAt = now.Add(backoff(conf, t.pauses, chance)) // it proved nothing: another, without growing
		}
	case t.Open:
		t.failed(out)
		if probe {
			t.pauses++
			t.ProbeAt = now.Add(retryPause(conf, t.pauses, chance, out.err))
		}
	case out.lease.Status == lease.Irrevocable:
		// That this one fails is known, and says nothing new.
	default:
		t.failed(out)
		if t.failures++; t.failures >= breakerFailures {
			t.Open, t.Recovering = true, false
			t.ProbeAt = now.Add(retryPause(conf, t.pauses, chance, out.err))
			return opened
		}
	}
	return none
}

func (t *Target) failed(out outcome) {
	t.Proven = out.lease.Ending.Attempts == 0
	t.err = failureText(out.err)
}

// answered closes the circuit breaker: all that waits is made due.
func (t *Target) answered(now lease.Time) {
	*t = Target{Calls: t.Calls, Recovering: true, From: now}
}

// began notes that an attempt begins.
func (t *Target) began(now lease.Time) {
	for len(t.Calls) > 0 && t.Calls[0] <= now.Add(-time.Second) {
		t.Calls = t.Calls[1:]
	}
	t.Calls = append(t.Calls, now)
}

// left is how many attempts may begin at now under a rate of so many in any second, and if none, when
// the next one may.
func (t *Target) left(rate int, now lease.Time) (n int, next lease.Time) {
	begun := 0
	if t != nil {
		for _, at := range t.Calls {
			if at > now.Add(-time.Second) {
				begun++
			}
		}
	}
	if begun < rate {
		return rate - begun, 0
	}
	return 0, t.Calls[len(t.Calls)-rate].Add(time.Second)
}

// idle reports whether there is nothing to remember.
func (t *Target) idle(now lease.Time) bool {
	return !t.Open && !t.Recovering && t.failures == 0 &&
		(len(t.Calls) == 0 || t.Calls[len(t.Calls)-1] <= now.Add(-time.Second))
}

// retryPause is the one after failures failures, the last of which was err.
func retryPause(conf lease.MountConfig, failures int, chance float64, err error) time.Duration {
	return max(backoff(conf, failures, chance), min(backend.AskedPause(err), maxAskedPause))
}
