package fsm

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// newLease checks a grant against the state and builds the lease it asks for, not yet stored. A nil
// lease with a nil error means that r already holds the first answer to the same idempotency key.
func (c *core) newLease(r *Result, g *command.Grant) (*lease.Lease, *lease.Error) {
	m, ok := c.mounts.Get(g.GetMountId())
	if !ok || m.Namespace != g.Namespace {
		return nil, lease.Errorf(lease.NotFound, "no handler for route %q. route entry not found.", g.GetPath())
	}
	if m.Tainted != 0 || c.closed(m.Namespace) != nil {
		return nil, lease.Errorf(lease.NotFound,
			"no handler for route %q on namespace %q. route entry or namespace is tainted.", g.Path, g.Namespace)
	}
	owner := c.tokenByHash[g.Owner]
	if owner == nil || !c.tokenAlive(owner, c.now) {
		return nil, lease.ErrDenied
	}
	if first, err := c.repeated(g.Idempotency); first != nil || err != nil {
		r.Lease, r.Repeated = first, first != nil
		return nil, err
	}
	if !strings.HasPrefix(g.Id, m.Path) { // or no sweep of the mount would find it
		return nil, lease.Errorf(lease.Invalid, "lease ID %q does not begin with the mount's path %q", g.Id, m.Path)
	}
	if _, taken := c.leases[g.Id]; taken {
		return nil, lease.Errorf(lease.Conflict, "lease ID %q is in use", g.Id)
	}
	wanted := g.Ttl
	if wanted <= 0 {
		wanted = g.DefaultTtl
	}
	path := g.Path
	if strings.HasPrefix(g.Id, path) {
		path = g.Id[:len(path)] // shares the ID's memory
	}
	return &lease.Lease{
		ID: g.Id, Namespace: m.Namespace, Path: path, MountID: m.ID, Role: g.Role, Owner: owner.Hash,
		Renewable: g.Renewable, Data: g.Data, Labels: g.Labels,
		TTL: time.Duration(wanted), MaxTTL: time.Duration(g.MaxTtl),
		Seq: c.seq, Fence: c.seq,
	}, nil
}

// start sets the times of a lease that begins its active life now.
func (c *core) start(r *Result, l *lease.Lease, want time.Duration) *lease.Error {
	ttl, cut, err := lease.Grant(c.now, c.now, want, c.limits(l))
	if err != nil {
		return asError(err)
	}
	l.Status, l.IssueTime, l.ExpireTime = lease.Active, c.now, c.now.Add(ttl)
	r.Lease, r.Cap = l, cut
	return nil
}

// limits are the bounds on a lease's TTL as its mount is tuned at this command.
func (c *core) limits(l *lease.Lease) lease.Limits {
	var conf lease.MountConfig
	if m, ok := c.mounts.Get(l.MountID); ok {
		conf = m.Config
	}
	conf = conf.WithDefaults()
	limits := lease.Limits{Default: conf.DefaultTTL, Max: lease.MinLimit(conf.MaxTTL, l.MaxTTL), Period: l.Period}
	if l.Kind == lease.OfToken {
		limits.Max, limits.Hard = conf.MaxTTL, l.MaxTTL
	}
	return limits
}

func (c *core) applyIssue(r *Result, m *command.Issue) {
	l, err := c.newLease(r, m.Grant)
	if l == nil {
		r.Err = err
		return
	}
	l.Kind = lease.Plain
	if r.Err = c.start(r, l, l.TTL); r.Err != nil {
		return
	}
	c.insert(l)
	c.remember(m.Grant.Idempotency, l.ID)
}

func (c *core) applyReserve(r *Result, m *command.Reserve) {
	l, err := c.newLease(r, m.Grant)
	if l == nil {
		r.Err = err
		return
	}
	l.Kind, l.Status = lease.Target, lease.Pending
	l.ExternalName, l.Internal = m.ExternalName, m.Internal
	l.IssueTime, l.ExpireTime = c.now, c.now.Add(time.Duration(max(m.Deadline, 1)))
	c.insert(l)
	c.remember(m.Grant.Idempotency, l.ID)
	r.Lease = l
}

func (c *core) applyActivate(r *Result, m *command.Activate) {
	rec := c.leases[m.Id]
	if rec == nil {
		r.Err = lease.ErrLeaseNotFound
		return
	}
	if c.standing(rec.lease, c.now) != lease.Pending {
		r.Err = lease.ErrChanged
		return
	}
	l := *rec.lease
	want := l.TTL
	if limit := time.Duration(m.Ttl); limit > 0 {
		if want <= 0 {
			want = c.limits(&l).Default
		}
		want = min(want, limit)
	}
	if r.Err = c.start(r, &l, want); r.Err != nil {
		return
	}
	if len(m.Internal) > 0 {
		l.Internal = m.Internal
	}
	l.Fence = c.seq
	c.replace(rec, &l)
}

// applyRenew decides a renewal at the entry's time: whatever the author saw, log order rules (S3, S7).
func (c *core) applyRenew(r *Result, m *command.Renew) {
	rec := c.leases[m.Id]
	if rec == nil || rec.lease.Namespace != m.Namespace || rec.lease.Status == lease.Pending {
		r.Err = lease.ErrLeaseNotFound
		return
	}
	if r.Err = c.renewable(rec.lease); r.Err != nil {
		return
	}
	if rec.lease.Kind == lease.OfToken {
		r.Err = lease.ErrRenewToken
		return
	}
	if m.Generation != 0 && m.Generation != rec.lease.Generation {
		r.Err = lease.ErrChanged
		return
	}
	if m.Final {
		l := *rec.lease
		l.Renewable, l.Fence = false, c.seq
		l.Generation++
		c.replace(rec, &l)
		r.Lease = &l
		return
	}
	c.renew(r, rec, time.Duration(m.Increment))
}

// renewable is nil when l may be renewed now.
func (c *core) renewable(l *lease.Lease) *lease.Error {
	switch c.standing(l, c.now) {
	case lease.Irrevocable:
		return lease.ErrIrrevocable
	case lease.Active:
	default:
		return lease.ErrLeaseExpired
	}
	if l.ExpireTime == 0 || !l.Renewable {
		return lease.ErrNotRenewable
	}
	return nil
}

func (c *core) renew(r *Result, rec *record, increment time.Duration) {
	l := *rec.lease
	if increment <= 0 {
		increment = l.TTL
	}
	ttl, cut, err := lease.Grant(c.now, l.IssueTime, increment, c.limits(&l))
	if err != nil {
		r.Err = asError(err)
		return
	}
	l.ExpireTime, l.LastRenewal, l.Fence = c.now.Add(ttl), c.now, c.seq
	l.Generation++
	c.replace(rec, &l)
	r.Lease, r.Cap = &l, cut
}

func asError(err error) *lease.Error {
	if e, ok := err.(*lease.Error); ok {
		return e
	}
	return lease.Errorf(lease.Internal, "%v", err)
}
