package approle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const roleIDPrefix = "role-id/"

// settleTime is longer than any request lives. What is half-way done and older was given up.
const settleTime = 10 * time.Minute

// ifAbsent says what a change does about a role that is not there.
type ifAbsent bool

const (
	orCreate   ifAbsent = true
	onlyUpdate ifAbsent = false
)

// change makes a role or changes the fields that were sent, and returns it as it is then. The role_id
// is claimed before the role has it and given up after it has another: a crash in between leaves a
// claim that serves nobody, never a role that cannot be reached.
func (b *Backend) change(ctx context.Context, r *request, absent ifAbsent, params map[string]any) (*role, error) {
	done, err := b.turns.take(ctx, r.Mount.ID, roleKey(r.name))
	if err != nil {
		return nil, err
	}
	defer done()
	for range maxTries {
		old, seen, err := lookRole(r.Store, r.name)
		if err != nil {
			return nil, err
		}
		next, err := r.edit(old, absent, params)
		if err != nil {
			return nil, err
		}
		key, err := makeKey(ctx, r)
		if err != nil {
			return nil, err
		}
		if old == nil || old.RoleID != next.RoleID {
			if err := claim(ctx, r, key, next.RoleID); err != nil {
				return nil, err
			}
		}
		err = swapRole(ctx, r, seen, next)
		if errors.Is(err, lease.ErrChanged) {
			release(ctx, r, key, next.RoleID)
			continue
		}
		if err == nil && old != nil && old.RoleID != next.RoleID {
			release(ctx, r, key, old.RoleID)
		}
		return next, err
	}
	return nil, errBusy
}

// edit is the role with the fields taken over.
func (r *request) edit(old *role, absent ifAbsent, params map[string]any) (*role, error) {
	var next *role
	switch {
	case old != nil:
		edited := *old
		next = &edited
	case absent == onlyUpdate:
		return nil, noSuchRole(r.name)
	default:
		var err error
		if next, err = newRole(r); err != nil {
			return nil, err
		}
	}
	in := field.Read(params)
	next.read(in)
	return next, in.Err()
}

func swapRole(ctx context.Context, r *request, seen backend.Version, next *role) error {
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode role: %w", err)
	}
	return r.Store.Swap(ctx, roleKey(r.name), seen, data, 0)
}

// owner is the role that has a role_id, or had it, or is about to get it.
type owner struct {
	Role  string     `json:"role"`
	Since lease.Time `json:"since"` // log time of the claim
}

// lookOwner returns nil if nobody claims the role_id behind an index key.
func lookOwner(store backend.Store, indexKey string) (*owner, backend.Version, error) {
	data, seen, err := store.Look(indexKey)
	if err != nil {
		return nil, "", fmt.Errorf("read the owner of a role_id: %w", err)
	}
	if seen == "" {
		return nil, "", nil
	}
	o := new(owner)
	if err := json.Unmarshal(data, o); err != nil {
		return nil, "", fmt.Errorf("read the owner of a role_id: %w", err)
	}
	return o, seen, nil
}

// has reports whether the owner has the role_id behind an index key.
func (o *owner) has(store backend.Store, key macKey, indexKey string) (bool, error) {
	r, err := loadRole(store, o.Role)
	return r != nil && key.roleIDKey(r.RoleID) == indexKey, err
}

var errRoleIDInUse = lease.Errorf(lease.Invalid, "role_id: already in use by a role of this mount: choose another one")

// claim makes the role of the request the owner of a role_id, unless another role has that or is just
// getting it. What the role itself claimed is left from a request that ended: this one has the turn.
func claim(ctx context.Context, r *request, key macKey, roleID string) error {
	indexKey := key.roleIDKey(roleID)
	value, err := json.Marshal(owner{Role: r.name, Since: r.Now})
	if err != nil {
		return fmt.Errorf("encode the owner of a role_id: %w", err)
	}
	for range maxTries {
		o, seen, err := lookOwner(r.Store, indexKey)
		if err != nil {
			return err
		}
		if o != nil && o.Role != r.name {
			has, err := o.has(r.Store, key, indexKey)
			if err != nil {
				return err
			}
			if has || r.Now.Sub(o.Since) < settleTime {
				return errRoleIDInUse
			}
		}
		if err := r.Store.Swap(ctx, indexKey, seen, value, 0); !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return errBusy
}

// release removes the role's claim of a role_id that it has not got, or no more. Nothing depends on it: who
// finds a claim without a role behind it takes no notice, and tidy removes it.
func release(ctx context.Context, r *request, key macKey, roleID string) {
	indexKey := key.roleIDKey(roleID)
	o, seen, err := lookOwner(r.Store, indexKey)
	if err != nil || o == nil || o.Role != r.name {
		return
	}
	if has, err := o.has(r.Store, key, indexKey); err == nil && !has {
		_ = r.Store.Swap(ctx, indexKey, seen, nil, 0)
	}
}

// deleteRole removes a role, then as many of its secret_ids as fit into one request. The rest is
// useless from here on, and goes with later steps.
func (b *Backend) deleteRole(ctx context.Context, r *request) (*backend.Response, error) {
	if err := b.removeRole(ctx, r); err != nil {
		return nil, err
	}
	sweepAlong(ctx, r, stepDelete)
	return nil, nil
}

func (b *Backend) removeRole(ctx context.Context, r *request) error {
	done, err := b.turns.take(ctx, r.Mount.ID, roleKey(r.name))
	if err != nil {
		return err
	}
	defer done()
	key, err := loadKey(r.Store)
	if err != nil {
		return err
	}
	for range maxTries {
		old, seen, err := lookRole(r.Store, r.name)
		if old == nil || err != nil {
			return err
		}
		// First the note of what is to be removed: a crash must not leave secret_ids that nobody knows of.
		if err := noteRemains(ctx, r, old.Generation); err != nil {
			return err
		}
		err = r.Store.Swap(ctx, roleKey(r.name), seen, nil, 0)
		if errors.Is(err, lease.ErrChanged) {
			continue
		}
		if err == nil {
			release(ctx, r, key, old.RoleID)
		}
		return err
	}
	return errBusy
}

func isNotFound(err error) bool {
	var e *lease.Error
	return errors.As(err, &e) && e.Code == lease.NotFound
}
