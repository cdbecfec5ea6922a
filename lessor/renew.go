package lessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Renew extends or shortens a lease to increment from now, zero meaning what its role or mount
// grants, and returns the lease after that, with warnings.
func (l *Lessor) Renew(ctx context.Context, ns, id string, increment time.Duration) (*lease.Lease, []string, error) {
	le, mount, err := l.renewable(ns, id)
	if err != nil {
		return nil, nil, err
	}
	if le.Kind != lease.Target {
		res, err := l.propose(ctx, &command.Renew{Id: id, Namespace: ns, Increment: int64(max(increment, 0))})
		if err != nil {
			return nil, nil, err
		}
		return res.Lease, capWarnings(res.Cap), nil
	}
	target, ok := l.backends.Target(mount.Type)
	if !ok {
		return nil, nil, renewFailure(fmt.Errorf("this node has no backend of type %q", mount.Type))
	}
	done, err := l.turns.take(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	return l.renewTarget(ctx, target, ns, id, increment)
}

// renewable returns the lease if it may be renewed as far as can be seen; the log has the last word.
// The order of the checks is Vault's.
func (l *Lessor) renewable(ns, id string) (*lease.Lease, *lease.Mount, error) {
	now := l.now()
	var le *lease.Lease
	var mount *lease.Mount
	var standing lease.Status
	l.state.Read(func(v *fsm.View) {
		if le = v.Lease(id); le != nil {
			standing, mount = v.Standing(le, now), v.Mount(le.MountID)
		}
	})
	switch {
	case le == nil || le.Namespace != ns || le.Status == lease.Pending || mount == nil:
		return nil, nil, lease.ErrLeaseNotFound
	case standing == lease.Irrevocable:
		return nil, nil, lease.ErrIrrevocable
	case standing != lease.Active:
		return nil, nil, lease.ErrLeaseExpired
	case le.ExpireTime == 0 || !le.Renewable:
		return nil, nil, lease.ErrNotRenewable
	case le.Kind == lease.OfToken:
		return nil, nil, lease.ErrRenewToken
	}
	return le, mount, nil
}

// renewTarget renews a lease whose target may keep a limit of its own. It holds the lease's turn.
func (l *Lessor) renewTarget(ctx context.Context, t backend.Target, ns, id string, increment time.Duration) (*lease.Lease, []string, error) {
	le, mount, err := l.renewable(ns, id) // once more: the turn may have been long in coming
	if err != nil {
		return nil, nil, err
	}
	now := l.now()
	if increment <= 0 {
		increment = le.TTL
	}
	var lim lease.Limits
	l.state.Read(func(v *fsm.View) { lim = limits(v, le) })
	ttl, cut, err := lease.Grant(now, le.IssueTime, increment, lim)
	if err != nil {
		return nil, nil, asError(err)
	}
	if ttl < le.Remaining(now) {
		return l.shorten(ctx, t, le, mount, ttl, cut)
	}
	allowed, err := l.callRenew(ctx, t, le, mount, ttl)
	if errors.Is(err, backend.ErrRefused) {
		l.endRenewals(ctx, le)
		return nil, nil, lease.ErrNotRenewable
	}
	if err != nil {
		return nil, nil, renewFailure(err)
	}
	left := lasting(ttl, allowed, now, l.now())
	if left <= 0 {
		return nil, nil, renewFailure(errors.New("the target took longer than the lease would have lasted"))
	}
	res, err := l.propose(ctx, &command.Renew{Id: id, Namespace: ns, Increment: int64(left)})
	if err != nil {
		return nil, nil, err
	}
	return res.Lease, capWarnings(cut), nil
}

// shorten moves the end of the lease first and the target's limit after it. When the target fails
// then, its limit is later than the lease's end, which rules.
func (l *Lessor) shorten(ctx context.Context, t backend.Target, le *lease.Lease, mount *lease.Mount, ttl time.Duration, cut *lease.Cap) (*lease.Lease, []string, error) {
	renew := &command.Renew{Id: le.ID, Namespace: le.Namespace, Increment: int64(ttl)}
	res, err := l.propose(ctx, renew)
	if err != nil {
		return nil, nil, err
	}
	warnings := capWarnings(cut)
	le = res.Lease
	// The lease has been renewed already, so the target's Generation is that of le: one below what
	// callRenew announces for a renewal to come.
	before := *le
	before.Generation--
	asked := l.now()
	allowed, err := l.callRenew(ctx, t, &before, mount, le.Remaining(asked))
	switch {
	case errors.Is(err, backend.ErrRefused):
		if final := l.endRenewals(ctx, le); final != nil {
			le = final
		}
	case err != nil:
		l.log.Warn("a target's limit could not be lowered", "mount", mount.Path, "error", errorText(err))
	case allowed > 0:
		if left := lasting(le.Remaining(asked), allowed, asked, l.now()); left > 0 {
			renew.Increment = int64(left)
			if res, err = l.propose(ctx, renew); err != nil {
				return nil, nil, err
			}
			le = res.Lease
		}
	}
	return le, warnings, nil
}

// callRenew tells the target of a renewal of le to ttl from now.
func (l *Lessor) callRenew(ctx context.Context, t backend.Target, le *lease.Lease, mount *lease.Mount, ttl time.Duration) (time.Duration, error) {
	internal, err := l.OpenInternal(le)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
	defer cancel()
	return t.Renew(ctx, &backend.Renewal{
		LeaseID: le.ID, ExternalName: le.ExternalName, Role: le.Role, Mount: mount,
		Generation: le.Generation + 1, Fence: le.Fence, TTL: ttl, ExpireTime: l.targetEnd(ttl),
		Internal: internal, Store: l.Store(le.MountID),
	})
}

// endRenewals records that the target refused: the lease lives to its end and renews no more. It
// returns the lease after that, nil if it could not be recorded; the next renewal asks again then.
func (l *Lessor) endRenewals(ctx context.Context, le *lease.Lease) *lease.Lease {
	res, err := l.propose(ctx, &command.Renew{Id: le.ID, Namespace: le.Namespace, Final: true})
	if err != nil {
		l.log.Warn("a target's refusal could not be recorded", "mount_id", le.MountID, "error", err)
		return nil
	}
	return res.Lease
}

func renewFailure(err error) error {
	return &lease.Error{Code: lease.Invalid, Err: err,
		Message: "failed to renew entry: resp: (*logical.Response)(nil) err: " + errorText(err)}
}
