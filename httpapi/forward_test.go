package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
)

// pair is a leader and a follower in one process, each with its server and its state. The
// follower's state is as old as the last call of sync.
type pair struct {
	*rig
	follower *node
	second   *httpapi.Server
	replica  *fsm.State
}

func newPair(t *testing.T) *pair {
	p := &pair{rig: newRig(t), replica: fsm.New()}
	p.Enable("locks/", "lease", lease.MountConfig{})
	p.Enable("db/", "fake", lease.MountConfig{})
	l := newPeerListener()
	p.follower = &node{id: "n2", world: p.World, state: p.replica, leader: "n1", term: 1, apiAddr: "http://n1:8200",
		peers: map[string]*peerListener{"n1": l}}
	p.follower.onReading = p.sync
	p.second = p.serverOf(p.follower, lessor.New(lessor.Config{
		State: p.replica, Proposer: p.Proposer, Now: p.Clock.Now, Wall: p.Clock.Wall, Backends: p.Backends, SealKey: p.SealKey,
	}))
	p.serve(l)
	p.sync()
	return p
}

// serve has the leader answer what the follower forwards.
func (p *pair) serve(l net.Listener) {
	server := &http.Server{Handler: p.server.PeerHandler()}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	p.t.Cleanup(func() {
		server.Close()
		wg.Wait()
		p.second.Close(context.Background())
	})
}

// sync brings the follower's state up to the leader's, as ReadIndex waits for.
func (p *pair) sync() {
	var buf bytes.Buffer
	if err := p.State.Snapshot().Write(&buf); err != nil {
		p.t.Error(err)
		return
	}
	if err := p.replica.Restore(&buf); err != nil {
		p.t.Error(err)
	}
}

// via makes a request through the follower.
func (p *pair) via(method, path, token, body string, edit ...func(*http.Request)) reply {
	p.t.Helper()
	return ask(p.t, p.second.Handler(), method, path, token, body, edit...)
}

func TestForwardedWrites(t *testing.T) {
	p := newPair(t)
	issued := p.via("POST", "locks/build/42", "root", `{"ttl":"1h"}`)
	want(t, "issue", issued, 200)
	id := issued.str("lease_id")
	if p.Lease(id) == nil {
		t.Fatalf("the lease %q is not in the leader's state", id)
	}
	renewed := p.via("PUT", "sys/leases/renew", "root", `{"lease_id":"`+id+`","increment":600}`)
	want(t, "renew", renewed, 200)
	if d := fmt.Sprint(renewed.body["lease_duration"]); d != "600" {
		t.Errorf("renew: got a duration of %s, want 600", d)
	}
	looked := p.via("PUT", "sys/leases/lookup", "root", `{"lease_id":"`+id+`"}`)
	want(t, "lookup on the follower", looked, 200)
	if ttl := fmt.Sprint(looked.data()["ttl"]); ttl != "600" {
		t.Errorf("lookup: got a ttl of %s, want 600", ttl)
	}
	want(t, "a refusal comes back as it is", p.via("PUT", "sys/leases/renew", "root", `{"lease_id":"none"}`), 400, "lease not found")
	want(t, "a form", p.via("PUT", "sys/leases/renew", "root", "lease_id="+id, contentType(form)), 200)
	want(t, "an escaped path", p.via("PUT", "sys/leases/renew/"+strings.ReplaceAll(id, "/", "%2F"), "root", ""), 200)
	queued := p.via("PUT", "sys/leases/revoke-prefix/locks", "root", "")
	want(t, "revoke-prefix", queued, 202)
	if queued.header.Get("X-Leasehold-Job") == "" || queued.text != "" {
		t.Errorf("revoke-prefix: got %v and body %q, want a job and no body", queued.header, queued.text)
	}
	if got, wantIndex := queued.header.Get("X-Vault-Index"), strconv.FormatUint(p.State.Applied(), 10); got != wantIndex {
		t.Errorf("got X-Vault-Index %s, want the leader's %s", got, wantIndex)
	}
	want(t, "a GET that makes a lease", p.via("GET", "db/creds/r", "root", ""), 200)
	want(t, "no token", p.via("POST", "locks/x", "", ""), 403, "permission denied")
}

