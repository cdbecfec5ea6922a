package fsm

import (
	"slices"

	"github.com/tidwall/btree"

	"github.com/leasehold/leasehold/lease"
)

// dueIndex orders leases by when they next need the leader. For their ends it is lazy: a lease stands
// once, in a bucket of one second in which it may end, or in the set of its mount, in exact order, once
// that second is near. A renewal that extends a lease does not touch it; the entry is moved when its
// bucket comes up. Every node drains the buckets as log time passes, so a new leader finds the sets in
// place and walks nothing (settled decision 2).
//
// A lease that is being revoked stands in another set of its mount, by its next attempt: nobody renews
// it, and however many of them wait for a target, they are not in the way of those that end. Those that
// are revoked by force, and need one attempt whatever comes of it, stand in a third.
type dueIndex struct {
	buckets map[int64]*record                // heads of intrusive lists, by second
	seconds btree.Set[int64]                 // the keys of buckets, in order
	sets    [inForced + 1]map[string]*dueSet // by where their records stand, and mount UUID
	horizon int64                            // seconds up to here go straight to the sets of ends
}

type dueSet = btree.BTreeG[*record]

// drainAhead is how many seconds before its time a bucket is moved to the sets of ends, so that a
// second in which very many leases end is in order before it begins.
const drainAhead = 1

// drainLimit bounds the entries moved per log entry applied.
const drainLimit = 1024

func newDueIndex() dueIndex {
	d := dueIndex{buckets: make(map[int64]*record)}
	for where := inEnds; where <= inForced; where++ {
		d.sets[where] = make(map[string]*dueSet)
	}
	return d
}

func lessDue(a, b *record) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return a.lease.ID < b.lease.ID
}

// where a record stands
const (
	inNone   uint8 = iota
	inBucket       // key is the second
	inEnds         // from here on key is the exact time
	inAttempts
	inForced
)

// place is where a record belongs by its lease, as far as that has a set of its own.
func place(l *lease.Lease) uint8 {
	switch e := l.Ending; {
	case e == nil:
		return inEnds
	case e.Force:
		return inForced
	}
	return inAttempts
}

// touch puts r where its lease's due time demands, as lazily as correctness allows.
func (d *dueIndex) touch(r *record) {
	due, where := r.lease.Due(), place(r.lease)
	switch {
	case r.where == where && r.key == due:
		return
	case r.where == inBucket && where == inEnds && due != 0 && due.Second() >= int64(r.key):
		return // found early when its bucket comes up, and moved then
	}
	d.drop(r)
	d.put(r, due, where)
}

func (d *dueIndex) put(r *record, due lease.Time, where uint8) {
	second := due.Second()
	switch {
	case due == 0:
		return
	case where != inEnds || second <= d.horizon:
		r.where, r.key = where, due
		set := d.sets[where][r.lease.MountID]
		if set == nil {
			set = btree.NewBTreeGOptions(lessDue, btree.Options{NoLocks: true, Degree: 16})
			d.sets[where][r.lease.MountID] = set
		}
		set.Set(r)
		return
	}
	r.where, r.key = inBucket, lease.Time(second)
	head := d.buckets[second]
	if head == nil {
		d.seconds.Insert(second)
	} else {
		head.prev = r
		r.next = head
	}
	d.buckets[second] = r
}

// drop takes r out of the index.
func (d *dueIndex) drop(r *record) {
	switch r.where {
	case inNone:
	case inBucket:
		d.unlink(r)
	default:
		set := d.sets[r.where][r.lease.MountID]
		set.Delete(r)
		if set.Len() == 0 {
			delete(d.sets[r.where], r.lease.MountID)
		}
	}
	r.where, r.key = inNone, 0
}

func (d *dueIndex) unlink(r *record) {
	second := int64(r.key)
	if r.prev != nil {
		r.prev.next = r.next
	} else if r.next != nil {
		d.buckets[second] = r.next
	} else {
		delete(d.buckets, second)
		d.seconds.Delete(second)
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// drain moves up to limit entries out of buckets whose time has come at now.
func (d *dueIndex) drain(now lease.Time, limit int) {
	target := now.Second() + drainAhead
	for limit > 0 {
		second, ok := d.seconds.Min()
		if !ok || second > target {
			d.horizon = max(d.horizon, target)
			return
		}
		d.horizon = max(d.horizon, second)
		for r := d.buckets[second]; r != nil && limit > 0; r = d.buckets[second] {
			d.unlink(r)
			r.where, r.key = inNone, 0
			d.put(r, r.lease.Due(), place(r.lease))
			limit--
		}
	}
}

// undrained reports whether a bucket that should be in order at now is not.
func (d *dueIndex) undrained(now lease.Time) bool {
	second, ok := d.seconds.Min()
	return ok && second <= now.Second()+drainAhead
}

// next is a lower bound of the next due time, 0 when nothing ever is. An attempt may be made when
// thawed says, 0 for never.
func (d *dueIndex) next(thawed func(mountID string, due lease.Time) lease.Time) lease.Time {
	var first lease.Time
	sooner := func(at lease.Time) {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	if second, ok := d.seconds.Min(); ok {
		sooner(lease.Time(second * 1e9))
	}
	for _, set := range d.sets[inEnds] {
		r, _ := set.Min() // none is empty
		sooner(r.key)
	}
	for _, sets := range d.sets[inAttempts:] {
		for id, set := range sets {
			r, _ := set.Min()
			sooner(thawed(id, r.key))
		}
	}
	return first
}

// mounts returns the mounts in whose sets something is due at now, sorted.
func (d *dueIndex) mounts(now lease.Time, places ...uint8) []string {
	var ids []string
	for _, where := range places {
		for id, set := range d.sets[where] {
			if r, ok := set.Min(); ok && r.key <= now {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// scan calls fn with a mount's leases of one set in order until one is not due at now, and reports
// whether fn wants more.
func (d *dueIndex) scan(where uint8, mountID string, now lease.Time, fn func(*lease.Lease) bool) bool {
	more := true
	if set := d.sets[where][mountID]; set != nil {
		set.Scan(func(r *record) bool {
			if r.key > now {
				return false
			}
			more = fn(r.lease)
			return more
		})
	}
	return more
}
