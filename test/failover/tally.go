package failover

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// chosen says which faults are among those that were asked for: by their names, or by words that are in
// them. "": all.
func chosen(only string, kinds []faults.Fault) func(name string) bool {
	return func(name string) bool {
		for part := range strings.SplitSeq(only, ",") {
			part = strings.TrimSpace(part)
			whole := slices.ContainsFunc(kinds, func(f faults.Fault) bool { return f.Name == part })
			if part == name || !whole && strings.Contains(name, part) {
				return true
			}
		}
		return false
	}
}

// file adds a round to the result of its fault.
func (r *Run) file(f faults.Fault, before counts, stock stockCalls, first, gap time.Duration) {
	res := r.results[f.Name]
	if res == nil {
		form := "processes"
		if r.Compose {
			form = "compose"
		}
		res = &Result{Form: form, Command: r.Command, Started: r.begin, Seed: r.Seed, Fault: f.Name}
		r.results[f.Name] = res
	}
	now := r.rec.counts()
	res.Strikes++
	res.Checked += now.checked - before.checked
	res.Violations += now.violations - before.violations
	res.Unknown += now.unknown - before.unknown
	res.Calls += now.calls - before.calls
	res.Missed += now.missed - before.missed
	res.Gaps = append(res.Gaps, milliseconds(gap))
	// A leader that may go on answers at once, and one that stops hands over first: there the gap tells.
	if f.Aim == faults.Leader && !f.Keeps && f.Name != stopLeader && first > 0 {
		res.Failover = append(res.Failover, milliseconds(first))
	}
	res.Stock += r.stock.calls - stock.calls
	res.StockFail += r.stock.failed - stock.failed
	res.Bare += r.stock.bareCalls - stock.bareCalls
	res.BareFail += r.stock.bare - stock.bare
	if now.unknown > before.unknown {
		r.tally.Breaking++
	}
}

// report fills in what the run found.
func (r *Run) report(report *Report) {
	for _, name := range slices.Sorted(maps.Keys(r.results)) {
		report.Results = append(report.Results, r.results[name])
	}
	for _, v := range r.rec.violations {
		report.Violations = append(report.Violations, v.String())
	}
	r.tally.Acked, r.tally.Unknown = r.rec.acked, r.rec.unknown
	r.tally.Expired, r.tally.Undecided = r.rec.checker.Expired, r.rec.checker.Undecided
	report.Void = r.tally.Void()
	report.Checked = r.rec.checker.Checked
	r.target.mu.Lock()
	report.Stale, report.Again = r.target.stale, r.target.again
	r.target.mu.Unlock()
}
