// Package database is the "database" engine: logins of PostgreSQL, MySQL and MariaDB that live as long
// as their leases. docs/database.md is the page for those who set it up.
//
// A mount has connections (config/<name>: which server, and with which account logins are managed) and
// roles (roles/<name>: on which connection, and which statements make and end a login). What
// creds/<role> leases is a login under a name that is used once and never again.
//
// What the package promises:
//   - Creating is repeatable, and ending succeeds when the login is gone. Both hold a lock at the
//     server that bears the login's name: a creation whose caller has given up cannot outlive the
//     destruction that follows.
//   - On PostgreSQL all statements of a creation are one transaction, and every login gets a VALID
//     UNTIL at its lease's end, so that a dead cluster leaves no live login (T19).
//   - What goes into statements is made here, of letters, digits and dashes, and quoted for its place
//     (T18). Nothing that a caller of the API sends reaches SQL.
//   - A hanging or dead server costs its callers their own time and nobody else's: connections are
//     bounded per target, and every step ends with its context.
//   - No error shows a password or a connection string, and none is longer than 256 bytes (T12).
//   - A login is ended with what its lease keeps and the connection's account: the role may be gone.
package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// MaxName bounds, in bytes, the names of connections and roles.
const MaxName = 128

// Options are what a Backend takes from its surroundings.
type Options struct {
	// IdleAfter is how long a pool of connections is kept unused; 0: DefaultIdleAfter.
	IdleAfter time.Duration
}

// Backend is the engine. It holds connections to databases, and no state beside them; it is safe for
// concurrent use.
type Backend struct {
	pools *pools
}

// New makes the engine.
func New(opts Options) *Backend {
	if opts.IdleAfter == 0 {
		opts.IdleAfter = DefaultIdleAfter
	}
	return &Backend{pools: newPools(opts.IdleAfter)}
}

// Close gives up all connections; those at work are closed when they are done. The Backend serves no
// more afterwards.
func (b *Backend) Close() error {
	b.pools.close()
	return nil
}

// Type is "database".
func (*Backend) Type() string { return "database" }

var routes = map[string]map[backend.Operation]backend.Class{
	"config":       {backend.List: backend.Query},
	"config/":      {backend.Read: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change},
	"reset/":       {backend.Write: backend.Change},
	"rotate-root/": {backend.Write: backend.Change},
	"roles":        {backend.List: backend.Query},
	"roles/":       {backend.Read: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change},
	"creds/":       {backend.Read: backend.Issue},
}

// Route knows config, roles, creds, reset and rotate-root.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	kind, _ := split(path)
	verbs, ok := routes[kind]
	if !ok {
		return 0, lease.Errorf(lease.NotFound, "unsupported path")
	}
	class, ok := verbs[op]
	if !ok {
		return 0, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	return class, nil
}

// split takes a path into its kind, with a slash if a name follows, and the name.
func split(path string) (kind, name string) {
	kind, name, ok := strings.Cut(path, "/")
	if !ok {
		return kind, ""
	}
	if name == "" || strings.Contains(name, "/") {
		return "", ""
	}
	return kind + "/", name
}

// Handle serves everything but creds.
func (b *Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	kind, name := split(req.Path)
	if req.Operation == backend.Write {
		if err := checkName(name); err != nil {
			return nil, err
		}
		switch kind {
		case "config/":
			return b.writeConnection(ctx, req, name)
		case "reset/":
			return nil, b.reset(req, name)
		case "rotate-root/":
			return nil, b.rotateRoot(ctx, req, name)
		case "roles/":
			return nil, writeRole(ctx, req, name)
		}
	}
	switch {
	case kind == "config" && req.Operation == backend.List:
		return list(req, connectionPrefix)
	case kind == "config/" && req.Operation == backend.Read:
		return readConnection(req, name)
	case kind == "config/" && req.Operation == backend.Delete:
		return b.deleteConnection(ctx, req, name)
	case kind == "roles" && req.Operation == backend.List:
		return list(req, rolePrefix)
	case kind == "roles/" && req.Operation == backend.Read:
		return readRole(req, name)
	case kind == "roles/" && req.Operation == backend.Delete:
		return nil, deleteRole(ctx, req, name)
	}
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}

// Exists tells creating a connection or a role from updating it.
func (*Backend) Exists(_ context.Context, req *backend.Request) (bool, error) {
	kind, name := split(req.Path)
	switch kind {
	case "config/":
		_, ok, err := req.Store.Get(connectionKey(name))
		return ok, err
	case "roles/":
		_, ok, err := req.Store.Get(roleKey(name))
		return ok, err
	}
	return true, nil
}

func checkName(name string) error {
	if err := lease.CheckPath(name); err != nil {
		return lease.Errorf(lease.Invalid, "name: %s", err)
	}
	if len(name) > MaxName {
		return lease.Errorf(lease.Invalid, "name: %d bytes long, at most %d are allowed: choose a shorter one", len(name), MaxName)
	}
	return nil
}

func list(req *backend.Request, prefix string) (*backend.Response, error) {
	names, err := req.Store.List(prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	in := field.Read(req.Params)
	in.Has("list")
	data, warnings := in.Page(names)
	if err := in.Err(); err != nil || data == nil {
		return nil, err
	}
	return &backend.Response{Data: data, Warnings: append(warnings, in.Warnings()...)}, nil
}

// reset gives up the pool of a connection: the next call makes a new one.
func (b *Backend) reset(req *backend.Request, name string) error {
	if _, _, err := loadConnection(req.Store, name); err != nil {
		return missingIsInvalid(err)
	}
	b.pools.drop(poolKey{req.Mount.ID, name})
	return nil
}

// missingIsInvalid makes the error of a connection that is not there one of the request.
func missingIsInvalid(err error) error {
	var missing *missingConnection
	if errors.As(err, &missing) {
		return lease.Errorf(lease.Invalid, "%s", missing)
	}
	return err
}
