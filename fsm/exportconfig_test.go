package fsm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/lease"
)

func (c *core) checkTokens() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.tokens.Len() != len(c.tokenByHash) || len(c.accessors) != len(c.tokenByHash) {
		fail("%d tokens, %d by hash, %d by accessor", c.tokens.Len(), len(c.tokenByHash), len(c.accessors))
	}
	children := 0
	c.tokens.Scan(func(hash string, t *lease.Token) bool {
		if t.Hash != hash || c.tokenByHash[hash] != t || c.accessors[t.Accessor] != hash {
			fail("token %s: indexes differ", hash)
		}
		r := c.leases[t.LeaseID]
		if r == nil || r.lease.Kind != lease.OfToken || r.lease.Owner != hash {
			fail("token %s has no lease", hash)
			return true
		}
		if (t.Doomed != 0) != (r.lease.Ending != nil) {
			fail("token %s: doomed by %d, its lease is %s", hash, t.Doomed, r.lease.Status)
		}
		if j, ok := c.jobs.Get(t.Doomed); t.Doomed != 0 && (!ok || j.State != lease.JobSweeping) {
			fail("token %s is a tombstone of job %d, which sweeps no more", hash, t.Doomed)
		}
		if t.Parent == "" {
			return true
		}
		children++
		if _, ok := c.children.Get(child{t.Parent, hash}); !ok {
			fail("token %s is not among its parent's children", hash)
		}
		if c.tokenByHash[t.Parent] == nil {
			fail("token %s outlives its parent", hash)
		}
		return true
	})
	if c.accOrder.Len() != c.tokens.Len() {
		fail("%d accessors in order, %d tokens", c.accOrder.Len(), c.tokens.Len())
	}
	sets := map[string]int{}
	c.tokens.Scan(func(hash string, t *lease.Token) bool {
		if _, ok := c.accOrder.Get(accessor{t.Namespace, t.Accessor}); !ok {
			fail("token %s is not in the order of accessors", hash)
		}
		if len(t.Policies) == 0 {
			return true
		}
		key := string(policyKey(nil, t.Policies))
		sets[key]++
		if set := c.policySets[key]; set == nil || !slices.Equal(set.list, t.Policies) || &set.list[0] != &t.Policies[0] {
			fail("token %s has a list of policies of its own: %q", hash, t.Policies)
		}
		return true
	})
	for key, set := range c.policySets {
		if set.count != sets[key] || set.key != key {
			fail("policies %q are those of %d tokens, want %d", set.list, set.count, sets[key])
		}
	}
	if c.children.Len() != children {
		fail("%d children, want %d", c.children.Len(), children)
	}
	for id, r := range c.leases {
		if t := c.tokenByHash[r.lease.Owner]; r.lease.Kind == lease.OfToken && (t == nil || t.LeaseID != id) {
			fail("%s is the lease of no token", id)
		}
	}
	return errors.Join(errs...)
}

func (c *core) checkMounts() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	c.mounts.Scan(func(id string, m *lease.Mount) bool {
		if c.mountPaths[nsKey(m.Namespace, m.Path)] != id {
			fail("mount %s is not at its path", id)
		}
		j, ok := c.jobs.Get(m.Tainted)
		sweeping := ok && j.State == lease.JobSweeping
		if m.Tainted != 0 && !sweeping && c.counts.mount(id).total() == 0 {
			fail("mount %s is empty, disabled and still there", id)
		}
		if m.MovingTo != "" {
			if other := c.mountPaths[nsKey(m.Namespace, m.MovingTo)]; m.Tainted == 0 || other != "" {
				fail("mount %s moves to %s, is tainted by %d, and %q is there", id, m.MovingTo, m.Tainted, other)
			}
		}
		return true
	})
	if len(c.mountPaths) != c.mounts.Len() {
		fail("%d mount paths, %d mounts", len(c.mountPaths), c.mounts.Len())
	}
	for id, r := range c.leases {
		m, ok := c.mounts.Get(r.lease.MountID)
		if !ok {
			fail("%s has lost its mount", id)
		} else if r.lease.Kind != lease.OfToken && !strings.HasPrefix(id, m.Path) {
			fail("%s does not begin with the path of its mount, %s", id, m.Path)
		}
	}
	return errors.Join(errs...)
}

