package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

func (mt *mMount) isFrozen(now lease.Time) bool {
	return mt.frozen && (mt.frozenUntil == 0 || now < mt.frozenUntil)
}

// mountClashes: a mount is, or is to be, above, at or below a path.
func (m *model) mountClashes(ns, path string) bool {
	for _, mt := range m.mounts {
		if mt.namespace == ns && (nested(mt.path, path) || mt.movingTo != "" && nested(mt.movingTo, path)) {
			return true
		}
	}
	return false
}

func (m *model) namespaceClashes(ns, path string) bool {
	for id, n := range m.namespaces {
		if rel, isBelow := strings.CutPrefix(n.path, m.pathOfNamespace(ns)); isBelow && id != ns && nested(rel, path) {
			return true
		}
	}
	return false
}

func (m *model) move(c *command.MoveMount, r fsm.Result) string {
	mt := m.mounts[c.Id]
	if mt == nil {
		return "no mount entry found"
	}
	if mt.movingTo == "" || mt.movingTo != c.Path {
		if want := m.unmovable(c, mt); want != "" {
			return want
		}
	}
	if r.Job == nil || r.Mount == nil || r.Mount.MovingTo != c.Path {
		return "a job and the mount"
	}
	mt.disabled, mt.movingTo = true, c.Path
	m.openJob(r.Job.ID, func(l *mLease) bool { return l.mount == c.Id }, false)
	return ""
}

func (m *model) unmovable(c *command.MoveMount, mt *mMount) string {
	isAuth := func(path string) bool { return below("auth", path) }
	switch want := m.unnamed(mt.namespace); {
	case want != "":
		return want
	case c.Id == m.tokenMountOf(mt.namespace):
		return "cannot be remounted"
	case mt.movingTo != "":
		return "is being moved"
	case mt.disabled:
		return "is being disabled"
	case c.Path == "auth/token/":
		return "invalid mount path"
	case isAuth(mt.path) != isAuth(c.Path):
		return "auth methods, and they alone"
	case m.mountClashes(mt.namespace, c.Path) || m.namespaceClashes(mt.namespace, c.Path):
		return "already in use"
	}
	return ""
}

func (m *model) freeze(c *command.FreezeMount) string {
	mt := m.mounts[c.Id]
	if mt == nil {
		return "no mount entry found"
	}
	if !mt.isFrozen(m.now) {
		mt.frozenSince = m.now
	}
	mt.frozen, mt.frozenUntil, mt.reason = true, 0, c.Reason
	if c.Duration > 0 {
		mt.frozenUntil = m.now.Add(time.Duration(c.Duration))
	}
	return ""
}

func (m *model) thaw(c *command.ThawMount) string {
	mt := m.mounts[c.Id]
	if mt == nil {
		return "no mount entry found"
	}
	mt.frozen = false
	return ""
}

func (m *model) setHealth(c *command.SetMountHealth) string {
	if c.Epoch != m.epoch {
		return "newer leader"
	}
	if mt := m.mounts[c.Id]; mt != nil {
		if mt.down == "" {
			mt.downSince = m.now
		}
		mt.down = c.Error
	}
	return ""
}

// retry: whether a sweep has come by what is dead is not known, and so not whether it counts.
func (m *model) retry(c *command.RetryRevocations, r fsm.Result) error {
	certain, possible := 0, 0
	for _, id := range c.Ids {
		l := m.leases[id]
		if l == nil || l.namespace != c.Namespace || l.kind != lease.Target || l.claim != 0 || !l.dead && !l.ending {
			continue
		}
		possible++
		if !l.ending {
			continue
		}
		certain++
		if l.nextKnown {
			l.next = min(l.next, m.now)
		}
	}
	if r.Err != nil || r.Count < certain || r.Count > possible {
		return fmt.Errorf("retried %d, %v, want %d to %d", r.Count, r.Err, certain, possible)
	}
	return nil
}

// syncMove lets a mount be where it was to go once it is there, and finds fault if it was not empty.
func (m *model) syncMove(id string, mt *mMount, now *lease.Mount) error {
	if mt.movingTo == "" || now.Path != mt.movingTo {
		return nil
	}
	for _, l := range m.leases {
		if l.mount == id {
			return fmt.Errorf("mount %s has moved and %s is there", id, l.id)
		}
	}
	mt.path, mt.movingTo, mt.disabled = mt.movingTo, "", false
	return nil
}

// compareMounts checks all that can be seen of mounts.
func (m *model) compareMounts(v *fsm.View) error {
	for id, want := range m.mounts {
		got := v.Mount(id)
		if got.Path != want.path || got.MovingTo != want.movingTo || (got.Tainted != 0) != want.disabled || v.MountOf(want.namespace, want.path) != got {
			return fmt.Errorf("mount %s: %+v, want %+v", id, got, want)
		}
		f := got.Frozen
		if (f != nil) != want.frozen || want.frozen && *f != (lease.Frozen{Reason: want.reason, Since: want.frozenSince, Until: want.frozenUntil}) ||
			got.IsFrozen(m.now) != want.isFrozen(m.now) {
			return fmt.Errorf("mount %s is frozen: %+v, want %+v", id, f, want)
		}
		if d := got.Down; (d != nil) != (want.down != "") || d != nil && *d != (lease.Down{Since: want.downSince, Error: want.down}) {
			return fmt.Errorf("mount %s is down: %+v, want %+v", id, d, want)
		}
	}
	return nil
}

// standCommand freezes, moves and so on few mounts.
func (g *generator) standCommand() fsm.Command {
	id := g.pick([]string{g.mountID(), targetMnt, childMount, loginMount})
	switch n := g.IntN(14); {
	case n >= 12:
		return &command.ReleaseHold{Restore: g.pick([]string{"", "", g.m.held, "none"})}
	case n < 3:
		return &command.MoveMount{Id: g.pick([]string{id, id, id, tokenMount, "m-token-n1", "none", "again-1"}), Path: g.pick([]string{
			"db/", "db/", "moved/", "moved/", "moved/x/", "locks/", "auth/up/", "auth/moved/", "auth/token/", "team/", "sub/"})}
	case n < 5:
		return &command.FreezeMount{Id: id, Reason: g.pick([]string{"", "because"}), Duration: int64(time.Duration(g.IntN(3)) * time.Minute)}
	case n < 7:
		return &command.ThawMount{Id: id}
	case n < 9:
		return &command.SetMountHealth{Id: id, Error: g.pick([]string{"", "refused", "timeout"}), Epoch: g.epoch()}
	default:
		ids := g.targets()
		ns := ""
		if len(ids) > 0 {
			ns = g.namespaceOf(ids[0])
		}
		return &command.RetryRevocations{Ids: ids, Namespace: ns}
	}
}
