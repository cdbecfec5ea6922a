package backendtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// listed skips a test of inventories for a backend that has none.
func listed(test func(*rig)) func(*rig) {
	return func(r *rig) {
		if _, ok := r.target.(backend.Inventory); !ok {
			r.Skipf("%T has no inventory", r.Backend)
		}
		test(r)
	}
}

// inventory asks the backend for what bears the mark.
func (r *rig) inventory(mark string, fn func(backend.Item) error) error {
	req := r.Request()
	return r.call(func(ctx context.Context) error {
		ask := &backend.InventoryRequest{Mount: req.Mount, Store: req.Store, Mark: mark}
		return r.target.(backend.Inventory).Inventory(ctx, ask, fn)
	})
}

func (r *rig) items(mark string) []backend.Item {
	r.Helper()
	var items []backend.Item
	r.must("inventory", r.inventory(mark, func(item backend.Item) error {
		items = append(items, item)
		return nil
	}))
	return items
}

func (r *rig) inventoryNames(mark string) []string {
	r.Helper()
	names := []string{}
	for _, item := range r.items(mark) {
		names = append(names, item.ExternalName)
	}
	slices.Sort(names)
	return names
}

// issued makes n leases.
func (r *rig) issued(n int) []*credential {
	r.Helper()
	cs := make([]*credential, n)
	for i := range cs {
		cs[i] = r.prepare()
		r.must("create", r.create(cs[i]))
	}
	return cs
}

func (r *rig) end(cs ...*credential) {
	r.Helper()
	for _, c := range cs {
		r.must("destroy", r.destroy(c))
	}
}

func testInventory(r *rig) {
	r.wantExactly("before anything was made")
	cs := r.issued(3)
	for range 2 { // asking changes nothing
		r.wantExactly("after three creates", cs...)
	}
	if names := r.inventoryNames(backend.Mark("suite-stranger")); len(names) != 0 {
		r.Errorf("the inventory of another cluster names %q", names)
	}
	for _, item := range r.items(r.mark) {
		if away := time.Since(item.Created).Abs(); !item.Created.IsZero() && away > 24*time.Hour {
			r.Errorf("%s was made just now, and the inventory says %v", item.ExternalName, item.Created)
		}
	}
	r.end(cs[1])
	r.wantExactly("after a destroy", cs[0], cs[2])
	r.end(cs[0], cs[2])
	r.wantExactly("after all destroys")
}

func testInventoryStops(r *rig) {
	cs := r.issued(2)
	enough, calls := errors.New("enough"), 0
	err := r.inventory(r.mark, func(backend.Item) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		r.Errorf("got %v after %d items, want the error of the first", err, calls)
	}
	r.cancelled = true
	if err := r.inventory(r.mark, func(backend.Item) error { return nil }); err == nil {
		r.Errorf("inventory with a cancelled context: got no error")
	}
	r.cancelled = false
	r.end(cs...)
}

// An orphan is in no lease: what the inventory says of it is all that there is.
func testInventoryDestroys(r *rig) {
	cs := r.issued(2)
	orphan := cs[0]
	for _, item := range r.items(r.mark) {
		if item.ExternalName != orphan.name {
			continue
		}
		r.must("destroy an orphan", r.call(func(ctx context.Context) error {
			return r.target.Destroy(ctx, &backend.Destruction{
				ExternalName: item.ExternalName, Role: item.Role, Mount: orphan.request.Mount, Fence: r.fence.Add(1),
				Attempt: 1, Internal: item.Internal, Store: orphan.request.Store,
			})
		}))
	}
	r.wantExactly("after the orphan was destroyed", cs[1])
	r.end(cs...)
}

// A target that does not answer must not look like one that holds nothing.
func testInventoryFault(r *rig, fault Fault) {
	cs := r.issued(2)
	r.wantFailure("inventory", fault, func() error {
		return r.inventory(r.mark, func(backend.Item) error { return nil })
	})
	r.wantExactly("after the fault", cs...)
	r.end(cs...)
}
