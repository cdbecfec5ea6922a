package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cert"
	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
)

const clusterName = "blue"

// authority makes certificates for the tests.
type authority struct {
	t testing.TB
	*cert.Authority
	pem []byte
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	a, err := cert.NewAuthority(cert.AuthorityRequest{Cluster: clusterName, Lifetime: 240 * time.Hour, Now: time.Now().Add(-72 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return authority{t, a, text}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.pem)
	return pool
}

func (a authority) issue(req cert.Request) *tls.Certificate {
	a.t.Helper()
	if req.Cluster == "" {
		req.Cluster = clusterName
	}
	if req.Now.IsZero() {
		req.Now, req.Lifetime = time.Now(), time.Hour
	}
	certPEM, keyPEM, err := a.Issue(req)
	if err != nil {
		a.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		a.t.Fatal(err)
	}
	return &pair
}

func (a authority) node(id string) *tls.Certificate { return a.issue(cert.Request{Node: id}) }

// credentials can be replaced while a node runs.
type credentials struct {
	own   atomic.Pointer[tls.Certificate]
	roots atomic.Pointer[x509.CertPool]
}

func (c *credentials) Certificate() *tls.Certificate { return c.own.Load() }
func (c *credentials) Authorities() *x509.CertPool   { return c.roots.Load() }

func (c *credentials) set(own *tls.Certificate, roots *x509.CertPool) *credentials {
	c.own.Store(own)
	c.roots.Store(roots)
	return c
}

// logged keeps what nodes log.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// secured is a cluster whose peer ports are under TLS.
type secured struct {
	*clustertest.Cluster
	authority
	log  logged
	held map[string]*credentials
}

func startSecured(t *testing.T, size int) *secured {
	t.Helper()
	s := &secured{authority: newAuthority(t), held: make(map[string]*credentials)}
	s.Cluster = clustertest.Start(t, size, clustertest.Options{Configure: func(cfg *cluster.Config) {
		cfg.ClusterName, cfg.Network = clusterName, cluster.TCP{}
		cfg.Log = slog.New(slog.NewTextHandler(&s.log, nil))
		if s.held[cfg.NodeID] == nil {
			s.held[cfg.NodeID] = new(credentials).set(s.node(cfg.NodeID), s.pool())
		}
		cfg.Credentials = s.held[cfg.NodeID]
	}})
	return s
}

// dial connects to a node's peer port as whoever shows own, and names a protocol. It returns the
// connection after the handshake, of which this side alone knows that it is done.
func (s *secured) dial(n *cluster.Node, own *tls.Certificate, proto byte) *tls.Conn {
	s.t.Helper()
	conf := &tls.Config{InsecureSkipVerify: true}
	if own != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	conn, err := tls.Dial("tcp", n.PeerAddr(), conf)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write([]byte{proto}) // the node may have hung up
	return conn
}

// Numbers of calls, as they are on the wire.
const (
	callTerm     = 1
	callClock    = 3
	callJoin     = 5
	callLeave    = 6
	callFounders = 7
)

// ask makes one call on a connection and returns the outcome, 0 for success, and the answer.
func ask(conn net.Conn, kind byte, body string) (outcome byte, answer string, err error) {
	b := binary.BigEndian.AppendUint32(nil, uint32(9+len(body)))
	b = append(binary.BigEndian.AppendUint64(b, 1), kind)
	if _, err := conn.Write(append(b, body...)); err != nil {
		return 0, "", err
	}
	var head [13]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, "", err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[:4])-9)
	_, err = io.ReadFull(conn, rest)
	return head[12], string(rest), err
}

// Three nodes do under TLS what they do without: elect, write, read everywhere, hand over, let one
// more in, send a snapshot's worth of log to one that was away.
func TestT7_AClusterUnderTLS(t *testing.T) {
	s := startSecured(t, 3)
	leader := s.WaitLeader()
	mustPut(t, leader, "p", "text")
	for _, n := range s.Nodes() {
		mustGet(t, n, "p", "text")
	}
	away := others(s.Cluster, leader.ID())[0]
	s.Stop(away)
	mustPut(t, leader, "p", "while one was away")
	s.Restart(away)
	if err := s.WaitLeader().StepDown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	s.WaitLeaderOtherThan(leader.ID())
	n4 := s.Join()
	s.Wait("the new member", func() bool { _, member := voter(t, s.WaitLeader(), n4.ID()); return member })
	for _, n := range s.Nodes() {
		mustGet(t, n, "p", "while one was away")
	}
	if got := s.log.count("was refused"); got != 0 {
		t.Errorf("%d refusals were logged, want none\n%s", got, s.log.text.String())
	}
}

