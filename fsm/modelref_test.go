package fsm_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// model is the naive reference: plain maps, no index, no job that walks. Where the state machine is
// lazy the model is eager: a revocation marks everything it covers as dead in the same command, and a
// dead token's children are found by looking at all tokens. What the model cannot know is how far a
// sweep has come, so it asks the state machine which of the dead are gone already (sync) and accepts
// either answer; but nothing dead may come back, and nothing living may go.
type model struct {
	now    lease.Time
	epoch  uint64
	held   string // the restore of the hold, "" without one
	leases map[string]*mLease
	tokens map[string]*mToken
	mounts map[string]*mMount
	jobs   map[uint64]bool // still marking; true: with force
	keys   map[string]mKey

	namespaces map[string]*mNamespace // by ID, without the root namespace
	policies   map[string]string      // by namespace and name
	entries    map[string]mEntry      // by mount and key
	policyAges map[string]string      // all policies of a namespace, by it and what the state says is their version
	tidying    uint64                 // the tidy job
	tidied     string                 // how far it has come
	// doomedBy is the job that the state machine says sweeps a token, 0 for none.
	doomedBy func(hash string) uint64
}

type mLease struct {
	id, namespace, mount, owner string
	kind                        lease.Kind
	pending, renewable          bool
	issued, expires             lease.Time // expires 0: never
	ttl, max, period            time.Duration
	generation                  uint64

	seq  uint64
	data string

	dead bool     // revoked by whatever; there is no way back
	jobs []uint64 // those that will end it

	// Known of the end of a target's lease.
	ending      bool
	irrevocable bool
	force       bool
	maybeForce  bool // a sweep of its token may have found it, or not
	attempts    int
	claim       uint64
	next        lease.Time
	nextKnown   bool // a job that is marking may have reset it
}

type mToken struct {
	hash, parent, lease, namespace string
	uses                           int
	dead                           bool
}

type mMount struct {
	namespace, path string
	defaultTTL, max time.Duration
	attempts        int
	disabled        bool
	movingTo        string

	frozen      bool
	frozenSince lease.Time
	frozenUntil lease.Time // 0: never
	reason      string
	down        string
	downSince   lease.Time
}

type mKey struct {
	body, lease string
	expires     lease.Time
}

func newModel() *model {
	m := &model{leases: map[string]*mLease{}, tokens: map[string]*mToken{}, mounts: map[string]*mMount{},
		jobs: map[uint64]bool{}, keys: map[string]mKey{}, namespaces: map[string]*mNamespace{}, policies: map[string]string{},
		entries: map[string]mEntry{}, policyAges: map[string]string{}}
	for id, path := range map[string]string{tokenMount: "auth/token/", plainMount: "locks/", otherMount: "slots/", targetMnt: "db/",
		loginMount: "auth/up/"} {
		m.mounts[id] = &mMount{path: path}
	}
	l := &mLease{id: "auth/token/root/h" + rootHash, mount: tokenMount, owner: rootHash, kind: lease.OfToken, issued: start}
	m.leases[l.id] = l
	m.tokens[rootHash] = &mToken{hash: rootHash, lease: l.id}
	m.epoch = 1
	return m
}

func (m *model) expired(l *mLease) bool { return l.expires != 0 && l.expires <= m.now }

func (m *model) tokenLease(hash string) *mLease { return m.leases[m.tokens[hash].lease] }

// alive: neither revoked nor past its end, and so its parents.
func (m *model) alive(hash string) bool {
	t := m.tokens[hash]
	if t == nil || t.dead {
		return false
	}
	l := m.tokenLease(hash)
	return l != nil && !l.dead && !m.expired(l) && (t.parent == "" || m.alive(t.parent))
}

// standing is the status in effect.
func (m *model) standing(l *mLease) lease.Status {
	switch {
	case l.irrevocable:
		return lease.Irrevocable
	case l.dead || l.ending || m.expired(l) || !m.alive(l.owner):
		return lease.Revoking
	case l.pending:
		return lease.Pending
	}
	return lease.Active
}

