package fsm

import (
	"maps"
	"slices"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Conversions between what is stored and the records of a snapshot. Maps become sorted pairs, so
// that equal states give equal bytes.

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func toPairs(m map[string]string) []*command.Pair {
	var pairs []*command.Pair
	for _, k := range sortedKeys(m) {
		pairs = append(pairs, &command.Pair{Key: k, Value: m[k]})
	}
	return pairs
}

func fromPairs(pairs []*command.Pair) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p.Key] = p.Value
	}
	return m
}

func leaseRecord(l *lease.Lease) *command.Lease {
	rec := &command.Lease{
		Id: l.ID, Namespace: l.Namespace, Path: l.Path, MountId: l.MountID, Role: l.Role, Owner: l.Owner,
		Kind: uint32(l.Kind), Status: uint32(l.Status), Renewable: l.Renewable,
		IssueTime: int64(l.IssueTime), ExpireTime: int64(l.ExpireTime), LastRenewal: int64(l.LastRenewal),
		Ttl: int64(l.TTL), MaxTtl: int64(l.MaxTTL), Period: int64(l.Period),
		Generation: l.Generation, Seq: l.Seq, Fence: l.Fence,
		ExternalName: l.ExternalName, Internal: l.Internal, Data: l.Data, Labels: toPairs(l.Labels),
	}
	if e := l.Ending; e != nil {
		rec.Ending = &command.Ending{Cause: string(e.Cause), Since: int64(e.Since), Force: e.Force, Job: e.Job,
			Attempts: int32(e.Attempts), NextAttempt: int64(e.NextAttempt), Claim: e.Claim, Error: e.Error}
	}
	return rec
}

func leaseFromRecord(rec *command.Lease) *lease.Lease {
	l := &lease.Lease{
		ID: rec.Id, Namespace: rec.Namespace, Path: rec.Path, MountID: rec.MountId, Role: rec.Role, Owner: rec.Owner,
		Kind: lease.Kind(rec.Kind), Status: lease.Status(rec.Status), Renewable: rec.Renewable,
		IssueTime: lease.Time(rec.IssueTime), ExpireTime: lease.Time(rec.ExpireTime), LastRenewal: lease.Time(rec.LastRenewal),
		TTL: time.Duration(rec.Ttl), MaxTTL: time.Duration(rec.MaxTtl), Period: time.Duration(rec.Period),
		Generation: rec.Generation, Seq: rec.Seq, Fence: rec.Fence,
		ExternalName: rec.ExternalName, Internal: rec.Internal, Data: rec.Data, Labels: fromPairs(rec.Labels),
	}
	if e := rec.Ending; e != nil {
		l.Ending = &lease.Ending{Cause: lease.Cause(e.Cause), Since: lease.Time(e.Since), Force: e.Force, Job: e.Job,
			Attempts: int(e.Attempts), NextAttempt: lease.Time(e.NextAttempt), Claim: e.Claim, Error: e.Error}
	}
	return l
}

// TokenRecord is the form in which a token travels in CreateToken and Init.
func TokenRecord(t *lease.Token) *command.Token {
	return &command.Token{
		Hash: t.Hash, Accessor: t.Accessor, Namespace: t.Namespace, Parent: t.Parent, LeaseId: t.LeaseID,
		Path: t.Path, DisplayName: t.DisplayName, Role: t.Role, Policies: t.Policies, Meta: toPairs(t.Meta),
		Created: int64(t.Created), Ttl: int64(t.TTL), ExplicitMaxTtl: int64(t.ExplicitMaxTTL), Period: int64(t.Period),
		Renewable: t.Renewable, NumUses: int32(t.NumUses), Doomed: t.Doomed, SparesChildren: t.SparesChildren,
		BoundCidrs: t.BoundCIDRs,
	}
}

func tokenFromRecord(rec *command.Token) *lease.Token {
	return &lease.Token{
		Hash: rec.GetHash(), Accessor: rec.GetAccessor(), Namespace: rec.GetNamespace(), Parent: rec.GetParent(),
		LeaseID: rec.GetLeaseId(), Path: rec.GetPath(), DisplayName: rec.GetDisplayName(), Role: rec.GetRole(),
		Policies: rec.GetPolicies(), Meta: fromPairs(rec.GetMeta()), Created: lease.Time(rec.GetCreated()),
		TTL: time.Duration(rec.GetTtl()), ExplicitMaxTTL: time.Duration(rec.GetExplicitMaxTtl()),
		Period: time.Duration(rec.GetPeriod()), Renewable: rec.GetRenewable(), NumUses: int(rec.GetNumUses()),
		Doomed: rec.GetDoomed(), SparesChildren: rec.GetSparesChildren(), BoundCIDRs: rec.GetBoundCidrs(),
	}
}