// T7: who cannot show a certificate of this cluster's authority that names a node of it gets not a
// word, in none of the protocols, and the reason is logged once however often it tries.
func TestT7_StrangersAreRefused(t *testing.T) {
	s := startSecured(t, 1)
	leader := s.WaitLeader()
	other := newAuthority(t)
	past := time.Now().Add(-48 * time.Hour)
	tests := []struct {
		name, reason string
		own          *tls.Certificate
	}{
		{"no certificate", "didn't provide a certificate", nil},
		{"another authority", "signed by an authority that this node does not know", other.node("n2")},
		{"another cluster", "names no node of cluster blue", s.issue(cert.Request{Node: "n2", Cluster: "red"})},
		{"a client of the API", "names no node of cluster blue", s.issue(cert.Request{Client: "ann"})},
		{"ended", "has ended or has not begun", s.issue(cert.Request{Node: "n2", Now: past, Lifetime: time.Hour})},
		{"not begun", "has ended or has not begun", s.issue(cert.Request{Node: "n2", Now: time.Now().Add(3 * time.Hour), Lifetime: time.Hour})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				for _, proto := range []byte("RCH") {
					conn := s.dial(leader, tt.own, proto)
					if outcome, answer, err := ask(conn, callTerm, ""); err == nil {
						t.Errorf("protocol %c: got outcome %d and %q, want to be cut off", proto, outcome, answer)
					}
				}
			}
			s.Wait("the reason", func() bool { return s.log.count(tt.reason) > 0 })
		})
	}
	// Two of the six have a reason in common, and come from the same address.
	if got, want := s.log.count("was refused"), 5; got != want {
		t.Errorf("%d lines about refusals, want %d: one for each reason\n%s", got, want, s.log.text.String())
	}
	conn := s.dial(leader, s.node("n2"), 'C')
	if outcome, _, err := ask(conn, callTerm, ""); outcome != 0 || err != nil {
		t.Errorf("with a certificate: got outcome %d, %v, want an answer", outcome, err)
	}
	mustPut(t, leader, "p", "served")
}

