package fsm

import (
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of the table of idempotency keys (settled decision 13).
const (
	idempotencyKept        = 24 * time.Hour
	idempotencyMax         = 100_000
	idempotencyForgetLimit = 8 // forgotten per command: more than one command can add
)

// repeated returns the lease that the key's first call made, or nil when the key is new or not given.
func (c *core) repeated(k *command.Idempotency) (*lease.Lease, *lease.Error) {
	if len(k.GetKey()) == 0 {
		return nil, nil
	}
	first, ok := c.idem.Get(string(k.Key))
	if !ok || first.expires <= c.now {
		if !ok && c.idem.Len() >= idempotencyMax {
			return nil, lease.Errorf(lease.Limited, "too many Idempotency-Keys are remembered: repeat without one, or later")
		}
		return nil, nil
	}
	if first.body != string(k.Body) {
		return nil, lease.Errorf(lease.Conflict, "this Idempotency-Key was used for another request")
	}
	r := c.leases[first.leaseID]
	if r == nil || c.standing(r.lease, c.now) > lease.Active {
		return nil, lease.Errorf(lease.Conflict, "the lease %q that this Idempotency-Key made has ended", first.leaseID)
	}
	return r.lease, nil
}

func (c *core) remember(k *command.Idempotency, leaseID string) {
	if len(k.GetKey()) == 0 {
		return
	}
	if old, ok := c.idem.Get(string(k.Key)); ok {
		c.idemByAge.Delete(old)
	}
	c.putIdempotent(&idempotent{key: string(k.Key), body: string(k.Body), leaseID: leaseID, expires: c.now.Add(idempotencyKept)})
}

func (c *core) putIdempotent(i *idempotent) {
	c.idem.Set(i.key, i)
	c.idemByAge.Set(i)
}

// forgetIdempotent drops keys that are too old, at most limit of them.
func (c *core) forgetIdempotent(limit int) {
	for ; limit > 0; limit-- {
		oldest, ok := c.idemByAge.Min()
		if !ok || oldest.expires > c.now {
			return
		}
		c.idemByAge.Delete(oldest)
		c.idem.Delete(oldest.key)
	}
}
