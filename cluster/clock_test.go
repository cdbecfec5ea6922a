package cluster

// Inside the package: the clock is not part of its API, and its rules are best seen alone.

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// hand is a monotonic clock moved by hand.
type hand struct{ t time.Time }

func newHand() *hand                 { return &hand{time.Unix(5_000, 0)} }
func (h *hand) now() time.Time       { return h.t }
func (h *hand) pass(d time.Duration) { h.t = h.t.Add(d) }
func (h *hand) clock() *logClock     { return newLogClock(h.now) }
func at(d time.Duration) lease.Time  { return lease.Time(1e18).Add(d) }
func wantNow(t *testing.T, c *logClock, want lease.Time) {
	t.Helper()
	if got := c.Now(); got != want {
		t.Errorf("log time: got %v, want %v (off by %v)", got, want, got.Sub(want))
	}
}

// S11: a new leader goes on from the last entry it applied and its own monotonic time since then.
// The wall clock, off by an hour, has no say.
func TestS11_NewLeaderGoesOnFromTheLog(t *testing.T) {
	for _, wall := range []time.Duration{-time.Hour, time.Hour} {
		h := newHand()
		c := h.clock()
		c.applied(at(0), true)
		h.pass(3 * time.Second)
		c.lead(at(wall))
		wantNow(t, c, at(3*time.Second))
	}
}

// After the whole cluster was down, the time of day counts: leases ended meanwhile.
func TestColdStartTakesTheWallClock(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(0), false) // from the log, of any age
	h.pass(time.Second)
	if !c.cold() {
		t.Fatal("an old log made the clock warm")
	}
	c.lead(at(time.Hour))
	wantNow(t, c, at(time.Hour))
}

// S10: a wall clock behind the log does not turn log time back.
func TestS10_ColdStartNeverGoesBack(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(0), false)
	c.lead(at(-time.Hour))
	wantNow(t, c, at(0))
}

func TestFollowerHearsTheLeader(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(-24*time.Hour), false)
	c.heard(at(0))
	if c.cold() {
		t.Error("a word from a live leader left the clock cold")
	}
	h.pass(time.Second)
	wantNow(t, c, at(time.Second))
	c.lead(at(time.Hour))
	wantNow(t, c, at(time.Second))
}

// S10: the leader may be behind what a follower reckoned. The follower stands still until the
// leader's time has caught up.
func TestS10_HearingLessStandsStill(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.heard(at(0))
	h.pass(time.Second)
	wantNow(t, c, at(time.Second))
	c.heard(at(900 * time.Millisecond))
	wantNow(t, c, at(time.Second))
	h.pass(50 * time.Millisecond)
	wantNow(t, c, at(time.Second))
	h.pass(100 * time.Millisecond)
	wantNow(t, c, at(1050*time.Millisecond))
}

// What the log holds is never undercut, whatever a leader says.
func TestS10_HearingLessThanTheLog(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(0), true)
	c.heard(at(-time.Minute))
	c.lead(0)
	if now, err := c.stamp(); err != nil || now != at(0) {
		t.Errorf("stamp: got %v, %v, want %v", now, err, at(0))
	}
}

func TestSlewIsOnePartInAHundred(t *testing.T) {
	tests := []struct {
		name  string
		ahead time.Duration
		ok    bool
		pass  time.Duration
		want  time.Duration
	}{
		{"forward", time.Hour, true, time.Second, 1010 * time.Millisecond},
		{"backward", -time.Hour, true, time.Second, 990 * time.Millisecond},
		{"a small difference is made up and no more", 5 * time.Millisecond, true, time.Second, 1005 * time.Millisecond},
		{"the clocks do not agree", time.Hour, false, time.Second, time.Second},
		{"an old measurement is not followed", time.Hour, true, slewLife + time.Second, slewLife + time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHand()
			c := h.clock()
			c.applied(at(0), true)
			c.lead(0)
			c.steer(tt.ahead, tt.ok)
			h.pass(tt.pass)
			wantNow(t, c, at(tt.want))
		})
	}
}

// A follower is not steered: its time is the leader's.
func TestSlewEndsWithLeadership(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(0), true)
	c.lead(0)
	c.steer(time.Hour, true)
	c.follow()
	h.pass(time.Second)
	wantNow(t, c, at(time.Second))
}

// An entry far ahead of the leader's clock is not its own. The leadership ends; the next one starts
// from the log.
func TestJumpEndsTheLeadership(t *testing.T) {
	h := newHand()
	c := h.clock()
	c.applied(at(0), true)
	c.lead(0)
	c.applied(at(maxJump), true)
	if _, err := c.stamp(); err != nil {
		t.Errorf("jump of %v: got %v, want no error", maxJump, err)
	}
	c.applied(at(2*maxJump+1), true)
	if _, err := c.stamp(); err != errClockJump {
		t.Errorf("jump over %v: got %v, want %v", maxJump, err, errClockJump)
	}
	c.follow()
	c.lead(0)
	if now, err := c.stamp(); err != nil || now != at(2*maxJump+1) {
		t.Errorf("the next leadership: got %v, %v, want %v", now, err, at(2*maxJump+1))
	}
}

func TestAgreement(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name    string
		offsets []time.Duration
		voters  int
		want    time.Duration
		ok      bool
	}{
		{"one node", []time.Duration{5 * s}, 1, 5 * s, true},
		{"three alike", []time.Duration{0, s, 2 * s}, 3, s, true},
		{"one an hour ahead", []time.Duration{0, 3600 * s, s}, 3, s, true},
		{"one an hour behind", []time.Duration{0, -3600 * s, s}, 3, 0, true},
		{"all apart", []time.Duration{0, 100 * s, 200 * s}, 3, 100 * s, false},
		{"two of three answer and agree: the earlier", []time.Duration{0, s}, 3, 0, true},
		{"two of three answer and differ: the earlier", []time.Duration{3600 * s, 0}, 3, 0, false},
		{"one of three answers", []time.Duration{5 * s}, 3, 5 * s, false},
		{"nobody answers", nil, 3, 0, false},
	}
	for _, tt := range tests {
		got, ok := agreement(tt.offsets, tt.voters, 2*s)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}
