package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/test/failover/history"
)

// What the clients do.
const (
	clientsANode = 4
	crowd        = 60                    // leases that clients use at a time, about
	rest         = 30 * time.Millisecond // the longest pause between two calls of a client
	pruneEvery   = 700 * time.Millisecond
)

// load is clients that call every node all the time.
type load struct {
	*caller
	rec  *recorder
	book *book

	gate  sync.RWMutex // held for reading by each operation, for writing while the clients pause
	stop  context.CancelFunc
	ctx   context.Context
	wg    sync.WaitGroup
	keys  atomic.Int64
	names atomic.Int64 // of clients
}

// startLoad enables the engines and starts the clients.
func startLoad(c *caller, rec *recorder, t *target, seed uint64) (*load, error) {
	l := &load{caller: c, rec: rec, book: newBook()}
	l.ctx, l.stop = context.WithCancel(context.Background())
	host := strings.TrimPrefix(t.url, "https://")
	for _, q := range [][2]string{
		{"sys/mounts/slots", `{"type":"lease"}`}, {"sys/mounts/hooks", `{"type":"webhook"}`},
		{"hooks/config", fmt.Sprintf(`{"allowed_hosts":[%q],"ca_cert":%q,"timeout":"5s"}`, host, t.ca)},
	} {
		if a := c.send(l.ctx, 1, http.MethodPost, q[0], q[1]); !a.good() {
			return nil, fmt.Errorf("set up %s: %d %s (%v)", q[0], a.status, a.body, a.err)
		}
	}
	for range groupsOpen {
		for engine := range 2 {
			if _, ok := l.newGroup(engine, 1, t); !ok {
				return nil, fmt.Errorf("set up a group of the engines")
			}
		}
	}
	for node := 1; node <= c.c.Size(); node++ {
		for range clientsANode {
			me := int(l.names.Add(1))
			l.wg.Go(func() { l.client(me, node, rand.New(rand.NewPCG(seed, uint64(me)))) })
		}
	}
	me := int(l.names.Add(1))
	l.wg.Go(func() { l.pruner(me, t, rand.New(rand.NewPCG(seed, uint64(me)))) })
	return l, nil
}

// close ends the clients.
func (l *load) close() {
	l.stop()
	l.wg.Wait()
}

// newGroup opens a group, and returns the one that should be pruned.
func (l *load) newGroup(engine, node int, t *target) (oldest string, ok bool) {
	name := l.book.next()
	if engine == slots {
		return l.book.open(slots, "slots/"+name), true
	}
	url := fmt.Sprintf("%q", t.url)
	a := l.send(l.ctx, node, http.MethodPost, "hooks/roles/"+name, `{"issue_url":`+url+`,"renew_url":`+url+`,"revoke_url":`+url+
		`,"secret":"a signing key for tests","default_ttl":"1h","max_ttl":"700h"}`)
	if !a.good() {
		return "", false
	}
	return l.book.open(hooks, "hooks/creds/"+name), true
}

// client stays with one node, as one behind a load balancer does, and takes any lease: also such as
// others got from other nodes.
func (l *load) client(me, node int, rng *rand.Rand) {
	for l.ctx.Err() == nil {
		l.gate.RLock()
		l.act(me, node, rng)
		l.gate.RUnlock()
		pause(l.ctx, time.Duration(rng.Int64N(int64(rest))))
	}
}

func (l *load) act(me, node int, rng *rand.Rand) {
	chance := rng.IntN(100)
	e, count := l.book.pick(rng, chance >= 60)
	switch {
	case e == nil || count < crowd/2 || chance < 18:
		l.issue(me, node, l.book.group(rng.IntN(2), rng), rng, 4)
	case chance < 45:
		l.renew(me, node, e, rng)
	case chance < 60:
		if count > crowd/2+rng.IntN(crowd) {
			l.revoke(me, node, e, rng.IntN(3) == 0)
		}
	case chance < 65:
		l.list(me, node, e.group)
	default:
		l.lookup(l.ctx, me, node, e)
	}
}

// pruner revokes groups as a whole, while clients issue below them, and opens others.
func (l *load) pruner(me int, t *target, rng *rand.Rand) {
	for n := 1; l.ctx.Err() == nil; n++ {
		pause(l.ctx, pruneEvery/2+time.Duration(rng.Int64N(int64(pruneEvery))))
		node, engine := 1+rng.IntN(l.c.Size()), slots
		if n%3 == 0 {
			engine = hooks
		}
		l.gate.RLock()
		if group, ok := l.newGroup(engine, node, t); ok && group != "" {
			l.prefix(me, node, group, rng.IntN(3) == 0)
			l.book.shut(engine, group)
		}
		l.gate.RUnlock()
	}
}

// unexpected notes an answer that no fault explains.
func (l *load) unexpected(verb history.Verb, node int, id string, a answer) {
	l.rec.violate("API", "%s of %s at node %d was answered with %d %.200s", verb, id, node, a.status, a.body)
}

// spanOf is a TTL or an increment. Long ones differ by more than clocks do, so that each renewal can be
// told from every other by the end that it gave.
func spanOf(rng *rand.Rand, short bool) time.Duration {
	if short {
		return time.Duration(2+rng.IntN(4)) * time.Second
	}
	return time.Duration(600+rng.IntN(200_000)) * time.Second
}
