package lessor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Of the leader's own comparisons.
const (
	// reconcileTick is how often it is looked which mount's turn it is.
	reconcileTick = 5 * time.Second
	// reconcileMargin is added to the deadline of intents, after which those of a lost leader are resolved.
	reconcileMargin = 30 * time.Second
	reconcileLimit  = 10 * time.Minute // for one mount
)

// agenda says when which mount is compared next.
type agenda struct {
	due   map[string]lease.Time // by mount UUID; first of all after a change of leaders
	every map[string]lease.Time // when a mount with an interval was last compared
}

// Run compares mounts with their targets while this node leads: those that had open intents when the
// leadership began, once these must be resolved, and those with a reconcile_interval, each time it is
// over. What is found in no lease is destroyed. It is a duty of the leader, not for use by two at once.
func (l *Lessor) Run(ctx context.Context) error {
	a := l.newAgenda()
	tick := time.NewTicker(reconcileTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, m := range a.next(l) {
			l.reconcileByItself(ctx, m)
		}
	}
}

// newAgenda notes the mounts with open intents: their creator may be gone.
func (l *Lessor) newAgenda() *agenda {
	a := &agenda{due: make(map[string]lease.Time), every: make(map[string]lease.Time)}
	now := l.now()
	for _, m := range l.inventoried() {
		l.state.Read(func(v *fsm.View) {
			if v.MountCounts(m.ID).Of(lease.Pending) > 0 {
				a.due[m.ID] = now.Add(l.intentDeadline + reconcileMargin)
			}
		})
		a.every[m.ID] = now
	}
	return a
}

// next takes the mounts whose turn it is off the agenda.
func (a *agenda) next(l *Lessor) []*lease.Mount {
	if _, held := l.restored(); held {
		return nil
	}
	now := l.now()
	all := l.inventoried()
	turn := slices.DeleteFunc(slices.Clone(all), func(m *lease.Mount) bool {
		if _, known := a.every[m.ID]; !known {
			a.every[m.ID] = now
		}
		every := m.Config.ReconcileInterval
		due := a.due[m.ID] != 0 && a.due[m.ID] <= now || every > 0 && a.every[m.ID].Add(every) <= now
		return !due || m.IsFrozen(now) || m.Down != nil
	})
	for _, m := range turn {
		delete(a.due, m.ID)
		a.every[m.ID] = now
	}
	for id := range a.every {
		if !slices.ContainsFunc(all, func(m *lease.Mount) bool { return m.ID == id }) {
			delete(a.every, id)
			delete(a.due, id)
		}
	}
	return turn
}

// inventoried returns the mounts whose backends can list what is at their targets.
func (l *Lessor) inventoried() []*lease.Mount {
	var mounts []*lease.Mount
	l.state.Read(func(v *fsm.View) {
		for _, id := range append([]string{""}, namespaceIDs(v)...) {
			for _, m := range v.Mounts(id) {
				if _, ok := l.backends[m.Type].(backend.Inventory); ok {
					mounts = append(mounts, m)
				}
			}
		}
	})
	return mounts
}

func namespaceIDs(v *fsm.View) []string {
	var ids []string
	for _, ns := range v.Namespaces() {
		ids = append(ids, ns.ID)
	}
	return ids
}

func (l *Lessor) reconcileByItself(ctx context.Context, m *lease.Mount) {
	ctx, cancel := context.WithTimeout(ctx, reconcileLimit)
	defer cancel()
	r, err := l.reconcileMount(ctx, m, true)
	if errors.Is(err, ErrNoInventory) {
		return
	}
	if err != nil {
		l.log.Warn("a mount could not be compared with its target", "mount", m.Path, "error", causeText(err))
		return
	}
	if r.Orphaned > 0 || r.Missed > 0 {
		l.log.Warn("a mount and its target differ", "mount", m.Path, "items", r.Items, "leases", r.Leases,
			"orphans", r.Orphaned, "young", r.Young, "destroyed", r.Destroyed, "failed", r.Failed, "missing", r.Missed)
	}
}
