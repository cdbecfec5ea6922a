package lessor

import (
	"slices"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// maxFrozenScan bounds how many waiting leases of one frozen mount are looked at, under one read lock, for
// those of a job.
const maxFrozenScan = 10_000

// frozenError is the answer to a caller that would wait for what a frozen mount keeps from being destroyed.
// It names the reason and the end of the freeze, and what becomes of what was asked.
func frozenError(m *lease.Mount, then string) *lease.Error {
	return lease.Errorf(lease.Conflict, "mount %q is frozen %s (%s): %s", m.Path, frozenUntil(m), m.Frozen.Reason, then)
}

func frozenUntil(m *lease.Mount) string {
	if m.Frozen.Until == 0 {
		return "until it is thawed"
	}
	return "until " + m.Frozen.Until.Std().UTC().Format(time.RFC3339)
}

// afterThaw is what becomes of revocations that a freeze holds up.
const afterThaw = "what was revoked is dead to its holders, and is destroyed after the thaw"

// frozenMount returns the mount of a lease if it is frozen and no attempt is under way that was claimed before,
// else nil.
func frozenMount(v *fsm.View, le *lease.Lease, now lease.Time) *lease.Mount {
	m := v.Mount(le.MountID)
	if m == nil || !m.IsFrozen(now) || le.Ending == nil || le.Ending.Claim != 0 {
		return nil
	}
	return m
}

// frozenOf returns a frozen mount that keeps leases of the job from being destroyed, nil if there is none. A
// job that is still being swept has not found all it covers.
func frozenOf(v *fsm.View, j *lease.Job, now lease.Time) *lease.Mount {
	frozen := v.FrozenMounts(now)
	if len(frozen) == 0 || j.State != lease.JobRevoking {
		return nil
	}
	jobs := []uint64{j.ID}
	for at := 0; at < len(jobs); at++ { // newer jobs may have taken over some of its leases
		if next := v.Job(jobs[at]); next != nil {
			for _, heir := range next.Heirs {
				if !slices.Contains(jobs, heir) {
					jobs = append(jobs, heir)
				}
			}
		}
	}
	for _, m := range frozen {
		held, looked := false, 0
		look := func(le *lease.Lease) bool {
			held = slices.Contains(jobs, le.Ending.Job) && le.Ending.Claim == 0
			looked++
			return !held && looked < maxFrozenScan
		}
		if v.Attempts(m.ID, 0, "", look); !held {
			v.Forced(m.ID, now, look)
		}
		if held {
			return m
		}
	}
	return nil
}
