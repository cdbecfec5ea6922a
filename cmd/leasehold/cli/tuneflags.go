package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// tuneFlags are what can be set of an engine, both when it is enabled and later.
type tuneFlags struct {
	ttlFlags
	attempts, concurrency, rate            int
	backoff, backoffMax, timeout, interval seconds
}

func (f *tuneFlags) register(cmd *cobra.Command) {
	f.ttlFlags.register(cmd, "leases")
	flags := cmd.Flags()
	flags.IntVar(&f.attempts, "revoke-attempts", 0, "quick attempts to destroy before a lease counts as irrevocable")
	flags.Var(&f.backoff, "revoke-backoff", "wait before the second attempt; it doubles from there")
	flags.Var(&f.backoffMax, "revoke-backoff-max", "longest wait between attempts")
	flags.Var(&f.timeout, "revoke-timeout", "how long one attempt may take")
	flags.IntVar(&f.concurrency, "revoke-concurrency", 0, "attempts that may run at once")
	flags.IntVar(&f.rate, "revoke-rate", 0, "attempts a second; without, there is no limit")
	flags.Var(&f.interval, "reconcile-interval", "how often orphans are looked for at the target and destroyed")
}

// input is what cmd was given of these.
func (f *tuneFlags) input(cmd *cobra.Command) client.MountConfigInput {
	given := cmd.Flags().Changed
	number := func(flag string, n int) *int {
		if !given(flag) {
			return nil
		}
		return &n
	}
	duration := func(flag string, s seconds) string {
		if !given(flag) {
			return ""
		}
		return s.wire()
	}
	ask := f.ttlFlags.input()
	ask.RevokeAttempts = number("revoke-attempts", f.attempts)
	ask.RevokeBackoff = duration("revoke-backoff", f.backoff)
	ask.RevokeBackoffMax = duration("revoke-backoff-max", f.backoffMax)
	ask.RevokeTimeout = duration("revoke-timeout", f.timeout)
	ask.RevokeConcurrency = number("revoke-concurrency", f.concurrency)
	ask.RevokeRate = number("revoke-rate", f.rate)
	ask.ReconcileInterval = duration("reconcile-interval", f.interval)
	return ask
}

// shownRevocation is what is set of an engine's revocations, or the word for the default of all.
func shownRevocation(c client.MountConfig) string {
	var set []string
	add := func(text string, n int64) {
		if n != 0 {
			set = append(set, fmt.Sprintf(text, n))
		}
	}
	addTime := func(text string, n int64) {
		if n != 0 {
			set = append(set, fmt.Sprintf(text, humanSeconds(n)))
		}
	}
	add("%d attempts", int64(c.RevokeAttempts))
	addTime("%s before the second", c.RevokeBackoff)
	addTime("at most %s between them", c.RevokeBackoffMax)
	addTime("at most %s each", c.RevokeTimeout)
	add("%d at once", int64(c.RevokeConcurrency))
	add("%d a second", int64(c.RevokeRate))
	addTime("reconciled every %s", c.ReconcileInterval)
	if len(set) == 0 {
		return "system"
	}
	return strings.Join(set, ", ")
}
