package lessor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of comparing a mount with its target.
const (
	// MaxReported is how many names a Reconciliation lists of each kind; its counts are of all.
	MaxReported = 1000
	// maxInventory bounds the items that are held in memory at once.
	maxInventory = 2_000_000
	// reconcileChunk is how many leases are looked at under one read lock.
	reconcileChunk = 500
	// settleTime is how long a target may take to show what it has made.
	settleTime = 5 * time.Minute
)

// Reconciliation is what came of comparing a mount's leases with the inventory of its target.
type Reconciliation struct {
	Mount  *lease.Mount
	Items  int // at the target, with this cluster's mark
	Leases int // of the mount, with something at the target
	// Orphans are at the target and in no lease. Of Young ones that is not certain enough yet to end
	// them: they may be of an issue that is under way.
	Orphans   []string
	Orphaned  int
	Young     int
	Destroyed int
	Failed    int
	Error     string // of the first that could not be destroyed
	// Missing are leases that were active before the target was asked, and of which it shows nothing.
	Missing []string
	Missed  int
}

// sightings remembers when names were first seen at their target in no lease, by mount and name: not
// every target tells how old a thing is. It is this node's, so a new leader waits anew.
type sightings struct {
	mu    sync.Mutex // guards first
	first map[string]map[string]lease.Time
}

// keep replaces what is known of a mount by those of names that are orphans now, and returns since
// when each is known.
func (s *sightings) keep(mountID string, names []string, now lease.Time) map[string]lease.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, next := s.first[mountID], make(map[string]lease.Time, len(names))
	for _, name := range names {
		if next[name] = now; old[name] != 0 {
			next[name] = old[name]
		}
	}
	if s.first == nil {
		s.first = make(map[string]map[string]lease.Time)
	}
	s.first[mountID] = next
	if len(next) == 0 {
		delete(s.first, mountID)
	}
	return next
}

// ErrNoInventory is the answer for mounts whose backend cannot tell what is at its target.
var ErrNoInventory = lease.Errorf(lease.Unsupported, "the engine of this mount cannot list what is at its target")

// Reconcile compares the leases of a mount with the inventory of its target. With fix it destroys what is
// at the target and in no lease, if it bears this cluster's mark and is older than the deadline of an
// intent. It is for the leader: only there is the state the one that intents were committed to.
func (l *Lessor) Reconcile(ctx context.Context, ns, path string, fix bool) (*Reconciliation, error) {
	m := l.mountCovering(ns, path)
	if m == nil {
		return nil, lease.Errorf(lease.Invalid, "mount: no mount at %q", printable(path))
	}
	return l.reconcileMount(ctx, m, fix)
}

func (l *Lessor) mountCovering(ns, path string) *lease.Mount {
	var m *lease.Mount
	l.state.Read(func(v *fsm.View) { m = v.MountOf(ns, path) })
	return m
}

