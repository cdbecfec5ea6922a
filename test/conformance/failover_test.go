package conformance

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is what clients on all nodes do while leaders are killed. Each writer has leases of its own,
// so that the order of the calls about one lease is known.
type load struct {
	t    testing.TB
	path string
	stop chan struct{}
	wg   sync.WaitGroup
	// acked counts calls that were acknowledged, for the rate.
	acked atomic.Int64

	mu      sync.Mutex // guards what follows
	records []*record
	tally   tally
}

// impatient gives up on a call, as real clients do: the outcome is unknown then.
var impatient = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func startLoad(t testing.TB, path string, writers int) *load {
	l := &load{t: t, path: path, stop: make(chan struct{}), tally: tally{kinds: make(map[string]int)}}
	for w := range writers {
		l.wg.Go(func() { l.write(w) })
	}
	return l
}

// write is one client: it stays with one node, as one behind a load balancer does.
func (l *load) write(w int) {
	chance := rand.New(rand.NewPCG(uint64(w), 33))
	node := w%3 + 1
	var mine []*record
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		switch n := chance.IntN(10); {
		case n < 4 || len(mine) < 5:
			if r := l.issue(node, chance); r != nil {
				mine = append(mine, r)
			}
		case n < 6:
			l.renew(node, mine[chance.IntN(len(mine))], chance)
		case n < 8:
			l.look(node, mine[chance.IntN(len(mine))])
		default:
			i := chance.IntN(len(mine))
			l.revoke(node, mine[i])
			mine = append(mine[:i], mine[i+1:]...)
		}
	}
}

// ask makes a call. known is false when what it did cannot be told from the answer.
func (l *load) ask(node int, kind, path string, body map[string]any) (r *reply, known bool) {
	req := request{node: node, method: "PUT", path: "/v1/" + path, body: body}
	r, err := req.by(impatient)
	if err != nil || r.status >= 500 {
		l.mu.Lock()
		l.tally.unknown++
		l.mu.Unlock()
		// A node that was killed refuses connections: wait a little instead of counting refusals.
		time.Sleep(20 * time.Millisecond)
		return r, false
	}
	if r.status < 300 {
		l.acked.Add(1)
		l.mu.Lock()
		l.tally.kinds[kind]++
		l.mu.Unlock()
	}
	return r, true
}

// issue makes a lease: one in four is short and left to expire.
func (l *load) issue(node int, chance *rand.Rand) *record {
	ttl := 600
	short := chance.IntN(4) == 0
	if short {
		ttl = 2 + chance.IntN(3)
	}
	sent := time.Now()
	r, known := l.ask(node, "issue", l.path+"/"+strconv.Itoa(chance.IntN(8)), map[string]any{"ttl": ttl})
	if !known || r.status != 200 {
		return nil
	}
	length := time.Duration(ttl) * time.Second
	rec := &record{id: fmt.Sprint(r.get("lease_id")), issued: sent, earliest: sent.Add(length), latest: time.Now().Add(length)}
	l.mu.Lock()
	l.records = append(l.records, rec)
	l.mu.Unlock()
	if short {
		return nil // nobody touches it again
	}
	return rec
}

func (l *load) renew(node int, rec *record, chance *rand.Rand) {
	length := time.Duration(300+chance.IntN(600)) * time.Second
	sent := time.Now()
	r, known := l.ask(node, "renew", "sys/leases/renew", map[string]any{"lease_id": rec.id, "increment": int(length.Seconds())})
	back := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !known: // either end may hold
		rec.earliest = earlier(rec.earliest, sent.Add(length))
		rec.latest = later(rec.latest, back.Add(length).Add(impatient.Timeout))
	case r.status == 200:
		rec.earliest, rec.latest = sent.Add(length), back.Add(length)
	default:
		l.t.Errorf("a live lease did not renew: %d %s", r.status, r.body)
	}
}

func (l *load) revoke(node int, rec *record) {
	l.mu.Lock()
	rec.revoking = true
	l.mu.Unlock()
	r, known := l.ask(node, "revoke", "sys/leases/revoke", map[string]any{"lease_id": rec.id})
	if known && r.status < 300 {
		l.mu.Lock()
		rec.revoked = time.Now()
		l.mu.Unlock()
	}
}

