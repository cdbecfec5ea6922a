package lessor

import (
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Job returns a revocation job of a namespace that is open or was finished not long ago.
func (l *Lessor) Job(ns string, id uint64) (*lease.Job, error) {
	var j *lease.Job
	l.state.Read(func(v *fsm.View) { j = v.Job(id) })
	if j == nil || j.Selector.Namespace != ns {
		return nil, lease.Errorf(lease.NotFound, "no revocation job %d: it never was, or it finished long ago", id)
	}
	return j, nil
}

// Jobs returns the newest limit revocation jobs of a namespace, newest first; zero means all.
func (l *Lessor) Jobs(ns string, limit int) []*lease.Job {
	var jobs []*lease.Job
	l.state.Read(func(v *fsm.View) {
		v.Jobs(func(j *lease.Job) bool {
			if j.Selector.Namespace == ns {
				jobs = append(jobs, j)
			}
			return limit <= 0 || len(jobs) < limit
		})
	})
	return jobs
}
