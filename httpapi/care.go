package httpapi

import (
	"strconv"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// careRoutes are what operators do about targets that fail.
var careRoutes = []route{
	{verbs: write, path: "sys/leases/reconcile", where: onLeader, access: sudo, handler: (*Server).reconcile, slow: true,
		help: "Compares a mount's leases with what is at its target: mount, fix (destroy what is in no lease)."},
	{verbs: write, path: "sys/leases/retry", where: onLeader, access: sudo, handler: (*Server).retryLeases, slow: true,
		help: "Makes failed revocations due at once: lease_id, prefix, mount, error (a part of its text)."},
	{verbs: write, path: "sys/mounts/*/freeze", where: onLeader, access: sudo, handler: (*Server).freezeMount,
		help: "Keeps what a mount leased from being destroyed: reason, duration (0: until it is thawed)."},
	{verbs: write, path: "sys/mounts/*/thaw", where: onLeader, access: sudo, handler: (*Server).thawMount,
		help: "Ends a freeze."},
	{verbs: write, path: "sys/remount", where: onLeader, access: sudo, handler: (*Server).remount,
		help: "Revokes all that was leased at a mount and gives it another path: from, to."},
	{verbs: read, path: "sys/remount/status/*", handler: (*Server).remountStatus,
		help: "Tells how far a remount has come."},
}

// reconcile serves sys/leases/reconcile.
func (s *Server) reconcile(c *call) (answer, error) {
	in := c.reader()
	mount, fix := in.String("mount"), in.Bool("fix", false)
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if mount == "" {
		return answer{}, lease.Errorf(lease.Invalid, "mount must be specified: say which mount to compare with its target")
	}
	r, err := s.lessor.Reconcile(c.ctx, c.ns.id, mount, fix)
	if err != nil {
		return answer{}, err
	}
	data := client.Reconciliation{
		Mount: r.Mount.Path, Items: r.Items, Leases: r.Leases, Orphans: neverNull(r.Orphans), OrphanCount: r.Orphaned,
		Young: r.Young, Destroyed: r.Destroyed, Failed: r.Failed, Missing: neverNull(r.Missing), MissingCount: r.Missed, Error: r.Error,
	}
	warnings := in.Warnings()
	if r.Orphaned > len(r.Orphans) || r.Missed > len(r.Missing) {
		warnings = append(warnings, "only the first "+strconv.Itoa(lessor.MaxReported)+" names of each kind are listed")
	}
	if fix && r.Young > 0 {
		warnings = append(warnings, strconv.Itoa(r.Young)+" of the orphans may belong to an issue that is under way: call again in two minutes")
	}
	return answer{data: data, warnings: warnings, mountType: systemType}, nil
}

// neverNull is a list on the wire.
func neverNull(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// retryLeases serves sys/leases/retry.
func (s *Server) retryLeases(c *call) (answer, error) {
	in := c.reader()
	req := lessor.RetryRequest{LeaseID: in.String("lease_id"), Prefix: in.String("prefix"), Mount: in.String("mount"), Error: in.String("error")}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	n, warnings, err := s.lessor.Retry(c.ctx, c.ns.id, req)
	if err != nil {
		return answer{}, err
	}
	return answer{status: 202, data: client.RetryCount{LeaseCount: n}, warnings: append(warnings, in.Warnings()...), mountType: systemType}, nil
}

// freezeMount serves sys/mounts/:path/freeze.
func (s *Server) freezeMount(c *call) (answer, error) {
	in := c.reader()
	in.Captured("path")
	reason, duration := in.String("reason"), in.Duration("duration")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	return done, s.lessor.Freeze(c.ctx, c.ns.id, c.rest, reason, duration)
}

// thawMount serves sys/mounts/:path/thaw.
func (s *Server) thawMount(c *call) (answer, error) {
	return done, s.lessor.Thaw(c.ctx, c.ns.id, c.rest)
}

// remount serves sys/remount. Its migration is the revocation job.
func (s *Server) remount(c *call) (answer, error) {
	in := c.reader()
	from, to := in.String("from"), in.String("to")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if from == "" || to == "" {
		return answer{}, lease.Errorf(lease.Invalid, "both 'from' and 'to' path must be specified as a string")
	}
	job, err := s.lessor.MoveMount(c.ctx, c.ns.id, from, to)
	if err != nil {
		return answer{}, err
	}
	return answer{job: job, data: client.Migration{ID: strconv.FormatUint(job, 10)}, top: true,
		warnings: in.Warnings(), mountType: systemType}, nil
}

// remountStatus serves sys/remount/status/:id.
func (s *Server) remountStatus(c *call) (answer, error) {
	id, err := strconv.ParseUint(c.rest, 10, 64)
	if err != nil {
		return answer{}, errNothing
	}
	j, err := s.lessor.Job(c.ns.id, id)
	if err != nil || j.Cause != lease.CauseMoved {
		return answer{}, errNothing
	}
	status := client.MigrationInProgress
	switch {
	case j.State == lease.JobFinished && s.moved(j):
		status = client.MigrationSucceeded
	case j.State == lease.JobFinished || j.Failed > 0:
		status = client.MigrationFailed // of one that is not finished, the job goes on all the same
	}
	return answer{data: client.Migration{ID: c.rest, Info: client.MigrationInfo{SourceMount: j.Selector.Show, Status: status}},
		mountType: systemType}, nil
}

// moved reports whether the mount of a finished move is there, at another path.
func (s *Server) moved(j *lease.Job) (yes bool) {
	s.state.Read(func(v *fsm.View) {
		m := v.Mount(j.Selector.Value)
		yes = m != nil && m.Path != j.Selector.Show
	})
	return yes
}

// healthOf tells of those mounts of irrevocable leases that are frozen or whose targets do not answer.
func (s *Server) healthOf(list []lessor.IrrevocableLease, now lease.Time) map[string]client.MountHealth {
	health := make(map[string]client.MountHealth)
	asked := make(map[string]bool)
	s.state.Read(func(v *fsm.View) {
		for _, l := range list {
			if asked[l.Accessor] {
				continue
			}
			asked[l.Accessor] = true
			if m := v.MountByAccessor(l.Accessor); m != nil && (m.IsFrozen(now) || m.Down != nil) {
				health[l.Accessor] = client.MountHealth{Path: m.Path, Frozen: describeFrozen(m, now), TargetDown: describeDown(m)}
			}
		}
	})
	return health
}
