package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
)

// violation is a guarantee that a history breaks.
type violation struct{ guarantee, text string }

func (v violation) String() string { return v.guarantee + ": " + v.text }

// ledger is a history with its books.
type ledger struct {
	*history
	books map[string][]op
}

// check is all that is claimed about a run, of its history alone.
func (whole *history) check() (wrong []violation) {
	h := ledger{whole, whole.books()}
	for _, audit := range []func() []violation{
		h.linearizable, h.auditLists, h.auditStale, h.auditTarget, h.auditGone, h.auditKeys, h.auditLeaders, h.auditReplicas, h.auditEnd, h.auditDelay,
	} {
		wrong = append(wrong, audit()...)
	}
	return wrong
}

// floor is the earliest end that a lease may have at a time, by what its callers were told and by what
// may be under way.
func floor(book []op, at time.Duration) time.Duration {
	end := book[0].Call + book[0].Inc
	gen := uint64(0)
	for _, o := range book {
		if (o.Kind == kIssue || o.Kind == kRenew) && o.Out == ok && o.Ret <= at && o.Gen >= gen {
			gen, end = o.Gen, o.Exp
		}
	}
	for _, o := range book {
		if o.Kind == kRenew && o.Call <= at && (o.Out == unknown || o.Out == ok && o.Ret > at) {
			end = min(end, o.Call+o.Inc)
		}
	}
	return end
}

// revoked reports whether somebody may have ended the lease by a time.
func revoked(book []op, at time.Duration) bool {
	return slices.ContainsFunc(book, func(o op) bool { return (o.Kind == kRevoke || o.Kind == kPrefix) && o.Call <= at })
}

// auditLists: S1, S5: a list has every lease that lives, and none that is gone.
func (h ledger) auditLists() (wrong []violation) {
	for _, list := range h.Ops {
		if list.Kind != kList || list.Out != ok {
			continue
		}
		shown := make(map[string]bool, len(list.Listed))
		for _, key := range list.Listed {
			shown[key] = true
		}
		for id, book := range h.books {
			if !below(id, list.ID) {
				continue
			}
			key := strings.TrimPrefix(id, list.ID+"/")
			alive := book[0].Ret <= list.Call && !revoked(book, list.Ret) && floor(book, list.Ret) > list.Ret+epsilon
			gone := slices.ContainsFunc(book, func(o op) bool {
				return o.Out == ok && o.Ret < list.Call && (o.Kind == kLookup && o.Stands == absent || o.Kind == kRevoke && o.Sync && o.Err == "")
			})
			if alive && !shown[key] || gone && shown[key] {
				wrong = append(wrong, violation{"S1 S5", fmt.Sprintf("at %v a list shows %s: %v; it is gone: %v", list.Call, id, shown[key], gone)})
			}
		}
	}
	return wrong
}

// auditStale: a stale read shows the past, not the future: no generation that nobody asked for yet.
func (h ledger) auditStale() (wrong []violation) {
	for id, book := range h.books {
		for _, o := range book {
			if o.Kind != kStale || o.Stands == absent {
				continue
			}
			most := book[0].Gen
			for _, r := range book {
				if r.Kind == kRenew && r.Call <= o.Ret {
					most++
				}
			}
			if o.Gen > most {
				wrong = append(wrong, violation{"S6", fmt.Sprintf("a stale read of %s shows generation %d, at most %d can be", id, o.Gen, most)})
			}
		}
	}
	return wrong
}

// auditTarget: what the target was asked. S2: nothing is destroyed before its end unless somebody
// revoked it. S13, S14: a name belongs to one lease for ever, and each destruction has a fence. S24: only a
// leader destroys.
func (h ledger) auditTarget() (wrong []violation) {
	owner := make(map[string]string)
	for _, e := range h.Events {
		if e.Action != string(fake.Create) && e.Action != string(fake.Destroy) || e.Done {
			continue
		}
		bad := func(guarantee, format string, args ...any) {
			wrong = append(wrong, violation{guarantee, fmt.Sprintf("at %v %s of %s (%s): ", e.At, e.Action, e.Name, e.ID) + fmt.Sprintf(format, args...)})
		}
		switch first := owner[e.Name]; {
		case e.ID == "": // an orphan has no lease
		case first == "":
			owner[e.Name] = e.ID
		case first != e.ID:
			bad("S13", "the name belongs to %s", first)
		}
		if e.Action == string(fake.Create) {
			continue
		}
		if e.Fence == 0 {
			bad("S14", "no fence")
		}
		if !e.Leading {
			bad("S24", "node %s does not lead", e.Node)
		}
		book := h.books[owner[e.Name]]
		if book != nil && !revoked(book, e.At) && e.At < floor(book, e.At)-epsilon {
			bad("S2", "its end is not before %v:\n%s", floor(book, e.At), listing(book))
		}
	}
	return wrong
}

