package lessor_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// Conformance 5 to 9, 68, 69: counts by accessor, order by expiry and ID, first ones on a cut list.
func TestIrrevocableCountAndList(t *testing.T) {
	w := lessortest.New(t)
	if total, counts := w.Lessor.CountIrrevocable("", false); total != 0 || len(counts) != 0 || counts == nil {
		t.Errorf("none: got %d, %v", total, counts)
	}
	if list, total := w.Lessor.Irrevocable("", false, 0); len(list) != 0 || total != 0 {
		t.Errorf("none: got %v, %d", list, total)
	}
	a, b := w.Enable("a", "fake", lease.MountConfig{}), w.Enable("b", "fake", lease.MountConfig{})
	ctx := context.Background()
	if _, err := w.Proposer.Propose(ctx, &command.PutNamespace{Id: "n1", Path: "team/"}); err != nil {
		t.Fatal(err)
	}
	inNS, err := w.Lessor.EnableMount(ctx, lessor.MountRequest{Namespace: "n1", Path: "a", Type: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(m *lease.Mount, ttl time.Duration) string {
		return w.Issue(m, "creds/ci", w.Root(), map[string]any{"ttl": ttl.String()}).Lease.ID
	}
	late, early, mid := issue(a, 3*time.Hour), issue(b, time.Hour), issue(a, 2*time.Hour)
	below := issue(inNS, time.Minute)
	issue(a, time.Hour) // lives
	for _, id := range []string{late, early, mid} {
		makeIrrevocable(t, w, id)
	}
	makeIrrevocableIn(t, w, "n1", below)

	check := func(ns string, children bool, want map[string]int, ids ...string) {
		t.Helper()
		total, counts := w.Lessor.CountIrrevocable(ns, children)
		if total != len(ids) || !maps.Equal(counts, want) {
			t.Errorf("count in %q (%v): got %d, %v; want %d, %v", ns, children, total, counts, len(ids), want)
		}
		for limit := range len(ids) + 2 {
			list, total := w.Lessor.Irrevocable(ns, children, limit)
			n := min(limit, len(ids))
			if limit == 0 {
				n = len(ids)
			}
			if len(list) != n || total != len(ids) {
				t.Errorf("list in %q by %d: got %d of %d; want %d of %d", ns, limit, len(list), total, n, len(ids))
				continue
			}
			for i, got := range list {
				if got.LeaseID != ids[i] || got.Error != "wrong password" || want[got.Accessor] == 0 {
					t.Errorf("list in %q: got %+v at %d, want %s", ns, got, i, ids[i])
				}
			}
		}
	}
	check("", false, map[string]int{a.Accessor: 2, b.Accessor: 1}, early, mid, late)
	check("", true, map[string]int{a.Accessor: 2, b.Accessor: 1, inNS.Accessor: 1}, below, early, mid, late)
	check("n1", true, map[string]int{inNS.Accessor: 1}, below)
	check("n2", true, map[string]int{})
}