// checkEntries recomputes which entries end, and which have lost their mount.
func (c *core) checkEntries() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	ends := 0
	c.entries.Scan(func(key string, e entry) bool {
		if e.expires != 0 {
			ends++
			if _, ok := c.entryEnds.Get(entryEnd{e.expires, key}); !ok {
				fail("entry %q ends at %s and is not in the order of ends", key, e.expires)
			}
		}
		mountID, _, _ := strings.Cut(key, "\x00")
		if _, there := c.mounts.Get(mountID); there == c.leftBehind.Contains(mountID) {
			fail("entry %q: its mount is there: %v, and left it behind: %v", key, there, !there)
		}
		return true
	})
	if c.entryEnds.Len() != ends {
		fail("%d entries in the order of ends, want %d", c.entryEnds.Len(), ends)
	}
	return errors.Join(errs...)
}

// checkNamespaces: everything is in a namespace that is there, and an empty closed one is not.
func (c *core) checkNamespaces() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	leases := map[string]int{}
	c.tree.Scan(func(l *lease.Lease) bool {
		leases[l.Namespace]++
		if t := c.tokenByHash[l.Owner]; l.Kind == lease.OfToken && t != nil && t.Namespace != l.Namespace {
			fail("%s is in namespace %q, its token in %q", l.ID, l.Namespace, t.Namespace)
		}
		return true
	})
	for namespace := range leases {
		if _, ok := c.namespaceOf(namespace); !ok {
			fail("%d leases are in namespace %q, which is gone", leases[namespace], namespace)
		}
	}
	c.mounts.Scan(func(id string, m *lease.Mount) bool {
		if _, ok := c.namespaceOf(m.Namespace); !ok {
			fail("mount %s is in namespace %q, which is gone", id, m.Namespace)
		}
		return true
	})
	c.namespaces.Scan(func(id string, ns *Namespace) bool {
		if at, _ := c.nsPaths.Get(ns.Path); ns.ID != id || at != ns {
			fail("namespace %s is not at its path %q", id, ns.Path)
		}
		if ns.Tainted == 0 {
			return true
		}
		if j, ok := c.jobs.Get(ns.Tainted); (!ok || j.State != lease.JobSweeping) && leases[id] == 0 {
			fail("namespace %s is empty, closed and still there", id)
		}
		if below := c.firstBelow(ns.Path, ns); below != nil {
			fail("namespace %s is closed and %s lies below it", id, below.Path)
		}
		return true
	})
	if c.nsPaths.Len() != c.namespaces.Len() {
		fail("%d namespaces by path, %d by ID", c.nsPaths.Len(), c.namespaces.Len())
	}
	return errors.Join(errs...)
}

func (c *core) checkPolicies() error {
	var errs []error
	v := &View{c: c}
	c.policies.Scan(func(key string, p *Policy) bool {
		if _, ok := c.namespaceOf(p.Namespace); !ok || key != nsKey(p.Namespace, p.Name) {
			errs = append(errs, fmt.Errorf("policy %q is in namespace %q, which is gone", p.Name, p.Namespace))
		}
		if age := v.PolicyVersion(p.Namespace); age < p.Version {
			errs = append(errs, fmt.Errorf("policy %q was written by %d, those of its namespace are said to be of %d", p.Name, p.Version, age))
		}
		return true
	})
	return errors.Join(errs...)
}

func (c *core) checkIdempotency() error {
	if c.idem.Len() != c.idemByAge.Len() {
		return fmt.Errorf("%d idempotency keys, %d by age", c.idem.Len(), c.idemByAge.Len())
	}
	return nil
}
