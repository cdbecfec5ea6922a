package fsm

import (
	"strings"

	"github.com/leasehold/leasehold/lease"
)

// sweep is one bounded step of a job: it walks what the selector covers and ends each in turn.
// Where it stands is in the job, so that the next leader goes on from there.
type sweep struct {
	c      *core
	j      *lease.Job
	budget int // of leases, tokens and steps
	ended  int
	lives  map[string]bool // tokens, by hash: see ownerLives
}

func (s *sweep) run() {
	for s.budget > 0 {
		if s.j.Tree != "" {
			s.tree()
			continue
		}
		if !s.more() {
			s.finish()
			return
		}
	}
}

// more ends the next leases that are found by their IDs, and reports whether there may be others.
func (s *sweep) more() bool {
	switch s.j.Selector.Kind {
	case lease.SelectToken:
		return false
	case lease.SelectOwnerless:
		return s.tidy()
	}
	return s.batch()
}

// finish ends the marking: from here on the leases themselves say that they are dead.
func (s *sweep) finish() {
	s.j.State = lease.JobRevoking
	if s.j.Selector.Kind == lease.SelectPrefix {
		s.c.forgetPrefixJob(s.j)
	}
}

// forgetPrefixJob leaves the prefix to the newest of the other jobs that sweep it.
func (c *core) forgetPrefixJob(done *lease.Job) {
	key := nsKey(done.Selector.Namespace, done.Selector.Value)
	if c.prefixJobs[key] != done.ID {
		return
	}
	delete(c.prefixJobs, key)
	c.sweeping.Scan(func(id uint64) bool {
		j, _ := c.jobs.Get(id)
		if id != done.ID && j.Selector.Kind == lease.SelectPrefix && nsKey(j.Selector.Namespace, j.Selector.Value) == key {
			c.prefixJobs[key] = id
		}
		return true
	})
}

// batch ends the next leases in order of IDs, and reports whether there may be more. It stops at a
// token, whose tree comes first.
func (s *sweep) batch() bool {
	prefix, mountID, namespace, ok := s.bounds()
	if !ok {
		return false
	}
	var found []*lease.Lease
	take := func(l *lease.Lease) bool {
		s.j.Cursor = l.ID
		found = append(found, l)
		return len(found) < s.budget && l.Kind != lease.OfToken
	}
	below := prefix + "/"
	if prefix == "" {
		below = ""
	}
	more := true
	if s.j.Cursor == "" { // the prefix may be the whole ID of one lease
		if rec := s.c.leases[prefix]; rec != nil && rec.lease.Namespace == namespace {
			more = take(rec.lease)
		}
		s.j.Cursor = max(s.j.Cursor, below)
	}
	if more {
		s.c.tree.Ascend(&lease.Lease{Namespace: namespace, ID: s.j.Cursor}, func(l *lease.Lease) bool {
			if l.Namespace != namespace || !strings.HasPrefix(l.ID, below) {
				return false
			}
			return l.ID == s.j.Cursor || take(l)
		})
	}
	s.budget -= len(found)
	for _, l := range found {
		switch {
		case l.Seq >= s.j.ID, mountID != "" && l.MountID != mountID: // newer, or of an earlier mount at this path
		case l.Kind == lease.OfToken:
			s.enter(s.c.tokenByHash[l.Owner])
		default:
			s.end(s.c.leases[l.ID])
		}
	}
	return len(found) > 0
}

// bounds are what the selector means for the walk over IDs. A mount's leases all begin with its path
// and are told apart from those of an earlier mount at that path by its UUID; of a mount that is gone
// nothing can be left. A namespace is its own part of the walk.
func (s *sweep) bounds() (prefix, mountID, namespace string, ok bool) {
	sel := s.j.Selector
	switch sel.Kind {
	case lease.SelectPrefix:
		return sel.Value, "", sel.Namespace, true
	case lease.SelectNamespace:
		return "", "", sel.Value, true
	}
	m, ok := s.c.mounts.Get(sel.Value)
	if !ok {
		return "", "", "", false
	}
	return strings.TrimSuffix(m.Path, "/"), m.ID, m.Namespace, true
}

// end ends one lease. The newest job that covers a lease counts it; older ones wait for that job.
func (s *sweep) end(rec *record) {
	l, job := rec.lease, s.j.ID
	s.ended++
	switch e := l.Ending; {
	case e != nil && e.Job > job:
		s.c.waitFor(s.j, e.Job)
		job = e.Job
	case e != nil && e.Job == job: // counted already
	default:
		s.j.Total++
		if e != nil && e.Attempts > 0 {
			s.j.Failed++
		}
	}
	s.c.end(rec, s.j.Cause, job, s.j.Force)
	switch {
	case s.c.leases[l.ID] == nil:
		s.j.Done++
	case askedFor(s.j.Cause):
		s.c.ask(rec.lease, 1)
	}
}

// enter dooms t and makes its tree the next thing to sweep.
func (s *sweep) enter(t *lease.Token) {
	s.c.doom(t, s.j, false)
	s.j.Tree, s.j.At = t.Hash, t.Hash
}

// token returns a token unless it is newer than the job: another job may have removed the one that
// this job covers, and whoever chose its name may have chosen it again.
func (s *sweep) token(hash string) *lease.Token {
	t := s.c.tokenByHash[hash]
	if t == nil || s.c.leases[t.LeaseID].lease.Seq > s.j.ID {
		return nil
	}
	return t
}

// tree makes one step in the tree of tokens below j.Tree: down to the first child, or the leases of
// a token without children, or, when nothing hangs on it any more, the token itself. Leaves go first
// and a doomed token stays until then, so nothing below it revives (settled decision 5). No stack is
// needed, the parents are the way back; a token that another job removed meanwhile restarts at the top.
func (s *sweep) tree() {
	c, j := s.c, s.j
	t := s.token(j.At)
	if t == nil {
		if t = s.token(j.Tree); t == nil {
			j.Tree, j.At = "", ""
			s.budget--
			return
		}
		j.At = j.Tree
	}
	if hash := c.firstChild(t.Hash); hash != "" {
		s.budget--
		kid := c.tokenByHash[hash]
		if t.SparesChildren {
			orphan := *kid
			orphan.Parent = ""
			c.putToken(&orphan)
			return
		}
		c.doom(kid, j, false)
		j.At = hash
		return
	}
	for o := c.owners[t.Hash]; o != nil && s.budget > 0; o = c.owners[t.Hash] {
		s.budget--
		s.end(o.first)
	}
	if c.owners[t.Hash] != nil {
		return
	}
	s.budget--
	j.Total++
	j.Done++
	s.ended++
	j.At = t.Parent
	if t.Hash == j.Tree {
		j.Tree, j.At = "", ""
	}
	c.dropToken(t)
}
