package fake

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// Inventory lists what bears the mark, sorted by name. There is one target, whatever the mount, as with two
// mounts that lead to one database server. A thing was created at the end that Create was told, less the
// TTL.
func (b *Backend) Inventory(ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
	var items []backend.Item
	call := Call{Action: Inventory, Mount: mountPath(r.Mount), Attempt: 1}
	err := b.do(ctx, call, func(bool) error {
		items = nil
		for name, t := range b.things {
			if strings.Contains(name, r.Mark) {
				items = append(items, backend.Item{
					ExternalName: name, Internal: []byte(created + name), Role: t.role, Created: t.created,
				})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(items, func(a, b backend.Item) int { return strings.Compare(a.ExternalName, b.ExternalName) })
	for _, item := range items {
		if err := fn(item); err != nil {
			return err
		}
	}
	return nil
}

// Add puts a thing at the target that no call has made: an orphan, if the name bears a cluster's mark.
func (b *Backend) Add(externalName string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.things[externalName] = &thing{login: true, grants: true, created: at}
}

// Remove takes a thing away behind the engine's back, and reports whether it was there.
func (b *Backend) Remove(externalName string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.things[externalName]
	delete(b.things, externalName)
	return ok
}
