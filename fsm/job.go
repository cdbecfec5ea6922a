package fsm

import (
	"slices"
	"sort"
	"strings"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// keepFinishedJobs is how many finished jobs can still be read.
const keepFinishedJobs = 1000

// MaxSweep bounds the leases and tokens that one Sweep command may end, so that no entry holds up
// the others (S17).
const MaxSweep = 1024

func (c *core) applyOpenJob(r *Result, m *command.OpenJob) {
	sel := lease.Selector{Kind: lease.SelectorKind(m.Selector.GetKind()), Namespace: m.Selector.GetNamespace(),
		Value: strings.TrimSuffix(m.Selector.GetValue(), "/"), Show: m.Selector.GetShow()}
	if sel.Kind != lease.SelectPrefix {
		r.Err = lease.Errorf(lease.Internal, "jobs by %s are opened by their own commands", sel.Kind)
		return
	}
	r.Job = c.openJob(sel, lease.Cause(m.Cause), m.Force)
}

// openJob dooms all that sel covers and that is older than this command. The cost does not depend
// on how much that is.
func (c *core) openJob(sel lease.Selector, cause lease.Cause, force bool) *lease.Job {
	if _, taken := c.jobs.Get(c.seq); taken {
		c.seq++ // one Expire may end several tokens; each job has a number of its own
	}
	j := &lease.Job{ID: c.seq, Selector: sel, Cause: cause, Force: force, State: lease.JobSweeping, Started: c.now}
	switch sel.Kind {
	case lease.SelectPrefix:
		key := nsKey(sel.Namespace, sel.Value)
		c.prefixJobs[key] = max(c.prefixJobs[key], j.ID)
	case lease.SelectToken:
		j.Tree, j.At = sel.Value, sel.Value
	}
	c.putJob(j)
	c.host.attend()
	return j
}

// job returns a copy of an open job to be changed and put back, or nil.
func (c *core) job(id uint64) *lease.Job {
	j, ok := c.jobs.Get(id)
	if !ok {
		return nil
	}
	next := *j
	return &next
}

// putJob stores a job, and ends it when nothing is left.
func (c *core) putJob(j *lease.Job) {
	c.storeJob(j)
	if j.State == lease.JobFinished && c.waiting.Len() > 0 {
		c.settleHeirs()
	}
}

func (c *core) storeJob(j *lease.Job) {
	if j.State == lease.JobRevoking && j.Left() == 0 && len(j.Heirs) == 0 {
		j.State, j.Finished = lease.JobFinished, c.now
	}
	c.jobs.Set(j.ID, j)
	c.noteTidy(j)
	if j.State == lease.JobSweeping {
		c.sweeping.Insert(j.ID)
	} else {
		c.sweeping.Delete(j.ID)
	}
	if j.State != lease.JobFinished {
		c.openJobs.Insert(j.ID)
	} else {
		c.openJobs.Delete(j.ID)
		c.finished.Set(j)
		for c.finished.Len() > keepFinishedJobs {
			oldest, _ := c.finished.PopMin()
			c.jobs.Delete(oldest.ID)
		}
	}
	c.host.watch.jobChanged(j.ID)
}

// settleHeirs lets go those who wait for jobs that are finished. Heirs are newer than who waits for
// them, so that one pass from the newest down settles whole chains.
func (c *core) settleHeirs() {
	var ids []uint64
	c.waiting.Reverse(func(id uint64) bool {
		ids = append(ids, id)
		return true
	})
	for _, id := range ids {
		j := c.job(id)
		left := slices.DeleteFunc(slices.Clone(j.Heirs), func(heir uint64) bool { return !c.openJobs.Contains(heir) })
		if len(left) == len(j.Heirs) {
			continue
		}
		j.Heirs = left
		if len(left) == 0 {
			j.Heirs = nil
			c.waiting.Delete(id)
		}
		c.storeJob(j)
	}
}

// waitFor makes j wait for a newer job that counts what j covers as well.
func (c *core) waitFor(j *lease.Job, heir uint64) {
	if at, found := slices.BinarySearch(j.Heirs, heir); !found {
		j.Heirs = slices.Insert(slices.Clone(j.Heirs), at, heir)
		c.waiting.Insert(j.ID)
	}
}

// leaveJob takes a lease, by its ending, out of the job that counts it: a newer one has covered it.
func (c *core) leaveJob(e *lease.Ending, heir uint64) {
	j := c.job(e.Job)
	if j == nil {
		return
	}
	j.Total--
	if e.Attempts > 0 {
		j.Failed--
	}
	c.waitFor(j, heir)
	c.putJob(j)
}

// failInJob counts a lease's first failure in its job.
func (c *core) failInJob(l *lease.Lease) {
	j := c.job(l.Ending.Job)
	if j == nil {
		return
	}
	if l.Ending.Attempts == 1 {
		j.Failed++
	}
	if j.FailedLease == "" {
		j.FailedLease, j.Error, j.FailedAt = l.ID, l.Ending.Error, j.Done+1
	}
	c.putJob(j)
}

func (c *core) applySweep(r *Result, m *command.Sweep) {
	if r.Err = c.mayEnd(m.Epoch); r.Err != nil {
		return
	}
	j := c.job(m.Job)
	if j == nil || j.State != lease.JobSweeping {
		r.Err = lease.ErrChanged
		return
	}
	s := sweep{c: c, j: j, budget: min(int(m.Limit), MaxSweep)}
	s.run()
	r.Count = s.ended
	r.Job = j
	c.putJob(j)
	if j.State != lease.JobSweeping {
		c.dropIfEmpty(j.Selector)
	}
}

// dropIfEmpty removes the mount or namespace that a job has swept if nothing is left of it.
func (c *core) dropIfEmpty(sel lease.Selector) {
	switch sel.Kind {
	case lease.SelectMount:
		if mount, ok := c.mounts.Get(sel.Value); ok {
			c.dropEmptyMount(mount)
		}
	case lease.SelectNamespace:
		if ns := c.closed(sel.Value); ns != nil {
			c.dropEmptyNamespace(ns)
		}
	}
}

// countPrefix is the number of leases that prefix covers, from the tree's ranks.
func (c *core) countPrefix(namespace, prefix string) int {
	n := 0
	if r := c.leases[prefix]; r != nil && r.lease.Namespace == namespace {
		n = 1
	}
	from := c.rank(namespace, prefix+"/")
	to := c.rank(namespace, prefix+"0") // '0' follows '/'
	if prefix == "" {
		from, to = c.rank(namespace, ""), c.rank(namespace+"\x00", "")
	}
	return n + to - from
}

// rank is how many leases stand before (namespace, id) in the tree.
func (c *core) rank(namespace, id string) int {
	return sort.Search(c.tree.Len(), func(i int) bool {
		l, _ := c.tree.GetAt(i)
		if l.Namespace != namespace {
			return l.Namespace > namespace
		}
		return l.ID >= id
	})
}
