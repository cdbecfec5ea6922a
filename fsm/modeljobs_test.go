package fsm_test

import (
	"fmt"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

func (m *model) claim(c *command.Claim, r fsm.Result) error {
	if want := m.mayNotEnd(c.Epoch); want != "" {
		return wantErr(r, want)
	}
	granted := map[string]bool{}
	for _, l := range r.Leases {
		granted[l.ID] = true
		if l.Ending.Claim != r.Seq || l.Fence != r.Seq {
			return fmt.Errorf("%s: claim %d and fence %d, want %d (S14)", l.ID, l.Ending.Claim, l.Fence, r.Seq)
		}
	}
	for _, id := range c.Ids {
		l := m.leases[id]
		possible := l != nil && l.kind == lease.Target && (l.dead || l.ending) && !m.mounts[l.mount].isFrozen(m.now)
		if possible && l.nextKnown {
			possible = l.next <= m.now
		}
		certain := possible && l.ending && l.nextKnown
		if granted[id] && !possible || !granted[id] && certain {
			return fmt.Errorf("%s claimed: %v; model: %+v", id, granted[id], l)
		}
		if granted[id] {
			l.ending, l.dead = true, true
			l.claim, l.next, l.nextKnown = r.Seq, m.now.Add(time.Duration(c.Lapse)), true
		}
	}
	return nil
}

func (m *model) outcome(id string, claim uint64, then func(*mLease)) string {
	l := m.leases[id]
	if l == nil || claim == 0 || l.claim != claim {
		return "changed meanwhile"
	}
	then(l)
	return ""
}

func (m *model) fail(l *mLease, c *command.Fail, r fsm.Result) {
	if l.force || r.Count > 0 && m.maybeForced(l) {
		delete(m.leases, l.id)
		return
	}
	l.attempts++
	l.claim = 0
	l.next, l.nextKnown = m.now.Add(time.Duration(c.RetryAfter)), true
	quick := 6
	if mt := m.mounts[l.mount]; mt != nil && mt.attempts != 0 {
		quick = mt.attempts
	}
	if c.Permanent || l.attempts >= quick || l.irrevocable {
		l.irrevocable = true
		l.next = m.now.Add(time.Hour)
	}
	m.settleNext(l)
}

// maybeForced: a job with force that is still marking may have come by.
func (m *model) maybeForced(l *mLease) bool {
	if l.maybeForce {
		return true
	}
	for _, job := range l.jobs {
		if m.jobs[job] {
			return true
		}
	}
	return false
}

func (m *model) sweep(c *command.Sweep, r fsm.Result) error {
	if want := m.mayNotEnd(c.Epoch); want != "" {
		return wantErr(r, want)
	}
	if _, marking := m.jobs[c.Job]; !marking {
		return wantErr(r, "changed meanwhile")
	}
	if err := wantErr(r, ""); err != nil || c.Job != m.tidying {
		return err
	}
	return m.tidy(c, r)
}

func (m *model) openEpoch(c *command.Epoch) string {
	if c.Term < m.epoch {
		return "newer leader"
	}
	m.epoch = c.Term
	for _, l := range m.leases {
		if l.claim != 0 {
			l.claim, l.next, l.nextKnown = 0, m.now, true
			m.settleNext(l)
		}
	}
	return ""
}

// tidy ends what the walk of a tidy job has come by: what is active and has no living owner.
func (m *model) tidy(c *command.Sweep, r fsm.Result) error {
	looked, ended := 0, 0
	for _, id := range sortedNames(m.leases) {
		l := m.leases[id]
		if l.namespace != r.Job.Selector.Namespace || id <= m.tidied || id > r.Job.Cursor {
			continue
		}
		looked++
		if l.kind == lease.OfToken || l.pending || l.ending || l.irrevocable || l.seq >= c.Job || m.alive(l.owner) {
			continue
		}
		ended++
		if l.kind == lease.Plain {
			delete(m.leases, id)
			continue
		}
		// A sweep may have come by before: that it is ending is all that is known then.
		l.next, l.nextKnown = m.now, !l.dead
		l.dead, l.ending = true, true
		m.settleNext(l)
	}
	m.tidied = r.Job.Cursor
	if looked > int(c.Limit) || r.Count > ended {
		return fmt.Errorf("a step of %d looked at %d leases and ended %d, want at most %d", c.Limit, looked, r.Count, ended)
	}
	return nil
}
