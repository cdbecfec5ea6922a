package backend

import (
	"context"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// Inventory is implemented by targets that can tell what they hold of this cluster's making. It is how
// orphans are found: what is at the target and in no lease, and what is in a lease and gone.
type Inventory interface {
	// Inventory calls fn with every item whose name bears r.Mark, in any order, one page of the target
	// at a time, until fn returns an error. It changes nothing at the target.
	Inventory(ctx context.Context, r *InventoryRequest, fn func(Item) error) error
}

// InventoryRequest asks for the inventory of one mount.
type InventoryRequest struct {
	Mount *lease.Mount
	Store Store
	// Mark is what every external name holds that this cluster makes (see Mark).
	Mark string
}

// Item is one thing at a target.
type Item struct {
	ExternalName string
	// Internal is what Destroy needs to end it where no lease tells; Role the role if the item tells it.
	Internal []byte
	Role     string
	Created  time.Time // zero: the target does not tell
}

// Mark is what every external name of a cluster holds, given the cluster's short ID: no name without
// it is ever touched.
func Mark(cluster string) string { return "lh-" + cluster }

// DefaultName is the external name of what a plan does not name itself.
func DefaultName(mark, random string) string { return mark + "-" + random }

// Itemized is implemented by an Inventory some of whose leases stand for nothing that it could list,
// such as credentials that only run out.
type Itemized interface {
	// HasItem reports whether what a lease with this Internal stands for is in inventories.
	HasItem(internal []byte) bool
}
