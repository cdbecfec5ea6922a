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
	data := map[string]any{
		"mount": r.Mount.Path, "items": r.Items, "leases": r.Leases, "orphans": list0(r.Orphans), "orphan_count": r.Orphaned,
		"young": r.Young, "destroyed": r.Destroyed, "failed": r.Failed, "missing": list0(r.Missing), "missing_count": r.Missed,
	}
	if r.Error != "" {
		data["error"] = r.Error
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

// list0 is a list on the wire: never null.
func list0(list []string) []string {
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
	n, err := s.lessor.Retry(c.ctx, c.ns.id, req)
	if err != nil {
		return answer{}, err
	}
	return answer{status: 202, data: map[string]any{"lease_count": n}, warnings: in.Warnings(), mountType: systemType}, nil
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
	return answer{job: job, data: map[string]any{"migration_id": strconv.FormatUint(job, 10)}, top: true,
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
	status := "in-progress"
	switch {
	case j.State == lease.JobFinished:
		status = "success"
	case j.Failed > 0:
		status = "failure" // the job goes on all the same
	}
	return answer{data: map[string]any{"migration_id": c.rest, "migration_info": map[string]any{
		"source_mount": j.Selector.Show, "status": status,
	}}, mountType: systemType}, nil
}

// healthOf tells of those mounts of irrevocable leases that are frozen or whose targets do not answer.
func (s *Server) healthOf(list []lessor.IrrevocableLease) map[string]client.MountHealth {
	health := make(map[string]client.MountHealth)
	asked := make(map[string]bool)
	s.state.Read(func(v *fsm.View) {
		for _, l := range list {
			if asked[l.Accessor] {
				continue
			}
			asked[l.Accessor] = true
			if m := v.MountByAccessor(l.Accessor); m != nil && (m.Frozen != nil || m.Down != nil) {
				health[l.Accessor] = client.MountHealth{Path: m.Path, Frozen: describeFrozen(m), TargetDown: describeDown(m)}
			}
		}
	})
	return health
}
