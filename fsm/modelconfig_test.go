package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

type mNamespace struct {
	path   string
	closed bool
}

type mEntry struct {
	value   string
	expires lease.Time
}

// unnamed is why nothing can be made in a namespace, "" if something can.
func (m *model) unnamed(ns string) string {
	switch n := m.namespaces[ns]; {
	case ns == "":
	case n == nil:
		return "namespace not found"
	case n.closed:
		return "is being deleted"
	}
	return ""
}

// unusable: disabled by itself or with its namespace.
func (m *model) unusable(mt *mMount) bool { return mt.disabled || m.unnamed(mt.namespace) != "" }

// tokenMountOf is the mount of a namespace that leases its tokens.
func (m *model) tokenMountOf(ns string) string {
	for id, mt := range m.mounts {
		if mt.namespace == ns && mt.path == "auth/token/" {
			return id
		}
	}
	return tokenMount
}

func (m *model) tokenLeasedBy(c *command.CreateToken) (mount, want string) {
	t := c.Token
	if want := m.unnamed(t.Namespace); want != "" {
		return "", want
	}
	if c.MountId == "" {
		return m.tokenMountOf(t.Namespace), ""
	}
	switch mt := m.mounts[c.MountId]; {
	case mt == nil || mt.namespace != t.Namespace:
		return "", "route entry not found"
	case m.unusable(mt):
		return "", "tainted"
	case !strings.HasPrefix(t.LeaseId, mt.path):
		return "", "does not begin with"
	}
	return c.MountId, ""
}

// applyConfig is the part of apply that is about what an operator sets up.
func (m *model) applyConfig(cmd fsm.Command, r fsm.Result) error {
	var want string
	switch c := cmd.(type) {
	case *command.TuneMount:
		want = m.tune(c)
	case *command.EnableMount:
		want = m.enable(c)
	case *command.DisableMount:
		want = m.disable(c, r)
	case *command.MoveMount:
		want = m.move(c, r)
	case *command.FreezeMount:
		want = m.freeze(c)
	case *command.ThawMount:
		want = m.thaw(c)
	case *command.SetMountHealth:
		want = m.setHealth(c)
	case *command.ReleaseHold:
		want = m.release(c)
	case *command.Lineage: // a state that goes on is of that lineage
	case *command.CreateNamespace:
		want = m.createNamespace(c)
	case *command.PutNamespace:
		want = m.putNamespace(c)
	case *command.CloseNamespace:
		want = m.closeNamespace(c, r)
	case *command.DeleteNamespace:
		want = m.deleteNamespace(c)
	case *command.OpenTidy:
		return m.openTidy(r)
	case *command.PutPolicy:
		if want = m.unnamed(c.Namespace); want == "" {
			m.policies[c.Namespace+" "+c.Name] = c.Text + fmt.Sprint(r.Seq)
		}
	case *command.DeletePolicy:
		delete(m.policies, c.Namespace+" "+c.Name)
	case *command.PutEntry:
		want = m.putEntry(c.MountId, c.Key, c.Value, c.Ttl)
	case *command.SwapEntry:
		want = m.swapEntry(c)
	case *command.DeleteEntry:
		delete(m.entries, c.MountId+" "+c.Key)
	default:
		return fmt.Errorf("the model knows no %T", cmd)
	}
	return wantErr(r, want)
}

func (m *model) tune(c *command.TuneMount) string {
	mt := m.mounts[c.Id]
	if mt == nil {
		return "no mount entry found"
	}
	if want := m.unnamed(mt.namespace); want != "" {
		return want
	}
	mt.defaultTTL, mt.max, mt.attempts = time.Duration(c.Config.DefaultTtl), time.Duration(c.Config.MaxTtl), int(c.Config.RevokeAttempts)
	return ""
}

// nested: one of two paths lies at or below the other.
func nested(a, b string) bool {
	a, b = strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/")
	return below(a, b) || below(b, a)
}

// pathOfNamespace is where a namespace lies; the root namespace lies nowhere.
func (m *model) pathOfNamespace(id string) string {
	if id == "" {
		return ""
	}
	return m.namespaces[id].path
}

func (m *model) enable(c *command.EnableMount) string {
	if want := m.unnamed(c.Namespace); want != "" {
		return want
	}
	if m.mountClashes(c.Namespace, c.Path) || m.namespaceClashes(c.Namespace, c.Path) {
		return "already in use"
	}
	if m.mounts[c.Id] != nil {
		return "is in use"
	}
	m.mounts[c.Id] = &mMount{namespace: c.Namespace, path: c.Path}
	return ""
}

func (m *model) disable(c *command.DisableMount, r fsm.Result) string {
	mt := m.mounts[c.Id]
	if mt == nil {
		return ""
	}
	if c.Id == m.tokenMountOf(mt.namespace) {
		return "cannot be disabled"
	}
	mt.disabled, mt.movingTo = true, ""
	m.openJob(r.Job.ID, func(l *mLease) bool { return l.mount == c.Id }, false)
	return ""
}

