package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// apply carries out a command on the model and compares the state machine's answer r.
func (m *model) apply(now lease.Time, cmd fsm.Command, r fsm.Result) error {
	m.now = max(m.now, now)
	if r.Now != m.now {
		return fmt.Errorf("log time %s, want %s (S10)", r.Now, m.now)
	}
	var want string // part of the refusal's text, "" when there must be none
	switch c := cmd.(type) {
	case *command.Issue:
		return m.issue(c.Grant, r, func(l *mLease) {
			ttl, _ := m.grant(l, m.now, l.ttl)
			l.issued, l.expires = m.now, m.now.Add(ttl)
		}, lease.Plain)
	case *command.Reserve:
		return m.issue(c.Grant, r, func(l *mLease) {
			l.pending, l.issued, l.expires = true, m.now, m.now.Add(time.Duration(c.Deadline))
		}, lease.Target)
	case *command.Activate:
		want = m.activate(c)
	case *command.Renew:
		want = m.renew(c)
	case *command.RenewToken:
		want = m.renewToken(c)
	case *command.UseToken:
		if want = m.useToken(c); want == "" && r.Lease != nil && string(r.Lease.Data) != m.tokenLease(c.Hash).data {
			return fmt.Errorf("the use gives %q, want %q", r.Lease.Data, m.tokenLease(c.Hash).data)
		}
	case *command.CreateToken:
		want = m.createToken(c, r)
	case *command.Revoke:
		for _, id := range c.Ids {
			if l := m.leases[id]; l != nil && l.namespace == c.Namespace {
				m.end(l, c.Force)
			}
		}
	case *command.Expire:
		want = m.expire(c)
	case *command.RevokeToken:
		if m.tokens[c.Hash] != nil && (r.Count > 0 || !m.tokens[c.Hash].dead) {
			m.endToken(c.Hash, c.SpareChildren && m.alive(c.Hash), false)
		}
	case *command.OpenJob:
		sel := c.Selector
		m.openJob(r.Job.ID, func(l *mLease) bool { return l.namespace == sel.Namespace && below(sel.Value, l.id) }, c.Force)
	case *command.Claim:
		return m.claim(c, r)
	case *command.RetryRevocations:
		return m.retry(c, r)
	case *command.Finish:
		want = m.outcome(c.Id, c.Claim, func(l *mLease) { delete(m.leases, l.id) })
	case *command.Fail:
		want = m.outcome(c.Id, c.Claim, func(l *mLease) { m.fail(l, c, r) })
	default:
		return m.applyRest(cmd, r)
	}
	return wantErr(r, want)
}

// applyRest is the part of apply that is about leadership and jobs.
func (m *model) applyRest(cmd fsm.Command, r fsm.Result) error {
	var want string
	switch c := cmd.(type) {
	case *command.Sweep:
		return m.sweep(c, r)
	case *command.Epoch:
		want = m.openEpoch(c)
	case *command.Tick:
	default:
		return m.applyConfig(cmd, r)
	}
	return wantErr(r, want)
}

// below is matching by path segments, by splitting (S9).
func below(prefix, id string) bool {
	if prefix == "" {
		return true
	}
	p, s := strings.Split(prefix, "/"), strings.Split(id, "/")
	if len(p) > len(s) {
		return false
	}
	for i := range p {
		if p[i] != s[i] {
			return false
		}
	}
	return true
}

func wantErr(r fsm.Result, want string) error {
	switch {
	case want == "" && r.Err != nil:
		return fmt.Errorf("refused: %v", r.Err)
	case want != "" && r.Err == nil:
		return fmt.Errorf("accepted, want %q", want)
	case want != "" && !strings.Contains(r.Err.Message, want):
		return fmt.Errorf("refused with %q, want %q", r.Err.Message, want)
	}
	return nil
}

func (m *model) issue(g *command.Grant, r fsm.Result, begin func(*mLease), kind lease.Kind) error {
	want, repeated := m.refused(g)
	if err := wantErr(r, want); err != nil || want != "" {
		return err
	}
	if repeated != "" {
		if !r.Repeated || r.Lease.ID != repeated {
			return fmt.Errorf("got %+v, want the lease %s again (S20)", r, repeated)
		}
		return nil
	}
	l := m.newLease(g, kind)
	l.seq = r.Seq
	begin(l)
	m.leases[l.id] = l
	if k := g.Idempotency; k != nil {
		m.keys[string(k.Key)] = mKey{string(k.Body), l.id, m.now.Add(24 * time.Hour)}
	}
	if r.Repeated || r.Lease == nil || r.Lease.ID != l.id || r.Lease.Seq != r.Seq {
		return fmt.Errorf("got %+v, want the new lease", r.Lease)
	}
	return nil
}

