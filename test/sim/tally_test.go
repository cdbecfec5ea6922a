package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
)

// tally is what a batch of runs saw.
type tally struct {
	mu       sync.Mutex // guards all below
	runs     int
	virtual  time.Duration
	acked    map[string]int // calls by kind
	unknown  int
	early    int // calls acknowledged before the first fault, and in how long
	calm     time.Duration
	expired  int // leases that ended by themselves
	keyed    int // issues with a key that were acknowledged
	crashes  int
	installs int
	leads    int
	aimed    int // faults at the leader
	faults   map[string]int
	gaps     []time.Duration // from the end of a leader to the next
	delays   []time.Duration // from expiry to destruction
	wrong    int
}

func newTally() *tally { return &tally{acked: make(map[string]int), faults: make(map[string]int)} }

// add counts one run.
func (c *tally) add(h *history, wrong int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	c.wrong += wrong
	c.virtual += h.After.Settled
	c.installs += h.After.Installs
	first := h.After.Healed
	fell := never // when a leader fell
	for _, e := range h.Events {
		name, isFault := strings.CutPrefix(e.Action, "fault: ")
		switch {
		case isFault:
			first = min(first, e.At)
			c.faults[name]++
			fell = never
			if e.Leading {
				c.aimed++
			}
			if name == "leader killed" || name == "leader paused" || name == "leader cut off" {
				fell = e.At
			}
		case e.Action == "lead":
			c.leads++
			if fell != never {
				c.gaps = append(c.gaps, e.At-fell)
				fell = never
			}
		case e.Action == "crash":
			c.crashes++
		}
	}
	c.calm += first
	for _, o := range h.Ops {
		switch o.Out {
		case ok:
			c.acked[o.Kind]++
			if o.Ret <= first {
				c.early++
			}
			if o.Key != "" {
				c.keyed++
			}
		case unknown:
			c.unknown++
		}
	}
	c.countEnds(h)
}

func (c *tally) countEnds(whole *history) {
	h := ledger{whole, whole.books()}
	ended := make(map[string]bool)
	for _, e := range h.Events {
		if e.Action == string(fake.Destroy) && h.books[e.ID] != nil && !revoked(h.books[e.ID], e.At) {
			ended[e.ID] = true
		}
	}
	c.expired += len(ended)
	for _, d := range h.delays() {
		c.delays = append(c.delays, d)
	}
}

// void says why the batch proves nothing, "" if it does (guarantees 6).
func (c *tally) void() string {
	var why []string
	need := func(what string, have, want int) {
		if have < want {
			why = append(why, fmt.Sprintf("%s: %d, want %d", what, have, want))
		}
	}
	for _, kind := range []string{kIssue, kRenew, kLookup, kStale, kRevoke, kPrefix, kList} {
		need("acknowledged calls of kind "+kind, c.acked[kind], 10*c.runs)
	}
	for _, f := range faults {
		need("faults of kind "+f.name, c.faults[f.name], max(1, c.runs/15))
	}
	need("calls of unknown outcome", c.unknown, max(10, c.runs))
	need("leases that ended by themselves", c.expired, 10*c.runs)
	need("issues with a key", c.keyed, 10*c.runs)
	need("leaderships, for the faults at the leader", c.leads, c.aimed)
	need("crashes", c.crashes, c.runs)
	need("snapshots installed", c.installs, max(1, c.runs/5))
	need("failovers measured", len(c.gaps), max(1, c.runs/10))
	need("expiries measured", len(c.delays), c.runs)
	need("calls a second before the first fault", int(float64(c.early)/max(c.calm, 1).Seconds()), 50)
	return strings.Join(why, "\n")
}

// quantile of durations, which it sorts.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[min(len(of)-1, int(q*float64(len(of))))]
}

// String is the line at the end of a batch, with the faults of each kind below it.
func (c *tally) String() string {
	calls := c.unknown
	for _, n := range c.acked {
		calls += n
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs, %.1f virtual hours, %d calls checked (%d of unknown outcome), %d leases expired, %d leaderships, %d crashes, %d snapshots installed, %d violations\n",
		c.runs, c.virtual.Hours(), calls, c.unknown, c.expired, c.leads, c.crashes, c.installs, c.wrong)
	fmt.Fprintf(&b, "a leader ended to the next one ready: p50 %v, p99 %v of %d; a lease ended to its destruction: p50 %v, p99 %v of %d\n",
		quantile(c.gaps, .5).Round(time.Millisecond), quantile(c.gaps, .99).Round(time.Millisecond), len(c.gaps),
		quantile(c.delays, .5).Round(time.Millisecond), quantile(c.delays, .99).Round(time.Millisecond), len(c.delays))
	for _, name := range sortedKeys(c.faults) {
		fmt.Fprintf(&b, "%6d %s\n", c.faults[name], name)
	}
	return b.String()
}
