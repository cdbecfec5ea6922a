package fsm

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// spentGrace is how long a limited-use token's lease lasts once its last use is taken: the request
// that took it revokes the token when it is done, and the clock does so if its leader died.
const spentGrace = time.Minute

func (c *core) applyCreateToken(r *Result, m *command.CreateToken) {
	t := tokenFromRecord(m.Token)
	t.Doomed, t.SparesChildren = 0, false
	mount, err := c.tokenLeasedBy(t, m.MountId)
	switch {
	case err != nil:
		r.Err = err
	case !nameable(t) || t.NumUses < 0:
		r.Err = lease.Errorf(lease.Invalid, "a token needs a hash, an accessor, a lease ID and no negative number of uses")
	case c.tokenByHash[t.Hash] != nil || c.accessors[t.Accessor] != "" || c.leases[t.LeaseID] != nil:
		r.Err = lease.Errorf(lease.Invalid, "cannot create a token with a duplicate ID")
	case t.Parent != "" && (c.tokenByHash[t.Parent] == nil || !c.tokenAlive(c.tokenByHash[t.Parent], c.now)):
		r.Err = lease.Errorf(lease.Invalid, "parent token lookup failed: no parent found")
	case m.NeverExpires && !t.Root():
		r.Err = lease.ErrNoTTL
	}
	if r.Err != nil {
		return
	}
	l := &lease.Lease{
		ID: t.LeaseID, Namespace: t.Namespace, Path: t.Path, MountID: mount.ID, Role: t.Role, Owner: t.Hash,
		Kind: lease.OfToken, Status: lease.Active, Renewable: t.Renewable, Data: m.Data,
		TTL: time.Duration(m.Ttl), MaxTTL: t.ExplicitMaxTTL, Period: t.Period,
		IssueTime: c.now, Seq: c.seq, Fence: c.seq,
	}
	if t.Period <= 0 { // a period knows no limit from issue but the token's own
		l.MaxTTL = lease.MinLimit(l.MaxTTL, time.Duration(m.MaxTtl))
	}
	t.Created = c.now
	if m.NeverExpires {
		l.Renewable, t.Renewable = false, false
	} else if r.Err = c.start(r, l, l.TTL); r.Err != nil {
		return
	}
	t.TTL = l.Remaining(c.now)
	c.putToken(t)
	c.insert(l)
	r.Token, r.Lease = t, l
}

// tokenLeasedBy returns the mount of a new token's lease: the auth method that made it, or the token
// mount if mountID is "". What a mount leases begins with its path, or no sweep of it would find it;
// a token mount cannot be disabled, so that wrapping tokens may be leased by it under their own path.
func (c *core) tokenLeasedBy(t *lease.Token, mountID string) (*lease.Mount, *lease.Error) {
	if err := c.openNamespace(t.Namespace); err != nil {
		return nil, err
	}
	mount, ok := c.mounts.Get(mountID)
	if mountID == "" {
		if mount, ok = c.tokenMount(t.Namespace); !ok {
			return nil, lease.ErrNotInitialized
		}
	} else if !ok || mount.Namespace != t.Namespace {
		return nil, lease.Errorf(lease.NotFound, "no handler for route %q. route entry not found.", t.Path)
	}
	switch {
	case mount.Tainted != 0:
		return nil, lease.Errorf(lease.NotFound,
			"no handler for route %q on namespace %q. route entry or namespace is tainted.", t.Path, t.Namespace)
	case c.isTokenMount(mount):
	case t.Wrapping():
		return nil, lease.Errorf(lease.Invalid, "a wrapping token is leased by the token mount, not by %q", mount.Path)
	case !strings.HasPrefix(t.LeaseID, mount.Path):
		return nil, lease.Errorf(lease.Invalid, "lease ID %q does not begin with the mount's path %q", t.LeaseID, mount.Path)
	}
	return mount, nil
}

// nameable reports whether t has the names by which it will be found.
func nameable(t *lease.Token) bool { return t.Hash != "" && t.Accessor != "" && t.LeaseID != "" }

// applyRenewToken renews a token's lease. A token without uses left is as good as gone.
func (c *core) applyRenewToken(r *Result, m *command.RenewToken) {
	t := c.tokenByHash[m.Hash]
	if t == nil || t.NumUses == lease.SpentUses {
		r.Err = lease.ErrTokenNotFound
		return
	}
	rec := c.leases[t.LeaseID]
	if r.Err = c.renewable(rec.lease); r.Err != nil {
		return
	}
	c.renew(r, rec, time.Duration(m.Increment))
	r.Token = t
}

// applyUseToken takes one use. However many nodes race, the log gives each use to one (T20), and with it
// the lease: the data of a wrapping token is for who has used it up.
func (c *core) applyUseToken(r *Result, m *command.UseToken) {
	t := c.tokenByHash[m.Hash]
	if t == nil || t.NumUses == lease.SpentUses || !c.tokenAlive(t, c.now) {
		r.Err = lease.ErrDenied
		return
	}
	rec := c.leases[t.LeaseID]
	if t.NumUses == 0 {
		r.Token, r.Lease = t, rec.lease
		return
	}
	next := *t
	if next.NumUses--; next.NumUses == 0 {
		next.NumUses = lease.SpentUses
		if end := c.now.Add(spentGrace); rec.lease.ExpireTime == 0 || rec.lease.ExpireTime > end {
			l := *rec.lease
			l.ExpireTime, l.Fence = end, c.seq
			c.replace(rec, &l)
		}
	}
	c.putToken(&next)
	r.Token, r.Lease = &next, rec.lease
}

func (c *core) applyRevokeToken(r *Result, m *command.RevokeToken) {
	t := c.tokenByHash[m.Hash]
	if t == nil || t.Doomed != 0 {
		return
	}
	r.Token = t
	// The children of a token that is dead already died with it: to spare them now would revive them.
	spare := m.SpareChildren && c.tokenAlive(t, c.now)
	r.Job = c.endToken(t, lease.Cause(m.Cause), false, spare)
	r.Count = 1
}

// endToken ends a token with all that hangs on it. A token on which nothing hangs is gone at once;
// otherwise a job is opened and returned.
func (c *core) endToken(t *lease.Token, cause lease.Cause, force, spareChildren bool) *lease.Job {
	if t == nil || t.Doomed != 0 {
		return nil
	}
	if c.owners[t.Hash] == nil && c.firstChild(t.Hash) == "" {
		c.dropToken(t)
		return nil
	}
	sel := lease.Selector{Kind: lease.SelectToken, Namespace: t.Namespace, Value: t.Hash, Show: t.Accessor}
	j := c.openJob(sel, cause, force)
	c.doom(t, j, spareChildren)
	return j
}

// doom marks a token as dead. Its lease asks for nothing any more: the job will remove both.
func (c *core) doom(t *lease.Token, j *lease.Job, spareChildren bool) {
	if t.Doomed != 0 {
		return
	}
	next := *t
	next.Doomed, next.SparesChildren = j.ID, spareChildren
	c.putToken(&next)
	rec := c.leases[t.LeaseID]
	l := *rec.lease
	l.Status, l.Fence = lease.Revoking, c.seq
	l.Ending = &lease.Ending{Cause: j.Cause, Since: c.now}
	c.replace(rec, &l)
}

// dropToken removes a token on which nothing hangs, with its lease.
func (c *core) dropToken(t *lease.Token) {
	c.removeToken(t)
	if rec := c.leases[t.LeaseID]; rec != nil {
		c.remove(rec)
	}
}
