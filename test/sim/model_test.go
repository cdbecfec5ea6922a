package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// epsilon is max_clock_skew: how far log time may be from the time of the run.
	epsilon = 2 * time.Second
	// inFlight bounds how much later than its call a call of unknown outcome may have moved an end.
	inFlight = time.Minute
	never    = time.Duration(1 << 62)
)

// phase is where a lease stands in the model.
type phase uint8

const (
	unborn phase = iota
	living
	over
)

// modelLease is one lease as its callers may expect it. After a renewal of unknown outcome its end is
// between low and high; else they are equal.
type modelLease struct {
	phase     phase
	gen       uint64
	low, high time.Duration
}

// step says whether what o saw fits m, and what m is after it.
func (m modelLease) step(o op) (bool, modelLease) {
	switch o.Kind {
	case kIssue:
		return m.phase == unborn, modelLease{phase: living, gen: o.Gen, low: o.Exp, high: o.Exp}
	case kRevoke, kPrefix:
		if m.phase == living {
			m.phase = over
		}
		return true, m
	case kRenew:
		return m.renew(o)
	default:
		return m.look(o)
	}
}

func (m modelLease) renew(o op) (bool, modelLease) {
	switch {
	case o.Out == refused:
		return m.mayHaveEnded(o), m
	case o.Out == unknown && m.phase != living:
		return true, m
	case o.Out == unknown:
		return true, modelLease{living, m.gen + 1, o.Call + o.Inc - epsilon, o.Call + o.Inc + inFlight}
	}
	fits := m.phase == living && o.Gen == m.gen+1 && o.Call <= m.high+epsilon
	return fits, modelLease{living, o.Gen, o.Exp, o.Exp}
}

// mayHaveEnded reports whether the lease is over, or may be by the clock when o was answered.
func (m modelLease) mayHaveEnded(o op) bool { return m.phase == over || o.Ret >= m.low-epsilon }

func (m modelLease) look(o op) (bool, modelLease) {
	switch o.Stands {
	case active:
		fits := m.phase == living && o.Gen == m.gen && m.low <= o.Exp && o.Exp <= m.high && o.Call <= o.Exp+epsilon
		m.low, m.high = o.Exp, o.Exp
		return fits, m
	case lapsed: // nothing in the log ended it
		return m.mayHaveEnded(o), m
	}
	fits := m.phase != unborn && m.mayHaveEnded(o)
	m.phase = over
	return fits, m
}

var leaseModel = porcupine.Model{
	Init:              func() any { return modelLease{} },
	Step:              func(state, in, _ any) (bool, any) { return step(state.(modelLease), in.(op)) },
	DescribeOperation: func(in, _ any) string { return describe(in.(op)) },
}

func step(m modelLease, o op) (bool, any) {
	fits, next := m.step(o)
	return fits, next
}

func describe(o op) string {
	return fmt.Sprintf("%8.3f-%8.3f %s on %s: %s %s gen %d end %.3f inc %v %s", o.Call.Seconds(), o.Ret.Seconds(), o.Kind, o.Node,
		o.Out, o.Stands, o.Gen, o.Exp.Seconds(), o.Inc, o.Err)
}

// below reports whether a lease is below a prefix, by whole segments.
func below(id, prefix string) bool { return strings.HasPrefix(id, prefix+"/") }

// books are the calls of a history by lease: of each that was acknowledged.
func (h *history) books() map[string][]op {
	books := make(map[string][]op)
	for _, o := range h.Ops {
		if o.Kind == kIssue && o.Out == ok {
			books[o.ID] = append(books[o.ID], o)
		}
	}
	for _, o := range h.Ops {
		switch {
		case o.Out == failed || o.Kind == kIssue || o.Kind == kList:
		case o.Kind == kPrefix:
			for id, book := range books {
				if below(id, o.ID) && (o.Out == unknown || book[0].Call < o.Ret) {
					books[id] = append(book, o)
				}
			}
		case books[o.ID] != nil:
			books[o.ID] = append(books[o.ID], o)
		}
	}
	return books
}

// linearizable checks S1, S2, S3, S5, S6 and S7 lease by lease, with revoke-prefix (S8) as a revoke of
// each. A list is no part of it.
func (h ledger) linearizable() (wrong []violation) {
	for _, id := range sortedKeys(h.books) {
		var ops []porcupine.Operation
		for _, o := range h.books[id] {
			if o.Kind == kStale || o.Kind == kLookup && o.Out != ok {
				continue
			}
			ret := o.Ret
			if o.Out == unknown {
				ret = never
			}
			ops = append(ops, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(ret)})
		}
		if got := porcupine.CheckOperationsTimeout(leaseModel, ops, 20*time.Second); got != porcupine.Ok {
			wrong = append(wrong, violation{"S1 S2 S3 S5 S6 S7 S8", fmt.Sprintf("the calls of %s have no order that explains them (%v):\n%s",
				id, got, listing(h.books[id]))})
		}
	}
	return wrong
}

func listing(book []op) string {
	sorted := slices.Clone(book)
	slices.SortStableFunc(sorted, func(a, b op) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range sorted {
		fmt.Fprintf(&b, "    %s\n", describe(o))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
