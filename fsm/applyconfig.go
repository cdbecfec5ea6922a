package fsm

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

func (c *core) applyEnableMount(r *Result, m *command.EnableMount) {
	if r.Err = c.openNamespace(m.GetNamespace()); r.Err != nil {
		return
	}
	ns, _ := c.namespaceOf(m.GetNamespace())
	c.enableMount(r, ns, m)
}

// enableMount is applyEnableMount for a namespace that may not be stored yet.
func (c *core) enableMount(r *Result, ns *Namespace, m *command.EnableMount) {
	if m.GetId() == "" || !strings.HasSuffix(m.Path, "/") || lease.CheckPath(strings.TrimSuffix(m.Path, "/")) != nil {
		r.Err = lease.Errorf(lease.Invalid, "invalid mount path %q", m.GetPath())
		return
	}
	if strings.Contains(m.Id, "\x00") { // what its entries' keys are cut by
		r.Err = lease.Errorf(lease.Invalid, "invalid mount UUID %q", m.Id)
		return
	}
	if clash := c.clashingNamespace(ns.Path, m.Path); clash != "" {
		r.Err = lease.Errorf(lease.Invalid, "path is already in use by namespace %s", clash)
		return
	}
	if clash := c.clashingMount(m.Namespace, m.Path); clash != "" {
		r.Err = lease.Errorf(lease.Invalid, "path is already in use at %s", clash)
		return
	}
	if _, taken := c.mounts.Get(m.Id); taken || c.keepsEntries(m.Id) {
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

func checkMountConfig(conf lease.MountConfig) *lease.Error {
	for _, d := range []time.Duration{conf.DefaultTTL, conf.MaxTTL, conf.RevokeBackoff, conf.RevokeBackoffMax, conf.RevokeTimeout,
		conf.ReconcileInterval} {
		if d < 0 {
			return lease.Errorf(lease.Invalid, "durations of a mount cannot be negative, got %s", d)
		}
	}
	if conf.RevokeAttempts < 0 || conf.RevokeConcurrency < 0 || conf.RevokeRate < 0 {
		return lease.Errorf(lease.Invalid, "revoke_attempts, revoke_concurrency and revoke_rate cannot be negative")
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
	if r.Err = c.openNamespace(old.Namespace); r.Err != nil {
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
// leased. Asked again, it opens another job, which tries at once what has failed so far. A mount that
// was to move goes instead.
func (c *core) applyDisableMount(r *Result, m *command.DisableMount) {
	mount, ok := c.mounts.Get(m.Id)
	if !ok {
		return
	}
	if c.isTokenMount(mount) {
		r.Err = lease.Errorf(lease.Invalid, "token credential backend cannot be disabled")
		return
	}
	sel := lease.Selector{Kind: lease.SelectMount, Namespace: mount.Namespace, Value: mount.ID, Show: mount.Path}
	r.Job = c.openJob(sel, lease.CauseDisabled, false)
	next := *mount
	next.Tainted, next.MovingTo = r.Job.ID, ""
	c.putMount(&next)
	r.Mount = &next
}