// grant is the arithmetic of TTLs, straight from the manual.
func (m *model) grant(l *mLease, issued lease.Time, want time.Duration) (time.Duration, bool) {
	defaultTTL, limit := m.mountTTLs(l.mount)
	if l.kind != lease.OfToken && l.max > 0 {
		limit = min(limit, l.max)
	}
	if want <= 0 {
		want = defaultTTL
	}
	ends := float64(m.now) + float64(want)
	if l.period > 0 {
		ends = float64(m.now) + min(float64(l.period), float64(limit))
	} else {
		ends = min(ends, float64(issued)+float64(limit))
	}
	if l.kind == lease.OfToken && l.max > 0 {
		ends = min(ends, float64(issued)+float64(l.max))
	}
	ttl := time.Duration(math.Round((ends-float64(m.now))/1e6)) * time.Millisecond // times are whole seconds
	return ttl, ttl > 0
}

func (m *model) mountTTLs(id string) (defaultTTL, limit time.Duration) {
	mt := m.mounts[id]
	limit = mt.max
	if limit == 0 {
		limit = 768 * time.Hour
	}
	defaultTTL = mt.defaultTTL
	if defaultTTL == 0 {
		defaultTTL = min(limit, 768*time.Hour)
	}
	return defaultTTL, limit
}

// doom ends a lease for good. It stays to be swept by job.
func (m *model) doom(l *mLease, job uint64) {
	l.dead = true
	if job != 0 {
		l.jobs = append(l.jobs, job)
	}
	m.settleNext(l)
}

// settleNext: a job that is still marking makes a lease due when it comes by, and when that is, is
// its own affair.
func (m *model) settleNext(l *mLease) {
	for _, job := range l.jobs {
		if _, marking := m.jobs[job]; marking && l.claim == 0 {
			l.nextKnown = false
		}
	}
}

// doomToken ends a token, all below it and all that they own.
func (m *model) doomToken(hash string, job uint64, spare bool) {
	t := m.tokens[hash]
	if t == nil {
		return
	}
	t.dead = true
	for _, l := range m.leases {
		switch {
		case l.owner != hash || l.ending: // what is ending already is no longer the token's
		default:
			l.maybeForce = l.maybeForce || m.jobs[job] // unless something else ends it before the sweep comes
			m.doom(l, job)
		}
	}
	for _, child := range m.tokens {
		if child.parent == hash && spare {
			child.parent = ""
		} else if child.parent == hash {
			m.doomToken(child.hash, job, false)
		}
	}
}

// endToken ends a token by a command of its own. A token on which nothing hangs has no job.
func (m *model) endToken(hash string, spare, force bool) {
	job := m.doomedBy(hash)
	if _, known := m.jobs[job]; job != 0 && !known {
		m.jobs[job] = force
	}
	m.doomToken(hash, job, spare)
}

// end ends one lease by hand or by time.
func (m *model) end(l *mLease, force bool) {
	switch l.kind {
	case lease.OfToken:
		m.endToken(l.owner, false, force)
	case lease.Plain:
		delete(m.leases, l.id)
	default:
		l.force = l.force || force
		if !l.ending || l.claim == 0 {
			l.next, l.nextKnown = m.now, true
		}
		l.dead, l.ending = true, true
		m.settleNext(l)
	}
}

// openJob marks what the selector covers.
func (m *model) openJob(job uint64, covers func(*mLease) bool, force bool) {
	m.jobs[job] = force
	for _, l := range m.leases {
		if !covers(l) {
			continue
		}
		if l.kind == lease.OfToken {
			m.doomToken(l.owner, job, false)
		} else {
			m.doom(l, job)
		}
	}
}