func (m *model) activate(c *command.Activate) string {
	l := m.leases[c.Id]
	switch {
	case l == nil:
		return "lease not found"
	case m.standing(l) != lease.Pending:
		return "changed meanwhile"
	}
	want := l.ttl
	if c.Ttl > 0 {
		if want <= 0 {
			want, _ = m.mountTTLs(l.mount)
		}
		want = min(want, time.Duration(c.Ttl))
	}
	ttl, _ := m.grant(l, m.now, want)
	l.pending, l.issued, l.expires = false, m.now, m.now.Add(ttl)
	return ""
}

func (m *model) unrenewable(l *mLease) string {
	switch m.standing(l) {
	case lease.Irrevocable:
		return "has failed previous revocation attempts"
	case lease.Active:
	default:
		return "lease expired"
	}
	if !l.renewable || l.expires == 0 {
		return "lease is not renewable"
	}
	return ""
}

func (m *model) renew(c *command.Renew) string {
	l := m.leases[c.Id]
	if l == nil || l.namespace != c.Namespace || l.pending && !l.ending {
		return m.renewUnknown(l, c)
	}
	if why := m.unrenewable(l); why != "" {
		return why
	}
	switch {
	case l.kind == lease.OfToken:
		return "tokens cannot be renewed"
	case c.Generation != 0 && c.Generation != l.generation:
		return "changed meanwhile"
	case c.Final:
		l.renewable = false
		l.generation++
		return ""
	}
	return m.extend(l, time.Duration(c.Increment))
}

// renewUnknown: an intent is not found as long as it is stored as one, which the model cannot tell
// from one that a sweep has reached.
func (m *model) renewUnknown(l *mLease, c *command.Renew) string {
	if l != nil && l.namespace == c.Namespace && l.dead {
		return "lease "
	}
	return "lease not found"
}

func (m *model) extend(l *mLease, want time.Duration) string {
	if want <= 0 {
		want = l.ttl
	}
	ttl, ok := m.grant(l, l.issued, want)
	if !ok {
		return "past the max TTL"
	}
	l.expires = m.now.Add(ttl)
	l.generation++
	return ""
}

func (m *model) renewToken(c *command.RenewToken) string {
	t := m.tokens[c.Hash]
	if t == nil || t.uses == lease.SpentUses {
		return "token not found"
	}
	l := m.tokenLease(c.Hash)
	if why := m.unrenewable(l); why != "" {
		return why
	}
	return m.extend(l, time.Duration(c.Increment))
}

func (m *model) useToken(c *command.UseToken) string {
	t := m.tokens[c.Hash]
	if t == nil || t.uses == lease.SpentUses || !m.alive(c.Hash) {
		return "permission denied"
	}
	if t.uses == 0 {
		return ""
	}
	if t.uses--; t.uses == 0 {
		t.uses = lease.SpentUses
		l := m.tokenLease(c.Hash)
		if end := m.now.Add(time.Minute); l.expires == 0 || l.expires > end {
			l.expires = end
		}
	}
	return ""
}

func (m *model) createToken(c *command.CreateToken, r fsm.Result) string {
	t := c.Token
	mount, want := m.tokenLeasedBy(c)
	switch {
	case want != "":
		return want
	case m.tokens[t.Hash] != nil:
		return "duplicate ID"
	case t.Parent != "" && !m.alive(t.Parent):
		return "no parent found"
	}
	l := &mLease{id: t.LeaseId, namespace: t.Namespace, mount: mount, owner: t.Hash, kind: lease.OfToken, renewable: t.Renewable,
		issued: m.now, seq: r.Seq, data: string(c.Data),
		ttl: time.Duration(c.Ttl), max: time.Duration(t.ExplicitMaxTtl), period: time.Duration(t.Period)}
	if role := time.Duration(c.MaxTtl); role > 0 && l.period == 0 && (l.max == 0 || role < l.max) {
		l.max = role
	}
	ttl, _ := m.grant(l, m.now, l.ttl)
	l.expires = m.now.Add(ttl)
	m.leases[l.id] = l
	m.tokens[t.Hash] = &mToken{hash: t.Hash, parent: t.Parent, lease: l.id, namespace: t.Namespace, uses: int(t.NumUses)}
	return ""
}

func (m *model) expire(c *command.Expire) string {
	if want := m.mayNotEnd(c.Epoch); want != "" {
		return want
	}
	for _, ref := range c.Leases {
		l := m.leases[ref.Id]
		if l == nil || !m.expired(l) || l.generation != ref.Generation || l.ending || l.irrevocable {
			continue
		}
		if l.kind == lease.Target && l.dead {
			l.ending, l.nextKnown = true, false // by this command or by a sweep before it
			continue
		}
		m.end(l, false)
	}
	return ""
}
