package expiration

import (
	"cmp"
	"maps"
	"slices"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Retry makes leases of a mount due whose turn has not come.
type Retry struct {
	Mount string
	Cmd   *command.RetryRevocations // nil: there is none left

	// Of a walk over all that waits: where it stands behind these, and whether they are the last.
	Walk, Last bool
	From       lease.Time
	After      string
}

// attempts lists what of a mount is to be claimed, in up to slots slots: what waits longest. While the
// target is known not to answer, it is those revoked by force, which take one attempt each whatever comes
// of it, then those that somebody asks for, and if there are none, one probe.
func attempts(now lease.Time, v *fsm.View, busy *Busy, mount string, slots int) line {
	l := line{mount: mount}
	if slots <= 0 {
		return l
	}
	scanned := 0
	v.Forced(mount, now, func(le *lease.Lease) bool {
		if !busy.Leases[le.ID] {
			l.leases = append(l.leases, le)
		}
		scanned++
		return len(l.leases) < slots && scanned < maxScan
	})
	t := busy.Targets[mount]
	if t == nil || !t.Open {
		l.leases = append(l.leases, due(now, v, busy, mount, slots)...)
		slices.SortFunc(l.leases, byDue)
		l.leases = l.leases[:min(len(l.leases), slots)]
		return l
	}
	for _, id := range t.Asked {
		if le := v.Lease(id); len(l.leases) < slots && waits(le, now) && !le.Ending.Force && !busy.Leases[id] {
			l.leases, l.probe = append(l.leases, le), now >= t.ProbeAt
		}
	}
	if len(l.leases) > 0 || busy.Mounts[mount] > 0 {
		return l
	}
	if le := probe(now, v, busy, mount, t); le != nil {
		l.leases, l.probe = []*lease.Lease{le}, true
	}
	return l
}

func byDue(a, b *lease.Lease) int {
	return cmp.Or(cmp.Compare(a.Due(), b.Due()), cmp.Compare(a.ID, b.ID))
}

// due lists up to limit leases of a mount that are due for an attempt and not revoked by force; those that
// wait longest come first.
func due(now lease.Time, v *fsm.View, busy *Busy, mount string, limit int) []*lease.Lease {
	if limit <= 0 {
		return nil
	}
	var found []*lease.Lease
	scanned := 0
	v.Attempts(mount, 0, "", func(l *lease.Lease) bool {
		if l.Ending.NextAttempt > now {
			return false
		}
		if !busy.Leases[l.ID] {
			found = append(found, l)
		}
		scanned++
		return len(found) < limit && scanned < maxScan
	})
	return found
}

// probe is the lease that a target which does not answer is to be tried with, nil for none: one that was
// never tried, or when it is time for a probe, any.
func probe(now lease.Time, v *fsm.View, busy *Busy, mount string, t *Target) *lease.Lease {
	if now < t.ProbeAt && t.Proven {
		return nil
	}
	if fresh := untried(now, v, busy, mount); fresh != nil {
		return fresh
	}
	if now >= t.ProbeAt {
		if oldest := due(now, v, busy, mount, 1); len(oldest) > 0 {
			return oldest[0]
		}
	}
	return nil
}

// untried is the lease of a mount that has come due last of those that were never tried. The last, since
// those before it may all fail for one reason that is not the target's.
func untried(now lease.Time, v *fsm.View, busy *Busy, mount string) (found *lease.Lease) {
	scanned := 0
	v.LatestAttempts(mount, now, func(l *lease.Lease) bool {
		if l.Ending.Attempts == 0 && !busy.Leases[l.ID] {
			found = l
		}
		scanned++
		return found == nil && scanned < maxScan
	})
	return found
}

// waits reports whether a lease is due for an attempt and none runs.
func waits(l *lease.Lease, now lease.Time) bool {
	return l != nil && l.Ending != nil && l.Ending.Claim == 0 && l.Ending.NextAttempt <= now
}

// planTargets is the part of a plan that is about targets that do not answer, or do so again.
func planTargets(todo *Todo, now lease.Time, v *fsm.View, busy *Busy) {
	for _, id := range slices.Sorted(maps.Keys(busy.Targets)) {
		t, m := busy.Targets[id], v.Mount(id)
		if m == nil {
			continue
		}
		if t.Open {
			todo.look(now, t.ProbeAt)
		}
		if todo.Report == nil && !busy.Reporting {
			todo.Report = report(t, m)
		}
		if todo.Retry != nil || busy.Retrying {
			continue
		}
		switch {
		case t.Recovering:
			todo.Retry = walk(v, m, t)
		case t.Open && now >= t.ProbeAt && busy.Mounts[id] == 0 && !m.IsFrozen(now):
			todo.Retry = early(now, v, m)
		}
	}
}

// report is what the state is to be told of a target, nil for nothing. That it answers is told when all
// that waited for it is due, so that a leader who comes in between begins anew.
func report(t *Target, m *lease.Mount) *command.SetMountHealth {
	switch {
	case t.Open && m.Down == nil:
		return &command.SetMountHealth{Id: m.ID, Error: t.err}
	case !t.Open && !t.Recovering && m.Down != nil:
		return &command.SetMountHealth{Id: m.ID}
	}
	return nil
}

// early makes an irrevocable lease the probe where nothing else is due or soon will be: a target that is
// back is not to be found out an hour later.
func early(now lease.Time, v *fsm.View, m *lease.Mount) *Retry {
	var first *lease.Lease
	v.Attempts(m.ID, 0, "", func(l *lease.Lease) bool {
		if l.Ending.Claim == 0 {
			first = l
		}
		return first == nil
	})
	if first == nil || first.Status != lease.Irrevocable || first.Ending.NextAttempt <= now {
		return nil
	}
	return &Retry{Mount: m.ID, Cmd: &command.RetryRevocations{Namespace: first.Namespace, Ids: []string{first.ID}}}
}

// walk is the next step on the way over all that waits for a later attempt at a target that answers
// again: those that failed in the outage, and those that were given up before.
func walk(v *fsm.View, m *lease.Mount, t *Target) *Retry {
	r := &Retry{Mount: m.ID, Walk: true, Last: true, From: t.From, After: t.After}
	cmd := &command.RetryRevocations{Namespace: m.Namespace}
	size, scanned := 0, 0
	v.Attempts(m.ID, t.From, t.After, func(l *lease.Lease) bool {
		if scanned == maxScan || len(cmd.Ids) == fsm.MaxRetry || size >= maxRefBytes {
			r.Last = false
			return false
		}
		scanned++
		r.From, r.After = l.Ending.NextAttempt, l.ID
		if l.Ending.Claim == 0 {
			cmd.Ids = append(cmd.Ids, l.ID)
			size += len(l.ID)
		}
		return true
	})
	if len(cmd.Ids) > 0 {
		r.Cmd = cmd
	}
	return r
}