// T7: plain text gets no answer from a port under TLS, and a node under TLS gives none to a plain
// one; older versions of TLS are not spoken.
func TestT7_NoPlainTextAndNoOldTLS(t *testing.T) {
	s := startSecured(t, 1)
	leader := s.WaitLeader()
	conn, err := net.Dial("tcp", leader.PeerAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write([]byte("C"))
	if outcome, answer, err := ask(conn, callTerm, ""); err == nil && outcome == 0 {
		t.Errorf("in plain text: got %q", answer)
	}
	s.Wait("the reason", func() bool { return s.log.count("does not speak TLS") == 1 })
	if conn, err := tls.Dial("tcp", leader.PeerAddr(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		conn.Close()
		t.Error("TLS 1.2 was spoken")
	}
}

// T7: a dialler believes no node but the one that it wanted. Here n2 shows the certificate of n3,
// which is a good one: nobody talks to it, and it comes back when it shows its own.
func TestT7_TheAnsweringNodeMustBeTheOneThatWasMeant(t *testing.T) {
	s := startSecured(t, 3)
	s.WaitLeader()
	mustPut(t, s.WaitLeader(), "p", "before")
	s.Stop("n2")
	s.held["n2"].set(s.node("n3"), s.pool())
	n2 := s.Restart("n2")
	s.Wait("the reason", func() bool { return s.log.count("the certificate is of node n3, not of n2") > 0 })
	leader := s.WaitLeader()
	mustPut(t, leader, "p", "meanwhile")
	index := leader.AppliedIndex()
	if _, err := leader.DialPeer(within(t, 2*time.Second), "n2"); err == nil || !strings.Contains(err.Error(), "of node n3, not of n2") {
		t.Errorf("dial n2: got %v, want the other certificate to be named", err)
	}
	if n2.AppliedIndex() >= index {
		t.Error("the node with another's certificate got the log")
	}
	s.held["n2"].set(s.node("n2"), s.pool())
	ctx, cancel := context.WithTimeout(context.Background(), clustertest.Patience)
	defer cancel()
	if err := n2.State().WaitApplied(ctx, index); err != nil {
		t.Errorf("with its own certificate: %v", err)
	}
}

// A node asks for itself alone: to be let in, to leave, to found, to tell the time as the leader.
func TestT9_APeerSpeaksForItselfAlone(t *testing.T) {
	s := startSecured(t, 3)
	leader := s.WaitLeader()
	var follower *cluster.Node
	for _, n := range s.Nodes() {
		if n.ID() != leader.ID() {
			follower = n
		}
	}
	for _, tt := range []struct {
		name string
		call byte
		body string
	}{
		{"join", callJoin, `{"id":"n9","peer_addr":"127.0.0.1:1"}`},
		{"move", callJoin, fmt.Sprintf(`{"id":%q,"peer_addr":"127.0.0.1:1"}`, follower.ID())},
		{"leave", callLeave, follower.ID()},
		{"found", callFounders, "\"n1\" \"127.0.0.1:1\"\n\"n2\" \"127.0.0.1:2\"\n"},
	} {
		conn := s.dial(leader, s.node("n8"), 'C')
		outcome, answer, err := ask(conn, tt.call, tt.body)
		if err != nil || outcome == 0 || !strings.Contains(answer, "n8") {
			t.Errorf("%s for another: got outcome %d, %q, %v, want a refusal that names n8", tt.name, outcome, answer, err)
		}
	}
	cfg, err := leader.Configuration()
	if err != nil || len(cfg.Servers) != 3 {
		t.Errorf("members: got %v, %v, want the three as before", cfg, err)
	}
	for _, srv := range cfg.Servers {
		if srv.Address == "127.0.0.1:1" {
			t.Errorf("%s was moved", srv.ID)
		}
	}
	before := follower.Now()
	body := binary.BigEndian.AppendUint64(nil, follower.Term()+100)
	body = binary.BigEndian.AppendUint64(body, uint64(before)+uint64(time.Hour))
	conn := s.dial(follower, s.node("n8"), 'C')
	if outcome, _, err := ask(conn, callClock, string(body)); outcome != 0 || err != nil {
		t.Errorf("clock: got outcome %d, %v", outcome, err)
	}
	if ahead := follower.Now().Sub(before); ahead > time.Minute {
		t.Errorf("log time went ahead by %v at the word of a node that does not lead", ahead)
	}
}

// T6: what a node forwards is believed from members alone, and the listener of forwarded requests
// knows from whom they come.
func TestT6_ForwardedRequestsComeFromMembers(t *testing.T) {
	s := startSecured(t, 3)
	leader := s.WaitLeader()
	callers := make(chan string, 8)
	server := &http.Server{
		Handler: http.NotFoundHandler(),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			callers <- cluster.PeerID(c)
			return ctx
		},
	}
	go server.Serve(leader.PeerListener())
	defer server.Close()
	id := others(s.Cluster, leader.ID())[0]
	conn, err := s.Node(id).DialPeer(within(t, 5*time.Second), leader.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	select {
	case got := <-callers:
		if got != id {
			t.Errorf("caller: got %q, want %q", got, id)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the member's connection does not arrive")
	}
	stranger := s.dial(leader, s.node("n8"), 'H')
	_, _ = fmt.Fprint(stranger, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Errorf("a node that is no member: got %d bytes, want to be cut off", n)
	}
	s.Wait("the reason", func() bool { return s.log.count("node n8 is no member") == 1 })
	if len(callers) != 0 {
		t.Errorf("the request of %q was handed on", <-callers)
	}
}

// T7: certificates and authorities are replaced while the cluster runs, in three steps; connections
// that are there stay, and new ones see the new.
func TestT7_CredentialsAreReplacedWhileRunning(t *testing.T) {
	s := startSecured(t, 3)
	leader := s.WaitLeader()
	mustPut(t, leader, "p", "text")
	next := newAuthority(t)
	both := s.pool()
	both.AppendCertsFromPEM(next.pem)
	old := s.dial(leader, s.node("n2"), 'C')
	if outcome, _, err := ask(old, callTerm, ""); outcome != 0 || err != nil {
		t.Fatalf("before: got outcome %d, %v", outcome, err)
	}
	shown := func() string {
		conn := s.dial(leader, next.node("n2"), 'C')
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := shown()
	for id, c := range s.held {
		c.set(s.held[id].Certificate(), both)
	}
	for id, c := range s.held {
		c.set(next.node(id), both)
	}
	for _, c := range s.held {
		c.set(c.Certificate(), next.pool())
	}
	if after := shown(); after == before {
		t.Error("a new connection sees the old certificate")
	}
	if outcome, _, err := ask(old, callTerm, ""); outcome != 0 || err != nil {
		t.Errorf("the connection of before: got outcome %d, %v, want it to live", outcome, err)
	}
	refused := s.dial(leader, s.node("n2"), 'C')
	if _, _, err := ask(refused, callTerm, ""); err == nil {
		t.Error("a certificate of the old authority is believed still")
	}
	id := others(s.Cluster, leader.ID())[0]
	s.Stop(id)
	mustPut(t, leader, "p", "afterwards")
	mustGet(t, s.Restart(id), "p", "afterwards")
}

// A handshake that is not finished holds up nobody, and is given up.
func TestT22_AHandshakeHasADeadline(t *testing.T) {
	s := startSecured(t, 1)
	leader := s.WaitLeader()
	silent, err := net.Dial("tcp", leader.PeerAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conn := s.dial(leader, s.node("n2"), 'C')
	if outcome, _, err := ask(conn, callTerm, ""); outcome != 0 || err != nil {
		t.Errorf("beside a silent connection: got outcome %d, %v", outcome, err)
	}
	silent.SetReadDeadline(time.Now().Add(clustertest.Patience))
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection got an answer")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("a silent connection is kept for more than %v", clustertest.Patience)
	}
}
