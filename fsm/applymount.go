package fsm

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// mountFor returns the mount that a command of an operator names.
func (c *core) mountFor(id string) (*lease.Mount, *lease.Error) {
	m, ok := c.mounts.Get(id)
	if !ok {
		return nil, lease.Errorf(lease.Invalid, "no mount entry found")
	}
	return m, nil
}

// applyFreezeMount keeps what a mount leased from being destroyed. That is all: leases end at their
// time and are dead to their holders, and what has nothing outside, a plain lease or a token, is gone
// then as ever. An attempt that was claimed before may come to its end. A frozen mount that is frozen
// again has the new reason and the new end. One that is being disabled or moved, or is in a namespace
// that is being deleted, may be frozen as well: it goes when it is thawed and empty.
func (c *core) applyFreezeMount(r *Result, m *command.FreezeMount) {
	mount, err := c.mountFor(m.Id)
	if r.Err = err; err != nil {
		return
	}
	if r.Err = checkFreeze(m); r.Err != nil {
		return
	}
	frozen := &lease.Frozen{Reason: m.Reason, Since: c.now}
	if mount.IsFrozen(c.now) {
		frozen.Since = mount.Frozen.Since
	}
	if m.Duration > 0 {
		frozen.Until = c.now.Add(time.Duration(m.Duration))
	}
	next := *mount
	next.Frozen = frozen
	c.putMount(&next)
	r.Mount = &next
	c.host.watch.all() // who waits for something to be destroyed there may wait long
}

func checkFreeze(m *command.FreezeMount) *lease.Error {
	if m.Duration < 0 {
		return lease.Errorf(lease.Invalid, "the duration of a freeze cannot be negative, got %s", time.Duration(m.Duration))
	}
	if utf8.RuneCountInString(m.Reason) > lease.MaxFreezeReason || !utf8.ValidString(m.Reason) ||
		strings.ContainsFunc(m.Reason, unicode.IsControl) {
		return lease.Errorf(lease.Invalid, "the reason of a freeze must be text of at most %d characters in one line", lease.MaxFreezeReason)
	}
	return nil
}

// applyThawMount ends a freeze: all that waited for an attempt is due.
func (c *core) applyThawMount(r *Result, m *command.ThawMount) {
	mount, err := c.mountFor(m.Id)
	if r.Err = err; err != nil {
		return
	}
	r.Mount = mount
	if mount.Frozen == nil {
		return
	}
	next := *mount
	next.Frozen = nil
	c.putMount(&next)
	r.Mount = &next
	c.host.attend()
}

// applySetMountHealth records what the leader found out about a mount's target. A mount that is gone
// has no health.
func (c *core) applySetMountHealth(r *Result, m *command.SetMountHealth) {
	if m.Epoch != c.epoch {
		r.Err = lease.ErrStaleEpoch
		return
	}
	mount, ok := c.mounts.Get(m.Id)
	if !ok {
		return
	}
	next := *mount
	switch {
	case m.Error == "":
		next.Down = nil
	case mount.Down != nil:
		next.Down = &lease.Down{Since: mount.Down.Since, Error: lease.CutError(m.Error)}
	default:
		next.Down = &lease.Down{Since: c.now, Error: lease.CutError(m.Error)}
	}
	c.putMount(&next)
	r.Mount = &next
}

// applyMoveMount taints a mount, as disabling it does, and notes where it goes when it is empty. That
// path is kept free meanwhile. Asked again for the same path, it opens another job, which tries at once
// what has failed so far.
func (c *core) applyMoveMount(r *Result, m *command.MoveMount) {
	mount, err := c.mountFor(m.Id)
	if r.Err = err; err != nil {
		return
	}
	if again := mount.MovingTo != "" && mount.MovingTo == m.Path; !again {
		if r.Err = c.checkMove(mount, m.Path); r.Err != nil {
			return
		}
	}
	sel := lease.Selector{Kind: lease.SelectMount, Namespace: mount.Namespace, Value: mount.ID, Show: mount.Path}
	r.Job = c.openJob(sel, lease.CauseMoved, false)
	next := *mount
	next.Tainted, next.MovingTo = r.Job.ID, m.Path
	c.putMount(&next)
	r.Mount = &next
}

// checkMove is nil if a mount may take a path.
func (c *core) checkMove(mount *lease.Mount, path string) *lease.Error {
	if err := c.openNamespace(mount.Namespace); err != nil {
		return err
	}
	switch {
	case c.isTokenMount(mount):
		return lease.Errorf(lease.Invalid, "token credential backend cannot be remounted")
	case mount.MovingTo != "":
		return lease.Errorf(lease.Conflict, "%s is being moved to %s: wait until it is there", mount.Path, mount.MovingTo)
	case mount.Tainted != 0:
		return lease.Errorf(lease.Conflict, "%s is being disabled and cannot be moved", mount.Path)
	case !strings.HasSuffix(path, "/") || lease.CheckPath(strings.TrimSuffix(path, "/")) != nil || path == tokenMountPath:
		return lease.Errorf(lease.Invalid, "invalid mount path %q", path)
	case strings.HasPrefix(mount.Path, authPath) != strings.HasPrefix(path, authPath):
		return lease.Errorf(lease.Invalid, "cannot move %s to %s: auth methods, and they alone, lie below %s", mount.Path, path, authPath)
	}
	ns, _ := c.namespaceOf(mount.Namespace)
	if clash := c.clashingNamespace(ns.Path, path); clash != "" {
		return lease.Errorf(lease.Invalid, "path is already in use by namespace %s", clash)
	}
	if clash := c.clashingMount(mount.Namespace, path); clash != "" {
		return lease.Errorf(lease.Invalid, "path is already in use at %s", clash)
	}
	return nil
}
