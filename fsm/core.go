package fsm

import (
	"github.com/tidwall/btree"

	"github.com/leasehold/leasehold/lease"
)

// Cluster is what the cluster knows of itself.
type Cluster struct {
	ID, Name     string
	Created      lease.Time
	Keyring      []byte // wrapped by the nodes' static key
	TokenMountID string
	Initialized  bool
}

// Node is a member's record: addresses come from here, never from gossip (settled decision 10).
type Node struct {
	ID, PeerAddr, APIAddr, Version string
	FeatureLevel                   uint32
}

// idempotent is what an idempotency key's first call made.
type idempotent struct {
	key     string
	body    string
	leaseID string
	expires lease.Time
}

// record is a lease with its places in the derived indexes.
type record struct {
	lease *lease.Lease

	where      uint8 // in the due index
	key        lease.Time
	prev, next *record // in a due bucket

	ownPrev, ownNext *record // in the owner's list, by Seq
}

// owned is the list of an owner's living secrets, oldest first: its order is replicated state,
// since sweeps walk it.
type owned struct {
	first, last *record
	count       int
}

type (
	leaseTree = btree.BTreeG[*lease.Lease]
	childTree = btree.BTreeG[child]
	accTree   = btree.BTreeG[accessor]
	idemTree  = btree.BTreeG[*idempotent]
	endTree   = btree.BTreeG[entryEnd]
	jobTree   = btree.BTreeG[*lease.Job]
)

// core is everything that Restore replaces in one step.
type core struct {
	host *State

	// Replicated.
	index, seq, epoch uint64
	now               lease.Time
	level             uint32
	malformed         uint64
	hold              *Hold  // nil: none. Immutable
	lineage           string // ID of the restore that the state descends from, "" if it is none
	cluster           Cluster
	tree              *leaseTree                      // by (namespace, ID)
	tokens            btree.Map[string, *lease.Token] // by hash
	mounts            btree.Map[string, *lease.Mount] // by UUID
	policies          btree.Map[string, *Policy]      // by nsKey(namespace, name)
	entries           btree.Map[string, entry]        // by entryKey(mount UUID, key)
	namespaces        btree.Map[string, *Namespace]   // by ID
	nodes             btree.Map[string, Node]         // by ID
	joinTokens        btree.Map[string, JoinToken]    // by node ID
	autopilot         Autopilot
	jobs              btree.Map[uint64, *lease.Job]  // by ID
	idem              btree.Map[string, *idempotent] // by key

	// Derived.
	leases      map[string]*record
	tokenByHash map[string]*lease.Token
	accessors   map[string]string // token hash by accessor
	accOrder    *accTree          // by (namespace, accessor)
	policySets  map[string]*policySet
	owners      map[string]*owned
	children    *childTree
	irrevocable *leaseTree                    // by (ExpireTime, ID)
	mountPaths  map[string]string             // UUID by nsKey(namespace, path)
	nsPaths     btree.Map[string, *Namespace] // by path
	policyAge   policyAges
	prefixJobs  map[string]uint64 // newest sweeping prefix job by nsKey(namespace, prefix)
	tidying     uint64            // the tidy job that sweeps, 0: none
	idemByAge   *idemTree         // by (expires, key)
	entryEnds   *endTree          // by (at, key)
	leftBehind  btree.Set[string] // UUIDs of mounts that are gone, of which entries may be left
	claimed     map[string]struct{}
	openJobs    btree.Set[uint64] // of which something is left
	sweeping    btree.Set[uint64] // still marking
	waiting     btree.Set[uint64] // open, with heirs
	finished    *jobTree          // finished jobs that are still kept, by (Finished, ID)
	due         dueIndex
	counts      counters
}

func newCore(host *State) *core {
	opts := btree.Options{NoLocks: true}
	return &core{
		host: host,
		tree: btree.NewBTreeGOptions(func(a, b *lease.Lease) bool {
			if a.Namespace != b.Namespace {
				return a.Namespace < b.Namespace
			}
			return a.ID < b.ID
		}, opts),
		irrevocable: btree.NewBTreeGOptions(func(a, b *lease.Lease) bool {
			if a.ExpireTime != b.ExpireTime {
				return a.ExpireTime < b.ExpireTime
			}
			return a.ID < b.ID
		}, opts),
		children:  btree.NewBTreeGOptions(lessChild, opts),
		accOrder:  btree.NewBTreeGOptions(lessAccessor, opts),
		entryEnds: btree.NewBTreeGOptions(lessEnd, opts),
		idemByAge: btree.NewBTreeGOptions(func(a, b *idempotent) bool {
			if a.expires != b.expires {
				return a.expires < b.expires
			}
			return a.key < b.key
		}, opts),
		finished: btree.NewBTreeGOptions(func(a, b *lease.Job) bool {
			if a.Finished != b.Finished {
				return a.Finished < b.Finished
			}
			return a.ID < b.ID
		}, opts),
		leases:      make(map[string]*record),
		tokenByHash: make(map[string]*lease.Token),
		accessors:   make(map[string]string),
		policySets:  make(map[string]*policySet),
		owners:      make(map[string]*owned),
		mountPaths:  make(map[string]string),
		policyAge:   newPolicyAges(),
		prefixJobs:  make(map[string]uint64),
		claimed:     make(map[string]struct{}),
		due:         newDueIndex(),
		counts:      newCounters(),
	}
}

