package fsm

import "github.com/leasehold/leasehold/lease"

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

// DueMounts returns the UUIDs of mounts with something due at now, sorted.
func (v *View) DueMounts(now lease.Time) []string { return v.c.due.mounts(now) }

// Due calls fn with a mount's leases that are due at now, by (Due, ID).
func (v *View) Due(mountID string, now lease.Time, fn func(*lease.Lease) bool) {
	if set := v.c.due.ready[mountID]; set != nil {
		set.Scan(func(r *record) bool { return r.key <= now && fn(r.lease) })
	}
}

// NextDue is a lower bound of the next due time, 0 when nothing ever is.
func (v *View) NextDue() lease.Time { return v.c.due.next() }

// Undrained reports whether due buckets wait to be put in order, which a Tick does.
func (v *View) Undrained(now lease.Time) bool { return v.c.due.undrained(now) }
