package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/leasehold/leasehold/cert"
	"github.com/leasehold/leasehold/lease"
)

// Mutual TLS on the peer port. Each side shows a certificate of the cluster's own authority that
// names it; who dials says whom it wants to reach, and who accepts knows from the certificate who
// calls. Everything that a node says for itself is held against that name.

// Credentials are what a node shows to the others and whom it believes. They may be replaced while
// the node runs: each handshake asks for those of now. Implementations are safe for concurrent use.
type Credentials interface {
	Certificate() *tls.Certificate
	Authorities() *x509.CertPool
}

// nodeAddr is a node to dial. An empty id stands for any node of the cluster: where a node that
// joins was given nothing but an address.
type nodeAddr struct{ id, addr string }

// secure puts connections of the peer port under mutual TLS.
type secure struct {
	credentials Credentials
	cluster     string
	wall        func() time.Time
	refused     *refusals
}

// newSecure returns nil if the peer port is plain.
func newSecure(cfg Config) *secure {
	if cfg.Credentials == nil {
		return nil
	}
	return &secure{credentials: cfg.Credentials, cluster: cfg.ClusterName, wall: cfg.Wall, refused: newRefusals(cfg)}
}

// config is what both sides have in common. There are no session tickets: a resumed session would
// outlive the authority that vouched for it.
func (s *secure) config() *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		Time:                        s.wall,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true, // nobody here waits for the first bytes of a record
	}
}

// accept shakes hands with whoever dialled. The caller has set the deadline and closes raw if there
// is an error.
func (s *secure) accept(raw net.Conn) (net.Conn, error) {
	var id string
	c := s.config()
	c.Certificates = []tls.Certificate{*s.credentials.Certificate()}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, s.credentials.Authorities()
	c.VerifyConnection = func(state tls.ConnectionState) (err error) {
		id, err = cert.NodeOf(state.PeerCertificates[0].DNSNames, s.cluster)
		return err
	}
	conn := tls.Server(raw, c)
	if err := conn.Handshake(); err != nil {
		s.refused.accepting(raw.RemoteAddr(), err)
		return nil, err
	}
	return &peerConn{Conn: conn, raw: raw, id: id}, nil
}

// dial shakes hands with the node that answered and makes sure that it is the one that was meant.
// The caller closes raw if there is an error.
func (s *secure) dial(ctx context.Context, raw net.Conn, to nodeAddr) (net.Conn, error) {
	var id string
	c := s.config()
	own := s.credentials.Certificate()
	// Ours is shown whatever authorities the other side names: it is for it to refuse, with a reason.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	// The library would compare host names. What counts here is the name of a node, so that the
	// whole of the verification is done below.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(state tls.ConnectionState) (err error) {
		id, err = s.verify(state.PeerCertificates, to.id)
		return err
	}
	conn := tls.Client(raw, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		s.refused.dialling(to, err)
		return nil, err
	}
	return &peerConn{Conn: conn, raw: raw, id: id}, nil
}

// verify checks an answering node's certificate and returns the node that it names.
func (s *secure) verify(chain []*x509.Certificate, want string) (string, error) {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: s.credentials.Authorities(), Intermediates: between, CurrentTime: s.wall(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return "", &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	id, err := cert.NodeOf(chain[0].DNSNames, s.cluster)
	if err != nil {
		return "", err
	}
	if want != "" && id != want {
		return "", &cert.NameError{Cluster: s.cluster, Want: want, Got: []string{id}}
	}
	return id, nil
}

// peerConn is a connection whose other end has shown that it is the node id.
type peerConn struct {
	*tls.Conn
	raw net.Conn
	id  string
}

// Close implements net.Conn. It does not say goodbye, which can wait for a machine that is gone:
// every protocol of the peer port knows where its messages end.
func (c *peerConn) Close() error { return c.raw.Close() }

// PeerID is the node at the other end of a connection of the peer port, as its certificate has it;
// "" if the port is plain.
func PeerID(conn net.Conn) string {
	if c, ok := conn.(*peerConn); ok {
		return c.id
	}
	return ""
}

type peerKey struct{}

// withPeer makes peerOf tell who calls.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if id := PeerID(conn); id != "" {
		return context.WithValue(ctx, peerKey{}, id)
	}
	return ctx
}

// peerOf is the node whose call is being answered, as its certificate has it. known is false if the
// peer port is plain, where whoever calls is believed.
func peerOf(ctx context.Context) (id string, known bool) {
	id, known = ctx.Value(peerKey{}).(string)
	return id, known
}

// speaksFor reports whether a caller may say something in the name of the node id.
func speaksFor(ctx context.Context, id string) bool {
	peer, known := peerOf(ctx)
	return !known || peer == id
}

// notInTheNameOf refuses a request that a node made for another one.
func notInTheNameOf(ctx context.Context, id string) error {
	peer, _ := peerOf(ctx)
	return lease.Errorf(lease.Invalid, "a node asks for itself alone: this request is for %q, and the certificate is of %q", id, peer)
}