func TestForwardedRequestIDIsOne(t *testing.T) {
	p := newPair(t)
	var got string
	p.node.change(func(n *node) { n.apiAddr = "x" })
	a := p.via("POST", "locks/x", "root", "", header("X-Leasehold-Request-Id", "forged"))
	if got = a.str("request_id"); got == "forged" || len(got) != 36 {
		t.Errorf("got request ID %q, want one made by the server", got)
	}
}

// TestT6_InternalHeadersOfClientsAreIgnored: on a client's connection nothing may pass for a word
// between nodes.
func TestT6_InternalHeadersOfClientsAreIgnored(t *testing.T) {
	p := newPair(t)
	forged := func(r *http.Request) {
		r.Header.Set("X-Leasehold-Client-Addr", "10.0.0.1:1")
		r.Header.Set("X-Leasehold-Request-Id", "forged")
		r.Header.Set("X-Leasehold-Not-Leader", "1")
		r.Header["X-Leasehold-Peer"] = []string{"1"}
	}
	for what, a := range map[string]reply{
		"at the leader": p.root("POST", "locks/x", "", forged), "through the follower": p.via("POST", "locks/x", "root", "", forged),
		"without a token": p.call("POST", "locks/x", "", "", forged),
	} {
		if strings.Contains(a.text, "forged") || what == "without a token" && a.status != 403 || what != "without a token" && a.status != 200 {
			t.Errorf("%s: got %d %s", what, a.status, a.text)
		}
	}
	// On a peer connection the request ID of the first node is kept.
	if a := ask(t, p.server.PeerHandler(), "POST", "locks/x", "root", "", forged); a.str("request_id") != "forged" {
		t.Errorf("peer connection: got request ID %q, want the one in the header", a.str("request_id"))
	}
}

func TestOneHopOnly(t *testing.T) {
	p := newPair(t)
	for _, c := range [][2]string{{"POST", "locks/x"}, {"GET", "sys/mounts"}} {
		a := ask(t, p.second.PeerHandler(), c[0], c[1], "root", "")
		want(t, c[1]+" forwarded to a follower", a, 503)
		if a.header.Get("Retry-After") == "" || a.header.Get("X-Leasehold-Not-Leader") == "" {
			t.Errorf("%s: got %v, want Retry-After and the note that nothing was done", c[1], a.header)
		}
	}
	if n := len(p.Proposer.Commands()); n != 4 {
		t.Errorf("got %d commands, want the 4 of the set-up", n)
	}
}

func TestNoForwardingIsARedirect(t *testing.T) {
	p := newPair(t)
	a := p.via("PUT", "sys/leases/renew/locks%2Fx?a=b", "root", "", header("X-Vault-No-Request-Forwarding", "1"))
	want(t, "write", a, 307)
	if l := a.header.Get("Location"); l != "http://n1:8200/v1/sys/leases/renew/locks%2Fx?a=b" || a.text != "" {
		t.Errorf("got location %q and body %q, want the leader's and none", l, a.text)
	}
	want(t, "a read needs no forwarding", p.via("GET", "sys/mounts", "root", "", header("X-Vault-No-Request-Forwarding", "1")), 200)
	p.follower.change(func(n *node) { n.leader = "" })
	want(t, "no leader", p.via("PUT", "sys/leases/renew/x", "root", "", header("X-Vault-No-Request-Forwarding", "1")), 503)
}

