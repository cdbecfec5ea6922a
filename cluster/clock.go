package cluster

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/leasehold/leasehold/lease"
)

const (
	// slewShare is how much of the time passed log time may be moved towards the voters' wall
	// clocks: 1 part in 100.
	slewShare = 100
	// slewLife is how long a measurement of the wall clocks is followed.
	slewLife = 5 * time.Second
	// maxJump is how far an entry's log time may be ahead of the leader's clock.
	maxJump = 10 * time.Second
)

// errClockJump ends a leadership whose clock does not fit the log any more.
var errClockJump = errors.New("log time jumped ahead of the leader's clock")

// logClock is this node's idea of log time: an instant of it, and the monotonic time at which it
// was known. Log time is that instant plus the monotonic time since; no wall clock moves it, but for
// two things:
//
//   - On a cold start (guarantees 1; nothing heard from any leader since the process started)
//     the time spent down is unknown to the monotonic clock. Then Lead takes the voters' wall time,
//     if that is later than the log's.
//   - While a majority's wall clocks agree, the leader slews log time towards them, by at most one
//     part in 100 of the time passed, so that days of leadership do not drift away from UTC.
//
// A follower's value comes from what the leader says on its rounds and from entries as they are
// applied. Both arrive late, so a follower, and the leader that it may become, is behind rather
// than ahead: leases may live longer by that, and never end early (guarantees S2, S11).
//
// It never goes backwards (guarantee S10).
type logClock struct {
	mono func() time.Time

	mu     sync.Mutex // guards what follows
	now    lease.Time // log time at `at`
	at     time.Time
	logged lease.Time // the largest log time applied
	shown  lease.Time // the largest value given out: standing still is fine, going back is not
	warm   bool       // a live leader was heard, or this node leads
	leads  bool
	slew   time.Duration // still to be moved, while leading
	slewed time.Time     // when slew was measured
	jumped bool
}

func newLogClock(mono func() time.Time) *logClock {
	return &logClock{mono: mono, at: mono()}
}

// Now is the current log time: exact on the leader, elsewhere behind by what the last word from
// the leader took to arrive.
func (c *logClock) Now() lease.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.show()
}

// show moves the clock to the present and gives its value out.
func (c *logClock) show() lease.Time {
	c.shown = max(c.advance(), c.shown)
	return c.shown
}

// advance moves the clock to the present.
func (c *logClock) advance() lease.Time {
	t := c.mono()
	passed := t.Sub(c.at)
	if passed <= 0 {
		return c.now
	}
	step := passed
	if c.leads && c.slew != 0 {
		if t.Sub(c.slewed) > slewLife {
			c.slew = 0
		}
		move := min(max(c.slew, -passed/slewShare), passed/slewShare)
		c.slew -= move
		step += move
	}
	c.at = t
	if c.now == 0 && !c.warm {
		return 0 // nothing known: an age since 1970 is not log time
	}
	c.now = c.now.Add(step)
	return c.now
}

// applied notes an entry's log time. live is false for entries and snapshots that were in the log
// before the process started: they say how late it is at least, not how late it is.
func (c *logClock) applied(t lease.Time, live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.advance()
	if c.leads && t.Sub(now) > maxJump {
		c.jumped = true
	}
	c.logged = max(c.logged, t)
	c.now = max(now, t)
	c.warm = c.warm || live
}

// heard notes what a live leader said log time is. It replaces what was reckoned, also when that
// was ahead, but for what the log holds.
func (c *logClock) heard(t lease.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads {
		return
	}
	c.advance()
	c.now = max(t, c.logged)
	c.warm = true
}

// cold reports whether only the log's own, possibly old, times are known.
func (c *logClock) cold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.warm
}

// lead starts a leadership. wall is the wall time that the voters agree on; it counts on a cold
// start only.
func (c *logClock) lead(wall lease.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.advance()
	if !c.warm {
		now = max(now, wall)
	}
	c.now = max(now, c.logged)
	c.warm, c.leads, c.slew, c.jumped = true, true, 0, false
}

// follow ends a leadership.
func (c *logClock) follow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.leads, c.slew = false, 0
}

// stamp is the log time for a new entry. The caller puts it in the log and nowhere else.
func (c *logClock) stamp() (lease.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jumped {
		return 0, errClockJump
	}
	return c.show(), nil
}

// steer tells the leader how far ahead of log time the voters' wall clocks are. ok is false when no
// majority of them agrees: then log time follows the monotonic clock alone.
func (c *logClock) steer(ahead time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.slew, c.slewed = 0, c.at
	if ok {
		c.slew = ahead
	}
}

// agreement finds the median of the voters' offsets. It is good when a majority of all voters lies
// within skew of each other and the median is one of them. Without an agreement it is still the best
// there is, for a clock that has to start somewhere.
func agreement(offsets []time.Duration, voters int, skew time.Duration) (time.Duration, bool) {
	if len(offsets) == 0 {
		return 0, false
	}
	need := voters/2 + 1
	sorted := slices.Sorted(slices.Values(offsets))
	// The lower median: with two clocks, the one that ends leases later.
	median := sorted[(len(sorted)-1)/2]
	for i := 0; i+need <= len(sorted); i++ {
		low, high := sorted[i], sorted[i+need-1]
		if high-low <= skew && low <= median && median <= high {
			return median, true
		}
	}
	return median, false
}
