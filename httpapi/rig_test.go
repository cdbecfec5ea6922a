package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// node is a node of a cluster whose consensus is decided by the test.
type node struct {
	id    string
	world *lessortest.World
	state *fsm.State

	mu        sync.Mutex // guards all below
	leader    string
	ready     bool
	term      uint64
	contact   time.Duration
	alone     bool // no majority answers
	apiAddr   string
	peers     map[string]*peerListener
	stepped   int
	removed   []string
	autopilot fsm.Autopilot
	asks      []string
	lost      bool // it has no state
	restored  []string
	onReading func()
}

func (n *node) ID() string            { return n.id }
func (n *node) Now() lease.Time       { return n.world.Clock.Now() }
func (n *node) CommitIndex() uint64   { return n.state.Applied() }
func (n *node) AppliedIndex() uint64  { return n.state.Applied() }
func (n *node) change(fn func(*node)) { n.mu.Lock(); defer n.mu.Unlock(); fn(n) }
func (n *node) IsLeader() bool        { n.mu.Lock(); defer n.mu.Unlock(); return n.leader == n.id }
func (n *node) Ready() bool           { n.mu.Lock(); defer n.mu.Unlock(); return n.ready }
func (n *node) Term() uint64          { n.mu.Lock(); defer n.mu.Unlock(); return n.term }
func (n *node) LeaderID() string      { n.mu.Lock(); defer n.mu.Unlock(); return n.leader }
func (n *node) LeaderAPIAddr() string { n.mu.Lock(); defer n.mu.Unlock(); return n.apiAddr }
func (n *node) LastContact() (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.contact, n.contact >= 0
}

func (n *node) ReadIndex(context.Context) (lease.Time, error) {
	n.mu.Lock()
	hook, alone := n.onReading, n.alone
	n.mu.Unlock()
	if hook != nil {
		hook()
	}
	if alone {
		return 0, lease.Errorf(lease.Unavailable, "the cluster has no leader")
	}
	return n.Now(), nil
}

func (n *node) DialPeer(ctx context.Context, id string) (net.Conn, error) {
	n.mu.Lock()
	l := n.peers[id]
	n.mu.Unlock()
	if l == nil {
		return nil, lease.Errorf(lease.Unavailable, "nobody there")
	}
	return l.dial(ctx)
}

func (n *node) Members() (httpapi.Members, error) {
	return httpapi.Members{Index: 7, Servers: []httpapi.Member{
		{ID: "n1", Address: "127.0.0.1:8211", Voter: true, Leader: true}, {ID: "n2", Address: "127.0.0.1:8221", Voter: true},
	}}, nil
}

func (n *node) RemovePeer(_ context.Context, id string) error {
	n.change(func(n *node) { n.removed = append(n.removed, id) })
	return nil
}

func (n *node) HAStatus(context.Context) ([]client.HANode, error) {
	echo := time.Unix(1700000000, 0).UTC()
	return []client.HANode{
		{Hostname: "n1", NodeID: "n1", APIAddress: "http://n1:8200", ClusterAddress: "127.0.0.1:8211", ActiveNode: true, Version: "1.2.3",
			Role: "leader", Answered: true, Term: 3, AppliedIndex: 9, LastContact: "0s"},
		{Hostname: "n2", NodeID: "n2", APIAddress: "http://n2:8200", ClusterAddress: "127.0.0.1:8221", LastEcho: &echo, EchoMillis: 1,
			Version: "1.2.3", Role: "non-voter", Answered: true, Term: 3, AppliedIndex: 7, Lag: 2, LastContact: "20ms"},
	}, nil
}

func (n *node) Autopilot() (client.AutopilotState, error) {
	return client.AutopilotState{Healthy: true, FailureTolerance: 1, Leader: "n1", Voters: []string{"n1"}, NonVoters: []string{},
		Servers: map[string]client.AutopilotServer{"n1": {ID: "n1", Name: "n1", Healthy: true, Status: "leader", LastContact: "0s",
			NodeStatus: "alive", NodeType: "voter", StableSince: time.Unix(1700000000, 0).UTC()}}}, nil
}

func (n *node) AutopilotSettings() fsm.Autopilot {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.autopilot.Set {
		return n.autopilot
	}
	return fsm.Autopilot{DeadServerLastContact: 24 * time.Hour, LastContact: 2 * time.Second, MaxTrailingLogs: 250, MinQuorum: 3,
		Stabilization: 10 * time.Second}
}

func (n *node) SetAutopilot(_ context.Context, a fsm.Autopilot) error {
	a.Set = true
	n.change(func(n *node) { n.autopilot = a })
	return nil
}

func (n *node) CreateJoinToken(_ context.Context, id string, ttl time.Duration) (httpapi.JoinToken, error) {
	if ttl == 0 {
		ttl = 10 * time.Minute
	}
	return httpapi.JoinToken{NodeID: id, Token: "join.secret", Expires: n.Now().Add(ttl)}, nil
}

func (n *node) GossipKeyring(context.Context) (httpapi.GossipKeyring, error) {
	return httpapi.GossipKeyring{Keys: client.GossipKeyring{Members: 3, Keys: []client.GossipKey{
		{Fingerprint: "0a1b2c3d", Members: 3, PrimaryMembers: 3}, {Fingerprint: "4e5f6071", Members: 2}}},
		Warnings: []string{"n3: the node does not answer"}}, nil
}

