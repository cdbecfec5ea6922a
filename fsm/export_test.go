package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/leasehold/leasehold/lease"
)

// CheckInvariants recomputes everything that is derived and compares; it also checks what must
// always hold of the replicated part.
func (s *State) CheckInvariants() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.core
	return errors.Join(c.checkLeases(), c.checkDue(), c.checkOwners(), c.checkTokens(), c.checkMounts(),
		c.checkJobs(), c.checkIdempotency(), c.checkEntries(), c.checkNamespaces(), c.checkPolicies())
}

func (c *core) checkLeases() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	want, claimed, irrevocable := newCounters(), map[string]struct{}{}, 0
	if c.tree.Len() != len(c.leases) {
		fail("%d leases in the tree, %d in the map", c.tree.Len(), len(c.leases))
	}
	c.tree.Scan(func(l *lease.Lease) bool {
		r := c.leases[l.ID]
		if r == nil || r.lease != l {
			fail("%s: tree and map hold different values", l.ID)
			return true
		}
		want.add(l, 1)
		if l.Ending != nil && l.Ending.Claim != 0 {
			claimed[l.ID] = struct{}{}
		}
		if l.Status == lease.Irrevocable {
			irrevocable++
			if got, ok := c.irrevocable.Get(l); !ok || got != l {
				fail("%s: not in the order of irrevocable leases", l.ID)
			}
		}
		ending := l.Status == lease.Revoking || l.Status == lease.Irrevocable
		if ending != (l.Ending != nil) {
			fail("%s: %s with ending %v", l.ID, l.Status, l.Ending)
		}
		if l.Kind == lease.Plain && l.Status != lease.Active {
			fail("%s: a plain lease is %s", l.ID, l.Status)
		}
		if l.Fence < l.Seq || l.Seq > c.seq || l.Fence > c.seq {
			fail("%s: seq %d, fence %d, state at %d", l.ID, l.Seq, l.Fence, c.seq)
		}
		return true
	})
	if c.irrevocable.Len() != irrevocable {
		fail("%d in the order of irrevocable leases, want %d", c.irrevocable.Len(), irrevocable)
	}
	if !maps.Equal(claimed, c.claimed) {
		fail("claimed: got %v, want %v", c.claimed, claimed)
	}
	return errors.Join(append(errs, compareCounts(&c.counts, &want))...)
}

func compareCounts(got, want *counters) error {
	equal := func(a, b *Tally) bool { return *a == *b }
	if got.all != want.all || !maps.EqualFunc(got.mounts, want.mounts, equal) ||
		!maps.EqualFunc(got.roles, want.roles, equal) || !maps.EqualFunc(got.ownedBy, want.ownedBy, equal) {
		return fmt.Errorf("counters: got %v, want %v", got.all, want.all)
	}
	return nil
}

// checkDue makes sure that every lease with a due time stands where it will be found in time.
func (c *core) checkDue() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	standing := 0
	for second, head := range c.due.buckets {
		if !c.due.seconds.Contains(second) {
			fail("bucket %d is not in the order of seconds", second)
		}
		for r := head; r != nil; r = r.next {
			standing++
			if r.where != inBucket || int64(r.key) != second || c.leases[r.lease.ID] != r {
				fail("%s: a stranger in bucket %d", r.lease.ID, second)
			}
			if due := r.lease.Due(); due != 0 && due.Second() < second {
				fail("%s: due at second %d, stands in bucket %d", r.lease.ID, due.Second(), second)
			}
			if r.lease.Ending != nil {
				fail("%s: being revoked, stands in bucket %d", r.lease.ID, second)
			}
		}
	}
	if c.due.seconds.Len() != len(c.due.buckets) {
		fail("%d seconds, %d buckets", c.due.seconds.Len(), len(c.due.buckets))
	}
	for where, sets := range c.due.sets {
		for mount, set := range sets {
			set.Scan(func(r *record) bool {
				standing++
				if r.where != uint8(where) || r.where != place(r.lease) || r.key != r.lease.Due() || r.lease.MountID != mount ||
					c.leases[r.lease.ID] != r {
					fail("%s: a stranger in set %d of %s", r.lease.ID, where, mount)
				}
				return true
			})
			if set.Len() == 0 {
				fail("set %d of %s is empty and kept", where, mount)
			}
		}
	}
	next := c.due.next(c.thawed)
	for id, r := range c.leases {
		due := r.lease.Due()
		if due != 0 && r.lease.Ending != nil {
			due = c.thawed(r.lease.MountID, due)
		}
		if due != 0 && (next == 0 || next > due) {
			fail("%s is due at %s, before the next due time %s", id, due, next)
		}
		if r.where == inNone {
			if r.lease.Due() != 0 {
				fail("%s: due at %s and nowhere in the index", id, r.lease.Due())
			}
			continue
		}
		standing--
	}
	if standing != 0 {
		fail("the due index holds %d entries too many", standing)
	}
	return errors.Join(errs...)
}

