package fsm

import (
	"strings"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

const (
	// authPath is what the paths of auth methods, and of no other mounts, begin with.
	authPath = "auth/"
	// tokenMountPath is where a namespace has its token mount, if it has one of its own.
	tokenMountPath = authPath + "token/"
)

// Namespace is a tenant. The root namespace has ID and Path "" and is not stored.
type Namespace struct {
	ID, Path string // Path with a slash at its end
	Metadata map[string]string
	Seq      uint64
	Tainted  uint64 // the job that empties it, 0 while it serves
}

// root is the namespace that always exists.
var root = &Namespace{}

// closed returns a namespace that is being emptied, or nil if namespace is not: all that it holds is
// older than that and dead. The root namespace is never asked for.
func (c *core) closed(namespace string) *Namespace {
	if namespace == "" {
		return nil
	}
	if ns, ok := c.namespaces.Get(namespace); ok && ns.Tainted != 0 {
		return ns
	}
	return nil
}

// openNamespace is nil if something may be made in a namespace.
func (c *core) openNamespace(namespace string) *lease.Error {
	if namespace == "" {
		return nil
	}
	ns, ok := c.namespaces.Get(namespace)
	switch {
	case !ok:
		return lease.Errorf(lease.NotFound, "namespace not found")
	case ns.Tainted != 0:
		return beingDeleted(ns)
	}
	return nil
}

func beingDeleted(ns *Namespace) *lease.Error {
	return lease.Errorf(lease.Conflict, "namespace %q is being deleted: wait until it is gone", ns.Path)
}

// above returns the namespace with the longest path that path lies below.
func (c *core) above(path string) *Namespace {
	for end := len(path) - 1; end > 0; {
		if end = strings.LastIndexByte(path[:end], '/'); end < 0 {
			break
		}
		if ns, ok := c.nsPaths.Get(path[:end+1]); ok {
			return ns
		}
	}
	return root
}

// firstBelow returns the first namespace whose path begins with path, which may be other's; nil if
// there is none but other.
func (c *core) firstBelow(path string, other *Namespace) *Namespace {
	var found *Namespace
	c.nsPaths.Ascend(path, func(p string, ns *Namespace) bool {
		if !strings.HasPrefix(p, path) {
			return false
		}
		if ns == other {
			return true
		}
		found = ns
		return false
	})
	return found
}

// clashingNamespace returns the path of a namespace that lies above, at or below a mount's path, within
// the namespace with path nsPath; "" if none does.
func (c *core) clashingNamespace(nsPath, mountPath string) string {
	if c.nsPaths.Len() == 0 {
		return ""
	}
	full := nsPath + mountPath
	for end := len(nsPath); end < len(full); {
		end += strings.IndexByte(full[end:], '/') + 1
		if _, ok := c.nsPaths.Get(full[:end]); ok {
			return full[len(nsPath):end]
		}
	}
	if ns := c.firstBelow(full, nil); ns != nil {
		return ns.Path[len(nsPath):]
	}
	return ""
}

func (c *core) putNamespace(ns *Namespace) {
	c.namespaces.Set(ns.ID, ns)
	c.nsPaths.Set(ns.Path, ns)
}

func (c *core) applyPutNamespace(r *Result, m *command.PutNamespace) {
	if !strings.HasSuffix(m.Path, "/") || m.Id == "" || strings.Contains(m.Id, "\x00") {
		r.Err = lease.Errorf(lease.Invalid, "invalid namespace path %q", m.Path)
		return
	}
	ns := &Namespace{ID: m.Id, Path: m.Path, Metadata: m.Metadata, Seq: c.seq}
	if old, ok := c.namespaces.Get(m.Id); ok {
		if old.Path != m.Path {
			r.Err = lease.Errorf(lease.Conflict, "namespace %q has another path", m.Id)
			return
		}
		if old.Tainted != 0 {
			r.Err = beingDeleted(old)
			return
		}
		ns.Seq = old.Seq
	} else if r.Err = c.namespaceFree(m); r.Err != nil {
		return
	}
	c.putNamespace(ns)
}

// namespaceFree is nil if a new namespace may have the path that m asks for.
func (c *core) namespaceFree(m *command.PutNamespace) *lease.Error {
	if _, taken := c.nsPaths.Get(m.Path); taken {
		return lease.Errorf(lease.Conflict, "namespace %q exists", m.Path)
	}
	if parent := c.above(m.Path); parent.Tainted != 0 {
		return beingDeleted(parent)
	}
	return nil
}

// applyCreateNamespace makes a namespace with its token mount. Its path is clear of its parent's mounts,
// and those of mounts are clear of it, so that a path which begins with the namespace's means one thing.
func (c *core) applyCreateNamespace(r *Result, m *command.CreateNamespace) {
	spec, mount := m.GetNamespace(), m.GetTokenMount()
	if r.Err = c.checkNewNamespace(spec); r.Err != nil {
		return
	}
	if mount.GetPath() != tokenMountPath || mount.GetNamespace() != spec.Id {
		r.Err = lease.Errorf(lease.Invalid, "the token mount of namespace %q must be its own and at %q", spec.Path, tokenMountPath)
		return
	}
	ns := &Namespace{ID: spec.Id, Path: spec.Path, Metadata: spec.Metadata, Seq: c.seq}
	if c.enableMount(r, ns, mount); r.Err == nil {
		c.putNamespace(ns)
	}
}

func (c *core) checkNewNamespace(m *command.PutNamespace) *lease.Error {
	path := m.GetPath()
	if !strings.HasSuffix(path, "/") || lease.CheckPath(strings.TrimSuffix(path, "/")) != nil {
		return lease.Errorf(lease.Invalid, "invalid namespace path %q", path)
	}
	if lease.CheckPath(m.Id) != nil || strings.ContainsAny(m.Id, "/.") { // lease IDs end in it, behind a dot
		return lease.Errorf(lease.Invalid, "invalid namespace ID %q", m.Id)
	}
	if _, taken := c.namespaces.Get(m.Id); taken {
		return lease.Errorf(lease.Conflict, "namespace ID %q is in use", m.Id)
	}
	if err := c.namespaceFree(m); err != nil {
		return err
	}
	parent := c.above(path)
	name := path[len(parent.Path):]
	if at := strings.IndexByte(name, '/'); at != len(name)-1 {
		return lease.Errorf(lease.NotFound, "namespace %q not found: create it before what lies below it", path[:len(parent.Path)+at+1])
	}
	if clash := c.clashingMount(parent.ID, name); clash != "" {
		return lease.Errorf(lease.Conflict, "path is already in use at %s", clash)
	}
	return nil
}

// applyCloseNamespace dooms all that a namespace holds. Asked again, it opens another job, which tries
// at once what has failed so far.
func (c *core) applyCloseNamespace(r *Result, m *command.CloseNamespace) {
	ns, ok := c.namespaces.Get(m.Id)
	if !ok {
		return
	}
	if parent, there := c.namespaceOf(m.Parent); !there || parent.ID == ns.ID || !strings.HasPrefix(ns.Path, parent.Path) {
		r.Err = lease.Errorf(lease.Invalid, "namespace %q does not lie below the one with ID %q", ns.Path, m.Parent)
		return
	}
	if c.firstBelow(ns.Path, ns) != nil {
		r.Err = lease.Errorf(lease.Conflict, "cannot delete namespace %q containing child namespaces", ns.Path)
		return
	}
	sel := lease.Selector{Kind: lease.SelectNamespace, Namespace: m.Parent, Value: ns.ID, Show: ns.Path}
	r.Job = c.openJob(sel, lease.CauseNamespace, false)
	next := *ns
	next.Tainted = r.Job.ID
	c.putNamespace(&next)
}

func (c *core) namespaceOf(id string) (*Namespace, bool) {
	if id == "" {
		return root, true
	}
	return c.namespaces.Get(id)
}

// dropEmptyNamespace removes a closed namespace with its mounts and policies once none of its leases is
// left and its job has looked everywhere.
func (c *core) dropEmptyNamespace(ns *Namespace) {
	if j, ok := c.jobs.Get(ns.Tainted); ok && j.State == lease.JobSweeping {
		return
	}
	left := false
	c.tree.Ascend(&lease.Lease{Namespace: ns.ID}, func(l *lease.Lease) bool {
		left = l.Namespace == ns.ID
		return false
	})
	if left {
		return
	}
	for _, m := range c.mountsOf(ns.ID) {
		c.dropMount(m)
	}
	c.dropNamespace(ns)
}

func (c *core) dropNamespace(ns *Namespace) {
	c.forgetPolicies(ns.ID)
	c.namespaces.Delete(ns.ID)
	c.nsPaths.Delete(ns.Path)
}

// applyDeleteNamespace removes a namespace that is empty already.
func (c *core) applyDeleteNamespace(r *Result, m *command.DeleteNamespace) {
	ns, ok := c.namespaces.Get(m.Id)
	if !ok {
		return
	}
	if len(c.mountsOf(m.Id)) > 0 || c.countPrefix(m.Id, "") > 0 || c.firstBelow(ns.Path, ns) != nil {
		r.Err = lease.Errorf(lease.Conflict, "namespace %q is not empty: disable its mounts, revoke its tokens and delete its children first", ns.Path)
		return
	}
	c.dropNamespace(ns)
}

// Namespace returns a namespace by ID, or nil.
func (v *View) Namespace(id string) *Namespace {
	ns, ok := v.c.namespaceOf(id)
	if !ok {
		return nil
	}
	return ns
}

// NamespaceByPath returns a namespace by its path, with or without its last slash, or nil.
func (v *View) NamespaceByPath(path string) *Namespace {
	path = strings.Trim(path, "/")
	if path == "" {
		return root
	}
	ns, _ := v.c.nsPaths.Get(path + "/")
	return ns
}

// NamespaceAt returns the deepest namespace at or below base that path begins with, segment by segment,
// and what is left of path. path is relative to base and has no slash at its beginning; a nil base is
// the root namespace.
func (v *View) NamespaceAt(base *Namespace, path string) (ns *Namespace, rest string) {
	if base == nil {
		base = root
	}
	ns, rest = base, path
	if v.c.nsPaths.Len() == 0 {
		return ns, rest
	}
	full := base.Path + path
	if !strings.HasSuffix(full, "/") {
		full += "/"
	}
	for end := len(base.Path); end < len(full); {
		end += strings.IndexByte(full[end:], '/') + 1
		if found, ok := v.c.nsPaths.Get(full[:end]); ok {
			ns, rest = found, path[min(end-len(base.Path), len(path)):]
		}
	}
	return ns, rest
}

// NamespacesBelow returns the namespaces below the one with this ID, at all depths, by path.
func (v *View) NamespacesBelow(id string) []*Namespace {
	top, ok := v.c.namespaceOf(id)
	if !ok {
		return nil
	}
	var list []*Namespace
	v.c.nsPaths.Ascend(top.Path, func(path string, ns *Namespace) bool {
		if !strings.HasPrefix(path, top.Path) {
			return false
		}
		if ns.ID != top.ID {
			list = append(list, ns)
		}
		return true
	})
	return list
}

// Namespaces returns all but the root namespace, by ID.
func (v *View) Namespaces() []*Namespace { return v.c.namespaces.Values() }
