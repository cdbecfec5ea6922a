package fsm

import (
	"strings"

	"github.com/leasehold/leasehold/lease"
)

// View is a consistent look at the state, valid inside Read only. The values it returns are
// immutable and stay valid.
type View struct{ c *core }

// Now is the log time of the last entry applied.
func (v *View) Now() lease.Time { return v.c.now }

// Index is the raft index of the last entry applied.
func (v *View) Index() uint64 { return v.c.index }

// Seq is the number of commands applied.
func (v *View) Seq() uint64 { return v.c.seq }

// Epoch is the raft term of the last leader that announced itself.
func (v *View) Epoch() uint64 { return v.c.epoch }

// FeatureLevel bounds what commands may be proposed.
func (v *View) FeatureLevel() uint32 { return v.c.level }

// Malformed counts entries and commands that could not be decoded.
func (v *View) Malformed() uint64 { return v.c.malformed }

// Cluster is what the cluster knows of itself.
func (v *View) Cluster() Cluster { return v.c.cluster }

// Lease returns a lease by ID, whatever its namespace, or nil.
func (v *View) Lease(id string) *lease.Lease {
	if r := v.c.leases[id]; r != nil {
		return r.lease
	}
	return nil
}

// Standing is the status that l has in effect at now: what a revocation job, a disabled mount or a
// dead token covers is Revoking, and so is what is past its end.
func (v *View) Standing(l *lease.Lease, now lease.Time) lease.Status { return v.c.standing(l, now) }

// Token returns a token by the hash of its secret, dead ones too, or nil.
func (v *View) Token(hash string) *lease.Token { return v.c.tokenByHash[hash] }

// TokenByAccessor returns a token by its accessor, or nil.
func (v *View) TokenByAccessor(accessor string) *lease.Token {
	hash, ok := v.c.accessors[accessor]
	if !ok {
		return nil
	}
	return v.c.tokenByHash[hash]
}

// Tokens calls fn with every token in order of hashes, beginning with the hash from.
func (v *View) Tokens(from string, fn func(*lease.Token) bool) {
	v.c.tokens.Ascend(from, func(_ string, t *lease.Token) bool { return fn(t) })
}

// TokenAlive reports whether t and everything it descends from is neither revoked nor expired nor
// covered by a job at now. Whether uses are left is not asked.
func (v *View) TokenAlive(t *lease.Token, now lease.Time) bool { return v.c.tokenAlive(t, now) }

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

// Mounts returns a namespace's mounts by path.
func (v *View) Mounts(namespace string) []*lease.Mount { return v.c.mountsOf(namespace) }

// Policy returns a written policy, or nil.
func (v *View) Policy(namespace, name string) *Policy {
	p, _ := v.c.policies.Get(nsKey(namespace, name))
	return p
}

// Policies returns the names of a namespace's written policies, sorted.
func (v *View) Policies(namespace string) []string {
	var names []string
	prefix := nsKey(namespace, "")
	v.c.policies.Ascend(prefix, func(k string, p *Policy) bool {
		if !strings.HasPrefix(k, prefix) {
			return false
		}
		names = append(names, p.Name)
		return true
	})
	return names
}

// Entry returns a mount's sealed value.
func (v *View) Entry(mountID, key string) ([]byte, bool) {
	return v.c.entries.Get(entryKey(mountID, key))
}

// Entries calls fn with the keys of a mount's values that begin with prefix, sorted.
func (v *View) Entries(mountID, prefix string, fn func(key string) bool) {
	base := entryKey(mountID, "")
	from := base + prefix
	v.c.entries.Ascend(from, func(k string, _ []byte) bool {
		return strings.HasPrefix(k, from) && fn(k[len(base):])
	})
}

// EntryLevel returns one level of the keys of a mount's values below prefix, without it: a key with
// more below it ends in a slash. They are sorted, come after after and are at most limit; more says that
// there are others. What lies below a level is stepped over, not walked.
func (v *View) EntryLevel(mountID, prefix, after string, limit int) (keys []string, more bool) {
	base := entryKey(mountID, prefix)
	from := base + after
	for {
		next := ""
		v.c.entries.Ascend(from, func(k string, _ []byte) bool {
			var ok bool
			if next, ok = strings.CutPrefix(k, base); !ok {
				next = ""
				return false
			}
			return next <= after // once more if it is the key that was given
		})
		if next == "" || next <= after {
			return keys, false
		}
		if head, _, below := strings.Cut(next, "/"); below {
			next = head + "/"
		}
		if next > after {
			if len(keys) == limit {
				return keys, true
			}
			keys = append(keys, next)
			after = next
		}
		from = base + next
		if strings.HasSuffix(next, "/") {
			from = base + strings.TrimSuffix(next, "/") + "0" // '0' follows '/'
		}
	}
}

// root is the namespace that always exists.
var root = &Namespace{}

// Namespace returns a namespace by ID, or nil.
func (v *View) Namespace(id string) *Namespace {
	if id == "" {
		return root
	}
	ns, _ := v.c.namespaces.Get(id)
	return ns
}

// NamespaceByPath returns a namespace by its path, with or without its last slash, or nil.
func (v *View) NamespaceByPath(path string) *Namespace {
	path = strings.Trim(path, "/")
	if path == "" {
		return root
	}
	id, ok := v.c.nsPaths[path+"/"]
	if !ok {
		return nil
	}
	ns, _ := v.c.namespaces.Get(id)
	return ns
}

// Namespaces returns all but the root namespace, by ID.
func (v *View) Namespaces() []*Namespace { return v.c.namespaces.Values() }

// Nodes returns the members' records by ID.
func (v *View) Nodes() []Node { return v.c.nodes.Values() }

// Node returns a member's record.
func (v *View) Node(id string) (Node, bool) { return v.c.nodes.Get(id) }
