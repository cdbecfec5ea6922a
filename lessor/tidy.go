package lessor

import (
	"context"
	"sync"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of tidying.
const (
	tidyChunk    = 500 // leases looked at under one read lock, and between two lines in the log
	tidyBatch    = 128 // leases revoked by one command
	tidyReported = 500
)

// tidyDesk takes the orders to tidy, one at a time.
type tidyDesk struct {
	mu     sync.Mutex  // guards the fields below
	orders chan string // namespace IDs; nil while Run does not run
	busy   bool
}

// Tidy has Run look for leases whose owner is gone and revoke them. It reports whether it was
// started: while one runs, another is not, and the log says so.
func (l *Lessor) Tidy(_ context.Context, ns string) (started bool, err error) {
	d := &l.tidy
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.orders == nil:
		return false, lease.Errorf(lease.Unavailable, "this node does not lead")
	case d.busy:
		l.log.Warn("tidy operation on leases is already in progress")
		return false, nil
	}
	d.busy = true
	d.orders <- ns // there is room: nobody else is served
	return true, nil
}

// Run carries out what Tidy starts, until ctx ends. It is a duty of the leader, not for use by two
// at once.
func (l *Lessor) Run(ctx context.Context) error {
	d := &l.tidy
	orders := make(chan string, 1)
	d.set(orders)
	defer d.set(nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case ns := <-orders:
			l.tidyNamespace(ctx, ns)
			d.set(orders)
		}
	}
}

// set opens the desk for the next order, or closes it.
func (d *tidyDesk) set(orders chan string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders, d.busy = orders, false
}

// tidyNamespace walks all leases of a namespace. It never forces: what it finds takes the ordinary
// retried path.
func (l *Lessor) tidyNamespace(ctx context.Context, ns string) {
	l.log.Info("tidying leases", "namespace", ns)
	w := tidyWalk{ns: ns}
	for !w.done && ctx.Err() == nil {
		now := l.now()
		l.state.Read(func(v *fsm.View) { w.chunk(v, now) })
		for len(w.orphans) > 0 {
			batch := w.orphans[:min(len(w.orphans), tidyBatch)]
			w.orphans = w.orphans[len(batch):]
			_, err := l.propose(ctx, &command.Revoke{Ids: batch, Namespace: ns, Cause: string(lease.CauseTidy)})
			if err != nil {
				l.log.Error("tidying leases stopped", "namespace", ns, "checked", w.checked, "revoked", w.revoked, "error", err)
				return
			}
			w.revoked += len(batch)
		}
		if !w.done && w.checked%tidyReported == 0 {
			l.log.Info("tidying leases: progress", "namespace", ns, "checked", w.checked, "revoked", w.revoked)
		}
	}
	if !w.done {
		l.log.Warn("tidying leases was cut short", "namespace", ns, "checked", w.checked, "revoked", w.revoked)
		return
	}
	l.log.Info("tidying leases is done", "namespace", ns, "checked", w.checked, "revoked", w.revoked)
}

// tidyWalk is how far tidying has come.
type tidyWalk struct {
	ns      string
	from    string
	orphans []string // found and not yet revoked
	checked int
	revoked int
	done    bool
}

// chunk looks at the next leases. Those that are ending already, and intents, which end by
// themselves, are left alone.
func (w *tidyWalk) chunk(v *fsm.View, now lease.Time) {
	alive := make(map[string]bool) // by owner: a line of ancestors is walked once
	looked := 0
	v.Ascend(w.ns, w.from, func(le *lease.Lease) bool {
		looked++
		w.from = le.ID + "\x00"
		if le.Kind == lease.OfToken || le.Status != lease.Active {
			return looked < tidyChunk
		}
		ok, known := alive[le.Owner]
		if !known {
			t := v.Token(le.Owner)
			ok = t != nil && v.TokenAlive(t, now)
			alive[le.Owner] = ok
		}
		if !ok {
			w.orphans = append(w.orphans, le.ID)
		}
		return looked < tidyChunk
	})
	w.checked += looked
	w.done = looked < tidyChunk
}
