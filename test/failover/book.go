package failover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// entry is a lease that was acknowledged.
type entry struct {
	id, group string
	short     bool // left to expire by itself
	over      bool // somebody asked for its end, or saw it
}

// book knows the leases that were acknowledged since the audit before, and those that lived then; and
// the groups that new ones belong to. It is safe for concurrent use.
type book struct {
	mu     sync.Mutex // guards what follows
	known  map[string]*entry
	live   []*entry // of those, the ones that clients use
	groups [2][]string
	made   int
}

// The engines, as places in book.groups.
const (
	slots = iota
	hooks
)

// groupsOpen is how many groups of an engine get new leases at a time.
const groupsOpen = 3

func newBook() *book { return &book{known: map[string]*entry{}} }

// next names a group that is not open yet.
func (b *book) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	return fmt.Sprint("g", b.made)
}

// open has new leases belong to a group, and returns the oldest one if there are enough without it.
func (b *book) open(engine int, group string) (oldest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.groups[engine] = append(b.groups[engine], group)
	if len(b.groups[engine]) > groupsOpen {
		oldest = b.groups[engine][0]
	}
	return oldest
}

// shut has no more leases belong to a group, and clients leave alone those that do.
func (b *book) shut(engine int, group string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.groups[engine] = slices.DeleteFunc(b.groups[engine], func(g string) bool { return g == group })
	b.live = slices.DeleteFunc(b.live, func(e *entry) bool {
		if e.group == group {
			e.over = true
		}
		return e.over
	})
}

// group is one that gets new leases.
func (b *book) group(engine int, rng *rand.Rand) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.groups[engine]) == 0 {
		return ""
	}
	return b.groups[engine][rng.IntN(len(b.groups[engine]))]
}

// add notes a lease.
func (b *book) add(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[e.id] == nil {
		b.known[e.id] = e
		b.live = append(b.live, e)
	}
}

// pick is a lease that clients use, nil if there is none, and how many there are. Renewals and revokes
// leave those alone that are to expire.
func (b *book) pick(rng *rand.Rand, short bool) (*entry, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 8 {
		if len(b.live) == 0 {
			break
		}
		if e := b.live[rng.IntN(len(b.live))]; short || !e.short {
			return e, len(b.live)
		}
	}
	return nil, len(b.live)
}

// expire has a lease end by itself.
func (b *book) expire(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.short = true
}

// end: clients leave the lease alone from now on.
func (b *book) end(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !e.over {
		e.over = true
		b.live = slices.DeleteFunc(b.live, func(o *entry) bool { return o == e })
	}
}

// all are the leases to be looked up in an audit.
func (b *book) all() []*entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*entry, 0, len(b.known))
	for _, e := range b.known {
		list = append(list, e)
	}
	return list
}

// forget drops a lease that is no more.
func (b *book) forget(e *entry) {
	b.end(e)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, e.id)
}
