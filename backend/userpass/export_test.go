package userpass

import (
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// NewCheap makes the auth method with another cost than the product's, so that tests can make many
// comparisons, all of them real.
func NewCheap(cost, parallel int) *Backend { return newBackend(cost, parallel) }

// CountWork returns a counter of the work that comparisons make, in units of bcrypt's rounds, and
// the highest number of them that ran at once.
func CountWork(b *Backend) (rounds, most *atomic.Int64) {
	rounds, most = new(atomic.Int64), new(atomic.Int64)
	var running atomic.Int64
	real := b.compare
	b.compare = func(hash, password []byte) error {
		defer running.Add(-1)
		for n := running.Add(1); ; {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		rounds.Add(1 << costOf(string(hash)))
		return real(hash, password)
	}
	return rounds, most
}

// BeforeCompare calls f before each comparison.
func BeforeCompare(b *Backend, f func()) {
	real := b.compare
	b.compare = func(hash, password []byte) error {
		f()
		return real(hash, password)
	}
}

// BeforeFirstCompare calls f before the first comparison, while those that f makes go on.
func BeforeFirstCompare(b *Backend, f func()) {
	var done atomic.Bool
	BeforeCompare(b, func() {
		if done.CompareAndSwap(false, true) {
			f()
		}
	})
}

// What tests of the parts need.
const (
	Slots      = slots
	SlotNames  = slotNames
	SlotKeys   = slotKeys
	MaxWaiting = maxWaiting
)

var (
	CostOf = costOf
	Dummy  = dummy
	NameID = nameID
)

// Slot is a slot with the rule it goes by.
type Slot struct {
	slot
	rule lockout
}

// NewSlot makes an empty slot.
func NewSlot(threshold int, duration, reset time.Duration) *Slot {
	return &Slot{rule: lockout{threshold: threshold, duration: duration, counterReset: reset}}
}

// Fail counts a failure unless the name is locked, which it reports.
func (s *Slot) Fail(name string, now lease.Time) (locked bool) {
	s.expire(s.rule, now)
	if s.Locked(name, now) {
		return true
	}
	s.fail(s.rule, name, now)
	return false
}

// Locked reports whether a name is locked.
func (s *Slot) Locked(name string, now lease.Time) bool {
	i := s.of(name)
	return i >= 0 && s.rule.locks(s.Names[i], now)
}

// Len is how many names the slot knows.
func (s *Slot) Len() int { return len(s.Names) }