// auditGone: S15: what is said to be gone is gone at the target.
func (h ledger) auditGone() (wrong []violation) {
	for _, o := range h.Ops {
		if o.Left {
			wrong = append(wrong, violation{"S15", fmt.Sprintf("%s is gone, and its credential lives: %s", o.ID, describe(o))})
		}
	}
	return wrong
}

// auditKeys: S20: one lease for each key, one key and one name for each lease.
func (h ledger) auditKeys() (wrong []violation) {
	seen := make(map[string]op)
	for _, o := range h.Ops {
		if o.Kind != kIssue || o.Out != ok {
			continue
		}
		for _, what := range []string{"lease " + o.ID, "name " + o.Name, "key " + o.Key} {
			if strings.HasSuffix(what, " ") {
				continue
			}
			if first, twice := seen[what]; twice {
				wrong = append(wrong, violation{"S20", fmt.Sprintf("%s was acknowledged twice:\n    %s\n    %s", what, describe(first), describe(o))})
			}
			seen[what] = o
		}
	}
	return wrong
}

// auditLeaders: S24: there is one leadership in a term.
func (h ledger) auditLeaders() (wrong []violation) {
	led := make(map[uint64]event)
	for _, e := range h.Events {
		if e.Action != "lead" {
			continue
		}
		if first, twice := led[e.Gen]; twice && first.Life != e.Life {
			wrong = append(wrong, violation{"S24", fmt.Sprintf("%s and %s both lead in term %d", first.Node, e.Node, e.Gen)})
		}
		led[e.Gen] = e
	}
	return wrong
}

// auditReplicas: S18: states are equal at equal indexes, in all lives of all nodes. S10: log time grows
// with the index.
func (h ledger) auditReplicas() (wrong []violation) {
	at := make(map[uint64]sample)
	for _, x := range h.Samples {
		first, twice := at[x.Index]
		if twice && (first.Hash != x.Hash || first.Now != x.Now) {
			wrong = append(wrong, violation{"S18", fmt.Sprintf("%s and %s differ at index %d", first.Node, x.Node, x.Index)})
		}
		at[x.Index] = x
	}
	sorted := make([]sample, 0, len(at))
	for _, x := range at {
		sorted = append(sorted, x)
	}
	slices.SortFunc(sorted, func(a, b sample) int { return int(a.Index) - int(b.Index) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Now < sorted[i-1].Now {
			wrong = append(wrong, violation{"S10", fmt.Sprintf("log time falls from %v at index %d to %v at index %d",
				sorted[i-1].Now, sorted[i-1].Index, sorted[i].Now, sorted[i].Index)})
		}
	}
	return wrong
}

// auditEnd: after the heal there is a leader (L1) that serves (L2), all nodes catch up (L9), all leases end
// (L5, L6), and nothing is left at the target (S12).
func (h ledger) auditEnd() (wrong []violation) {
	a := h.After
	for _, c := range []struct {
		guarantee string
		at        time.Duration
		what      string
	}{
		{"L1", a.Led, "no leader"}, {"L2", a.Served, "no write is acknowledged"},
		{"L9", a.Level, "not all nodes caught up"}, {"L5 L6", a.Settled, "leases did not end: " + strings.Join(a.Leases, ", ")},
	} {
		if c.at == 0 {
			wrong = append(wrong, violation{c.guarantee, "after the heal: " + c.what})
		}
	}
	for _, name := range a.Living {
		wrong = append(wrong, violation{"S12", name + " is left at the target"})
	}
	for _, text := range a.Trouble {
		wrong = append(wrong, violation{"the run", text})
	}
	return wrong
}

// expiryLimit is how long after its end a lease's first destruction may begin in a healthy cluster: L3's
// second, with half a second on the way to the target and in samples.
const expiryLimit = 1500 * time.Millisecond

// auditDelay: L3: what ends in a healthy cluster is destroyed soon.
func (h ledger) auditDelay() (wrong []violation) {
	for id, late := range h.delays() {
		if late > expiryLimit {
			wrong = append(wrong, violation{"L3", fmt.Sprintf("%s ended, and its destruction began %v later", id, late)})
		}
	}
	return wrong
}

// delays are from the end of a lease to its first destruction, of those issued after the heal, left to end
// by themselves, and whose end is known: after a renewal of unknown outcome it is not.
func (h ledger) delays() map[string]time.Duration {
	delays := make(map[string]time.Duration)
	if h.After.Level == 0 {
		return delays
	}
	for _, e := range h.Events {
		book := h.books[e.ID]
		if e.Action != string(fake.Destroy) || e.Done || book == nil || book[0].Call < h.After.Level || !plain(book) {
			continue
		}
		if _, again := delays[e.ID]; !again {
			delays[e.ID] = e.At - floor(book, e.At)
		}
	}
	return delays
}