// nsKey joins a namespace and a name; no name holds a NUL.
func nsKey(namespace, name string) string { return namespace + "\x00" + name }

// insert stores a lease whose ID is new.
func (c *core) insert(l *lease.Lease) {
	r := &record{lease: l}
	c.leases[l.ID] = r
	c.tree.Set(l)
	c.counts.add(l, 1)
	c.own(r)
	c.sort(l, 1)
	c.due.touch(r)
	c.noteDue(l)
}

// replace stores a new value of r's lease. ID, namespace, mount, role, owner and kind stay.
func (c *core) replace(r *record, l *lease.Lease) {
	old := r.lease
	if old.Status != l.Status {
		c.counts.add(old, -1)
		c.counts.add(l, 1)
	}
	c.sort(old, -1)
	r.lease = l
	c.tree.Set(l)
	c.sort(l, 1)
	if old.Ending == nil && l.Ending != nil {
		c.disown(r)
	}
	c.due.touch(r)
	c.noteDue(l)
	c.host.watch.leaseChanged(l.ID)
}

// remove forgets a lease, with the last lease of a disabled mount the mount, and with the last of a
// closed namespace the namespace.
func (c *core) remove(r *record) {
	l := r.lease
	c.due.drop(r)
	c.disown(r)
	c.sort(l, -1)
	c.counts.add(l, -1)
	c.tree.Delete(l)
	delete(c.leases, l.ID)
	c.host.watch.leaseChanged(l.ID)
	if m, ok := c.mounts.Get(l.MountID); ok && m.Tainted != 0 {
		c.dropEmptyMount(m)
	}
	if ns := c.closed(l.Namespace); ns != nil {
		c.dropEmptyNamespace(ns)
	}
}

// sort keeps the order of irrevocable leases and the set of claimed ones.
func (c *core) sort(l *lease.Lease, delta int) {
	if l.Status == lease.Irrevocable {
		if delta > 0 {
			c.irrevocable.Set(l)
		} else {
			c.irrevocable.Delete(l)
		}
	}
	if l.Ending != nil && l.Ending.Claim != 0 {
		if delta > 0 {
			c.claimed[l.ID] = struct{}{}
		} else {
			delete(c.claimed, l.ID)
		}
	}
}

// noteDue rouses the leader's loop when l wants an attempt at once.
func (c *core) noteDue(l *lease.Lease) {
	e := l.Ending
	if e != nil && e.Claim == 0 && e.NextAttempt != 0 && e.NextAttempt <= c.now && !c.frozen(l.MountID, c.now) {
		c.host.attend()
	}
}

// own appends r to its owner's list. A token's own lease and what is ending are in no list.
func (c *core) own(r *record) {
	if r.lease.Owner == "" || r.lease.Kind == lease.OfToken || r.lease.Ending != nil {
		return
	}
	o := c.owners[r.lease.Owner]
	if o == nil {
		o = new(owned)
		c.owners[r.lease.Owner] = o
	}
	r.ownPrev = o.last
	if o.last == nil {
		o.first = r
	} else {
		o.last.ownNext = r
	}
	o.last = r
	o.count++
}

func (c *core) disown(r *record) {
	o := c.owners[r.lease.Owner]
	if o == nil || (o.first != r && r.ownPrev == nil) {
		return // in no list
	}
	if r.ownPrev == nil {
		o.first = r.ownNext
	} else {
		r.ownPrev.ownNext = r.ownNext
	}
	if r.ownNext == nil {
		o.last = r.ownPrev
	} else {
		r.ownNext.ownPrev = r.ownPrev
	}
	r.ownPrev, r.ownNext = nil, nil
	if o.count--; o.count == 0 {
		delete(c.owners, r.lease.Owner)
	}
}
