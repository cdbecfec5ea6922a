package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
)

// clone is a copy that may be doctored.
func (h *history) clone(t *testing.T) *history {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	c := new(history)
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// find returns the first call that pick wants, together with the book of its lease.
func (h *history) find(pick func(o *op, book []op) bool) *op {
	books := h.books()
	for i := range h.Ops {
		if o := &h.Ops[i]; o.Out != failed && books[o.ID] != nil && pick(o, books[o.ID]) {
			return o
		}
	}
	return nil
}

// before is the last acknowledged issue or renewal whose answer came before o was called.
func before(o *op, book []op) op {
	var last op
	for _, b := range book {
		if (b.Kind == kIssue || b.Kind == kRenew) && b.Out == ok && b.Ret < o.Call && b.Ret > last.Ret {
			last = b
		}
	}
	return last
}

// plain reports whether nothing of unknown outcome and no revocation is in a book.
func plain(book []op) bool {
	return !revoked(book, never) && !slices.ContainsFunc(book, func(o op) bool { return o.Out == unknown })
}

// plants doctor a history so that it shows one bug. They report whether there was a place for it.
var plants = []struct {
	bug       string
	guarantee string
	doctor    func(h *history) bool
}{
	{"a lost renewal", "S5", func(h *history) bool {
		o := h.find(func(o *op, book []op) bool {
			return o.Kind == kLookup && o.Stands == active && o.Gen > 1 && plain(book) && before(o, book).Kind == kRenew && before(o, book).Gen == o.Gen
		})
		if o == nil {
			return false
		}
		o.Gen--
		return true
	}},
	{"a renewal that moved nothing", "S5", func(h *history) bool {
		o := h.find(func(o *op, book []op) bool {
			return o.Kind == kLookup && o.Stands == active && plain(book) && before(o, book).Kind == kRenew && before(o, book).Gen == o.Gen
		})
		if o == nil {
			return false
		}
		o.Exp -= time.Second
		return true
	}},
	{"a stale read", "S6", func(h *history) bool {
		o := h.find(func(o *op, book []op) bool {
			return o.Kind == kLookup && o.Out == ok && o.Stands != active &&
				slices.ContainsFunc(book, func(r op) bool { return r.Kind == kRevoke && r.Out == ok && r.Ret < o.Call })
		})
		if o == nil {
			return false
		}
		issue := before(o, h.books()[o.ID])
		o.Stands, o.Gen, o.Exp = active, issue.Gen, max(issue.Exp, o.Ret+time.Second)
		return true
	}},
	{"a late renewal", "S3", func(h *history) bool {
		for id, book := range h.books() {
			if last := before(&op{Call: never}, book); plain(book) && len(book) > 1 {
				at := last.Exp + epsilon + 1
				h.Ops = append(h.Ops, op{Client: 99, Kind: kRenew, ID: id, Out: ok, Inc: time.Second, Call: at, Ret: at + 1,
					Gen: last.Gen + 1, Exp: at + time.Second})
				return true
			}
		}
		return false
	}},
	{"an early loss", "S1", func(h *history) bool {
		o := h.find(func(o *op, book []op) bool {
			return o.Kind == kLookup && o.Stands == active && plain(book) && o.Exp > o.Ret+2*epsilon
		})
		if o == nil {
			return false
		}
		o.Stands = absent
		return true
	}},
	{"a lost revoke", "S7", func(h *history) bool {
		var renewed op
		o := h.find(func(o *op, book []op) bool {
			renewed = before(o, book)
			return o.Kind == kRevoke && o.Out == ok && renewed.Exp > o.Ret+time.Second
		})
		if o == nil {
			return false
		}
		h.Ops = append(h.Ops, op{Client: 99, Kind: kRenew, Node: "n1", ID: o.ID, Inc: time.Second, Call: o.Ret + 1, Ret: o.Ret + 2,
			Out: ok, Gen: renewed.Gen + 1, Exp: o.Ret + time.Second})
		return true
	}},
	{"a partial prefix", "S8", func(h *history) bool {
		for _, p := range h.Ops {
			if p.Kind != kPrefix || p.Out != ok {
				continue
			}
			for id, book := range h.books() {
				last := before(&p, book)
				if below(id, p.ID) && book[0].Ret < p.Call && last.Exp > p.Ret+time.Second &&
					!slices.ContainsFunc(book, func(o op) bool { return o.Kind == kLookup && o.Stands != active && o.Call < p.Ret }) {
					h.Ops = append(h.Ops, op{Client: 99, Kind: kLookup, ID: id, Out: ok, Stands: active, Gen: last.Gen, Exp: last.Exp, Call: p.Ret + 1, Ret: p.Ret + 2})
					return true
				}
			}
		}
		return false
	}},
	{"a lease that a list misses", "S1 S5", func(h *history) bool {
		books := h.books()
		for i := range h.Ops {
			list := &h.Ops[i]
			for id, book := range books {
				key := strings.TrimPrefix(id, list.ID+"/")
				at := slices.Index(list.Listed, key)
				if list.Kind == kList && at >= 0 && plain(book) && book[0].Ret < list.Call && floor(book, list.Ret) > list.Ret+2*epsilon {
					list.Listed = slices.Delete(list.Listed, at, at+1)
					return true
				}
			}
		}
		return false
	}},
	{"a read from the future", "S6", func(h *history) bool {
		o := h.find(func(o *op, _ []op) bool { return o.Kind == kStale && o.Stands == active })
		if o == nil {
			return false
		}
		o.Gen += 100
		return true
	}},
	{"a double live lease", "S20", func(h *history) bool {
		o := h.find(func(o *op, _ []op) bool { return o.Kind == kIssue && o.Key != "" && o.Out == ok })
		if o == nil {
			return false
		}
		twin := *o
		twin.ID, twin.Name = twin.ID+"2", twin.Name+"2"
		h.Ops = append(h.Ops, twin)
		return true
	}},
	{"a credential that is destroyed early", "S2", func(h *history) bool {
		o := h.find(func(o *op, book []op) bool {
			return o.Kind == kIssue && o.Out == ok && o.Name != "" && plain(book) && o.Exp > o.Ret+2*epsilon
		})
		if o == nil {
			return false
		}
		h.Events = append(h.Events, event{Action: string(fake.Destroy), ID: o.ID, Name: o.Name, Fence: 1, Leading: true, At: o.Ret + 1})
		return true
	}},
	{"a destruction of another's credential", "S13", func(h *history) bool {
		return h.destroy(func(e *event) { e.ID += "2" })
	}},
	{"a destruction without a fence", "S14", func(h *history) bool {
		return h.destroy(func(e *event) { e.Fence = 0 })
	}},
	{"a follower that destroys", "S24", func(h *history) bool {
		return h.destroy(func(e *event) { e.Leading = false })
	}},
	{"a credential that outlives its lease", "S15", func(h *history) bool {
		o := h.find(func(o *op, _ []op) bool { return o.Kind == kLookup && o.Stands == absent })
		if o == nil {
			return false
		}
		o.Left = true
		return true
	}},
	{"a leaked credential", "S12", func(h *history) bool {
		h.After.Living = append(h.After.Living, "lh-leaked")
		return true
	}},
	{"two leaders of one term", "S24", func(h *history) bool {
		i := slices.IndexFunc(h.Events, func(e event) bool { return e.Action == "lead" })
		twin := h.Events[i]
		twin.Life += 1000
		h.Events = append(h.Events, twin)
		return true
	}},
	{"a replica that diverges", "S18", func(h *history) bool {
		last := &h.Samples[len(h.Samples)-1]
		last.Hash += "x"
		return true
	}},
	{"a log time that falls", "S10", func(h *history) bool {
		h.Samples = append(h.Samples, sample{Node: "n1", Index: h.Samples[len(h.Samples)-1].Index + 1, Now: time.Second})
		return true
	}},
	{"no leader after the heal", "L1", func(h *history) bool { h.After.Led = 0; return true }},
	{"a node that does not catch up", "L9", func(h *history) bool { h.After.Level = 0; return true }},
	{"a lease that does not end", "L5", func(h *history) bool { h.After.Settled = 0; return true }},
	{"a late destruction", "L3", func(h *history) bool {
		late := ledger{h, h.books()}.delays()
		for i := range h.Events {
			if e := &h.Events[i]; e.Action == string(fake.Destroy) && late[e.ID] != 0 {
				e.At += 2 * expiryLimit
			}
		}
		return len(late) > 0
	}},
}

// destroy doctors a copy of the last destruction.
func (h *history) destroy(change func(e *event)) bool {
	for _, e := range slices.Backward(h.Events) {
		if e.Action == string(fake.Destroy) && e.ID != "" && !e.Done {
			change(&e)
			h.Events = append(h.Events, e)
			return true
		}
	}
	return false
}

// Guarantees 6: each check finds its planted bug in an otherwise real history, and nothing else does.
func TestTheChecksFindPlantedBugs(t *testing.T) {
	whole := simulate(t, 3, optionsOf(3))
	if wrong := whole.check(); len(wrong) > 0 {
		report(t, whole, wrong)
		t.FailNow()
	}
	for _, p := range plants {
		t.Run(strings.ReplaceAll(p.bug, " ", "_"), func(t *testing.T) {
			h := whole.clone(t)
			if !p.doctor(h) {
				t.Fatalf("the history has no place for %s", p.bug)
			}
			wrong := h.check()
			if !slices.ContainsFunc(wrong, func(v violation) bool { return strings.Contains(v.guarantee, p.guarantee) }) {
				t.Errorf("the checks miss %s (%s): they say %v", p.bug, p.guarantee, wrong)
			}
		})
	}
}

// Guarantees 6: bugs that are really there are found by the whole machine, within a few seeds.
func TestTheSimulationFindsBugs(t *testing.T) {
	for _, c := range []struct {
		name      string
		bug       bug
		guarantee string
		faults    []fault
	}{
		{"disks that lie about syncs", lies, "S1", []fault{{"power cut", false, powerCut}}},
		{"a target that leaks", leaks, "S12", faults},
		{"reads without a read index", stale, "S6", faults},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			const seeds = 20
			for seed := range uint64(seeds) {
				opts := optionsOf(seed)
				opts.bug, opts.faults = c.bug, c.faults
				wrong := simulate(t, seed, opts).check()
				if slices.ContainsFunc(wrong, func(v violation) bool { return strings.Contains(v.guarantee, c.guarantee) }) {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Errorf("%d runs with %s broke no %s", seeds, c.name, c.guarantee)
		})
	}
}

// A batch that saw too little is void.
func TestAnEmptyBatchIsVoid(t *testing.T) {
	c := newTally()
	c.runs = 200
	if why := c.void(); strings.Count(why, "\n")+1 != 7+len(faults)+8 {
		t.Errorf("an empty batch is void for:\n%s\nwant each kind of thing that is missing", why)
	}
}
