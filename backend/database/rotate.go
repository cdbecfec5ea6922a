package database

import (
	"context"
	"errors"
	"slices"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// rotateRoot gives the connection's account a new password that nobody knows. The order keeps the
// connection usable wherever it stops:
//
//  1. The password that is in force is found, and the new one stored as a candidate. Whoever connects from now on tries the confirmed
//     password first and the candidates when that is refused.
//  2. The server is told. From here on new connections get in with the candidate; those that are open
//     stay open, so that revocations at work are not disturbed.
//  3. A connection is opened with it, and it is stored as confirmed. The old password becomes a
//     candidate: another rotation at the same time may have had the last word at the server.
//
// A rotation that stopped after step 1 or 2 leaves a candidate behind; nothing has to be mended.
func (b *Backend) rotateRoot(ctx context.Context, req *backend.Request, name string) error {
	c, seen, err := loadConnection(req.Store, name)
	if err != nil {
		return missingIsInvalid(err)
	}
	if c.Username == "" || c.Password == "" {
		return lease.Errorf(lease.Invalid, "unable to rotate root credentials: connection %q has no username and password to start from: write them", name)
	}
	password, secret, err := c.newPassword(req.Random)
	if err != nil {
		return err
	}
	key := poolKey{req.Mount.ID, name}
	if err := b.settle(ctx, req.Store, key, c); err != nil {
		return err
	}
	c.addCandidate(password)
	if err := c.store(ctx, req.Store, name, seen); err != nil {
		return err
	}
	p, err := b.pools.get(req.Store, key)
	if err != nil {
		return missingIsInvalid(err)
	}
	defer b.pools.put(key, p)
	statements, err := parseAll(p.dialect.syntax(), c.Rotation, rotationPlaceholders)
	if err != nil {
		return lease.Errorf(lease.Invalid, "root_rotation_statements: %s", err)
	}
	if err := p.rotate(ctx, statements, c.Username, secret); err != nil {
		return p.failure("rotate the root password", err, password, secret)
	}
	if err := p.proves(ctx, password); err != nil {
		return p.failure("connect with the new root password", err, password)
	}
	return b.confirm(ctx, req, name, password)
}

// settle makes the password that is in force the confirmed one of c. Without that, rotations that fail
// one after the other could push the one that counts out of the candidates.
func (b *Backend) settle(ctx context.Context, store backend.Store, key poolKey, c *connection) error {
	p, err := b.pools.get(store, key)
	if err != nil {
		return missingIsInvalid(err)
	}
	defer b.pools.put(key, p)
	const doing = "connect with the root password"
	for i, password := range c.passwords() {
		err = p.proves(ctx, password)
		switch {
		case err == nil && i == 0:
			return nil
		case err == nil:
			c.Candidates = slices.Delete(c.Candidates, i-1, i)
			c.addCandidate(c.Password)
			c.Password = password
			return nil
		case !p.dialect.judge(err).login:
			return p.failure(doing, err)
		}
	}
	return p.failure(doing, err)
}

// addCandidate puts password in front of the candidates, and drops the oldest beyond MaxCandidates.
func (c *connection) addCandidate(password string) {
	c.Candidates = append([]string{password}, c.Candidates...)
	c.Candidates = c.Candidates[:min(MaxCandidates, len(c.Candidates))]
}

// proves opens a connection with the password and no other.
func (p *pool) proves(ctx context.Context, password string) error {
	c := *p.conn
	c.Password, c.Candidates = password, nil
	srv, err := p.dialect.open(&c)
	if err != nil {
		return err
	}
	defer srv.close()
	return srv.ping(ctx)
}

// confirm stores password as the one to try first, unless an operator has written another meanwhile.
func (b *Backend) confirm(ctx context.Context, req *backend.Request, name, password string) error {
	const tries = 5
	var err error
	for range tries {
		var c *connection
		var seen backend.Version
		if c, seen, err = loadConnection(req.Store, name); err != nil {
			return missingIsInvalid(err)
		}
		i := slices.Index(c.Candidates, password)
		if i < 0 {
			return lease.Errorf(lease.Conflict, "the password of connection %q was written by another call during the rotation: make sure that it is the one in force", name)
		}
		c.Candidates = slices.Delete(c.Candidates, i, i+1)
		c.addCandidate(c.Password)
		c.Password = password
		var e *lease.Error
		if err = c.store(ctx, req.Store, name, seen); !errors.As(err, &e) || e.Code != lease.Conflict {
			break
		}
	}
	return err
}
