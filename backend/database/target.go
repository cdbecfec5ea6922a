package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Create makes the login. If an earlier try of the same intent made it, it gets a new password.
func (b *Backend) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	k, err := decodeKept(in.Internal)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var password string
	err = b.pools.use(ctx, in.Request.Store, poolKey{in.Request.Mount.ID, k.Connection}, func(p *pool) error {
		password, err = p.makeLogin(ctx, in, k)
		return err
	})
	if err != nil {
		return nil, missingIsInvalid(err)
	}
	k.Creation, k.Rollback = nil, nil
	internal, err := k.encode()
	if err != nil {
		return nil, err
	}
	return &backend.Created{
		Data:     map[string]any{"username": in.ExternalName, "password": password},
		Internal: internal,
	}, nil
}

// makeLogin makes the login of an intent and returns its password.
func (p *pool) makeLogin(ctx context.Context, in *backend.Intent, k *kept) (string, error) {
	if err := k.fits(p); err != nil {
		return "", lease.Errorf(lease.Invalid, "%s", err)
	}
	password, secret, err := p.conn.newPassword(in.Request.Random)
	if err != nil {
		return "", err
	}
	l := &login{name: in.ExternalName, secret: secret, until: in.ExpireTime}
	if l.statements, err = parseAll(p.dialect.syntax(), k.Creation, creationPlaceholders); err != nil {
		return "", lease.Errorf(lease.Invalid, "creation_statements: %s", err)
	}
	if l.rollback, err = parseAll(p.dialect.syntax(), k.Rollback, creationPlaceholders); err != nil {
		return "", lease.Errorf(lease.Invalid, "rollback_statements: %s", err)
	}
	if err := p.create(ctx, l); err != nil {
		return "", p.failure("make the login", err, password, secret)
	}
	return password, nil
}

// Renew moves the login's own end, where the server knows one. A role that was deleted renews no more,
// and neither does a login that is gone.
func (b *Backend) Renew(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
	k, err := decodeKept(r.Internal)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	current, err := loadRole(r.Store, r.Role)
	if err != nil {
		return 0, err
	}
	if current == nil {
		return 0, fmt.Errorf("error during renew: could not find role with name %q", r.Role)
	}
	return 0, b.pools.use(ctx, r.Store, poolKey{r.Mount.ID, k.Connection}, func(p *pool) error {
		if err := k.fits(p); err != nil {
			return err
		}
		l := &login{name: r.ExternalName, until: r.ExpireTime}
		if current.Connection == k.Connection {
			if l.statements, err = parseAll(p.dialect.syntax(), current.Renewal, renewalPlaceholders); err != nil {
				return fmt.Errorf("renew_statements: %w", err)
			}
		}
		err := p.renew(ctx, l)
		switch {
		case errors.Is(err, errAbsent):
			return &lease.Error{Code: lease.Invalid, Err: backend.ErrRefused,
				Message: "the login is not at the database any more: ask for another"}
		case err != nil:
			return p.failure("renew the login", err)
		}
		return nil
	})
}

// Destroy ends the login. The role counts as it stands now, so that its statements can be mended for
// leases that exist; a deleted role, or one that has moved to another connection, as it stood when the
// login was made.
func (b *Backend) Destroy(ctx context.Context, d *backend.Destruction) error {
	k, err := decodeKept(d.Internal)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	current, err := loadRole(d.Store, d.Role)
	if err != nil {
		return err
	}
	if current != nil && current.Connection == k.Connection {
		k.Revocation = current.Revocation
	}
	err = b.pools.use(ctx, d.Store, poolKey{d.Mount.ID, k.Connection}, func(p *pool) error {
		if err := k.fits(p); err != nil {
			return backend.Permanent(err)
		}
		l := &login{name: d.ExternalName, until: d.ExpireTime}
		if l.statements, err = parseAll(p.dialect.syntax(), k.Revocation, revocationPlaceholders); err != nil {
			return backend.Permanent(fmt.Errorf("revocation_statements: %w", err))
		}
		if err := p.drop(ctx, l); err != nil {
			return p.undestroyed(err)
		}
		return nil
	})
	var missing *missingConnection
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: write config/%s again, with an account that may drop logins", err, k.Connection)
	}
	return err
}

// fits refuses a connection that has become one to another kind of server.
func (k *kept) fits(p *pool) error {
	if d, ok := dialects[k.Plugin]; ok && d.syntax() == p.dialect.syntax() {
		return nil
	}
	return fmt.Errorf("the login was made with %s, and connection %q is now one of %s: write it as it was",
		k.Plugin, k.Connection, p.conn.Plugin)
}

// inventoryPage is how many names a server is asked for at a time.
const inventoryPage = 500

// Inventory lists the logins at the servers of all connections whose names hold the mark. Two
// connections to one server show the same logins: each name is reported once.
func (b *Backend) Inventory(ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
	names, err := r.Store.List(connectionPrefix)
	if err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	seen := map[string]bool{}
	for _, name := range names {
		err := b.inventory(ctx, r, name, func(item backend.Item) error {
			if seen[item.ExternalName] {
				return nil
			}
			seen[item.ExternalName] = true
			return fn(item)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) inventory(ctx context.Context, r *backend.InventoryRequest, name string, fn func(backend.Item) error) error {
	key := poolKey{r.Mount.ID, name}
	p, err := b.pools.get(r.Store, key)
	if err != nil {
		return err
	}
	defer b.pools.put(key, p)
	internal, err := (&kept{Connection: name, Plugin: p.conn.Plugin}).encode()
	if err != nil {
		return err
	}
	for after := ""; ; {
		page, err := p.names(ctx, r.Mark, after, inventoryPage)
		if err != nil {
			return p.failure(fmt.Sprintf("list the logins of connection %q", name), err)
		}
		for _, login := range page {
			if err := fn(backend.Item{ExternalName: login, Internal: internal}); err != nil {
				return err
			}
		}
		if len(page) < inventoryPage {
			return nil
		}
		after = page[len(page)-1]
	}
}