func (c *core) checkOwners() error {
	var errs []error
	want := map[string][]*record{}
	for _, r := range c.leases {
		if r.lease.Owner != "" && r.lease.Kind != lease.OfToken && r.lease.Ending == nil {
			want[r.lease.Owner] = append(want[r.lease.Owner], r)
			if c.tokenByHash[r.lease.Owner] == nil {
				errs = append(errs, fmt.Errorf("%s lives and its token is gone", r.lease.ID))
			}
		}
	}
	if len(want) != len(c.owners) {
		errs = append(errs, fmt.Errorf("%d owners, want %d", len(c.owners), len(want)))
	}
	for owner, list := range want {
		slices.SortFunc(list, func(a, b *record) int { return int(a.lease.Seq) - int(b.lease.Seq) })
		o := c.owners[owner]
		if o == nil {
			errs = append(errs, fmt.Errorf("owner %s has no list", owner))
			continue
		}
		var got []*record
		var last *record
		for r := o.first; r != nil; last, r = r, r.ownNext {
			got = append(got, r)
			if r.ownPrev != last {
				errs = append(errs, fmt.Errorf("owner %s: broken link before %s", owner, r.lease.ID))
			}
		}
		if o.last != last || o.count != len(got) || !slices.Equal(got, list) {
			errs = append(errs, fmt.Errorf("owner %s: list of %d (count %d), want %d in order of seq", owner, len(got), o.count, len(list)))
		}
	}
	return errors.Join(errs...)
}

// checkJobs recounts what each job has found and not ended.
func (c *core) checkJobs() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	left, failed := map[uint64]int{}, map[uint64]int{}
	for _, r := range c.leases {
		if e := r.lease.Ending; e != nil && e.Job != 0 {
			left[e.Job]++
			if e.Attempts > 0 {
				failed[e.Job]++
			}
		}
	}
	prefixes := map[string]uint64{}
	var tidying uint64
	open, sweeping, finished := 0, 0, 0
	c.jobs.Scan(func(id uint64, j *lease.Job) bool {
		if j.Left() != left[id] || j.Failed != failed[id] {
			fail("job %d: %d left and %d failed, want %d and %d", id, j.Left(), j.Failed, left[id], failed[id])
		}
		delete(left, id)
		switch j.State {
		case lease.JobSweeping:
			sweeping++
			if j.Selector.Kind == lease.SelectPrefix {
				key := nsKey(j.Selector.Namespace, j.Selector.Value)
				prefixes[key] = max(prefixes[key], id)
			}
			if j.Selector.Kind == lease.SelectOwnerless {
				if tidying != 0 {
					fail("jobs %d and %d tidy at once", tidying, id)
				}
				tidying = id
			}
		case lease.JobFinished:
			finished++
			if j.Left() != 0 || j.Finished == 0 {
				fail("job %d is finished: %+v", id, j)
			}
		}
		if j.State != lease.JobFinished {
			open++
		}
		if c.openJobs.Contains(id) != (j.State != lease.JobFinished) || c.sweeping.Contains(id) != (j.State == lease.JobSweeping) {
			fail("job %d is %s and listed otherwise", id, j.State)
		}
		return true
	})
	if c.openJobs.Len() != open || c.sweeping.Len() != sweeping || c.finished.Len() != finished || finished > keepFinishedJobs {
		fail("jobs: %d open, %d sweeping, %d finished; want %d, %d, %d", c.openJobs.Len(), c.sweeping.Len(), c.finished.Len(),
			open, sweeping, finished)
	}
	if tidying != c.tidying {
		fail("job %d tidies, noted is %d", tidying, c.tidying)
	}
	if len(left) != 0 {
		fail("leases are counted by jobs that are gone: %v", left)
	}
	if !maps.Equal(prefixes, c.prefixJobs) {
		fail("prefixes being swept: got %v, want %v", c.prefixJobs, prefixes)
	}
	return errors.Join(errs...)
}

// EntryForgetLimit is how many entries one command may remove.
const EntryForgetLimit = entryForgetLimit

// EntryCount is the number of entries that are stored, expired ones too.
func (s *State) EntryCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.core.entries.Len()
}

// PolicySets is the number of lists of policies that tokens share.
func (s *State) PolicySets() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.core.policySets)
}

// SplitEntry returns the time and the framed commands of an entry that EncodeEntry made.
func SplitEntry(entry []byte) (now lease.Time, framed [][]byte) {
	rest := entry[2:]
	count, n := binary.Uvarint(rest)
	rest = rest[n:]
	at, n := binary.Varint(rest)
	rest = rest[n:]
	for range count {
		size, n := binary.Uvarint(rest)
		framed = append(framed, rest[:n+int(size)])
		rest = rest[n+int(size):]
	}
	return lease.Time(at), framed
}

// CommandNumber returns the type number of a framed command.
func CommandNumber(framed []byte) byte {
	_, n := binary.Uvarint(framed)
	return framed[n]
}

// DecodeCommand returns a framed command, nil if it is malformed.
func DecodeCommand(framed []byte) Command {
	_, n := binary.Uvarint(framed)
	cmd, err := decodeCommand(framed[n], framed[n+1:])
	if err != nil {
		panic(err)
	}
	return cmd
}

// CommandNumbers returns all type numbers.
func CommandNumbers() []byte { return slices.Sorted(maps.Keys(commandTypes)) }

// NewCommand makes an empty command of a type.
func NewCommand(number byte) Command { return commandTypes[number]() }
