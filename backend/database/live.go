package database

import (
	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// liveOn counts the leases that need a connection to be ended: those of its roles, and those of roles
// that are gone, which might have been its own.
func liveOn(req *backend.Request, name string) (int, error) {
	if req.Live == nil {
		return 0, nil
	}
	roles, err := req.Store.List(rolePrefix)
	if err != nil {
		return 0, err
	}
	elsewhere := 0
	for _, key := range roles {
		r, err := loadRole(req.Store, key)
		if err != nil {
			return 0, err
		}
		if r != nil && r.Connection != name {
			elsewhere += req.Live(key)
		}
	}
	return max(req.Live("")-elsewhere, 0), nil
}

// mayDelete refuses to delete a connection that leases need, unless it is forced: without its account
// they could not be ended.
func mayDelete(req *backend.Request, name string) error {
	in := field.Read(req.Params)
	force := in.Bool("force", false)
	if err := in.Err(); err != nil {
		return err
	}
	if force {
		return nil
	}
	n, err := liveOn(req, name)
	if err != nil {
		return err
	}
	if n > 0 {
		return lease.Errorf(lease.Conflict, "connection %q is needed to end %d leases: revoke them first, or delete it with force=true and end their logins by hand",
			name, n)
	}
	return nil
}
