package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

const (
	callLimit = 4 * time.Second // how long a client waits
	keyTries  = 8               // of an issue with an idempotency key
	prefixes  = 6               // roles, each a prefix that can be revoked
)

// client calls nodes at random and writes down what it saw.
type client struct {
	s   *sim
	id  int
	rng *rand.Rand
	n   int
}

func (s *sim) client(id int) *client {
	return &client{s: s, id: id, rng: rand.New(rand.NewPCG(s.seed, 1000+uint64(id)))}
}

// run calls until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.call(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(c.rng.Int64N(int64(120 * time.Millisecond)))):
		}
	}
}

func (c *client) call(ctx context.Context) {
	id := c.pick()
	l := c.node()
	if l == nil {
		return
	}
	switch n := c.rng.IntN(100); {
	case n < 22 || id == "":
		c.issue(ctx, l, c.rng.IntN(3) == 0, c.rng.IntN(4) == 0)
	case n < 50:
		c.renew(ctx, l, id)
	case n < 76:
		c.lookup(ctx, l, id, false)
	case n < 82:
		c.lookup(ctx, l, id, true)
	case n < 92:
		c.revoke(ctx, l, id, c.rng.IntN(3) == 0)
	case n < 94:
		c.prefix(ctx, l, fmt.Sprintf("db/creds/r%d", c.rng.IntN(prefixes)))
	default:
		c.list(ctx, l, fmt.Sprintf("db/creds/r%d", c.rng.IntN(prefixes)))
	}
}

// pick is one of the newest leases, now and then one of the older ones, "" if there are none.
func (c *client) pick() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.s.leases) == 0 {
		return ""
	}
	among := 12
	if c.rng.IntN(4) == 0 {
		among = 150
	}
	newest := c.s.leases[max(0, len(c.s.leases)-among):]
	return newest[c.rng.IntN(len(newest))]
}

func (c *client) node() *life {
	up := c.s.up()
	if len(up) == 0 {
		return nil
	}
	return up[c.rng.IntN(len(up))]
}

var errLost = errors.New("the connection broke")

// serve does work where a call to l is served, as the API does: a read on l, a write on the leader that
// l knows, one step further at most, behind a read index in both cases. The outcome is failed or
// unknown when the error is not the work's own.
func (c *client) serve(ctx context.Context, l *life, write bool, work func(ctx context.Context, on *life, now lease.Time) error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	ctx, done := l.while(ctx)
	defer done()
	on := l
	if write && !l.node.Ready() {
		if on = c.s.at(l.node.LeaderID()); on == nil || on == l || c.s.net.cut(l.id, on.id) || c.s.net.cut(on.id, l.id) {
			return failed, lease.ErrNotLeader
		}
		time.Sleep(c.s.net.draw(l.id, on.id))
		var gone func()
		ctx, gone = on.while(ctx)
		defer gone()
	}
	now, err := on.node.Now(), error(nil)
	if c.s.opts.bug != stale {
		now, err = on.node.ReadIndex(ctx)
	}
	if err != nil {
		return failed, err
	}
	err = work(ctx, on, now)
	if on != l && !on.gone() {
		time.Sleep(c.s.net.draw(on.id, l.id))
	}
	var e *lease.Error
	switch {
	case l.gone() || on.gone() || on != l && c.s.net.cut(on.id, l.id):
		return unknown, errLost
	case err == nil:
		return ok, nil
	case errors.As(err, &e) && e.Code == lease.Uncertain:
		return unknown, err
	}
	return failed, err
}

// begin is a record of a call.
func (c *client) begin(kind string, l *life, id string) op {
	return op{Client: c.id, Kind: kind, Node: l.id, ID: id, Call: c.s.since()}
}

