package fsm

import (
	"slices"

	"github.com/tidwall/btree"

	"github.com/leasehold/leasehold/lease"
)

// dueIndex orders leases by when they next need the leader. It is lazy: a lease stands once, in a
// bucket of one second in which it may be due, or in the ready set of its mount, in exact order, once
// that second is near. A renewal that extends a lease does not touch it; the entry is moved when its
// bucket comes up. Every node drains the buckets as log time passes, so a new leader finds the ready
// sets in place and walks nothing (settled decision 2).
type dueIndex struct {
	buckets map[int64]*record  // heads of intrusive lists, by second
	seconds btree.Set[int64]   // the keys of buckets, in order
	ready   map[string]*dueSet // by mount UUID
	horizon int64              // seconds up to here go straight to the ready sets
}

type dueSet = btree.BTreeG[*record]

// drainAhead is how many seconds before its time a bucket is moved to the ready sets, so that a
// second in which very many leases end is in order before it begins.
const drainAhead = 1

// drainLimit bounds the entries moved per log entry applied.
const drainLimit = 1024

func newDueIndex() dueIndex {
	return dueIndex{buckets: make(map[int64]*record), ready: make(map[string]*dueSet)}
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
	inReady        // key is the exact time
)

// touch puts r where its lease's due time demands, as lazily as correctness allows.
func (d *dueIndex) touch(r *record) {
	due := r.lease.Due()
	switch r.where {
	case inReady:
		if r.key == due {
			return
		}
		d.drop(r)
	case inBucket:
		if due != 0 && due.Second() >= int64(r.key) {
			return // found early when its bucket comes up, and moved then
		}
		d.drop(r)
	}
	d.place(r, due)
}

func (d *dueIndex) place(r *record, due lease.Time) {
	if due == 0 {
		return
	}
	second := due.Second()
	if second <= d.horizon {
		set := d.ready[r.lease.MountID]
		if set == nil {
			set = btree.NewBTreeGOptions(lessDue, btree.Options{NoLocks: true, Degree: 16})
			d.ready[r.lease.MountID] = set
		}
		r.where, r.key = inReady, due
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
	case inReady:
		set := d.ready[r.lease.MountID]
		set.Delete(r)
		if set.Len() == 0 {
			delete(d.ready, r.lease.MountID)
		}
	case inBucket:
		d.unlink(r)
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
			d.place(r, r.lease.Due())
			limit--
		}
	}
}

// undrained reports whether a bucket that should be in order at now is not.
func (d *dueIndex) undrained(now lease.Time) bool {
	second, ok := d.seconds.Min()
	return ok && second <= now.Second()+drainAhead
}

// next is a lower bound of the next due time, 0 when nothing ever is.
func (d *dueIndex) next() lease.Time {
	var first lease.Time
	if second, ok := d.seconds.Min(); ok {
		first = lease.Time(second * 1e9)
	}
	for _, set := range d.ready {
		if r, ok := set.Min(); ok && (first == 0 || r.key < first) {
			first = r.key
		}
	}
	return first
}

// mounts returns the mounts with something due at now, sorted.
func (d *dueIndex) mounts(now lease.Time) []string {
	var ids []string
	for id, set := range d.ready {
		if r, ok := set.Min(); ok && r.key <= now {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