// look checks at once what a linearizable lookup shows.
func (l *load) look(node int, rec *record) {
	before := l.copy(rec)
	s, known := l.see(node, rec.id)
	if !known {
		return
	}
	if verdict := judge(before, s); verdict != "" {
		l.t.Errorf("during the faults, at node %d: %s: %s; record %+v, seen %+v", node, rec.id, verdict, before, s)
	}
}

func (l *load) copy(rec *record) record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *rec
}

// see looks a lease up.
func (l *load) see(node int, id string) (seen, bool) {
	r, known := l.ask(node, "lookup", "sys/leases/lookup", map[string]any{"lease_id": id})
	if !known {
		return seen{}, false
	}
	s := seen{id: id, at: time.Now(), alive: r.status == 200 && r.get("data.status") == "active"}
	if s.alive {
		s.end, _ = time.Parse(time.RFC3339Nano, fmt.Sprint(r.get("data.expire_time")))
	}
	return s, true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// killLeader ends the leader with SIGKILL, waits until a write through a survivor is acknowledged,
// and starts the node again. It returns how long nobody could write.
func (l *load) killLeader(t *testing.T) time.Duration {
	t.Helper()
	lead := leader(t)
	began := time.Now()
	script(t, "kill", strconv.Itoa(lead))
	survivor := lead%3 + 1
	eventually(t, 15*time.Second, "a survivor acknowledges a write", func() bool {
		r, err := request{node: survivor, method: "POST", path: "/v1/" + l.path + "/probe", body: `{"ttl":"60s"}`}.by(impatient)
		return err == nil && r.status == 200
	})
	gap := time.Since(began)
	if next := leader(t); next != lead {
		l.mu.Lock()
		l.tally.elections++
		l.mu.Unlock()
	}
	time.Sleep(time.Second) // under load, with one node down
	script(t, "start", strconv.Itoa(lead))
	return gap
}

// TestFailoverUnderLoad kills the leader three times while clients on all nodes issue, renew, look up
// and revoke. Nothing that was acknowledged may be lost or undone, what expires meanwhile ends, and
// at the end all nodes hold the same state. (S1, S2, S5, S18, L2)
func TestFailoverUnderLoad(t *testing.T) {
	const faults = 3
	path := mount(t, "lease", nil)
	l := startLoad(t, path, 9)
	begin := time.Now()
	time.Sleep(2 * time.Second)
	l.tally.before = float64(l.acked.Load()) / time.Since(begin).Seconds()
	for range faults {
		if gap := l.killLeader(t); gap > 6*time.Second {
			t.Errorf("nobody could write for %s after the leader was killed", gap)
		}
		time.Sleep(2 * time.Second)
	}
	close(l.stop)
	l.wg.Wait()
	l.tally.faults = faults
	waitAll(t)
	l.audit(t)
	if why := l.tally.void(); why != "" {
		t.Fatalf("the run is void: %s", why)
	}
	t.Logf("%d leases; acknowledged %v; unknown %d; expired %d; %.0f calls a second before the first fault",
		len(l.records), l.tally.kinds, l.tally.unknown, l.tally.expired, l.tally.before)
	if hashes := stateHashes(t); diverged(hashes) {
		t.Errorf("the nodes hold different states: %v", hashes)
	}
}

// audit looks at every lease, each at another node.
func (l *load) audit(t *testing.T) {
	last := time.Time{}
	for _, rec := range l.records {
		if end := rec.latest.Add(grace); end.Sub(rec.issued) < time.Minute && end.After(last) {
			last = end // the short ones must have ended before they are looked at
		}
	}
	time.Sleep(time.Until(last))
	var bad atomic.Int32
	inParallel(t, 12, len(l.records), func(i int) error {
		rec := *l.records[i]
		s, known := l.see(i%3+1, rec.id)
		if !known {
			return fmt.Errorf("%s cannot be looked up on a healed cluster", rec.id)
		}
		if verdict := judge(rec, s); verdict != "" && bad.Add(1) <= 5 {
			t.Errorf("%s: %s; record %+v, seen %+v", rec.id, verdict, rec, s)
		}
		if !s.alive && !rec.revoking {
			l.mu.Lock()
			l.tally.expired++
			l.mu.Unlock()
		}
		return nil
	})
	if n := bad.Load(); n > 5 {
		t.Errorf("%d leases are wrong in all", n)
	}
}
