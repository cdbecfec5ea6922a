package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of an inventory.
const (
	MaxInventory = 1_000_000 // names of one role
	MaxName      = 256       // bytes of one name
	itemBytes    = 160       // of an answer for each item that is asked for
)

// question is the body of an inventory call.
type question struct {
	Action string         `json:"action"`
	Role   string         `json:"role"`
	Params map[string]any `json:"params"`
	Mark   string         `json:"mark"`
	After  string         `json:"after"`
	Limit  int            `json:"limit"`
}

// page is an answer to it.
type page struct {
	items []backend.Item
	last  string // the name on it that is last, "" if it is empty
	count int    // of all names on it, those without the mark included
	more  bool
}

// Inventory asks the services of all roles, one after the other, for what they made for this cluster. It
// is whole or an error: a mount with a role that has no inventory_url has none (code Unsupported), since
// what that role made would look as if it were gone. The same holds of a role that was deleted while its
// leases may live.
func (b *Backend) Inventory(ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
	cfg, err := loadConfig(r.Store)
	if err != nil {
		return err
	}
	names, err := everyRole(r.Store)
	if err != nil {
		return err
	}
	roles := make([]*role, len(names))
	for i, name := range names {
		roles[i], err = latestRole(r.Store, name)
		switch {
		case err != nil:
			return err
		case roles[i] != nil && roles[i].InventoryURL == "":
			return lease.Errorf(lease.Unsupported, "inventory_url: role %q has none, so nobody tells what the mount's services "+
				"hold: write one to each role, also to a deleted one that may have leases, and delete that again", name)
		}
	}
	seen := map[string]bool{}
	for i, name := range names {
		if roles[i] == nil {
			continue // deleted and forgotten between the two looks
		}
		if err := b.inventoryOf(ctx, cfg, r.Mark, name, roles[i], seen, fn); err != nil {
			return err
		}
	}
	return nil
}

// everyRole lists the names of the roles that are there and of those that were deleted.
func everyRole(store backend.Store) ([]string, error) {
	var names []string
	for _, prefix := range []string{rolePrefix, deletedPrefix} {
		keys, err := store.List(prefix)
		if err != nil {
			return nil, fmt.Errorf("list roles: %w", err)
		}
		names = append(names, keys...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// inventoryOf asks the service of one role, page by page. A name that is in seen was reported before: two
// roles may have one service that does not keep them apart.
func (b *Backend) inventoryOf(
	ctx context.Context, cfg *config, mark, name string, r *role, seen map[string]bool, fn func(backend.Item) error,
) error {
	k := keep(*r, r.Params, r.Dev)
	internal, err := k.encode()
	if err != nil {
		return err
	}
	ask := question{
		Action: inventory, Role: name, Params: k.params(), Mark: mark, Limit: max(cfg.maxAnswer()/itemBytes, 1),
	}
	for total := 0; ; {
		p, err := b.ask(ctx, cfg, k, r.InventoryURL, ask)
		if err != nil {
			return err
		}
		if total += p.count; total > b.maxNames {
			return misunderstood(inventory, fmt.Errorf("is one of more than %d names", b.maxNames), k)
		}
		for _, item := range p.items {
			if seen[item.ExternalName] {
				continue
			}
			seen[item.ExternalName] = true
			item.Internal, item.Role = internal, name
			if err := fn(item); err != nil {
				return err
			}
		}
		if !p.more {
			return nil
		}
		ask.After = p.last
	}
}

// ask makes one call for one page.
func (b *Backend) ask(ctx context.Context, cfg *config, k *kept, url string, ask question) (*page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := b.send(ctx, cfg, k, url, inventory, ask, nil)
	if err != nil {
		return nil, unanswered(inventory, err, k)
	}
	if v := verdictOf(a.status); v != accepted {
		return nil, a.fault(inventory, v, k)
	}
	p, err := a.page(ask)
	if err != nil {
		return nil, misunderstood(inventory, err, k)
	}
	return p, nil
}

// page reads {"items": [{"external_name": "…", "created": "…"}], "more": true}. Names come in ascending
// order of their bytes, behind those of the page before, so that an inventory always ends and misses
// nothing that lives all the while. What is not understood is refused: a shorter list would be taken for
// things that are gone.
func (a *answer) page(ask question) (*page, error) {
	obj, err := a.object()
	if err != nil {
		return nil, err
	}
	p := new(page)
	for key, value := range obj {
		ok := true
		switch key {
		case "items":
		case "more":
			p.more, ok = value.(bool)
		default:
			return nil, fmt.Errorf("holds %q, which is none of items, more", field.CleanText(key))
		}
		if !ok {
			return nil, fmt.Errorf("holds a %s that is neither true nor false", key)
		}
	}
	list, ok := obj["items"].([]any)
	if !ok {
		return nil, errors.New("holds no list of items")
	}
	p.last, p.count = ask.After, len(list)
	for _, value := range list {
		item, err := readItem(value, p.last)
		if err != nil {
			return nil, err
		}
		p.last = item.ExternalName
		if strings.HasPrefix(item.ExternalName, ask.Mark+"-") {
			p.items = append(p.items, item)
		}
	}
	if p.more && len(list) == 0 {
		return nil, errors.New("says that there is more, and holds nothing")
	}
	return p, nil
}

// readItem reads one item, whose name must be behind after. Fields that it does not know are the
// service's own.
func readItem(value any, after string) (backend.Item, error) {
	var item backend.Item
	obj, ok := value.(map[string]any)
	if !ok {
		return item, errors.New("holds an item that is no JSON object")
	}
	name, ok := obj["external_name"].(string)
	switch {
	case !ok || name == "":
		return item, errors.New("holds an item without an external_name")
	case len(name) > MaxName || field.CheckText(name) != nil:
		return item, fmt.Errorf("holds an external_name that is longer than %d bytes or no plain text", MaxName)
	case name <= after:
		return item, errors.New("holds names that do not ascend")
	}
	item.ExternalName = name
	if created := obj["created"]; created != nil {
		text, _ := created.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return item, errors.New("holds a created that is no time as in RFC 3339")
		}
		item.Created = at
	}
	return item, nil
}
