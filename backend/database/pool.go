package database

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// DefaultIdleAfter is how long a pool, or a connection in one, is kept unused.
const DefaultIdleAfter = 5 * time.Minute

// poolKey names a connection's pool. A mount that is enabled again is another mount.
type poolKey struct{ mount, name string }

// pools are the open pools, one for each connection. A pool serves one version of a connection: when
// the connection changes, those who use it go on, and it is closed when the last is done.
type pools struct {
	idleAfter time.Duration

	mu     sync.Mutex // guards all below, and users and retired of each pool
	open   map[poolKey]*pool
	closed bool
}

// pool is a server with the number of those who use it.
type pool struct {
	server
	dialect dialect
	conn    *connection
	version backend.Version
	users   int
	retired bool
	idle    *time.Timer // runs while nobody uses it
}

func newPools(idleAfter time.Duration) *pools {
	return &pools{idleAfter: idleAfter, open: map[poolKey]*pool{}}
}

var errClosed = errors.New("the database engine is shutting down")

// get returns the pool of the connection as the store has it now. Whoever gets one gives it back with
// put. It connects to nothing.
func (ps *pools) get(store backend.Store, key poolKey) (*pool, error) {
	c, version, err := loadConnection(store, key.name)
	if err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return nil, errClosed
	}
	p := ps.open[key]
	if p != nil && p.version != version {
		ps.retire(key, p)
		p = nil
	}
	if p == nil {
		d, ok := dialects[c.Plugin]
		if !ok {
			return nil, errors.New("the connection's plugin is not known to this version")
		}
		srv, err := d.open(c)
		if err != nil {
			return nil, err
		}
		p = &pool{server: srv, dialect: d, conn: c, version: version}
		ps.open[key] = p
	}
	p.users++
	if p.idle != nil {
		p.idle.Stop()
		p.idle = nil
	}
	return p, nil
}

// changeTries is how often a call that its account is refused begins anew because the connection has
// changed since it looked.
const changeTries = 3

// use runs fn with the pool of the connection. When the server refuses the account and the connection
// was changed meanwhile, as by a rotation of its password, fn runs again with the new pool.
func (ps *pools) use(ctx context.Context, store backend.Store, key poolKey, fn func(*pool) error) error {
	for try := 1; ; try++ {
		p, err := ps.get(store, key)
		if err != nil {
			return err
		}
		err = fn(p)
		refused := err != nil && p.dialect.judge(err).login
		ps.put(key, p)
		if !refused || ctx.Err() != nil || try == changeTries {
			return err
		}
		if _, version, lookErr := loadConnection(store, key.name); lookErr != nil || version == p.version {
			return err
		}
	}
}

func (ps *pools) put(key poolKey, p *pool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.users--
	switch {
	case p.users > 0:
	case p.retired:
		p.close()
	default:
		p.idle = time.AfterFunc(ps.idleAfter, func() { ps.expire(key, p) })
	}
}

// expire closes a pool that nobody has used since its timer was set.
func (ps *pools) expire(key poolKey, p *pool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.users == 0 && !p.retired {
		ps.retire(key, p)
	}
}

// retire takes a pool out of those that are handed out. ps.mu is held.
func (ps *pools) retire(key poolKey, p *pool) {
	if ps.open[key] == p {
		delete(ps.open, key)
	}
	p.retired = true
	if p.idle != nil {
		p.idle.Stop()
		p.idle = nil
	}
	if p.users == 0 {
		p.close()
	}
}

// drop gives up the pool of a connection, if there is one.
func (ps *pools) drop(key poolKey) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.open[key]; p != nil {
		ps.retire(key, p)
	}
}

func (ps *pools) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.closed = true
	for key, p := range ps.open {
		ps.retire(key, p)
	}
}
