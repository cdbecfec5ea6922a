package fsm

import (
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// applyOpenTidy opens the job that ends what no living token owns. One sweeps in the whole cluster: who
// asks meanwhile is told of that one. It covers nothing, so that a lease it has not come to is not dead.
func (c *core) applyOpenTidy(r *Result, m *command.OpenTidy) {
	if c.tidying != 0 {
		r.Job, r.Repeated = c.job(c.tidying), true
		return
	}
	sel := lease.Selector{Kind: lease.SelectOwnerless, Namespace: m.Namespace, Show: "tidy"}
	r.Job = c.openJob(sel, lease.CauseTidy, false)
}

// noteTidy keeps which tidy job sweeps.
func (c *core) noteTidy(j *lease.Job) {
	switch {
	case j.Selector.Kind != lease.SelectOwnerless:
	case j.State == lease.JobSweeping:
		c.tidying = j.ID
	case c.tidying == j.ID:
		c.tidying = 0
	}
}

// tidy looks at the next leases in order of IDs, ends those whose owner is gone, and reports whether
// there may be more. Intents end by themselves, and what is ending is on its way: both are left alone.
func (s *sweep) tidy() bool {
	var found []*lease.Lease
	looked := 0
	from := &lease.Lease{Namespace: s.j.Selector.Namespace, ID: s.j.Cursor}
	s.c.tree.Ascend(from, func(l *lease.Lease) bool {
		if l.Namespace != from.Namespace {
			return false
		}
		if l.ID == from.ID {
			return true
		}
		looked++
		s.j.Cursor = l.ID
		if l.Kind != lease.OfToken && l.Status == lease.Active && l.Seq < s.j.ID && !s.ownerLives(l.Owner) {
			found = append(found, l)
		}
		return looked < s.budget
	})
	s.budget -= looked
	for _, l := range found {
		s.end(s.c.leases[l.ID])
	}
	return looked > 0
}

// ownerLives is whether a token is there and alive. What is found out about a token and its ancestors
// is kept for the step: a line of a thousand is walked once, however many leases hang on it.
func (s *sweep) ownerLives(hash string) bool {
	if s.lives == nil {
		s.lives = make(map[string]bool)
	}
	lives, line := true, []string(nil)
	t := s.c.tokenByHash[hash]
	if t == nil {
		return false
	}
	for t != nil {
		known, ok := s.lives[t.Hash]
		if ok {
			lives = known
			break
		}
		line = append(line, t.Hash)
		if !s.c.selfAlive(t, s.c.now) {
			lives = false
			break
		}
		if t = s.c.tokenByHash[t.Parent]; t != nil && t.SparesChildren {
			break
		}
	}
	for _, h := range line {
		s.lives[h] = lives
	}
	return lives
}
