package fsm

import (
	"slices"
	"strings"

	"github.com/leasehold/leasehold/lease"
)

// putMount stores a new or changed mount.
func (c *core) putMount(m *lease.Mount) {
	c.mounts.Set(m.ID, m)
	c.mountPaths[nsKey(m.Namespace, m.Path)] = m.ID
}

// mountOf is the mount with the longest path that path begins with.
func (c *core) mountOf(namespace, path string) *lease.Mount {
	for end := len(path); end > 0; {
		if id, ok := c.mountPaths[nsKey(namespace, path[:end])]; ok {
			m, _ := c.mounts.Get(id)
			return m
		}
		if id, ok := c.mountPaths[nsKey(namespace, path[:end]+"/")]; ok && end == len(path) {
			m, _ := c.mounts.Get(id)
			return m
		}
		end = strings.LastIndexByte(path[:end-1], '/') + 1
	}
	return nil
}

// frozen reports whether a mount is there and nothing that it leased may be destroyed at now.
func (c *core) frozen(mountID string, now lease.Time) bool {
	m, ok := c.mounts.Get(mountID)
	return ok && m.IsFrozen(now)
}

// thawed is when an attempt that is due at due may be made as far as the mount's freeze is concerned; 0
// if that is not known.
func (c *core) thawed(mountID string, due lease.Time) lease.Time {
	m, ok := c.mounts.Get(mountID)
	switch {
	case !ok || m.Frozen == nil:
		return due
	case m.Frozen.Until == 0:
		return 0
	}
	return max(due, m.Frozen.Until)
}

// dropEmptyMount removes or moves a tainted mount once nothing it leased is left and its job has looked
// everywhere. A mount that serves is left alone: it has moved, and an older job has come to its end.
func (c *core) dropEmptyMount(m *lease.Mount) {
	if m.Tainted == 0 || c.counts.mount(m.ID).total() > 0 {
		return
	}
	if j, ok := c.jobs.Get(m.Tainted); ok && j.State == lease.JobSweeping {
		return
	}
	if m.MovingTo != "" {
		c.moveMount(m)
		return
	}
	c.dropMount(m)
}

// moveMount gives an empty mount the path that is kept free for it. What it keeps stays its own, since
// that is filed and sealed by the mount's UUID.
func (c *core) moveMount(m *lease.Mount) {
	delete(c.mountPaths, nsKey(m.Namespace, m.Path))
	next := *m
	next.Path, next.MovingTo, next.Tainted = m.MovingTo, "", 0
	c.putMount(&next)
}

// dropMount removes a mount. What it keeps follows: see forgetEntries.
func (c *core) dropMount(m *lease.Mount) {
	c.mounts.Delete(m.ID)
	delete(c.mountPaths, nsKey(m.Namespace, m.Path))
	c.leftBehind.Insert(m.ID)
}

// tokenMount returns the mount that a namespace's tokens are leased by where no auth method made them:
// its own, or else the cluster's.
func (c *core) tokenMount(namespace string) (*lease.Mount, bool) {
	if namespace != "" {
		if id, ok := c.mountPaths[nsKey(namespace, tokenMountPath)]; ok {
			return c.mounts.Get(id)
		}
	}
	return c.mounts.Get(c.cluster.TokenMountID)
}

// isTokenMount reports whether m is what tokenMount returns for some namespace.
func (c *core) isTokenMount(m *lease.Mount) bool {
	return m.ID == c.cluster.TokenMountID || m.Namespace != "" && m.Path == tokenMountPath
}

// clashingMount returns the path of a mount that lies, or is to lie, above, at or below path; "" if none
// does.
func (c *core) clashingMount(namespace, path string) string {
	if m := c.mountOf(namespace, path); m != nil {
		return m.Path
	}
	for _, m := range c.mountsOf(namespace) {
		if strings.HasPrefix(m.Path, path) {
			return m.Path
		}
		if m.MovingTo != "" && (strings.HasPrefix(m.MovingTo, path) || strings.HasPrefix(path, m.MovingTo)) {
			return m.MovingTo
		}
	}
	return ""
}

func (c *core) mountsOf(namespace string) []*lease.Mount {
	var list []*lease.Mount
	c.mounts.Scan(func(_ string, m *lease.Mount) bool {
		if m.Namespace == namespace {
			list = append(list, m)
		}
		return true
	})
	slices.SortFunc(list, func(a, b *lease.Mount) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// MountOf returns the mount with the longest path that path begins with, or nil. A path that
// lacks only the mount's last slash belongs to it.
func (v *View) MountOf(namespace, path string) *lease.Mount { return v.c.mountOf(namespace, path) }

// Mount returns a mount by UUID, or nil.
func (v *View) Mount(id string) *lease.Mount {
	m, _ := v.c.mounts.Get(id)
	return m
}

// MountByAccessor returns a mount by its accessor, or nil.
func (v *View) MountByAccessor(accessor string) *lease.Mount {
	var found *lease.Mount
	v.c.mounts.Scan(func(_ string, m *lease.Mount) bool {
		if m.Accessor == accessor {
			found = m
		}
		return found == nil
	})
	return found
}

// DownMounts returns the mounts of all namespaces whose targets do not answer, by UUID.
func (v *View) DownMounts() []*lease.Mount {
	var down []*lease.Mount
	v.c.mounts.Scan(func(_ string, m *lease.Mount) bool {
		if m.Down != nil {
			down = append(down, m)
		}
		return true
	})
	return down
}

// FrozenMounts returns the mounts of all namespaces of which nothing may be destroyed at now, by UUID.
func (v *View) FrozenMounts(now lease.Time) []*lease.Mount {
	var frozen []*lease.Mount
	v.c.mounts.Scan(func(_ string, m *lease.Mount) bool {
		if m.IsFrozen(now) {
			frozen = append(frozen, m)
		}
		return true
	})
	return frozen
}

// Mounts returns a namespace's mounts by path.
func (v *View) Mounts(namespace string) []*lease.Mount { return v.c.mountsOf(namespace) }
