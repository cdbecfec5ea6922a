package fsm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// levelKeys sort in ways that a slash makes surprising: '-' and '.' stand before it, '0' behind it.
var levelKeys = []string{"a", "a-b", "a.b/c", "a/", "a/x", "a/x-y", "a/x/1", "a/x/2", "a/x0", "a//b", "a0", "a0/x", "b/c/d/e", "b/c/d/f",
	"/lead", "config/main", "role/ci", "role/deploy"}

// naiveLevel is what EntryLevel promises, by looking at every key.
func naiveLevel(keys []string, prefix, after string, limit int) (level []string, more bool) {
	for _, key := range keys {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if at := strings.IndexByte(name, '/'); at >= 0 {
			name = name[:at+1]
		}
		if name > after && !slices.Contains(level, name) {
			level = append(level, name)
		}
	}
	slices.Sort(level)
	if len(level) > limit {
		return level[:limit], true
	}
	return level, false
}

// TestEntryLevelAgainstEveryKey: random sets of keys, some of them expired, at every prefix, from every
// name, in pages of every size.
func TestEntryLevelAgainstEveryKey(t *testing.T) {
	for seed := range uint64(60) {
		chance := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t)
		var living []string
		for _, key := range levelKeys {
			switch chance.IntN(3) {
			case 0:
				w.must(&command.PutEntry{MountId: targetMnt, Key: key, Value: []byte("x")})
				living = append(living, key)
			case 1:
				w.must(&command.PutEntry{MountId: targetMnt, Key: key, Value: []byte("x"), Ttl: int64(time.Second)})
			}
			w.must(&command.PutEntry{MountId: plainMount, Key: key, Value: []byte("x")}) // another mount's
		}
		w.advance(time.Second)
		w.do() // time passes and nothing removes what has expired
		w.s.Read(func(v *fsm.View) {
			var got []string
			v.Entries(targetMnt, "", func(key string) bool {
				got = append(got, key)
				return true
			})
			if slices.Sort(living); !slices.Equal(got, living) {
				t.Errorf("seed %d: entries %q, want %q", seed, got, living)
			}
			for _, prefix := range []string{"", "a/", "a/x/", "a//", "b/", "b/c/", "b/c/d/", "role/", "/", "none/"} {
				for _, after := range append([]string{"", "a/", "b/", "x/", "zz", "/", "a/x"}, levelKeys...) {
					for limit := range 8 {
						got, more := v.EntryLevel(targetMnt, prefix, after, limit)
						want, wantMore := naiveLevel(living, prefix, after, limit)
						if !slices.Equal(got, want) || more != wantMore {
							t.Fatalf("seed %d: level of %q below %q after %q, at most %d: %q and more: %v, want %q and %v",
								seed, living, prefix, after, limit, got, more, want, wantMore)
						}
					}
				}
			}
		})
		w.check()
	}
}

// Past its end a value is there for nobody, from the entry on whose time says so, though it is removed by
// commands only.
func TestAnEndedEntryIsGoneBeforeItIsRemoved(t *testing.T) {
	w := newWorld(t)
	put := func(key, value string, ttl time.Duration) {
		w.must(&command.PutEntry{MountId: targetMnt, Key: key, Value: []byte(value), Ttl: int64(ttl)})
	}
	seen := func(key string) (value string, there bool) {
		w.s.Read(func(v *fsm.View) {
			blob, ok := v.Entry(targetMnt, key)
			value, there = string(blob), ok
		})
		return value, there
	}
	swap := func(key, seen, value string) *lease.Error {
		return w.one(&command.SwapEntry{MountId: targetMnt, Key: key, Seen: []byte(seen), Value: []byte(value)}).Err
	}
	put("short", "1", time.Minute)
	put("other", "1", time.Minute)
	put("ever", "1", math.MaxInt64)
	w.advance(time.Minute - 1)
	w.do()
	if got, there := seen("short"); got != "1" || !there {
		t.Errorf("a nanosecond before its end: %q, %v", got, there)
	}
	w.advance(1)
	w.do()
	if got, there := seen("short"); got != "" || there || w.s.EntryCount() != 3 {
		t.Errorf("at its end: %q, %v; %d are stored, want 3", got, there, w.s.EntryCount())
	}
	if got, there := seen("ever"); got != "1" || !there {
		t.Errorf("with a time to live that overflows: %q, %v", got, there)
	}
	put("short", "2", time.Minute)
	w.advance(time.Minute)
	if err := swap("short", "2", "3"); err != lease.ErrChanged {
		t.Errorf("a swap that saw it: %v, want %v", err, lease.ErrChanged)
	}
	put("short", "2", time.Minute)
	w.advance(time.Minute)
	if err := swap("short", "", "3"); err != nil {
		t.Errorf("a swap that saw none: %v", err)
	}
	if got, there := seen("short"); got != "3" || !there {
		t.Errorf("swapped in: %q, %v", got, there)
	}
	put("empty", "", 0)
	if err := swap("empty", "", "1"); err != lease.ErrChanged {
		t.Errorf("a swap that saw none where there is an empty one: %v, want %v", err, lease.ErrChanged)
	}
	w.check()
}

// S17: entries that end together, and those of a mount that goes, are removed in bounded steps; nobody
// sees them meanwhile.
func TestS17_ManyEntriesEndInSteps(t *testing.T) {
	const many = 1000
	w := newWorld(t)
	for i := range many {
		w.must(&command.PutEntry{MountId: otherMount, Key: fmt.Sprintf("short/%04d", i), Value: []byte("x"), Ttl: int64(time.Minute)})
		w.must(&command.PutEntry{MountId: plainMount, Key: fmt.Sprintf("kept/%04d", i), Value: []byte("x")})
	}
	drained := func(what string) {
		t.Helper()
		w.s = restoredCopy(t, w.s)
		before, steps := w.s.EntryCount(), 0
		for ; w.s.EntryCount() > 0; steps++ {
			w.check()
			w.must(&command.Tick{})
			if after := w.s.EntryCount(); after < before-fsm.EntryForgetLimit || after == before {
				t.Fatalf("%s: one command removed %d of %d entries, want at most %d and some", what, before-after, before, fsm.EntryForgetLimit)
			}
			before = w.s.EntryCount()
		}
		if want := many/fsm.EntryForgetLimit - 1; steps < want {
			t.Errorf("%s: %d steps, want at least %d", what, steps, want)
		}
	}
	job := w.must(&command.DisableMount{Id: plainMount})[0].Job
	w.sweep(job.ID, 10)
	w.check()
	w.s = restoredCopy(t, w.s) // a node that comes from a snapshot goes on
	w.check()
	w.s.Read(func(v *fsm.View) {
		if v.Mount(plainMount) != nil {
			t.Error("the empty mount is still there")
		}
	})
	if r := w.one(mountCommand(plainMount, "", "again/", "lease")); r.Err == nil {
		t.Error("a mount took over what one with its UUID left behind")
	}
	for w.s.EntryCount() > many {
		w.must(&command.Tick{})
	}
	w.advance(time.Minute)
	w.do()
	w.s.Read(func(v *fsm.View) {
		if keys, more := v.EntryLevel(otherMount, "", "", 10); len(keys) > 0 || more {
			t.Errorf("past their end %q are seen", keys)
		}
	})
	drained("expired")
	w.must(mountCommand(plainMount, "", "again/", "lease"))
}
