package lessor

import (
	"context"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of what operators do to mounts by hand.
const (
	maxReason = 256
	maxFreeze = 30 * 24 * time.Hour
	// retryBatch is how many leases one command makes due.
	retryBatch = 1000
)

// Freeze keeps what a mount leased from being destroyed, for a duration or, if that is zero, until it is
// thawed. What has ended stays dead to its holders.
func (l *Lessor) Freeze(ctx context.Context, ns, path, reason string, d time.Duration) error {
	m := l.mountAt(ns, strings.TrimSuffix(path, "/")+"/")
	switch {
	case m == nil:
		return refuse("no mount at %q", printable(path))
	case strings.TrimSpace(reason) == "":
		return refuse("reason must be specified: say why nothing may be destroyed")
	case len(reason) > maxReason || printable(reason) != reason:
		return refuse("reason: at most %d bytes of plain text are kept", maxReason)
	case d < 0 || d > maxFreeze:
		return refuse("duration: give one of at most %s, or none to freeze until it is thawed", human(maxFreeze))
	}
	_, err := l.propose(ctx, &command.FreezeMount{Id: m.ID, Reason: reason, Duration: int64(d)})
	return err
}

// Thaw ends a freeze. A mount that is not frozen is no error.
func (l *Lessor) Thaw(ctx context.Context, ns, path string) error {
	m := l.mountAt(ns, strings.TrimSuffix(path, "/")+"/")
	if m == nil {
		return refuse("no mount at %q", printable(path))
	}
	_, err := l.propose(ctx, &command.ThawMount{Id: m.ID})
	return err
}

// ReleaseHold ends the hold after a restore: what has ended is destroyed from here on. A restore that is not
// "" must be the one that the hold is of. Without a hold it does nothing.
func (l *Lessor) ReleaseHold(ctx context.Context, restore string) error {
	if _, held := l.restored(); !held {
		return nil
	}
	_, err := l.propose(ctx, &command.ReleaseHold{Restore: restore})
	return err
}

// MoveMount revokes all that a mount leased, by a job, and gives it another path once nothing is left.
func (l *Lessor) MoveMount(ctx context.Context, ns, from, to string) (jobID uint64, err error) {
	m := l.mountAt(ns, strings.TrimSuffix(from, "/")+"/")
	if m == nil {
		return 0, refuse("no matching mount at %q", printable(strings.TrimSuffix(from, "/")+"/"))
	}
	auth := strings.HasPrefix(m.Path, authPrefix)
	target, ok := strings.CutPrefix(to, authPrefix)
	if ok != auth {
		return 0, refuse("cannot move between auth methods and secrets engines: %q to %q", printable(from), printable(to))
	}
	path, err := mountPath(target, auth)
	if err != nil {
		return 0, err
	}
	res, err := l.propose(ctx, &command.MoveMount{Id: m.ID, Path: path})
	if err != nil || res.Job == nil {
		return 0, err
	}
	return res.Job.ID, nil
}

// RetryRequest says which failed revocations are tried at once. What is empty does not narrow.
type RetryRequest struct {
	LeaseID string
	Prefix  string
	Mount   string // path
	Error   string // part of the last attempt's error
}

// Retry makes the next attempt at revocations that have failed due at once, and returns of how many. Those of
// frozen mounts are left as they are: a warning tells of them, or a refusal where there are no others.
func (l *Lessor) Retry(ctx context.Context, ns string, req RetryRequest) (n int, warnings []string, err error) {
	if req == (RetryRequest{}) {
		return 0, nil, refuse("one of lease_id, prefix, mount, error must be specified: say what to try again")
	}
	w := retryWalk{ns: ns, req: req, prefix: strings.TrimSuffix(req.Prefix, "/"), now: l.now()}
	if req.Mount != "" {
		m := l.mountAt(ns, strings.TrimSuffix(req.Mount, "/")+"/")
		if m == nil {
			return 0, nil, refuse("no mount at %q", printable(req.Mount))
		}
		w.mountID, w.mountPath = m.ID, m.Path
		w.from = m.Path
	}
	w.from = max(w.from, w.prefix)
	for !w.done {
		if err := ctx.Err(); err != nil {
			return n, nil, &lease.Error{Code: lease.Uncertain, Message: "not all of them were reached in time: call again", Err: err}
		}
		l.state.Read(w.chunk)
		if len(w.found) == 0 || !w.done && len(w.found) < retryBatch {
			continue
		}
		res, err := l.propose(ctx, &command.RetryRevocations{Namespace: ns, Ids: w.found})
		if err != nil {
			return n, nil, err
		}
		n += res.Count
		w.found = nil
	}
	if w.held == nil {
		return n, nil, nil
	}
	refusal := frozenError(w.held, "what failed there is tried again after the thaw")
	if n == 0 {
		return 0, nil, refusal
	}
	return n, []string{refusal.Message}, nil
}

// retryWalk is how far Retry has come.
type retryWalk struct {
	ns, mountID, mountPath, prefix string

	req   RetryRequest
	now   lease.Time
	from  string
	found []string
	held  *lease.Mount // the first frozen one of which a lease was meant
	done  bool
}

// chunk looks at the next leases.
func (w *retryWalk) chunk(v *fsm.View) {
	looked := 0
	if w.req.LeaseID != "" {
		w.done = true
		if le := v.Lease(w.req.LeaseID); le != nil && le.Namespace == w.ns {
			w.look(v, le)
		}
		return
	}
	v.Ascend(w.ns, w.from, func(le *lease.Lease) bool {
		if !strings.HasPrefix(le.ID, w.prefix) || !strings.HasPrefix(le.ID, w.mountPath) {
			looked = -1
			return false
		}
		looked++
		w.from = le.ID + "\x00"
		w.look(v, le)
		return looked < reconcileChunk && len(w.found) < retryBatch
	})
	w.done = looked < reconcileChunk && len(w.found) < retryBatch
}

// look takes the lease if it is meant, has failed and may be tried. Of a frozen mount it may not have come to a
// first attempt.
func (w *retryWalk) look(v *fsm.View, le *lease.Lease) {
	if !w.wants(le) {
		return
	}
	if m := v.Mount(le.MountID); m != nil && m.IsFrozen(w.now) {
		if w.held == nil {
			w.held = m
		}
		return
	}
	if le.Ending.Attempts > 0 {
		w.found = append(w.found, le.ID)
	}
}

func (w *retryWalk) wants(le *lease.Lease) bool {
	switch {
	case le.Ending == nil,
		w.mountID != "" && le.MountID != w.mountID,
		w.prefix != "" && le.ID != w.prefix && !strings.HasPrefix(le.ID, w.prefix+"/"),
		w.req.Error != "" && !strings.Contains(le.Ending.Error, w.req.Error):
		return false
	}
	return true
}
