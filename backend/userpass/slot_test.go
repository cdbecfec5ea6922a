package userpass_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

// TestSlotCountsEachNameByItself: up to its bound a slot counts as if each name had one of its own.
func TestSlotCountsEachNameByItself(t *testing.T) {
	type count struct {
		n    int
		last lease.Time
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		threshold := 1 + random.IntN(4)
		duration, reset := time.Duration(1+random.IntN(400)), time.Duration(1+random.IntN(400))
		s := userpass.NewSlot(threshold, duration, reset)
		alone, now, locked := map[string]count{}, lease.Time(1), 0
		for range 1000 {
			now += lease.Time(random.IntN(4))
			name := fmt.Sprint(random.IntN(userpass.SlotNames))
			c := alone[name]
			end := c.last.Add(reset)
			if c.n >= threshold {
				end = c.last.Add(duration)
			}
			if now >= end {
				c = count{}
			}
			want := c.n >= threshold
			if !want {
				alone[name] = count{c.n + 1, now}
			}
			if got := s.Fail(name, now); got != want {
				t.Fatalf("seed %d: %s at %d: locked %v, want %v", seed, name, now, got, want)
			}
			if want {
				locked++
			}
		}
		if locked == 0 {
			t.Logf("seed %d never locked", seed)
		}
	}
}

// TestAFullSlot drops the failures that would be forgotten first, and locks only when there is nothing else.
func TestAFullSlot(t *testing.T) {
	s := userpass.NewSlot(2, 1000, 1000)
	now := lease.Time(1)
	fail := func(name string) {
		t.Helper()
		if now++; s.Fail(name, now) {
			t.Fatalf("%s is locked at %d", name, now)
		}
		if s.Len() > userpass.SlotNames {
			t.Fatalf("%d names, at most %d are kept", s.Len(), userpass.SlotNames)
		}
	}
	name := func(i int) string { return fmt.Sprint("name", i) }
	for i := range userpass.SlotNames {
		fail(name(i))
	}
	for i := range userpass.SlotNames - 2 { // all but the last two are locked
		fail(name(i))
	}
	fail("new1") // in the place of the older one of the two
	fail(name(userpass.SlotNames - 1))
	fail("new2") // in that of new1
	fail("new2")
	for i := range userpass.SlotNames {
		if got, want := s.Locked(name(i), now), i != userpass.SlotNames-2; got != want {
			t.Errorf("%s: locked %v, want %v", name(i), got, want)
		}
	}
	if !s.Locked("new2", now) || s.Len() != userpass.SlotNames {
		t.Errorf("new2 is not locked among %d names", s.Len())
	}
	fail("new3") // all are locked: in the place of the lock that ends first
	fail("new4") // in the place of new3
	if s.Locked(name(0), now) || !s.Locked(name(1), now) {
		t.Errorf("locked: %s %v, %s %v; want false and true", name(0), s.Locked(name(0), now), name(1), s.Locked(name(1), now))
	}
}

// TestAFullSlotOfShortLocks: what is not locked goes first even if its count would be kept for longer.
func TestAFullSlotOfShortLocks(t *testing.T) {
	s := userpass.NewSlot(2, 10, 1000)
	s.Fail("first", 1)
	for i := range userpass.SlotNames - 1 {
		s.Fail(fmt.Sprint(i), 1)
		s.Fail(fmt.Sprint(i), 1)
	}
	s.Fail("new", 2)
	for i := range userpass.SlotNames - 1 {
		if !s.Locked(fmt.Sprint(i), 2) {
			t.Errorf("the lock of %d was dropped", i)
		}
	}
	if s.Fail("first", 2); s.Locked("first", 2) {
		t.Error("the first name was not dropped")
	}
}

// TestALateRequestDoesNotShortenTheLock: requests are counted in another order than they began.
func TestALateRequestDoesNotShortenTheLock(t *testing.T) {
	s := userpass.NewSlot(2, 100, 100)
	s.Fail("a", 50)
	s.Fail("a", 10)
	if !s.Locked("a", 149) || s.Locked("a", 150) {
		t.Error("the lock does not end 100 after the later of the two")
	}
}
