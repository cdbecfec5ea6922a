package lessor

import (
	"context"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// waitGone waits until the lease is gone, or until an attempt to destroy it has failed beyond the
// failures that the caller has seen before. It does not wait for a frozen mount to be thawed.
func (l *Lessor) waitGone(ctx context.Context, id string, failures int) error {
	for {
		changed, cancel := l.state.WatchLease(id)
		var le *lease.Lease
		held := false
		var frozen *lease.Mount
		l.state.Read(func(v *fsm.View) {
			held = v.Hold() != nil
			if le = v.Lease(id); le != nil {
				frozen = frozenMount(v, le, l.now())
			}
		})
		switch {
		case le == nil:
			cancel()
			return nil
		case held:
			cancel()
			return lease.ErrHeld
		case le.Ending != nil && le.Ending.Attempts > failures:
			cancel()
			return lease.Errorf(lease.Invalid, "%s", revokeFailure(le.Ending.Error))
		case frozen != nil:
			cancel()
			return frozenError(frozen, afterThaw)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			cancel()
			return goesOn(ctx, "the lease")
		}
	}
}

// waitJob waits until nothing is left of what the job covers, or until the first failed attempt. A
// job that forces knows no failures. It does not wait for a frozen mount to be thawed.
func (l *Lessor) waitJob(ctx context.Context, id uint64) error {
	for {
		changed, cancel := l.state.WatchJob(id)
		var j *lease.Job
		held := false
		var frozen *lease.Mount
		l.state.Read(func(v *fsm.View) {
			held = v.Hold() != nil
			if j = v.Job(id); j != nil {
				frozen = frozenOf(v, j, l.now())
			}
		})
		switch {
		case j == nil, j.State == lease.JobFinished:
			cancel()
			return nil
		case held:
			cancel()
			return lease.ErrHeld
		case j.FailedLease != "":
			cancel()
			return lease.Errorf(lease.Invalid, "failed to revoke %q (%d / %d): %s",
				j.FailedLease, j.FailedAt, max(j.Total, j.FailedAt), revokeFailure(j.Error))
		case frozen != nil:
			cancel()
			return frozenError(frozen, afterThaw)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			cancel()
			return goesOn(ctx, j.Selector.Show)
		}
	}
}
