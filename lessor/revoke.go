package lessor

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Revoke ends one lease; an unknown one is no error. It returns when the lease is dead, with the
// job that sweeps what hangs on it if it is a token's. With sync it returns when the lease is gone,
// or with Vault's text when an attempt to destroy it fails: the lease is tried again all the same.
func (l *Lessor) Revoke(ctx context.Context, ns, id string, sync bool) (jobID uint64, err error) {
	if lease.CheckPath(id) != nil {
		return 0, nil // no lease has such an ID
	}
	failures := 0
	l.state.Read(func(v *fsm.View) {
		if le := v.Lease(id); le != nil && le.Ending != nil {
			failures = le.Ending.Attempts
		}
	})
	res, err := l.propose(ctx, &command.Revoke{Ids: []string{id}, Namespace: ns, Cause: string(lease.CauseRevoked)})
	if err != nil || res.Count == 0 {
		return 0, err
	}
	jobID = l.jobOf(res, id)
	switch {
	case !sync:
		return jobID, nil
	case jobID != 0:
		return jobID, l.waitJob(ctx, jobID)
	}
	return 0, l.waitGone(ctx, id, failures)
}

// jobOf is the job that a revocation has opened, or one under way already: that of a doomed token.
func (l *Lessor) jobOf(res fsm.Result, id string) uint64 {
	if res.Job != nil {
		return res.Job.ID
	}
	var job uint64
	l.state.Read(func(v *fsm.View) {
		if le := v.Lease(id); le != nil && le.Kind == lease.OfToken {
			if t := v.Token(le.Owner); t != nil {
				job = t.Doomed
			}
		}
	})
	return job
}

// PrefixOptions say how a prefix is revoked.
type PrefixOptions struct {
	Sync bool // return when all is gone, or at the first failure
	// Force drops what a target fails to destroy after one attempt. It returns when all is gone.
	Force bool
}

// RevokePrefix ends every lease below prefix, in one entry: all are dead when it returns, and the
// job that it returns destroys them. The prefix may be the ID of one lease. That nothing matches is
// no error.
func (l *Lessor) RevokePrefix(ctx context.Context, ns, prefix string, o PrefixOptions) (jobID uint64, err error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return 0, lease.Errorf(lease.Invalid, "prefix must be specified")
	}
	if err := lease.CheckPath(prefix); err != nil {
		return 0, lease.Errorf(lease.Invalid, "invalid prefix: %v", err)
	}
	cause := lease.CausePrefix
	if o.Force {
		cause = lease.CauseForce
	}
	res, err := l.propose(ctx, &command.OpenJob{
		Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Namespace: ns, Value: prefix, Show: prefix},
		Cause:    string(cause), Force: o.Force,
	})
	if err != nil {
		return 0, err
	}
	if o.Sync || o.Force {
		err = l.waitJob(ctx, res.Job.ID)
	}
	return res.Job.ID, err
}
