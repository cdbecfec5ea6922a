package fsm

import (
	"strings"

	"github.com/leasehold/leasehold/lease"
)

// standing is the status a lease has in effect at now: what a job covers is dead from the entry
// that opened it, however long the sweep takes, and what is past its end is dead whether or not the
// scheduler has come by.
func (c *core) standing(l *lease.Lease, now lease.Time) lease.Status {
	if l.Status != lease.Active && l.Status != lease.Pending {
		return l.Status
	}
	if l.Expired(now) || c.covered(l, now) {
		return lease.Revoking
	}
	return l.Status
}

// covered reports whether an open job, a disabled mount, a closed namespace or a dead token has ended l.
func (c *core) covered(l *lease.Lease, now lease.Time) bool {
	if m, ok := c.mounts.Get(l.MountID); ok && m.Tainted > l.Seq || c.closed(l.Namespace) != nil {
		return true
	}
	if c.coveredByPrefix(l) {
		return true
	}
	t := c.tokenByHash[l.Owner]
	if t == nil {
		return false // no owner known: tidy's business
	}
	if l.Kind == lease.OfToken {
		return t.Doomed != 0 || !c.lineAlive(t, now)
	}
	return !c.tokenAlive(t, now)
}

// coveredByPrefix looks up each segment prefix of the ID, so its cost does not grow with the number
// of jobs.
func (c *core) coveredByPrefix(l *lease.Lease) bool {
	if len(c.prefixJobs) == 0 {
		return false
	}
	if job, ok := c.prefixJobs[nsKey(l.Namespace, "")]; ok && job > l.Seq {
		return true
	}
	for end := 0; end < len(l.ID); {
		if i := strings.IndexByte(l.ID[end+1:], '/'); i >= 0 {
			end += 1 + i
		} else {
			end = len(l.ID)
		}
		if job, ok := c.prefixJobs[nsKey(l.Namespace, l.ID[:end])]; ok && job > l.Seq {
			return true
		}
	}
	return false
}

// tokenAlive reports whether t and all it descends from live at now.
func (c *core) tokenAlive(t *lease.Token, now lease.Time) bool {
	return c.selfAlive(t, now) && c.lineAlive(t, now)
}

// lineAlive reports whether all that t descends from lives at now.
func (c *core) lineAlive(t *lease.Token, now lease.Time) bool {
	for t.Parent != "" {
		parent := c.tokenByHash[t.Parent]
		if parent == nil || parent.SparesChildren {
			return true
		}
		if !c.selfAlive(parent, now) {
			return false
		}
		t = parent
	}
	return true
}

func (c *core) selfAlive(t *lease.Token, now lease.Time) bool {
	if t.Doomed != 0 {
		return false
	}
	r := c.leases[t.LeaseID]
	if r == nil || r.lease.Status != lease.Active {
		return false
	}
	if r.lease.Expired(now) || c.coveredByPrefix(r.lease) || c.closed(r.lease.Namespace) != nil {
		return false
	}
	m, ok := c.mounts.Get(r.lease.MountID)
	return !ok || m.Tainted <= r.lease.Seq
}