func (c *client) end(o op, out string, err error) {
	o.Ret, o.Out = c.s.since(), out
	if err != nil {
		o.Err = err.Error()
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.hist.Ops = append(c.s.hist.Ops, o)
	if o.Kind == kIssue && out == ok && !slices.Contains(c.s.leases, o.ID) {
		c.s.leases = append(c.s.leases, o.ID)
	}
}

// issue asks for a lease. With a key, a call of unknown outcome is made again until it has one.
func (c *client) issue(ctx context.Context, l *life, plain, keyed bool) {
	c.n++
	o := c.begin(kIssue, l, "")
	o.Inc = time.Duration(2+c.rng.IntN(14)) * time.Second
	mount, path, verb := "db/", fmt.Sprintf("creds/r%d", c.rng.IntN(prefixes)), backend.Read
	if plain {
		mount, path, verb = "locks/", "job", backend.Write
	}
	if keyed {
		o.Key = fmt.Sprintf("c%d-%d", c.id, c.n)
	}
	for range keyTries {
		var made *lessor.Issued
		out, err := c.serve(ctx, l, true, func(ctx context.Context, on *life, now lease.Time) (err error) {
			made, err = on.issue(ctx, mount, path, verb, o.Inc, o.Key, now)
			return err
		})
		if out == ok {
			o.ID, o.Gen, o.Exp, o.Name = made.Lease.ID, made.Lease.Generation, c.s.logTime(made.Lease.ExpireTime), made.Lease.ExternalName
		}
		if out == ok || !keyed || ctx.Err() != nil {
			c.end(o, out, err)
			return
		}
		time.Sleep(time.Duration(100+c.rng.IntN(900)) * time.Millisecond)
		if next := c.node(); next != nil {
			l = next
		}
	}
	c.end(o, unknown, errLost)
}

// issue is an issue on the node that serves it.
func (l *life) issue(ctx context.Context, mount, path string, verb backend.Operation, ttl time.Duration, key string, now lease.Time) (*lessor.Issued, error) {
	hash, err := l.lessor.HashToken(rootToken)
	if err != nil {
		return nil, err
	}
	r := lessor.Request{Operation: verb, Path: path, IdempotencyKey: key, Now: now, Params: map[string]any{"ttl": json.Number(fmt.Sprint(int(ttl / time.Second)))}}
	l.state.Read(func(v *fsm.View) { r.Mount, r.Token = v.MountOf("", mount+path), v.Token(hash) })
	if r.Mount == nil || r.Token == nil {
		return nil, lease.Errorf(lease.Internal, "no mount or token at %s", mount)
	}
	return l.lessor.Issue(ctx, r)
}

func (c *client) renew(ctx context.Context, l *life, id string) {
	o := c.begin(kRenew, l, id)
	o.Inc = time.Duration(2+c.rng.IntN(14)) * time.Second
	out, err := c.serve(ctx, l, true, func(ctx context.Context, on *life, _ lease.Time) error {
		le, _, err := on.lessor.Renew(ctx, "", id, o.Inc)
		if err == nil {
			o.Gen, o.Exp = le.Generation, c.s.logTime(le.ExpireTime)
		}
		return err
	})
	if out == failed && (errors.Is(err, lease.ErrLeaseExpired) || errors.Is(err, lease.ErrLeaseNotFound) || errors.Is(err, lease.ErrIrrevocable)) {
		out = refused
	}
	c.end(o, out, err)
}

func (c *client) lookup(ctx context.Context, l *life, id string, stale bool) {
	kind := kLookup
	if stale {
		kind = kStale
	}
	o := c.begin(kind, l, id)
	look := func(_ context.Context, on *life, now lease.Time) error {
		f, err := on.lessor.Lookup("", id, now)
		if errors.Is(err, lease.ErrInvalidLease) {
			o.Stands, err = absent, nil
			return err
		}
		if err != nil {
			return err
		}
		o.Gen, o.Exp, o.Name = f.Lease.Generation, c.s.logTime(f.Lease.ExpireTime), f.Lease.ExternalName
		switch {
		case f.Standing == lease.Active:
			o.Stands = active
		case f.Lease.Ending != nil:
			o.Stands = ending
		default:
			o.Stands = lapsed
		}
		return nil
	}
	if stale {
		err := look(ctx, l, l.node.Now())
		c.end(o, ok, err)
		return
	}
	out, err := c.serve(ctx, l, false, look)
	if out == ok && o.Stands == absent {
		o.Left = c.s.holds(id)
	}
	c.end(o, out, err)
}

// holds reports whether the credential of a lease lives at the target.
func (s *sim) holds(id string) bool {
	s.mu.Lock()
	name := s.names[id]
	s.mu.Unlock()
	return name != "" && slices.Contains(s.target.Living(), name)
}

func (c *client) revoke(ctx context.Context, l *life, id string, sync bool) {
	o := c.begin(kRevoke, l, id)
	o.Sync = sync
	out, err := c.serve(ctx, l, true, func(ctx context.Context, on *life, _ lease.Time) error {
		_, err := on.lessor.Revoke(ctx, "", id, sync)
		return err
	})
	var e *lease.Error
	if out == failed && errors.As(err, &e) && e.Code == lease.Invalid { // accepted, and an attempt failed
		out = ok
	} else if out == ok && sync {
		o.Left = c.s.holds(id)
	}
	c.end(o, out, err)
}

func (c *client) prefix(ctx context.Context, l *life, prefix string) {
	o := c.begin(kPrefix, l, prefix)
	out, err := c.serve(ctx, l, true, func(ctx context.Context, on *life, _ lease.Time) error {
		_, err := on.lessor.RevokePrefix(ctx, "", prefix, lessor.PrefixOptions{})
		return err
	})
	c.end(o, out, err)
}

func (c *client) list(ctx context.Context, l *life, prefix string) {
	o := c.begin(kList, l, prefix)
	out, err := c.serve(ctx, l, false, func(_ context.Context, on *life, _ lease.Time) (err error) {
		o.Listed, _, err = on.lessor.List("", prefix, "", 0)
		return err
	})
	c.end(o, out, err)
}
