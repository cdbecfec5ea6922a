package fsm

import (
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

func (c *core) applyEnableMount(r *Result, m *command.EnableMount) {
	if m.GetId() == "" || !strings.HasSuffix(m.Path, "/") || lease.CheckPath(strings.TrimSuffix(m.Path, "/")) != nil {
		r.Err = lease.Errorf(lease.Invalid, "invalid mount path %q", m.GetPath())
		return
	}
	if clash := c.clashingMount(m.Namespace, m.Path); clash != "" {
		r.Err = lease.Errorf(lease.Invalid, "path is already in use at %s", clash)
		return
	}
	if _, taken := c.mounts.Get(m.Id); taken {
		r.Err = lease.Errorf(lease.Conflict, "mount UUID %q is in use", m.Id)
		return
	}
	mount := &lease.Mount{ID: m.Id, Accessor: m.Accessor, Namespace: m.Namespace, Path: m.Path, Type: m.Type,
		Description: m.Description, Options: m.Options, Config: configFromRecord(m.Config), Seq: c.seq}
	if r.Err = checkMountConfig(mount.Config); r.Err != nil {
		return
	}
	c.putMount(mount)
	r.Mount = mount
}

// clashingMount returns the path of a mount that lies above, at or below path, "" if none does.
func (c *core) clashingMount(namespace, path string) string {
	if m := c.mountOf(namespace, path); m != nil {
		return m.Path
	}
	for _, m := range c.mountsOf(namespace) {
		if strings.HasPrefix(m.Path, path) {
			return m.Path
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

func checkMountConfig(conf lease.MountConfig) *lease.Error {
	for _, d := range []time.Duration{conf.DefaultTTL, conf.MaxTTL, conf.RevokeBackoff, conf.RevokeBackoffMax, conf.RevokeTimeout} {
		if d < 0 {
			return lease.Errorf(lease.Invalid, "durations of a mount cannot be negative, got %s", d)
		}
	}
	if conf.RevokeAttempts < 0 || conf.RevokeConcurrency < 0 {
		return lease.Errorf(lease.Invalid, "revoke_attempts and revoke_concurrency cannot be negative")
	}
	full := conf.WithDefaults()
	if full.DefaultTTL > full.MaxTTL {
		return lease.Errorf(lease.Invalid, "backend max lease TTL of %d would be less than backend default lease TTL of %d",
			int64(full.MaxTTL.Seconds()), int64(full.DefaultTTL.Seconds()))
	}
	return nil
}

func (c *core) applyTuneMount(r *Result, m *command.TuneMount) {
	old, ok := c.mounts.Get(m.Id)
	if !ok {
		r.Err = lease.Errorf(lease.Invalid, "no mount entry found")
		return
	}
	next := *old
	next.Description, next.Options, next.Config = m.Description, m.Options, configFromRecord(m.Config)
	if r.Err = checkMountConfig(next.Config); r.Err != nil {
		return
	}
	c.putMount(&next)
	r.Mount = &next
}

// applyDisableMount taints a mount: from this entry on all it leased is dead and nothing new is
// leased. Asked again, it opens another job, which tries at once what has failed so far.
func (c *core) applyDisableMount(r *Result, m *command.DisableMount) {
	mount, ok := c.mounts.Get(m.Id)
	if !ok {
		return
	}
	if mount.ID == c.cluster.TokenMountID {
		r.Err = lease.Errorf(lease.Invalid, "token credential backend cannot be disabled")
		return
	}
	sel := lease.Selector{Kind: lease.SelectMount, Namespace: mount.Namespace, Value: mount.ID, Show: mount.Path}
	r.Job = c.openJob(sel, lease.CauseDisabled, false)
	next := *mount
	next.Tainted = r.Job.ID
	c.putMount(&next)
	r.Mount = &next
}

func (c *core) applyPutEntry(r *Result, m *command.PutEntry) {
	mount, ok := c.mounts.Get(m.MountId)
	if !ok || mount.Tainted != 0 {
		r.Err = lease.Errorf(lease.NotFound, "the mount was disabled meanwhile")
		return
	}
	c.entries.Set(entryKey(m.MountId, m.Key), m.Value)
}

func (c *core) applyPutNamespace(r *Result, m *command.PutNamespace) {
	if !strings.HasSuffix(m.Path, "/") || m.Id == "" {
		r.Err = lease.Errorf(lease.Invalid, "invalid namespace path %q", m.Path)
		return
	}
	ns := &Namespace{ID: m.Id, Path: m.Path, Metadata: m.Metadata, Seq: c.seq}
	if old, ok := c.namespaces.Get(m.Id); ok {
		if old.Path != m.Path {
			r.Err = lease.Errorf(lease.Conflict, "namespace %q has another path", m.Id)
			return
		}
		ns.Seq = old.Seq
	} else if _, taken := c.nsPaths[m.Path]; taken {
		r.Err = lease.Errorf(lease.Conflict, "namespace %q exists", m.Path)
		return
	}
	c.namespaces.Set(ns.ID, ns)
	c.nsPaths[ns.Path] = ns.ID
}

func (c *core) applyDeleteNamespace(r *Result, m *command.DeleteNamespace) {
	ns, ok := c.namespaces.Get(m.Id)
	if !ok {
		return
	}
	busy := len(c.mountsOf(m.Id)) > 0 || c.countPrefix(m.Id, "") > 0
	c.namespaces.Scan(func(_ string, other *Namespace) bool {
		busy = busy || other.ID != ns.ID && strings.HasPrefix(other.Path, ns.Path)
		return !busy
	})
	if busy {
		r.Err = lease.Errorf(lease.Conflict, "namespace %q is not empty: disable its mounts, revoke its tokens and delete its children first", ns.Path)
		return
	}
	prefix := nsKey(ns.ID, "")
	var names []string
	c.policies.Ascend(prefix, func(k string, _ *Policy) bool {
		if strings.HasPrefix(k, prefix) {
			names = append(names, k)
			return true
		}
		return false
	})
	for _, k := range names {
		c.policies.Delete(k)
	}
	c.namespaces.Delete(ns.ID)
	delete(c.nsPaths, ns.Path)
}
