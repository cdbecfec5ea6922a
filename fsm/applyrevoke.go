package fsm

import (
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// applyRevoke ends leases by hand. An unknown ID, or one of another namespace, is skipped: revoking
// is idempotent.
func (c *core) applyRevoke(r *Result, m *command.Revoke) {
	for _, id := range m.Ids {
		rec := c.leases[id]
		if rec == nil || rec.lease.Namespace != m.Namespace {
			continue
		}
		if job := c.end(rec, lease.Cause(m.Cause), 0, m.Force); job != nil {
			r.Job = job
		}
		if c.leases[id] == rec {
			c.ask(rec.lease, maxAskedOfMount)
		}
		r.Count++
	}
}

// MaxRetry bounds the leases that one RetryRevocations command may name.
const MaxRetry = 1024

// applyRetryRevocations makes leases that are being revoked due for their next attempt. How often they
// have failed stays counted, and what is irrevocable stays so while it is tried (settled decision 3).
func (c *core) applyRetryRevocations(r *Result, m *command.RetryRevocations) {
	if len(m.Ids) > MaxRetry {
		r.Err = lease.Errorf(lease.Invalid, "%d leases are to be retried at once: name at most %d", len(m.Ids), MaxRetry)
		return
	}
	limit := 1
	if len(m.Ids) == 1 {
		limit = maxAskedOfMount
	}
	for _, id := range m.Ids {
		rec := c.leases[id]
		if rec == nil || rec.lease.Namespace != m.Namespace || rec.lease.Kind != lease.Target || rec.lease.Ending == nil ||
			rec.lease.Ending.Claim != 0 {
			continue
		}
		r.Count++
		if rec.lease.Ending.NextAttempt > c.now { // who waits already keeps its place
			l, e := *rec.lease, *rec.lease.Ending
			e.NextAttempt = c.now
			l.Ending = &e
			c.replace(rec, &l)
		}
		c.ask(rec.lease, limit)
	}
}

// applyExpire ends what is due, unless it was renewed since its author looked: the generation says.
func (c *core) applyExpire(r *Result, m *command.Expire) {
	if r.Err = c.mayEnd(m.Epoch); r.Err != nil {
		return
	}
	for _, ref := range m.Leases {
		rec := c.leases[ref.Id]
		if rec == nil || rec.lease.Ending != nil || rec.lease.Generation != ref.Generation || !rec.lease.Expired(c.now) {
			continue
		}
		cause := lease.CauseExpired
		if rec.lease.Status == lease.Pending {
			cause = lease.CauseAbandoned
		}
		if job := c.end(rec, cause, 0, false); job != nil {
			r.Job = job
		}
		r.Count++
	}
}

// end ends one lease. What has nothing outside is gone; a token's lease takes the token along, in a
// job of its own where anything hangs on it (returned); a target's lease is due for its first
// attempt, and one that is being revoked already is tried again at once. job is the one that counts
// the lease, 0 for none.
func (c *core) end(rec *record, cause lease.Cause, job uint64, force bool) *lease.Job {
	l := rec.lease
	switch {
	case l.Kind == lease.OfToken:
		if l.Ending != nil {
			return nil // its own job is on its way
		}
		if cause == lease.CauseExpired {
			cause = lease.CauseTokenExpired
		}
		return c.endToken(c.tokenByHash[l.Owner], cause, force, false)
	case l.Kind == lease.Plain:
		c.remove(rec)
	case l.Ending != nil:
		c.tryAgain(rec, job, force)
	default:
		next := *l
		next.Status, next.Fence = lease.Revoking, c.seq
		next.Ending = &lease.Ending{Cause: cause, Since: c.now, Force: force, Job: job, NextAttempt: c.now}
		c.replace(rec, &next)
	}
	return nil
}

// tryAgain makes a lease that is being revoked due at once, unless an attempt is running.
func (c *core) tryAgain(rec *record, job uint64, force bool) {
	l, e := *rec.lease, *rec.lease.Ending
	e.Force = e.Force || force
	if e.Claim == 0 {
		e.NextAttempt = c.now
	}
	if job != 0 && job != e.Job {
		c.leaveJob(&e, job)
		e.Job = job
	}
	l.Ending = &e
	c.replace(rec, &l)
}

// applyClaim takes due leases for one attempt each, but none of a frozen mount. The claim's number is the fencing index that
// goes to the target and that outcomes must name (S14).
func (c *core) applyClaim(r *Result, m *command.Claim) {
	if r.Err = c.mayEnd(m.Epoch); r.Err != nil {
		return
	}
	for _, id := range m.Ids {
		rec := c.leases[id]
		if rec == nil || rec.lease.Kind != lease.Target || rec.lease.Ending == nil ||
			rec.lease.Ending.NextAttempt > c.now || c.frozen(rec.lease.MountID, c.now) {
			continue
		}
		l, e := *rec.lease, *rec.lease.Ending
		e.Claim, e.NextAttempt = c.seq, c.now.Add(time.Duration(max(m.Lapse, 1)))
		l.Ending, l.Fence = &e, c.seq
		c.replace(rec, &l)
		r.Leases = append(r.Leases, &l)
	}
}

// claimedBy returns the lease whose running attempt is claim, or nil: outcomes of older attempts
// change nothing.
func (c *core) claimedBy(id string, claim uint64) *record {
	rec := c.leases[id]
	if rec == nil || rec.lease.Ending == nil || claim == 0 || rec.lease.Ending.Claim != claim {
		return nil
	}
	return rec
}

func (c *core) applyFinish(r *Result, m *command.Finish) {
	rec := c.claimedBy(m.Id, m.Claim)
	if rec == nil {
		r.Err = lease.ErrChanged
		return
	}
	c.gone(rec)
	r.Count = 1
}

// gone removes a lease whose end is complete and tells its job.
func (c *core) gone(rec *record) {
	e := *rec.lease.Ending
	c.remove(rec)
	if j := c.job(e.Job); j != nil {
		j.Done++
		if e.Attempts > 0 {
			j.Failed--
		}
		c.putJob(j)
	}
}

// applyFail records a failed attempt and when the next one is due. The author brings the pause,
// since jitter is chance; how many quick attempts there are is the mount's setting.
func (c *core) applyFail(r *Result, m *command.Fail) {
	rec := c.claimedBy(m.Id, m.Claim)
	if rec == nil {
		r.Err = lease.ErrChanged
		return
	}
	r.Lease = rec.lease
	if rec.lease.Ending.Force {
		c.gone(rec) // abandoned: the author of this command records what was left behind
		r.Count = 1
		return
	}
	l, e := *rec.lease, *rec.lease.Ending
	e.Attempts++
	e.Claim = 0
	e.NextAttempt = c.now.Add(time.Duration(max(m.RetryAfter, 0)))
	text := m.Error
	quick := lease.DefaultRevokeAttempts
	if mount, ok := c.mounts.Get(l.MountID); ok {
		quick = mount.Config.WithDefaults().RevokeAttempts
	}
	if l.Status == lease.Irrevocable || m.Permanent || e.Attempts >= quick {
		if l.Status != lease.Irrevocable && !m.Permanent {
			text = "out of retries: " + text
		}
		l.Status = lease.Irrevocable
		e.NextAttempt = c.now.Add(lease.IrrevocableRetry)
	}
	e.Error = lease.CutError(text)
	l.Ending = &e
	c.failInJob(&l)
	c.replace(rec, &l)
	r.Lease = &l
}