// parentOf is the ID of the namespace with the longest path that path lies below.
func (m *model) parentOf(path string) string {
	parent := ""
	for id, n := range m.namespaces {
		if n.path != path && strings.HasPrefix(path, n.path) && len(n.path) > len(m.pathOfNamespace(parent)) {
			parent = id
		}
	}
	return parent
}

// pathTaken is why no new namespace can have a path, "" if one can.
func (m *model) pathTaken(path string) string {
	for _, n := range m.namespaces {
		if n.path == path {
			return "exists"
		}
	}
	return m.unnamed(m.parentOf(path))
}

func (m *model) createNamespace(c *command.CreateNamespace) string {
	id, path := c.Namespace.Id, c.Namespace.Path
	if m.namespaces[id] != nil {
		return "is in use"
	}
	if want := m.pathTaken(path); want != "" {
		return want
	}
	parent := m.parentOf(path)
	name := strings.TrimPrefix(path, m.pathOfNamespace(parent))
	if strings.Count(name, "/") != 1 {
		return "create it before"
	}
	if m.mountClashes(parent, name) {
		return "already in use"
	}
	m.namespaces[id] = &mNamespace{path: path}
	m.mounts[c.TokenMount.Id] = &mMount{namespace: id, path: "auth/token/"}
	return ""
}

func (m *model) putNamespace(c *command.PutNamespace) string {
	switch n := m.namespaces[c.Id]; {
	case n == nil:
	case n.path != c.Path:
		return "has another path"
	default:
		return m.unnamed(c.Id)
	}
	if want := m.pathTaken(c.Path); want != "" {
		return want
	}
	m.namespaces[c.Id] = &mNamespace{path: c.Path}
	return ""
}

func (m *model) hasChildren(id string) bool {
	for other, n := range m.namespaces {
		if other != id && strings.HasPrefix(n.path, m.namespaces[id].path) {
			return true
		}
	}
	return false
}

func (m *model) closeNamespace(c *command.CloseNamespace, r fsm.Result) string {
	n := m.namespaces[c.Id]
	switch {
	case n == nil:
		return ""
	case c.Parent != "" && (m.namespaces[c.Parent] == nil || c.Parent == c.Id || !strings.HasPrefix(n.path, m.namespaces[c.Parent].path)):
		return "does not lie below"
	case m.hasChildren(c.Id):
		return "containing child namespaces"
	case r.Job == nil:
		return "a job"
	}
	n.closed = true
	m.openJob(r.Job.ID, func(l *mLease) bool { return l.namespace == c.Id }, false)
	return ""
}

func (m *model) deleteNamespace(c *command.DeleteNamespace) string {
	if m.namespaces[c.Id] == nil {
		return ""
	}
	busy := m.hasChildren(c.Id)
	for _, mt := range m.mounts {
		busy = busy || mt.namespace == c.Id
	}
	for _, l := range m.leases {
		busy = busy || l.namespace == c.Id
	}
	if busy {
		return "is not empty"
	}
	m.forgetNamespace(c.Id)
	return ""
}

func (m *model) forgetNamespace(id string) {
	delete(m.namespaces, id)
	for key := range m.policies {
		if strings.HasPrefix(key, id+" ") {
			delete(m.policies, key)
		}
	}
}

func (m *model) openTidy(r fsm.Result) error {
	_, marking := m.jobs[m.tidying]
	if r.Err != nil || r.Job == nil || r.Repeated != marking || marking != (r.Job.ID == m.tidying) {
		return fmt.Errorf("got %+v, want the job %d again: %v", r, m.tidying, marking)
	}
	if !marking {
		m.jobs[r.Job.ID], m.tidying, m.tidied = false, r.Job.ID, ""
	}
	return nil
}

func (m *model) entry(mount, key string) (mEntry, bool) {
	e, ok := m.entries[mount+" "+key]
	if !ok || e.expires != 0 && e.expires <= m.now {
		return mEntry{}, false
	}
	return e, true
}

func (m *model) putEntry(mount, key string, value []byte, ttl int64) string {
	switch mt := m.mounts[mount]; {
	case mt != nil && mt.movingTo != "":
		return "being moved"
	case mt == nil || m.unusable(mt):
		return "disabled meanwhile"
	}
	e := mEntry{value: string(value)}
	if ttl > 0 {
		e.expires = m.now.Add(time.Duration(ttl))
	}
	m.entries[mount+" "+key] = e
	return ""
}

func (m *model) swapEntry(c *command.SwapEntry) string {
	e, there := m.entry(c.MountId, c.Key)
	mt := m.mounts[c.MountId]
	switch usable := mt != nil && !m.unusable(mt); {
	case usable && (there != (len(c.Seen) > 0) || e.value != string(c.Seen)):
		return "changed meanwhile"
	case usable && len(c.Value) == 0:
		delete(m.entries, c.MountId+" "+c.Key)
		return ""
	}
	return m.putEntry(c.MountId, c.Key, c.Value, c.Ttl)
}