func (n *node) ChangeGossipKeyring(_ context.Context, step, key string) (httpapi.GossipKeyring, error) {
	if step == "remove" {
		return httpapi.GossipKeyring{}, lease.Errorf(lease.Conflict, "the key %s is the primary key of n1: use another first", key)
	}
	return httpapi.GossipKeyring{Keys: client.GossipKeyring{Members: 3, Keys: []client.GossipKey{
		{Fingerprint: "0a1b2c3d", Members: 3, PrimaryMembers: 3}}}}, nil
}

func (n *node) HasState() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.lost
}

func (n *node) AskToJoin(addr string) error {
	n.change(func(n *node) { n.asks = append(n.asks, addr) })
	return nil
}

func (n *node) StepDown(context.Context) error {
	n.change(func(n *node) { n.stepped++ })
	return nil
}

func (n *node) Restore(_ context.Context, state *fsm.State, reason string) error {
	n.change(func(n *node) { n.restored = append(n.restored, reason) })
	return nil
}

func (n *node) Snapshot() (httpapi.SnapshotMeta, io.ReadCloser, error) {
	var buf bytes.Buffer
	sn := n.state.Snapshot()
	if err := sn.Write(&buf); err != nil {
		return httpapi.SnapshotMeta{}, nil, err
	}
	return httpapi.SnapshotMeta{ID: "1-2-3", Index: sn.Index(), Term: n.Term(), Size: int64(buf.Len())}, io.NopCloser(&buf), nil
}

// peerListener hands out connections in memory.
type peerListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPeerListener() *peerListener {
	return &peerListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *peerListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *peerListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *peerListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *peerListener) Addr() net.Addr { return &net.TCPAddr{} }

// rig is a leader with its server.
type rig struct {
	*lessortest.World
	t      testing.TB
	node   *node
	server *httpapi.Server
}

func newRig(t testing.TB) *rig { return newRigWith(t, lessortest.Options{}) }

func newRigWith(t testing.TB, o lessortest.Options) *rig {
	t.Helper()
	w := lessortest.NewWith(t, o)
	n := &node{id: "n1", world: w, state: w.State, leader: "n1", ready: true, term: 1, apiAddr: "http://n1:8200", peers: map[string]*peerListener{}}
	r := &rig{World: w, t: t, node: n}
	r.server = r.serverOf(n, w.Lessor)
	return r
}

func (r *rig) serverOf(n *node, l *lessor.Lessor) *httpapi.Server {
	return httpapi.New(httpapi.Config{
		Node: n, State: n.state, Lessor: l, Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		ForwardHold: 300 * time.Millisecond,
	})
}

// reply is an answer with its decoded body.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a reply) errors() []string {
	list, _ := a.body["errors"].([]any)
	texts := make([]string, 0, len(list))
	for _, e := range list {
		texts = append(texts, e.(string))
	}
	return texts
}

func (a reply) data() map[string]any {
	d, _ := a.body["data"].(map[string]any)
	return d
}

func (a reply) str(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// call makes a request. token may be empty; body may be empty; edit may change headers.
func (r *rig) call(method, path, token, body string, edit ...func(*http.Request)) reply {
	r.t.Helper()
	return ask(r.t, r.server.Handler(), method, path, token, body, edit...)
}

// root is call with the root token.
func (r *rig) root(method, path, body string, edit ...func(*http.Request)) reply {
	r.t.Helper()
	return r.call(method, path, lessortest.RootToken, body, edit...)
}

func ask(t testing.TB, h http.Handler, method, path, token, body string, edit ...func(*http.Request)) reply {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, "/v1/"+path, from)
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	for _, e := range edit {
		e(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	a := reply{status: rec.Code, header: rec.Result().Header, text: rec.Body.String()}
	if rec.Body.Len() > 0 && strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		dec := json.NewDecoder(bytes.NewReader(rec.Body.Bytes()))
		dec.UseNumber()
		if err := dec.Decode(&a.body); err != nil {
			t.Fatalf("%s %s: the body is no JSON: %v\n%s", method, path, err, a.text)
		}
	}
	return a
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// policyToken writes a policy and returns a token that carries it alone.
func (r *rig) policyToken(name, text string) string {
	r.t.Helper()
	if err := r.Lessor.PutPolicy(context.Background(), "", name, text); err != nil {
		r.t.Fatal(err)
	}
	return r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{name}, NoDefaultPolicy: true, TTL: time.Hour}).Bearer
}

// issue leases something from the lease engine for a token.
func (r *rig) issue(path, token, body string) string {
	r.t.Helper()
	a := r.call("POST", path, token, body)
	if a.status != http.StatusOK || a.str("lease_id") == "" {
		r.t.Fatalf("issue at %s: got %d %s", path, a.status, a.text)
	}
	return a.str("lease_id")
}

// namespace makes a child namespace.
func (r *rig) namespace(id, path string) {
	r.t.Helper()
	if _, err := r.Proposer.Propose(context.Background(), &command.PutNamespace{Id: id, Path: path}); err != nil {
		r.t.Fatal(err)
	}
}

func want(t testing.TB, what string, got reply, status int, errs ...string) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s: got status %d, want %d: %s", what, got.status, status, got.text)
		return
	}
	for i, e := range errs {
		if list := got.errors(); i >= len(list) || list[i] != e {
			t.Errorf("%s: got errors %q, want %q", what, list, errs)
			return
		}
	}
}
