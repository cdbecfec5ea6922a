package database

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Keys beside connections and roles, for what leases need that were made before a change.
const (
	// formerPrefix and a role's name: connections that the role has left, or was deleted with, while it had
	// leases that were made on them.
	formerPrefix = "former/"
	// leftPrefix and a connection's name: the server of one that was deleted by force while leases needed it.
	leftPrefix = "left/"
)

// liveOn counts the leases that need a connection to be ended: those of its roles, those of roles that may
// have made some on it before, and those of roles that are gone.
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
		former, err := formerOf(req.Store, key)
		if err != nil {
			return 0, err
		}
		if r != nil && r.Connection != name && !slices.Contains(former, name) {
			elsewhere += req.Live(key)
		}
	}
	return max(req.Live("")-elsewhere, 0), nil
}

// formerOf are the connections that leases of a role may have been made on beside its own.
func formerOf(store backend.Store, role string) ([]string, error) {
	data, ok, err := store.Get(formerPrefix + role)
	if err != nil || !ok {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return nil, fmt.Errorf("read the former connections of role %q: %w", role, err)
	}
	return names, nil
}

// leaveConnection remembers, before a role leaves a connection, that the leases it has need it; "" is none. A
// role without leases has nothing to remember.
func leaveConnection(ctx context.Context, req *backend.Request, role, connection string) error {
	former, err := formerOf(req.Store, role)
	if err != nil {
		return err
	}
	live := 0
	if req.Live != nil {
		live = req.Live(role)
	}
	switch {
	case live == 0 && former == nil, live > 0 && (connection == "" || slices.Contains(former, connection)):
		return nil
	case live == 0:
		return req.Store.Delete(ctx, formerPrefix+role)
	}
	data, err := json.Marshal(append(former, connection))
	if err != nil {
		return err
	}
	return req.Store.Put(ctx, formerPrefix+role, data)
}

// deleteRole removes a role. Its leases are ended with the statements that they keep.
func deleteRole(ctx context.Context, req *backend.Request, name string) error {
	r, err := loadRole(req.Store, name)
	if err != nil || r == nil {
		return err
	}
	if err := leaveConnection(ctx, req, name, r.Connection); err != nil {
		return err
	}
	return req.Store.Delete(ctx, roleKey(name))
}

// mayMove refuses to let a connection lead to another server while leases need it, unless it is forced:
// their logins are not there, and would be taken for gone. was is where the connection led, "" if it is new.
func mayMove(in *field.Reader, req *backend.Request, name, was, now string) (warnings []string, err error) {
	force := in.Bool("force", false)
	if err := in.Err(); err != nil {
		return nil, err
	}
	if was == "" {
		left, _, err := req.Store.Get(leftPrefix + name)
		if err != nil {
			return nil, err
		}
		was = string(left)
	}
	if was == "" || was == now {
		return nil, nil
	}
	n, err := liveOn(req, name)
	if err != nil || n == 0 {
		return nil, err
	}
	if !force {
		return nil, lease.Errorf(lease.Conflict, "connection %q is needed to end %s, and would lead from %s to %s: revoke them first, "+
			"or write it with force=true if their logins are there as well; those that are not would be taken for ended",
			name, leases(n), field.CleanText(was), field.CleanText(now))
	}
	return []string{fmt.Sprintf("%s of connection %q are looked for at %s from now on: a login that was left at %s is not ended, and no lease stands for it",
		leases(n), name, field.CleanText(now), field.CleanText(was))}, nil
}

// mayDelete refuses to delete a connection that leases need, unless it is forced: without its account
// they could not be ended. It returns how many there are.
func mayDelete(req *backend.Request, name string) (int, error) {
	in := field.Read(req.Params)
	force := in.Bool("force", false)
	if err := in.Err(); err != nil {
		return 0, err
	}
	n, err := liveOn(req, name)
	if err != nil {
		return 0, err
	}
	if n > 0 && !force {
		return 0, lease.Errorf(lease.Conflict, "connection %q is needed to end %s: revoke them first, or delete it with force=true and end their logins by hand",
			name, leases(n))
	}
	return n, nil
}

// deleteConnection removes a connection. Of one that leases need it remembers which server it was.
func (b *Backend) deleteConnection(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	n, err := mayDelete(req, name)
	if err != nil {
		return nil, err
	}
	var warnings []string
	if c, _, err := loadConnection(req.Store, name); err == nil && n > 0 {
		if err := req.Store.Put(ctx, leftPrefix+name, []byte(c.place())); err != nil {
			return nil, err
		}
		warnings = []string{fmt.Sprintf("%s cannot be ended until config/%s is written again: their logins live on at %s. "+
			"Write it again, or end the logins by hand and revoke the leases with sys/leases/revoke-force",
			leases(n), name, field.CleanText(c.place()))}
	}
	if err := req.Store.Delete(ctx, connectionKey(name)); err != nil {
		return nil, err
	}
	b.pools.drop(poolKey{req.Mount.ID, name})
	return warned(warnings), nil
}

// forgetLeft forgets which server a connection led to that is there again.
func (*Backend) forgetLeft(ctx context.Context, store backend.Store, name string) error {
	if _, ok, err := store.Get(leftPrefix + name); err != nil || !ok {
		return err
	}
	return store.Delete(ctx, leftPrefix+name)
}

func leases(n int) string {
	if n == 1 {
		return "1 lease"
	}
	return fmt.Sprintf("%d leases", n)
}

// warned is the answer to a change; nil if there is nothing to say.
func warned(warnings []string) *backend.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &backend.Response{Warnings: warnings}
}

// place is which server the connection leads to, in one form for one server; "" if that cannot be told.
func (c *connection) place() string {
	d, ok := dialects[c.Plugin]
	if !ok {
		return ""
	}
	return d.place(c)
}
