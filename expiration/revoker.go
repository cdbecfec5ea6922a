package expiration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// maxAskedPause bounds the pause that a target may ask for: no target puts off its end for ever.
const maxAskedPause = lease.IrrevocableRetry

// revoke carries out one claimed attempt, records what came of it and returns that.
func (r *run) revoke(ctx context.Context, l *lease.Lease, lapse time.Duration) outcome {
	out := outcome{lease: l}
	r.State.Read(func(v *fsm.View) { out.mount = v.Mount(l.MountID) })
	reached, err := r.destroy(ctx, l, out.mount)
	if ctx.Err() != nil {
		return out // leadership is lost, and with it the right to speak; the next leader claims anew
	}
	a := attempt{run: r, lease: l, mount: out.mount, lapse: lapse}
	if err == nil {
		out.verdict = answers
		a.finish(ctx)
		return out
	}
	if out.err = err; reached && !backend.IsPermanent(err) {
		out.verdict = fails
	}
	a.fail(ctx, err)
	return out
}

// destroy calls the lease's backend under the mount's deadline, and says whether it came to that. A
// backend that panics has failed one attempt at one lease; the node goes on.
func (r *run) destroy(ctx context.Context, l *lease.Lease, mount *lease.Mount) (reached bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("a backend panicked", "lease_id", l.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the backend panicked: %v", p)
		}
	}()
	if mount == nil {
		return false, fmt.Errorf("the mount %s of this lease does not exist", l.MountID)
	}
	target, ok := r.Backends.Target(mount.Type)
	if !ok {
		return false, fmt.Errorf("this build has no backend of type %q that destroys leases", mount.Type)
	}
	internal, err := r.Secrets.OpenInternal(l)
	if err != nil {
		return false, fmt.Errorf("open what the lease keeps: %w", err)
	}
	limit := mount.Config.WithDefaults().RevokeTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the target did not answer within %s", limit))
	defer cancel()
	reached = true
	err = target.Destroy(ctx, &backend.Destruction{
		LeaseID: l.ID, ExternalName: l.ExternalName, Role: l.Role, Mount: mount,
		Generation: l.Generation, Fence: l.Ending.Claim, Attempt: l.Ending.Attempts + 1, ExpireTime: l.ExpireTime.Std(),
		Internal: internal, Store: r.Secrets.Store(mount.ID),
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return reached, err
}

// attempt is a call that has ended and whose outcome is to be recorded.
type attempt struct {
	*run
	lease *lease.Lease
	mount *lease.Mount
	lapse time.Duration
}

func (a *attempt) finish(ctx context.Context) {
	e := a.lease.Ending
	if _, err := a.record(ctx, &command.Finish{Id: a.lease.ID, Claim: e.Claim}); err != nil {
		a.unrecorded(err)
		return
	}
	a.Log.Info("lease revoked", a.facts()...)
}

func (a *attempt) fail(ctx context.Context, cause error) {
	var conf lease.MountConfig
	if a.mount != nil {
		conf = a.mount.Config
	}
	retryAfter := retryPause(conf.WithDefaults(), a.lease.Ending.Attempts, a.Rand(), cause)
	res, err := a.record(ctx, &command.Fail{Id: a.lease.ID, Claim: a.lease.Ending.Claim, Error: failureText(cause),
		RetryAfter: int64(retryAfter), Permanent: backend.IsPermanent(cause)})
	if err != nil {
		a.unrecorded(err)
		return
	}
	facts := append(a.facts(), "err", failureText(cause))
	switch now := res.Lease; {
	case res.Count > 0:
		a.Log.Warn("lease abandoned by force: its target may live on", append(facts, "external_name", a.lease.ExternalName)...)
	case now.Status == lease.Irrevocable && a.lease.Status != lease.Irrevocable:
		a.Log.Error("lease is irrevocable", append(facts, "next_attempt", now.Ending.NextAttempt.Std())...)
	default:
		a.Log.Warn("revocation failed", append(facts, "next_attempt", now.Ending.NextAttempt.Std())...)
	}
}

// record proposes an outcome until it is known to be in the log, or to be void: a newer claim has
// replaced this one. Outcomes name their claim, so repeating one is harmless. After the claim has
// lapsed another attempt is due anyway.
func (a *attempt) record(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	end := a.Now().Add(a.lapse)
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		res, err := a.commit(ctx, cmd)
		if err == nil || !unsettled(err) || a.Now() >= end {
			return res, err
		}
		select {
		case <-ctx.Done():
			return res, err
		case <-time.After(pause):
		}
	}
}

func (a *attempt) unrecorded(err error) {
	a.Log.Info("the outcome of an attempt was not recorded", append(a.facts(), "err", err)...)
}

func (a *attempt) facts() []any {
	path := a.lease.MountID
	if a.mount != nil {
		path = a.mount.Path
	}
	return []any{"lease_id", a.lease.ID, "mount", path, "cause", a.lease.Ending.Cause, "attempt", a.lease.Ending.Attempts + 1}
}

// backoff is the pause after a failure that followed failures earlier ones: exponential, capped,
// with full jitter (chance in [0, 1)), so that what failed together does not return together.
func backoff(conf lease.MountConfig, failures int, chance float64) time.Duration {
	pause := float64(conf.RevokeBackoff) * math.Pow(2, float64(min(failures, 60)))
	return time.Duration(chance * min(pause, float64(conf.RevokeBackoffMax)))
}

// failureText is what logs and leases say of a failure: one line, cut (T12).
func failureText(err error) string { return lease.CutError(printable(err.Error())) }

// printable makes a target's text fit for logs, answers and the log entry.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
}
