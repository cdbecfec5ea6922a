package fsm

import (
	"slices"

	"github.com/leasehold/leasehold/lease"
)

// Job returns a revocation job that is open or was finished not long ago, or nil.
func (v *View) Job(id uint64) *lease.Job {
	j, _ := v.c.jobs.Get(id)
	return j
}

// Jobs calls fn with all jobs, newest first.
func (v *View) Jobs(fn func(*lease.Job) bool) {
	v.c.jobs.Reverse(func(_ uint64, j *lease.Job) bool { return fn(j) })
}

// OpenJobs returns the jobs of which something is left, oldest first, at most limit.
func (v *View) OpenJobs(limit int) []*lease.Job {
	var open []*lease.Job
	v.c.openJobs.Scan(func(id uint64) bool {
		j, _ := v.c.jobs.Get(id)
		open = append(open, j)
		return len(open) < limit
	})
	return open
}

// SweepingJobs returns the jobs that are still marking, oldest first, at most limit.
func (v *View) SweepingJobs(limit int) []*lease.Job {
	var open []*lease.Job
	v.c.sweeping.Scan(func(id uint64) bool {
		j, _ := v.c.jobs.Get(id)
		open = append(open, j)
		return len(open) < limit
	})
	return open
}

// Ascend calls fn with a namespace's leases by ID, beginning at from.
func (v *View) Ascend(namespace, from string, fn func(*lease.Lease) bool) {
	v.c.tree.Ascend(&lease.Lease{Namespace: namespace, ID: from}, func(l *lease.Lease) bool {
		return l.Namespace == namespace && fn(l)
	})
}

// OwnedBy calls fn with the living secrets leased with a token, oldest first.
func (v *View) OwnedBy(hash string, fn func(*lease.Lease) bool) {
	if o := v.c.owners[hash]; o != nil {
		for r := o.first; r != nil && fn(r.lease); r = r.ownNext {
		}
	}
}

// Irrevocable calls fn with the irrevocable leases of all namespaces, by (ExpireTime, ID).
func (v *View) Irrevocable(fn func(*lease.Lease) bool) { v.c.irrevocable.Scan(fn) }

// Counts of all leases by stored status.
func (v *View) Counts() Tally { return v.c.counts.all }

// MountCounts counts a mount's leases by stored status.
func (v *View) MountCounts(mountID string) Tally { return v.c.counts.mount(mountID) }

// RoleCounts counts the leases of a mount's role by stored status.
func (v *View) RoleCounts(mountID, role string) Tally {
	if t := v.c.counts.roles[roleKey{mountID, role}]; t != nil {
		return *t
	}
	return Tally{}
}

// OwnerCounts counts the secrets leased with a token by stored status.
func (v *View) OwnerCounts(hash string) Tally {
	if t := v.c.counts.ownedBy[hash]; t != nil {
		return *t
	}
	return Tally{}
}

// CountPrefix is the number of leases that prefix covers, read from the tree's ranks.
func (v *View) CountPrefix(namespace, prefix string) int { return v.c.countPrefix(namespace, prefix) }

// EndedMounts returns the UUIDs of mounts with leases that are past their end at now and have not been
// ended yet, sorted.
func (v *View) EndedMounts(now lease.Time) []string { return v.c.due.mounts(now, inEnds) }

// Ended calls fn with a mount's leases that are past their end at now and have not been ended yet, by
// (ExpireTime, ID).
func (v *View) Ended(mountID string, now lease.Time, fn func(*lease.Lease) bool) {
	v.c.due.scan(inEnds, mountID, now, fn)
}

// AttemptMounts returns the UUIDs of mounts with leases that are due for an attempt at now, sorted.
// Those that are frozen then are left out.
func (v *View) AttemptMounts(now lease.Time) []string {
	ids := v.c.due.mounts(now, inAttempts, inForced)
	return slices.DeleteFunc(ids, func(id string) bool { return v.c.frozen(id, now) })
}

// Attempts calls fn with the leases of a mount that are being revoked at their target and not by force,
// by (NextAttempt, ID): first the one behind a lease with the ID after whose next attempt is at from,
// there or not. One of which an attempt runs stands where its claim lapses. Freezes change nothing here.
func (v *View) Attempts(mountID string, from lease.Time, after string, fn func(*lease.Lease) bool) {
	set := v.c.due.sets[inAttempts][mountID]
	if set == nil {
		return
	}
	set.Ascend(&record{key: from, lease: &lease.Lease{ID: after}}, func(r *record) bool {
		return r.key == from && r.lease.ID == after || fn(r.lease)
	})
}

// LatestAttempts calls fn with those leases of Attempts that are due at now, the last of them first.
func (v *View) LatestAttempts(mountID string, now lease.Time, fn func(*lease.Lease) bool) {
	if set := v.c.due.sets[inAttempts][mountID]; set != nil {
		set.Descend(&record{key: now + 1, lease: &lease.Lease{}}, func(r *record) bool { return r.key > now || fn(r.lease) })
	}
}

// Forced calls fn with a mount's leases that are revoked by force and due for their attempt at now, by
// (NextAttempt, ID). Freezes change nothing here.
func (v *View) Forced(mountID string, now lease.Time, fn func(*lease.Lease) bool) {
	v.c.due.scan(inForced, mountID, now, fn)
}

// DueMounts is the union of EndedMounts and AttemptMounts.
func (v *View) DueMounts(now lease.Time) []string {
	ids := append(v.EndedMounts(now), v.AttemptMounts(now)...)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Due calls fn with a mount's leases that are past their end at now and have not been ended yet, and then
// with those that are due for an attempt, unless the mount is frozen.
func (v *View) Due(mountID string, now lease.Time, fn func(*lease.Lease) bool) {
	d := &v.c.due
	if d.scan(inEnds, mountID, now, fn) && !v.c.frozen(mountID, now) && d.scan(inForced, mountID, now, fn) {
		d.scan(inAttempts, mountID, now, fn)
	}
}

// NextDue is a lower bound of the next due time, 0 when nothing ever is. Attempts at what a frozen mount
// leased are due when the freeze ends, and never while it has no end.
func (v *View) NextDue() lease.Time { return v.c.due.next(v.c.thawed) }

// Undrained reports whether due buckets wait to be put in order, which a Tick does.
func (v *View) Undrained(now lease.Time) bool { return v.c.due.undrained(now) }
