package lease

import (
	"math"
	"time"
)

// Time is an instant of log time: nanoseconds since the Unix epoch, as stamped by the leader.
// It is half the size of a time.Time, which counts when a node holds a million leases. Zero means
// "never" or "not yet".
type Time int64

// At converts t; the zero time.Time becomes the zero Time.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano())
}

// Add returns t + d and saturates instead of wrapping, so that an absurd increment can never
// yield an end in the past (guarantee S4).
func (t Time) Add(d time.Duration) Time {
	sum := int64(t) + int64(d)
	switch {
	case d > 0 && sum < int64(t):
		return math.MaxInt64
	case d < 0 && sum > int64(t):
		return math.MinInt64
	}
	return Time(sum)
}

// Sub returns t − u, saturating.
func (t Time) Sub(u Time) time.Duration {
	diff := int64(t) - int64(u)
	switch {
	case t > u && diff < 0:
		return math.MaxInt64
	case t < u && diff > 0:
		return math.MinInt64
	}
	return time.Duration(diff)
}

// Std returns t as a time.Time in UTC; the zero Time becomes the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Second is the whole second t lies in, since the epoch.
func (t Time) Second() int64 { return int64(t) / int64(time.Second) }

func (t Time) String() string { return t.Std().Format(time.RFC3339Nano) }