// TestS25_ARequestThatMayHaveArrivedIsNotSentAgain: the leader takes the request and cuts the
// connection; it must have seen the request once, whatever the verb and however often it is idle.
func TestS25_ARequestThatMayHaveArrivedIsNotSentAgain(t *testing.T) {
	p := newPair(t)
	for _, c := range []struct{ method, path, key string }{
		{"GET", "db/creds/r", ""}, {"POST", "locks/x", ""}, {"POST", "locks/x", "idempotency-key"}, {"DELETE", "sys/mounts/x", ""},
	} {
		l := newPeerListener()
		p.follower.change(func(n *node) { n.peers = map[string]*peerListener{"n3": l}; n.leader = "n3" })
		var mu sync.Mutex
		seen, warm := 0, true
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if warm { // leaves a connection that is used again
				warm = false
				return
			}
			seen++
			panic(http.ErrAbortHandler)
		})}
		go server.Serve(l)
		want(t, "warm up", p.via("POST", "locks/warm", "root", ""), 200)
		a := p.via(c.method, c.path, "root", "", func(r *http.Request) {
			if c.key != "" {
				r.Header.Set("Idempotency-Key", c.key)
			}
		})
		want(t, c.method+" "+c.path, a, 504)
		if mu.Lock(); seen != 1 {
			t.Errorf("%s %s %s: the leader saw it %d times, want once", c.method, c.path, c.key, seen)
		}
		mu.Unlock()
		server.Close()
	}
}

// TestHoldThroughAnElection: a request that comes while nobody leads is held and served by whoever
// is elected.
func TestHoldThroughAnElection(t *testing.T) {
	p := newPair(t)
	l := p.follower.peers["n1"]
	p.follower.change(func(n *node) { n.leader, n.peers = "", nil })
	answered := make(chan reply)
	go func() { answered <- p.via("POST", "locks/x", "root", "") }()
	time.Sleep(30 * time.Millisecond)                    // any time within the hold will do
	p.follower.change(func(n *node) { n.leader = "n1" }) // known, but not reachable yet
	time.Sleep(30 * time.Millisecond)
	p.follower.change(func(n *node) { n.peers = map[string]*peerListener{"n1": l} })
	want(t, "held", <-answered, 200)

	p.follower.change(func(n *node) { n.leader = "" })
	go func() { answered <- p.via("POST", "locks/x", "root", "") }()
	time.Sleep(30 * time.Millisecond)
	p.follower.change(func(n *node) { n.leader, n.ready, n.term = "n2", true, 2 })
	want(t, "held, and elected itself", <-answered, 200)
}

func TestL14_NoLeaderIsToldSoon(t *testing.T) {
	p := newPair(t)
	p.follower.change(func(n *node) { n.leader, n.alone, n.onReading = "", true, nil })
	for _, c := range [][2]string{{"POST", "locks/x"}, {"GET", "sys/mounts"}, {"GET", "db/creds/r"}} {
		begin := time.Now()
		a := p.via(c[0], c[1], "root", "")
		want(t, c[1], a, 503)
		if a.header.Get("Retry-After") != "1" || time.Since(begin) > 2*time.Second {
			t.Errorf("%s: got Retry-After %q after %v, want 1 within two seconds", c[1], a.header.Get("Retry-After"), time.Since(begin))
		}
	}
	want(t, "health", p.via("GET", "sys/health", "", ""), 503)
}

// TestS6_AuthenticationFollowsTheIndexWait: a follower that lags does not accept a token that was
// revoked, nor refuse one that is new.
func TestS6_AuthenticationFollowsTheIndexWait(t *testing.T) {
	p := newPair(t)
	token := p.NewToken(p.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour}).Bearer
	want(t, "a new token", p.via("GET", "sys/mounts", token, ""), 200)
	want(t, "revoke", p.root("POST", "auth/token/revoke", `{"token":"`+token+`"}`), 204)
	want(t, "a stale read still takes it", p.via("GET", "sys/mounts?consistency=stale", token, ""), 200)
	want(t, "a read does not", p.via("GET", "sys/mounts", token, ""), 403)
	p.Enable("late/", "fake", lease.MountConfig{})
	want(t, "a mount that the follower has not seen yet", p.via("GET", "late/config", "root", ""), 404)
	p.Enable("later/", "fake", lease.MountConfig{})
	want(t, "its leases come from the leader", p.via("GET", "later/creds/r", "root", ""), 200)
}