// swept notes that a job has marked all: what it covered is gone, or ending if it has a target.
func (m *model) swept(job uint64) error {
	force := m.jobs[job]
	delete(m.jobs, job)
	for _, l := range m.leases {
		if !slices.Contains(l.jobs, job) {
			continue
		}
		if l.kind != lease.Target {
			return fmt.Errorf("job %d is swept and %s is still there", job, l.id)
		}
		l.ending = true
		l.force = l.force || force && !l.maybeForce
	}
	return nil
}

// sync forgets the dead that the state machine has removed, and finds fault with all else that differs
// in what is there.
func (m *model) sync(v *fsm.View) error {
	for id, l := range m.leases {
		if v.Lease(id) != nil {
			continue
		}
		if !l.dead || l.kind == lease.Target {
			return fmt.Errorf("%s is gone; dead: %v, kind %d", id, l.dead, l.kind)
		}
		delete(m.leases, id)
		if l.kind == lease.OfToken {
			delete(m.tokens, l.owner)
		}
	}
	return m.syncConfig(v)
}

// compare checks all that can be seen of every lease and token.
func (m *model) compare(v *fsm.View) error {
	if got := v.Counts().Total(); got != len(m.leases) {
		return fmt.Errorf("%d leases, want %d", got, len(m.leases))
	}
	for id, want := range m.leases {
		l := v.Lease(id)
		if got, want := v.Standing(l, m.now), m.standing(want); got != want {
			return fmt.Errorf("%s is %s, want %s", id, got, want)
		}
		if !want.dead && (l.ExpireTime != want.expires || l.Generation != want.generation || l.Renewable != want.renewable ||
			l.IssueTime != want.issued) {
			return fmt.Errorf("%s: got %+v, want %+v", id, l, want)
		}
		if e := l.Ending; want.ending && (e == nil || e.Attempts != want.attempts || e.Claim != want.claim ||
			want.nextKnown && e.NextAttempt != want.next) {
			return fmt.Errorf("%s: ending %+v, want %+v", id, e, want)
		}
		if !want.dead && l.Ending != nil {
			return fmt.Errorf("%s is ending and nobody asked for it", id)
		}
	}
	for hash := range m.tokens {
		t := v.Token(hash)
		if got, want := t != nil && v.TokenAlive(t, m.now), m.alive(hash); got != want {
			return fmt.Errorf("token %s alive: %v, want %v", hash, got, want)
		}
	}
	if got := v.TokenCount(); got != len(m.tokens) {
		return fmt.Errorf("%d tokens, want %d", got, len(m.tokens))
	}
	return m.compareConfig(v)
}

func (m *model) newLease(g *command.Grant, kind lease.Kind) *mLease {
	ttl := g.Ttl
	if ttl <= 0 {
		ttl = g.DefaultTtl
	}
	return &mLease{id: g.Id, namespace: g.Namespace, mount: g.MountId, owner: g.Owner, kind: kind, renewable: g.Renewable,
		ttl: time.Duration(ttl), max: time.Duration(g.MaxTtl)}
}

// refused is why a grant must fail, "" if it must not; repeated names the lease of a known key.
func (m *model) refused(g *command.Grant) (reason, repeated string) {
	mt := m.mounts[g.MountId]
	switch {
	case mt == nil || mt.namespace != g.Namespace:
		return "route entry not found", ""
	case m.unusable(mt):
		return "tainted", ""
	case !m.alive(g.Owner):
		return "permission denied", ""
	}
	if g.Idempotency != nil {
		if k, ok := m.keys[string(g.Idempotency.Key)]; ok && k.expires > m.now {
			if k.body != string(g.Idempotency.Body) {
				return "used for another request", ""
			}
			if l := m.leases[k.lease]; l != nil && m.standing(l) <= lease.Active {
				return "", k.lease
			}
			return "has ended", ""
		}
	}
	if !strings.HasPrefix(g.Id, mt.path) {
		return "does not begin with", ""
	}
	if m.leases[g.Id] != nil {
		return "is in use", ""
	}
	return "", ""
}
