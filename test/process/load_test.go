package process

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// load is clients that write all the time, each at its node, and repeat a failed write once, at the
// next node.
type load struct {
	c    *cluster
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	acked    []string   // IDs of leases
	repeated int
	failed   []string
	slowest  time.Duration
}

// startLoad mounts an engine and has clients issue leases of it.
func (c *cluster) startLoad(clients int) *load {
	c.t.Helper()
	c.mount("load")
	l := &load{c: c, stop: make(chan struct{})}
	for i := range clients {
		l.wg.Go(func() { l.client(i) })
	}
	eventually(c.t, "50 leases are issued", func() bool { return l.count() >= 50 })
	return l
}

func (l *load) client(i int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		node := (i+n)%len(l.c.Nodes) + 1
		// The key makes the repetition safe, should the first have happened.
		key := func(r *http.Request) { r.Header.Set("Idempotency-Key", fmt.Sprintf("load-%d-%d", i, n)) }
		begin := time.Now()
		write := func(node int) reply { return l.c.send(node, "POST", "load/x", `{"ttl":"1h"}`, key) }
		r := write(node)
		again := r.status != http.StatusOK
		if again {
			r = write(node%len(l.c.Nodes) + 1)
		}
		l.note(r, again, time.Since(begin))
	}
}

func (l *load) note(r reply, again bool, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if again {
		l.repeated++
	}
	if r.status == http.StatusOK {
		l.acked = append(l.acked, r.field("lease_id"))
	} else {
		l.failed = append(l.failed, r.String())
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// more waits until the clients got some more leases.
func (l *load) more(t testing.TB) {
	t.Helper()
	at := l.count()
	eventually(t, "writes go on", func() bool { return l.count() >= at+20 })
}

// end stops the clients and wants every lease that was acknowledged on every node.
func (l *load) end(t testing.TB) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d leases acknowledged, %d writes repeated, the slowest took %v", len(l.acked), l.repeated, l.slowest)
	l.c.alike(l.c.others()...)
	for i, id := range l.acked {
		node := i%len(l.c.Nodes) + 1
		if r := l.c.lookup(node, id); r.status != 200 {
			t.Fatalf("an acknowledged lease is lost: node %d says %v of %s", node, r, id)
		}
	}
}

// TestGracefulStop: SIGTERM to the leader, under load: leadership is handed over, and nobody who repeats a
// failed write once notices.
func TestGracefulStop(t *testing.T) {
	c := start(t, 3)
	l := c.startLoad(4)
	for range 2 {
		leader := c.leader()
		c.script("stop", fmt.Sprint(leader))
		l.more(t)
		c.script("start", fmt.Sprint(leader))
		l.more(t)
	}
	l.end(t)
	if len(l.failed) > 0 {
		t.Errorf("writes that failed twice: got %d, want none; the first: %s", len(l.failed), l.failed[0])
	}
	if l.slowest > 2*time.Second {
		t.Errorf("a write took %v, want a handover that nobody notices", l.slowest)
	}
}

// TestStepDown: any node takes the request; another node leads afterwards, with the same leases.
func TestStepDown(t *testing.T) {
	c := start(t, 3)
	l := c.startLoad(2)
	for range 3 {
		leader := c.leader()
		c.must(204, c.others(leader)[0], "PUT", "sys/step-down", "")
		eventually(t, "another node leads", func() bool { now, err := c.Leader(); return err == nil && now+1 != leader })
		l.more(t)
	}
	l.end(t)
	if len(l.failed) > 0 {
		t.Errorf("writes that failed twice: got %d, want none; the first: %s", len(l.failed), l.failed[0])
	}
}

// TestPausedLeader: a leader that does not run for five seconds does not know that it leads no more.
// Nothing acknowledged is lost, and it answers nothing of what was before.
func TestPausedLeader(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	revoked := c.issue(1, "slots/revoked", `{"ttl":"1h"}`)
	renewed := c.issue(1, "slots/renewed", `{"ttl":"1h"}`)
	old := c.leader()
	next := c.others(old)[0]
	c.script("pause", fmt.Sprint(old))
	paused := time.Now()
	eventually(t, "another node leads", func() bool { return c.send(next, "POST", "slots/a", `{"ttl":"1h"}`).status == 200 })
	c.must(204, next, "PUT", "sys/leases/revoke", `{"lease_id":"`+revoked+`","sync":true}`)
	c.must(200, next, "PUT", "sys/leases/renew", `{"lease_id":"`+renewed+`","increment":7200}`)
	// These lie in the old leader's sockets when it wakes, when it still believes to lead.
	answers := make(chan reply, 8)
	for range cap(answers) {
		go func() { answers <- c.lookup(old, revoked) }()
	}
	late := make(chan reply, 1)
	go func() { late <- c.send(old, "POST", "slots/late", `{"ttl":"1h"}`) }()
	time.Sleep(time.Until(paused.Add(5 * time.Second))) // the fault itself takes this long
	c.script("resume", fmt.Sprint(old))
	for range cap(answers) {
		if r := <-answers; r.status == 200 {
			t.Errorf("the old leader shows a lease that was revoked before it was asked: %v", r)
		}
	}
	if r := c.lookup(old, renewed); r.status == 200 {
		var ttl struct{ TTL int }
		if decode(t, r.body, &ttl); ttl.TTL < 3700 {
			t.Errorf("the old leader shows a ttl of %d s of a lease that was renewed for 7200 s", ttl.TTL)
		}
	}
	if r := <-late; r.status == 200 { // forwarded, then
		id := r.field("lease_id")
		for _, node := range c.others() {
			eventually(t, "what the old leader acknowledged is there", func() bool { return c.lookup(node, id).status == 200 })
		}
	}
	eventually(t, "the old leader serves again", func() bool { return c.lookup(old, renewed).status == 200 })
	c.alike(c.others()...)
}

// TestRestartOfAll: SIGKILL to all three nodes at once. What was acknowledged is there again; what came
// due meanwhile ends.
func TestRestartOfAll(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	var long, short []string
	for i := range 40 {
		node := i%3 + 1
		long = append(long, c.issue(node, "slots/long", `{"ttl":"1h"}`))
		short = append(short, c.issue(node, "slots/short", `{"ttl":"3s"}`))
	}
	due := time.Now().Add(3 * time.Second)
	for node := range c.Nodes {
		c.script("kill", fmt.Sprint(node+1))
	}
	time.Sleep(time.Until(due))
	for node := range c.Nodes {
		c.script("start", fmt.Sprint(node+1))
	}
	c.leader()
	for i, id := range long {
		if r := c.lookup(i%3+1, id); r.status != 200 || r.field("data.status") != "active" {
			t.Errorf("%s: got %v, want it active", id, r)
		}
	}
	for i, id := range short {
		eventually(t, id+" ends", func() bool { return c.lookup(i%3+1, id).status == 400 })
	}
	c.alike(1, 2, 3)
}

// TestMinority: a node that is left alone says so within two seconds, instead of hanging.
func TestMinority(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	id := c.issue(1, "slots/a", `{"ttl":"1h"}`)
	for _, alone := range []int{c.leader(), c.others(c.leader())[0]} {
		others := c.others(alone)
		for _, node := range others {
			c.script("kill", fmt.Sprint(node))
		}
		eventually(t, "health tells it", func() bool { return c.send(alone, "GET", "sys/health", "").status == 503 })
		for _, q := range [][3]string{
			{"POST", "slots/b", `{"ttl":"1h"}`}, {"PUT", "sys/leases/renew", `{"lease_id":"` + id + `"}`},
			{"PUT", "sys/leases/lookup", `{"lease_id":"` + id + `"}`}, {"GET", "auth/token/lookup-self", ""},
		} {
			begin := time.Now()
			r := c.send(alone, q[0], q[1], q[2])
			if took := time.Since(begin); took > 2500*time.Millisecond { // 2 s, and a busy machine
				t.Errorf("%s %s: answered after %v, want 2 s", q[0], q[1], took)
			}
			if r.status != 503 || r.header.Get("Retry-After") == "" {
				t.Errorf("%s %s: got %v, Retry-After %q, want 503 and one", q[0], q[1], r, r.header.Get("Retry-After"))
			}
		}
		for _, node := range others {
			c.script("start", fmt.Sprint(node))
		}
		eventually(t, "the cluster serves again", func() bool { return c.lookup(alone, id).status == 200 })
	}
}
