package httpapi

import (
	"strconv"
	"strings"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

var errNoLeaseID = lease.Errorf(lease.Invalid, "lease_id must be specified")

// oneLease reads the parameters of a call that acts on the call's target.
func (c *call) oneLease() error {
	c.reader().Has("lease_id")
	if c.target == "" {
		return errNoLeaseID
	}
	return nil
}

// lookupLease serves sys/leases/lookup.
func (s *Server) lookupLease(c *call) (answer, error) {
	if err := c.oneLease(); err != nil {
		return answer{}, err
	}
	found, err := s.lessor.Lookup(c.ns.id, c.target, c.now)
	if err != nil {
		return answer{}, err
	}
	look := describeLease(found, c.now)
	if found.Lease.Owner == c.token.Hash && found.Lease.Kind != lease.OfToken && len(found.Lease.Data) > 0 {
		if look.Data, err = s.lessor.OpenData(found.Lease); err != nil {
			return answer{}, err
		}
	}
	return answer{data: look, top: true, renewable: found.Renewable, warnings: s.warnHeld(c.reader().Warnings()),
		mountType: systemType}, nil
}

// listLeases serves sys/leases/lookup/:prefix with the verb LIST.
func (s *Server) listLeases(c *call) (answer, error) {
	in := c.reader()
	after, limit := in.String("after"), in.Int("limit", 0)
	if limit < 0 {
		in.Failf("limit: %d is negative: leave it out for all keys", limit)
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	keys, more, err := s.lessor.List(c.ns.id, c.rest, after, limit)
	if err != nil {
		return answer{}, err
	}
	if len(keys) == 0 {
		return answer{}, errNothing
	}
	page := client.KeyList{Keys: keys}
	warnings := in.Warnings()
	if more {
		page.Next = keys[len(keys)-1]
		if limit == 0 || limit > lessor.MaxListKeys {
			warnings = append(warnings, "only the first "+strconv.Itoa(len(keys))+" keys are listed: page with 'after' and 'limit'")
		}
	}
	return answer{data: page, warnings: warnings, mountType: systemType}, nil
}

// renewLease serves sys/leases/renew, with the ID in body or path.
func (s *Server) renewLease(c *call) (answer, error) {
	if err := c.oneLease(); err != nil {
		return answer{}, err
	}
	in := c.reader()
	increment := in.Duration("increment")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	le, warnings, err := s.lessor.Renew(c.ctx, c.ns.id, c.target, increment)
	if err != nil {
		return answer{}, err
	}
	return answer{
		leaseID: le.ID, renewable: le.Renewable, duration: seconds(le.Remaining(max(le.LastRenewal, le.IssueTime))),
		warnings: append(warnings, in.Warnings()...), mountType: systemType,
	}, nil
}

// revokeLease serves sys/leases/revoke, with the ID in body or path.
func (s *Server) revokeLease(c *call) (answer, error) {
	if err := c.oneLease(); err != nil {
		return answer{}, err
	}
	in := c.reader()
	sync := in.Bool("sync", false)
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	job, err := s.lessor.Revoke(c.ctx, c.ns.id, c.target, sync)
	return s.revoked(c, job, sync, err)
}

// revokePrefix serves sys/leases/revoke-prefix.
func (s *Server) revokePrefix(c *call) (answer, error) {
	in := c.reader()
	sync := in.Bool("sync", false)
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	job, err := s.lessor.RevokePrefix(c.ctx, c.ns.id, c.rest, lessor.PrefixOptions{Sync: sync})
	return s.revoked(c, job, sync, err)
}

// revokeForce serves sys/leases/revoke-force, which always waits.
func (s *Server) revokeForce(c *call) (answer, error) {
	job, err := s.lessor.RevokePrefix(c.ctx, c.ns.id, c.rest, lessor.PrefixOptions{Force: true})
	return s.revoked(c, job, true, err)
}

// revoked names the job, also where the wait for it failed: it goes on.
func (s *Server) revoked(c *call, job uint64, waited bool, err error) (answer, error) {
	if err != nil {
		if job != 0 {
			c.w.Header()[client.JobHeader] = []string{strconv.FormatUint(job, 10)}
		}
		return answer{}, err
	}
	a := accepted(job)
	if waited {
		a.status = done.status
	}
	return a, nil
}

// tidyStarted is Vault's text, which scripts may look for, whichever product prints the log.
const tidyStarted = "Tidy operation successfully started. Any information from the operation will be printed to the server logs."

// tidyLeases serves sys/leases/tidy.
func (s *Server) tidyLeases(c *call) (answer, error) {
	job, _, err := s.lessor.Tidy(c.ctx, c.ns.id)
	if err != nil {
		return answer{}, err
	}
	a := accepted(job)
	a.enveloped, a.mountType = true, systemType
	a.warnings = append([]string{tidyStarted}, c.reader().Warnings()...)
	return a, nil
}

// ofType reads which leases are meant: only irrevocable ones are counted and listed by type.
func (c *call) ofType() (children bool, err error) {
	in := c.reader()
	kind := in.String("type")
	children = in.Bool("include_child_namespaces", false)
	if err := in.Err(); err != nil {
		return false, err
	}
	if !strings.EqualFold(kind, client.StatusIrrevocable) {
		return false, errNothing
	}
	return children, nil
}

// countLeases serves sys/leases/count.
func (s *Server) countLeases(c *call) (answer, error) {
	children, err := c.ofType()
	if err != nil {
		return answer{}, err
	}
	total, counts := s.lessor.CountIrrevocable(c.ns.id, children)
	if counts == nil {
		counts = map[string]int{}
	}
	return answer{data: client.LeaseCount{LeaseCount: total, TotalCount: total, Counts: counts},
		warnings: c.reader().Warnings(), mountType: systemType}, nil
}

// defaultIrrevocable is how many irrevocable leases are listed if nothing is said.
const defaultIrrevocable = 10_000

const listCut = "Command halted because many irrevocable leases were found. To emit the entire list, re-run the command with force set true."

// listIrrevocable serves sys/leases.
func (s *Server) listIrrevocable(c *call) (answer, error) {
	limit, err := irrevocableLimit(c.reader().String("limit"))
	if err != nil {
		return answer{}, err
	}
	children, err := c.ofType()
	if err != nil {
		return answer{}, err
	}
	found, total := s.lessor.Irrevocable(c.ns.id, children, limit)
	page := client.IrrevocableList{LeaseCount: len(found), TotalCount: total, Leases: make([]client.IrrevocableLease, 0, len(found))}
	for _, l := range found {
		page.Leases = append(page.Leases, client.IrrevocableLease{LeaseID: l.LeaseID, MountID: l.Accessor, Error: l.Error})
	}
	page.Mounts = s.healthOf(found, c.now)
	warnings := c.reader().Warnings()
	if len(found) < total {
		warnings = append(warnings, listCut)
	}
	return answer{data: page, warnings: warnings, mountType: systemType}, nil
}

// irrevocableLimit reads the limit of a list; 0 is none.
func irrevocableLimit(text string) (int, error) {
	if text == "" {
		return defaultIrrevocable, nil
	}
	if strings.EqualFold(text, "none") {
		return 0, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit <= 0 {
		return 0, lease.Errorf(lease.Invalid, "limit must be 'none' or a positive integer")
	}
	return limit, nil
}

// listJobs serves sys/leases/jobs.
func (s *Server) listJobs(c *call) (answer, error) {
	in := c.reader()
	limit := in.Int("limit", 0)
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	list := client.JobList{Jobs: []client.Job{}}
	for _, j := range s.lessor.Jobs(c.ns.id, limit) {
		list.Jobs = append(list.Jobs, describeJob(j))
	}
	return answer{data: list, warnings: in.Warnings(), mountType: systemType}, nil
}

// readJob serves sys/leases/jobs/:id.
func (s *Server) readJob(c *call) (answer, error) {
	id, err := strconv.ParseUint(c.rest, 10, 64)
	if err != nil {
		return answer{}, lease.Errorf(lease.Invalid, "the ID of a job is a number")
	}
	j, err := s.lessor.Job(c.ns.id, id)
	if err != nil {
		return answer{}, err
	}
	return answer{data: describeJob(j), mountType: systemType}, nil
}
