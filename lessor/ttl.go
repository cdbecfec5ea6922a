package lessor

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// targetSlack is how much later than the lease a target's own limit is set: clocks differ, and
// committing takes time.
const targetSlack = 5 * time.Second

// commitSlack is the part of targetSlack that is left to the commit. What passes beyond the rest
// of it while a target works is taken off the lease, so that the target is never the shorter.
const commitSlack = 3 * time.Second

// targetEnd is the instant, by wall clocks, at which a target should end what lasts ttl from now.
func (l *Lessor) targetEnd(ttl time.Duration) time.Time { return l.wall().Add(ttl).Add(targetSlack) }

// lasting is the TTL that a lease may still get once its target has answered. ttl counts from
// asked, when the target was told; limit is the target's own shorter limit, zero for none. The
// result is zero or less when nothing is left.
func lasting(ttl, limit time.Duration, asked, now lease.Time) time.Duration {
	took := now.Sub(asked)
	if free := targetSlack - commitSlack; took > free {
		ttl -= took - free
	}
	if limit > 0 {
		ttl = min(ttl, limit-took)
	}
	return ttl
}

// limits are the bounds on l's TTL as its mount is tuned. The state machine applies the same when
// the command arrives; here they tell a target what to expect.
func limits(v *fsm.View, l *lease.Lease) lease.Limits {
	var conf lease.MountConfig
	if m := v.Mount(l.MountID); m != nil {
		conf = m.Config
	}
	conf = conf.WithDefaults()
	return lease.Limits{Default: conf.DefaultTTL, Max: lease.MinLimit(conf.MaxTTL, l.MaxTTL), Period: l.Period}
}

// capWarnings are Vault's words for a TTL that was cut.
func capWarnings(cut *lease.Cap) []string {
	switch {
	case cut == nil:
		return nil
	case cut.Periodic:
		return []string{fmt.Sprintf("period of %q exceeded the effective max_ttl of %q; period value is capped accordingly",
			human(cut.Wanted), human(cut.Limit))}
	}
	return []string{fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly",
		human(cut.Wanted), human(cut.Limit))}
}

// human prints whole seconds without the zero units at the end: 2h, not 2h0m0s.
func human(d time.Duration) string {
	text := d.Truncate(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