// ConfigRecord is the form in which a mount's configuration travels in EnableMount and TuneMount.
func ConfigRecord(c lease.MountConfig) *command.MountConfig {
	return &command.MountConfig{
		DefaultTtl: int64(c.DefaultTTL), MaxTtl: int64(c.MaxTTL), RevokeAttempts: int32(c.RevokeAttempts),
		RevokeBackoff: int64(c.RevokeBackoff), RevokeBackoffMax: int64(c.RevokeBackoffMax),
		RevokeTimeout: int64(c.RevokeTimeout), RevokeConcurrency: int32(c.RevokeConcurrency),
		RevokeRate: int32(c.RevokeRate), ReconcileInterval: int64(c.ReconcileInterval),
	}
}

func configFromRecord(c *command.MountConfig) lease.MountConfig {
	return lease.MountConfig{
		DefaultTTL: time.Duration(c.GetDefaultTtl()), MaxTTL: time.Duration(c.GetMaxTtl()),
		RevokeAttempts: int(c.GetRevokeAttempts()), RevokeBackoff: time.Duration(c.GetRevokeBackoff()),
		RevokeBackoffMax: time.Duration(c.GetRevokeBackoffMax()), RevokeTimeout: time.Duration(c.GetRevokeTimeout()),
		RevokeConcurrency: int(c.GetRevokeConcurrency()), RevokeRate: int(c.GetRevokeRate()),
		ReconcileInterval: time.Duration(c.GetReconcileInterval()),
	}
}

func mountRecord(m *lease.Mount) *command.Mount {
	rec := &command.Mount{
		Spec: &command.EnableMount{Id: m.ID, Accessor: m.Accessor, Namespace: m.Namespace, Path: m.Path, Type: m.Type,
			Description: m.Description, Config: ConfigRecord(m.Config)},
		Options: toPairs(m.Options), Seq: m.Seq, Tainted: m.Tainted, MovingTo: m.MovingTo,
	}
	if f := m.Frozen; f != nil {
		rec.Frozen = &command.Frozen{Reason: f.Reason, Since: int64(f.Since), Until: int64(f.Until)}
	}
	if d := m.Down; d != nil {
		rec.DownSince, rec.DownError = int64(d.Since), d.Error
	}
	return rec
}

func mountFromRecord(rec *command.Mount) *lease.Mount {
	s := rec.GetSpec()
	m := &lease.Mount{ID: s.GetId(), Accessor: s.GetAccessor(), Namespace: s.GetNamespace(), Path: s.GetPath(),
		Type: s.GetType(), Description: s.GetDescription(), Options: fromPairs(rec.Options),
		Config: configFromRecord(s.GetConfig()), Seq: rec.Seq, Tainted: rec.Tainted, MovingTo: rec.MovingTo}
	if f := rec.Frozen; f != nil {
		m.Frozen = &lease.Frozen{Reason: f.Reason, Since: lease.Time(f.Since), Until: lease.Time(f.Until)}
	}
	if rec.DownSince != 0 {
		m.Down = &lease.Down{Since: lease.Time(rec.DownSince), Error: rec.DownError}
	}
	return m
}

func jobRecord(j *lease.Job) *command.Job {
	return &command.Job{
		Id: j.ID, Cause: string(j.Cause), Force: j.Force, State: uint32(j.State),
		Selector: &command.Selector{Kind: uint32(j.Selector.Kind), Namespace: j.Selector.Namespace,
			Value: j.Selector.Value, Show: j.Selector.Show},
		Started: int64(j.Started), Finished: int64(j.Finished),
		Total: int64(j.Total), Done: int64(j.Done), Failed: int64(j.Failed),
		FailedLease: j.FailedLease, Error: j.Error, FailedAt: int64(j.FailedAt),
		Cursor: j.Cursor, Tree: j.Tree, At: j.At, Heirs: j.Heirs,
	}
}

func jobFromRecord(rec *command.Job) *lease.Job {
	s := rec.GetSelector()
	return &lease.Job{
		ID: rec.Id, Cause: lease.Cause(rec.Cause), Force: rec.Force, State: lease.JobState(rec.State),
		Selector: lease.Selector{Kind: lease.SelectorKind(s.GetKind()), Namespace: s.GetNamespace(),
			Value: s.GetValue(), Show: s.GetShow()},
		Started: lease.Time(rec.Started), Finished: lease.Time(rec.Finished),
		Total: int(rec.Total), Done: int(rec.Done), Failed: int(rec.Failed),
		FailedLease: rec.FailedLease, Error: rec.Error, FailedAt: int(rec.FailedAt),
		Cursor: rec.Cursor, Tree: rec.Tree, At: rec.At, Heirs: rec.Heirs,
	}
}
