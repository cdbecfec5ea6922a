package sim

import (
	"context"
	"errors"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
)

var errProcessGone = errors.New("the process is gone")

// gate is the engine of one life of a node: all share one target. A dead life's calls do nothing.
type gate struct {
	*fake.Backend
	n *life
}

// pass carries out a call to the target with its way there and back, and records it.
func (g gate) pass(ctx context.Context, e event, work func(ctx context.Context) error) error {
	ctx, cancel := g.n.while(ctx)
	defer cancel()
	if err := g.n.sim.pause(ctx, 5*time.Millisecond); err != nil {
		return err
	}
	if g.n.gone() {
		return errProcessGone
	}
	e.Node, e.Life, e.Leading = g.n.id, g.n.number, g.n.duties.Load() > 0
	e.At = g.n.sim.since()
	g.n.sim.note(e)
	err := work(ctx)
	e.End = g.n.sim.since()
	e.Done = true
	if err != nil {
		e.Err = err.Error()
	}
	g.n.sim.note(e)
	if err == nil {
		err = g.n.sim.pause(ctx, 5*time.Millisecond)
	}
	return err
}

// Create implements backend.Target.
func (g gate) Create(ctx context.Context, in *backend.Intent) (out *backend.Created, err error) {
	e := event{Action: string(fake.Create), ID: in.LeaseID, Name: in.ExternalName, Gen: in.Generation, Fence: in.Fence}
	err = g.pass(ctx, e, func(ctx context.Context) error {
		out, err = g.Backend.Create(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Renew implements backend.Target.
func (g gate) Renew(ctx context.Context, r *backend.Renewal) (ttl time.Duration, err error) {
	e := event{Action: string(fake.Renew), ID: r.LeaseID, Name: r.ExternalName, Gen: r.Generation, Fence: r.Fence}
	err = g.pass(ctx, e, func(ctx context.Context) error {
		ttl, err = g.Backend.Renew(ctx, r)
		return err
	})
	return ttl, err
}

// Destroy implements backend.Target.
func (g gate) Destroy(ctx context.Context, d *backend.Destruction) error {
	e := event{Action: string(fake.Destroy), ID: d.LeaseID, Name: d.ExternalName, Gen: d.Generation, Fence: d.Fence}
	return g.pass(ctx, e, func(ctx context.Context) error {
		if g.n.sim.opts.bug == leaks && g.n.sim.chance(20) {
			return nil
		}
		return g.Backend.Destroy(ctx, d)
	})
}
