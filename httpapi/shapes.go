package httpapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// Mount types of what no engine answers.
const (
	systemType = "system"
	tokenType  = "token"
)

// instant is t on the wire; nil where there is none.
func instant(t lease.Time) *time.Time {
	if t == 0 {
		return nil
	}
	at := t.Std()
	return &at
}

func describeLease(f *lessor.Found, now lease.Time) *client.LeaseLookup {
	l := f.Lease
	look := &client.LeaseLookup{
		ID: l.ID, IssueTime: l.IssueTime.Std(), ExpireTime: instant(l.ExpireTime), LastRenewal: instant(l.LastRenewal),
		TTL: int64(f.TTL / time.Second), Renewable: f.Renewable, Path: l.Path, Status: f.Standing.String(),
		NamespacePath: f.NamespacePath, Role: l.Role, Labels: l.Labels,
	}
	look.LastRenewalTime = look.LastRenewal
	if e := l.Ending; e != nil {
		look.Cause, look.Attempts, look.RevokeError = string(e.Cause), e.Attempts, e.Error
		look.NextAttempt = instant(e.NextAttempt)
		if f.Mount != nil {
			look.Frozen, look.TargetDown = describeFrozen(f.Mount, now), describeDown(f.Mount)
		}
	}
	return look
}

func describeFrozen(m *lease.Mount, now lease.Time) *client.Frozen {
	if !m.IsFrozen(now) {
		return nil
	}
	return &client.Frozen{Reason: m.Frozen.Reason, Since: m.Frozen.Since.Std(), Until: instant(m.Frozen.Until)}
}

func describeDown(m *lease.Mount) *client.TargetDown {
	if m.Down == nil {
		return nil
	}
	return &client.TargetDown{Since: m.Down.Since.Std(), Error: m.Down.Error}
}

func describeJob(j *lease.Job) client.Job {
	return client.Job{
		ID: strconv.FormatUint(j.ID, 10), Selector: j.Selector.Kind.String() + ":" + j.Selector.Show, Cause: string(j.Cause),
		State: j.State.String(), Total: j.Total, Done: j.Done, Failed: j.Failed, Left: j.Left(),
		Started: j.Started.Std(), Finished: instant(j.Finished),
	}
}

// described is a token with what its lease says of it.
type described struct {
	token *lease.Token
	lease *lease.Lease
}

func (d described) auth(bearer string) *client.Auth {
	t := d.token
	return &client.Auth{
		ClientToken: bearer, Accessor: t.Accessor, Policies: t.Policies, TokenPolicies: t.Policies, Metadata: t.Meta,
		LeaseDuration: seconds(d.lease.Remaining(max(d.lease.LastRenewal, d.lease.IssueTime))), Renewable: t.Renewable && d.lease.ExpireTime != 0,
		TokenType: "service", Orphan: t.Orphan(), NumUses: max(t.NumUses, 0),
	}
}

func (d described) lookup(bearer, namespacePath string, now lease.Time) client.TokenLookup {
	t, l := d.token, d.lease
	look := client.TokenLookup{
		Accessor: t.Accessor, CreationTime: t.Created.Second(), CreationTTL: int64(t.TTL / time.Second), DisplayName: t.DisplayName,
		ExpireTime: instant(l.ExpireTime), ExplicitMaxTTL: int64(t.ExplicitMaxTTL / time.Second), ID: bearer,
		IssueTime: l.IssueTime.Std(), LastRenewal: instant(l.LastRenewal), Meta: t.Meta, NamespacePath: namespacePath,
		NumUses: max(t.NumUses, 0), Orphan: t.Orphan(), Path: t.Path, Period: int64(t.Period / time.Second), Policies: t.Policies,
		Renewable: t.Renewable && l.ExpireTime != 0, Role: t.Role, TTL: max(int64(l.Remaining(now)/time.Second), 0), Type: "service",
	}
	if l.LastRenewal != 0 {
		look.LastRenewalTime = l.LastRenewal.Second()
	}
	return look
}

func describeMount(m *lease.Mount, now lease.Time) client.Mount {
	options := m.Options
	if len(options) == 0 {
		options = nil
	}
	return client.Mount{
		Accessor: m.Accessor, Config: describeConfig(m.Config), DeprecationStatus: "supported", Description: m.Description,
		Options: options, Type: m.Type, UUID: m.ID, Frozen: describeFrozen(m, now), TargetDown: describeDown(m), MovingTo: m.MovingTo,
	}
}

func describeConfig(c lease.MountConfig) client.MountConfig {
	return client.MountConfig{
		DefaultLeaseTTL: int64(c.DefaultTTL / time.Second), MaxLeaseTTL: int64(c.MaxTTL / time.Second),
		RevokeAttempts: c.RevokeAttempts, RevokeBackoff: int64(c.RevokeBackoff / time.Second),
		RevokeBackoffMax: int64(c.RevokeBackoffMax / time.Second), RevokeTimeout: int64(c.RevokeTimeout / time.Second),
		RevokeConcurrency: c.RevokeConcurrency, RevokeRate: c.RevokeRate, ReconcileInterval: int64(c.ReconcileInterval / time.Second),
	}
}

// authPrefix is where auth methods are mounted.
const authPrefix = "auth/"

// isAuth reports whether a mount is an auth method, which is listed apart.
func isAuth(m *lease.Mount) bool { return strings.HasPrefix(m.Path, authPrefix) }