func TestStaleReads(t *testing.T) {
	p := newPair(t)
	p.follower.change(func(n *node) { n.alone = true })
	stale := header("X-Leasehold-Consistency", "stale")
	want(t, "the header", p.via("GET", "sys/mounts", "root", "", stale), 200)
	want(t, "another word", p.via("GET", "sys/mounts?consistency=strong", "root", ""), 400)
	want(t, "a POST that reads", p.via("POST", "sys/leases/lookup?consistency=stale", "root", `{"lease_id":"x"}`), 400, "invalid lease")
	p.follower.change(func(n *node) { n.contact = 11 * time.Second })
	want(t, "too long without a leader", p.via("GET", "sys/mounts", "root", "", stale), 503)
	p.follower.change(func(n *node) { n.contact = -1 })
	want(t, "never heard one", p.via("GET", "sys/mounts", "root", "", stale), 503)
}

func TestIndexHeader(t *testing.T) {
	p := newPair(t)
	p.follower.change(func(n *node) { n.onReading = nil })
	p.issue("locks/x", "root", "")
	seen := header("X-Vault-Index", strconv.FormatUint(p.State.Applied(), 10))
	a := p.via("LIST", "sys/leases/lookup/locks?consistency=stale", "root", "", seen)
	want(t, "a follower that is behind asks the leader", a, 200)
	want(t, "from the future", p.via("GET", "sys/mounts", "root", "", header("X-Vault-Index", "999999")), 412)
	want(t, "a write from the future", p.root("POST", "locks/x", "", header("X-Vault-Index", "999999")), 412)
	want(t, "no number", p.via("GET", "sys/mounts", "root", "", header("X-Vault-Index", "x")), 400)
}

func TestLimitedUseTokensAreCountedByTheLeader(t *testing.T) {
	p := newPair(t)
	token := p.NewToken(p.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour, NumUses: 1}).Bearer
	want(t, "the use", p.via("GET", "sys/mounts", token, ""), 200)
	want(t, "one too many", p.via("GET", "sys/mounts", token, ""), 403)
	other := p.NewToken(p.Root(), lessor.TokenRequest{Policies: []string{"root"}, TTL: time.Hour, NumUses: 1}).Bearer
	want(t, "on a path of this very node", p.via("GET", "sys/internal/state-hash", other, ""), 403)
}

// TestADeposedLeaderRefusesNothing: what it would refuse, or find unnecessary, may be otherwise at
// its successor; so it must not say so.
func TestADeposedLeaderRefusesNothing(t *testing.T) {
	p := newPair(t)
	p.node.change(func(n *node) { n.alone = true })
	want(t, "an unknown lease", p.root("PUT", "sys/leases/renew", `{"lease_id":"none"}`), 504)
	want(t, "an unknown token", p.call("PUT", "sys/leases/renew", "new", `{"lease_id":"none"}`), 503)
	want(t, "a mount that is not there", p.root("DELETE", "sys/mounts/none", ""), 503)
	want(t, "a token that is not there", p.root("PUT", "auth/token/revoke", `{"token":"lhs.none"}`), 503)
	p.node.change(func(n *node) { n.alone = false; n.onReading = func() { n.change(func(n *node) { n.term++ }) } })
	want(t, "deposed and elected again meanwhile", p.root("PUT", "sys/leases/renew", `{"lease_id":"none"}`), 504)
}

// TestAHangingLeaderIsGivenUp: it was sent a request and is stopped; once another leads, the
// follower does not wait for it any longer.
func TestAHangingLeaderIsGivenUp(t *testing.T) {
	p := newPair(t)
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.second.Open(api, nil)
	hang := newPeerListener()
	release := make(chan struct{})
	arrived := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})}
	go server.Serve(hang)
	defer func() { close(release); server.Close() }()
	good := p.follower.peers["n1"]
	p.follower.change(func(n *node) { n.leader, n.peers = "n3", map[string]*peerListener{"n3": hang, "n1": good} })
	time.Sleep(120 * time.Millisecond) // for the watcher to see that n3 leads
	answered := make(chan reply)
	go func() { answered <- p.via("POST", "locks/x", "root", "") }()
	<-arrived
	p.follower.change(func(n *node) { n.leader = "n1" })
	want(t, "given up", <-answered, 504)
	want(t, "the next one", p.via("POST", "locks/x", "root", ""), 200)
}
