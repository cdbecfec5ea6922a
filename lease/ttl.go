package lease

import "time"

// Limits bound one grant. Zero fields mean "none", except that Default must be positive.
type Limits struct {
	Default time.Duration // granted when nothing is asked for
	Max     time.Duration // from issue: the smallest of mount's and role's
	Period  time.Duration // granted on each renewal in place of anything else, with no limit from issue
	Hard    time.Duration // explicit max TTL from issue: bounds periodic grants as well
}

// Cap says that a grant was cut: what was wanted, and which limit cut it.
type Cap struct {
	Wanted, Limit time.Duration
	Periodic      bool
}

// Grant computes the TTL of an issue (issued == now) or of a renewal, by Vault's arithmetic
// (vault-api-facts 2.3): the wanted TTL counts from now and may shorten; the ceiling counts from
// issue. The result is never negative and never wraps. It returns ErrPastMaxTTL when the ceiling
// has been reached.
func Grant(now, issued Time, want time.Duration, l Limits) (time.Duration, *Cap, error) {
	if want <= 0 {
		want = l.Default
	}
	var cut *Cap
	if l.Period > 0 {
		want = l.Period
		if l.Max > 0 && want > l.Max {
			cut = &Cap{Wanted: want, Limit: l.Max, Periodic: true}
			want = l.Max
		}
	} else {
		left, limited := room(now, issued, l.Max)
		if limited && left <= 0 {
			return 0, nil, ErrPastMaxTTL
		}
		if limited && want > left {
			cut = &Cap{Wanted: want, Limit: l.Max}
			want = left
		}
	}
	left, limited := room(now, issued, l.Hard)
	if limited && left <= 0 {
		return 0, nil, ErrPastMaxTTL
	}
	if limited && want > left {
		cut = &Cap{Wanted: want, Limit: l.Hard}
		want = left
	}
	return want, cut, nil
}

// room is what is left at now of a limit that counts from issue.
func room(now, issued Time, limit time.Duration) (time.Duration, bool) {
	if limit <= 0 {
		return 0, false
	}
	return issued.Add(limit).Sub(now), true
}

// MinLimit is the smaller of two limits, where zero means none.
func MinLimit(a, b time.Duration) time.Duration {
	switch {
	case a <= 0:
		return b
	case b <= 0:
		return a
	}
	return min(a, b)
}