func (l *Lessor) reconcileMount(ctx context.Context, m *lease.Mount, fix bool) (*Reconciliation, error) {
	done, err := l.turns.take(ctx, "reconcile\x00"+m.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	inv, ok := l.backends[m.Type].(backend.Inventory)
	if !ok {
		return nil, ErrNoInventory
	}
	begun := l.now()
	lineage, held := l.restored()
	if fix && held {
		return nil, lease.ErrHeld
	}
	if fix && m.IsFrozen(begun) {
		return nil, frozenError(m, "compare without fix, or thaw it: nothing is destroyed there meanwhile")
	}
	items, err := l.inventory(ctx, inv, m)
	if err != nil {
		return nil, backendError(err)
	}
	r := &Reconciliation{Mount: m, Items: len(items)}
	// The leases are read after the inventory: what was made meanwhile was in the log before.
	if err := l.compare(ctx, r, items, begun); err != nil {
		return nil, err
	}
	if err := l.spareOthers(ctx, m, items); err != nil {
		return nil, err
	}
	if len(items) > 0 { // some may have been destroyed between the two
		again, err := l.inventory(ctx, inv, m)
		if err != nil {
			return nil, backendError(err)
		}
		maps.DeleteFunc(items, func(name string, _ backend.Item) bool { _, there := again[name]; return !there })
	}
	l.judge(ctx, r, items, fix, func() bool {
		now, held := l.restored()
		return now == lineage && !held
	})
	return r, nil
}

// restored returns the restore that the state descends from, and whether it is held after it.
func (l *Lessor) restored() (lineage string, held bool) {
	l.state.Read(func(v *fsm.View) { lineage, held = v.Lineage(), v.Hold() != nil })
	return lineage, held
}

// inventory reads all that the target holds with this cluster's mark, by name.
func (l *Lessor) inventory(ctx context.Context, inv backend.Inventory, m *lease.Mount) (map[string]backend.Item, error) {
	items := make(map[string]backend.Item)
	req := &backend.InventoryRequest{Mount: m, Store: l.Store(m.ID), Mark: backend.Mark(l.shortID())}
	err := inv.Inventory(ctx, req, func(it backend.Item) error {
		if len(items) >= maxInventory {
			return lease.Errorf(lease.TooLarge, "the target holds more than %d things of this cluster", maxInventory)
		}
		items[it.ExternalName] = it
		return nil
	})
	return items, err
}

// compare walks the mount's leases: it takes those that have an item out of items, so that orphans are
// left, and notes those that have none.
func (l *Lessor) compare(ctx context.Context, r *Reconciliation, items map[string]backend.Item, begun lease.Time) error {
	itemized, _ := l.backends[r.Mount.Type].(backend.Itemized)
	for from, more := r.Mount.Path, true; more; {
		if err := ctx.Err(); err != nil {
			return errHalfWay(err)
		}
		var page []*lease.Lease
		l.state.Read(func(v *fsm.View) { page, from, more = leasesOf(v, r.Mount, from) })
		for _, le := range page {
			r.Leases++
			if _, there := items[le.ExternalName]; there {
				delete(items, le.ExternalName)
				continue
			}
			if le.Status != lease.Active || le.IssueTime.Add(settleTime) > begun || !l.hasItem(itemized, le) {
				continue // it comes or goes, or the target may not show it yet
			}
			r.Missed++
			if len(r.Missing) < MaxReported {
				r.Missing = append(r.Missing, le.ID)
			}
		}
	}
	return nil
}

// spareOthers takes out of items what leases of other mounts of the same type stand for: two mounts may
// share one target.
func (l *Lessor) spareOthers(ctx context.Context, m *lease.Mount, items map[string]backend.Item) error {
	for _, other := range l.inventoried() {
		if other.ID == m.ID || other.Type != m.Type {
			continue
		}
		for from, more := other.Path, len(items) > 0; more; {
			if err := ctx.Err(); err != nil {
				return errHalfWay(err)
			}
			var page []*lease.Lease
			l.state.Read(func(v *fsm.View) { page, from, more = leasesOf(v, other, from) })
			for _, le := range page {
				delete(items, le.ExternalName)
			}
		}
	}
	return nil
}

func errHalfWay(err error) error {
	return &lease.Error{Code: lease.Unavailable, Message: "the comparison was given up half-way", Err: err}
}

// leasesOf returns the next leases of a mount that stand for something at its target.
func leasesOf(v *fsm.View, m *lease.Mount, from string) (page []*lease.Lease, next string, more bool) {
	looked := 0
	v.Ascend(m.Namespace, from, func(le *lease.Lease) bool {
		if len(le.ID) < len(m.Path) || le.ID[:len(m.Path)] != m.Path {
			return false
		}
		next = le.ID + "\x00"
		if le.MountID == m.ID && le.Kind == lease.Target {
			page = append(page, le)
		}
		looked++
		return looked < reconcileChunk
	})
	return page, next, looked == reconcileChunk
}

func (l *Lessor) hasItem(of backend.Itemized, le *lease.Lease) bool {
	if of == nil {
		return true
	}
	internal, err := l.OpenInternal(le)
	return err == nil && of.HasItem(internal)
}

// judge goes through what is at the target and in no lease. valid says whether that is still so: a state
// that was restored meanwhile may have leases for it.
func (l *Lessor) judge(ctx context.Context, r *Reconciliation, orphans map[string]backend.Item, fix bool, valid func() bool) {
	names := slices.Sorted(maps.Keys(orphans))
	now, wall := l.now(), l.wall()
	since := l.seen.keep(r.Mount.ID, names, now)
	r.Orphaned = len(names)
	for _, name := range names {
		if len(r.Orphans) < MaxReported {
			r.Orphans = append(r.Orphans, name)
		}
		it := orphans[name]
		age := now.Sub(since[name])
		if !it.Created.IsZero() {
			age = max(age, wall.Sub(it.Created))
		}
		switch {
		case age < l.intentDeadline:
			r.Young++
		case fix && ctx.Err() == nil && valid():
			l.destroyOrphan(ctx, r, it)
		}
	}
}

// fence is at least the fencing index of anything that was ever said about any lease.
func (l *Lessor) fence() (seq uint64) {
	l.state.Read(func(v *fsm.View) { seq = v.Seq() })
	return seq
}

// destroyOrphan ends one thing at the target that no lease stands for. Its name was made by this cluster
// and is never made again.
func (l *Lessor) destroyOrphan(ctx context.Context, r *Reconciliation, it backend.Item) {
	target, ok := l.backends.Target(r.Mount.Type)
	err := errors.New("the backend has no target")
	if ok {
		ctx, cancel := context.WithTimeout(ctx, r.Mount.Config.WithDefaults().RevokeTimeout)
		defer cancel()
		err = target.Destroy(ctx, &backend.Destruction{
			ExternalName: it.ExternalName, Role: it.Role, Mount: r.Mount, Attempt: 1, ExpireTime: l.wall(),
			Internal: it.Internal, Store: l.Store(r.Mount.ID), Fence: l.fence(),
		})
	}
	if err == nil {
		r.Destroyed++
		l.log.Warn("an orphan was destroyed", "mount", r.Mount.Path, "name", it.ExternalName, "cause", string(lease.CauseOrphan))
		return
	}
	if r.Failed++; r.Error == "" {
		r.Error = errorText(err)
	}
	l.log.Warn("an orphan could not be destroyed", "mount", r.Mount.Path, "name", it.ExternalName, "error", causeText(err))
}
