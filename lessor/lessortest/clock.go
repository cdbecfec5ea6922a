package lessortest

import (
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// Clock stands still until it is moved. Log time and wall time are the same but for the skew.
type Clock struct {
	now  atomic.Int64
	skew atomic.Int64
}

// NewClock returns a Clock at a fixed instant on a whole second.
func NewClock() *Clock {
	c := new(Clock)
	c.now.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

// Now is log time.
func (c *Clock) Now() lease.Time { return lease.Time(c.now.Load()) }

// Wall is wall time.
func (c *Clock) Wall() time.Time { return time.Unix(0, c.now.Load()+c.skew.Load()).UTC() }

// Advance moves log time and wall time.
func (c *Clock) Advance(d time.Duration) { c.now.Add(int64(d)) }

// Skew sets how far wall time is ahead of log time.
func (c *Clock) Skew(d time.Duration) { c.skew.Store(int64(d)) }
