package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cert"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func newAuthority(t *testing.T, allow ...string) *cert.Authority {
	t.Helper()
	a, err := cert.NewAuthority(cert.AuthorityRequest{Cluster: "blue", Lifetime: 150 * day, Allow: allow, Now: noon.Add(-50 * day)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write puts an authority and a certificate into a directory.
func write(t *testing.T, dir string, a *cert.Authority, req cert.Request) cert.Files {
	t.Helper()
	if req.Lifetime == 0 {
		req.Lifetime, req.Now = day, noon
	}
	certPEM, keyPEM, err := a.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	caPEM, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	files := cert.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	for name, text := range map[string][]byte{files.Cert: certPEM, files.Key: keyPEM, files.CA: caPEM} {
		put(t, name, text)
	}
	return files
}

func put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// T7: the name of a node is compared exactly, and a certificate has one.
func TestT7_NodeOf(t *testing.T) {
	tests := []struct {
		names []string
		want  string // "" for a refusal
	}{
		{[]string{"n1.blue.leasehold"}, "n1"},
		{[]string{"n1", "localhost", "n1.blue.leasehold", "n2.example.com"}, "n1"},
		{[]string{"a.b.blue.leasehold"}, "a.b"},
		{nil, ""},
		{[]string{"n1", "n1.blue", "n1.leasehold"}, ""},
		{[]string{"n1.red.leasehold"}, ""},
		{[]string{".blue.leasehold", "blue.leasehold"}, ""},
		{[]string{"*.blue.leasehold"}, ""},
		{[]string{"n1.BLUE.leasehold"}, ""},
		{[]string{"n1.blue.leasehold.example.com"}, ""},
		{[]string{"n1.blue.leasehold", "n2.blue.leasehold"}, ""},
	}
	for _, tt := range tests {
		got, err := cert.NodeOf(tt.names, "blue")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.names, got, err, tt.want)
		}
		if name := (*cert.NameError)(nil); err != nil && !errors.As(err, &name) {
			t.Errorf("%q: got a %T, want a NameError", tt.names, err)
		}
	}
}

// What an authority makes is what it says: P-256, one node, both sides of a connection, its days.
func TestIssue(t *testing.T) {
	a := newAuthority(t)
	files := write(t, t.TempDir(), a, cert.Request{Node: "n1", Cluster: "blue", Names: []string{"n1", "10.0.0.1"}})
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Errorf("key: got %T, want ECDSA P-256", pair.PrivateKey)
	}
	roots := x509.NewCertPool()
	caPEM, _, _ := a.PEM()
	roots.AppendCertsFromPEM(caPEM)
	for _, name := range []string{"n1.blue.leasehold", "n1", "10.0.0.1", "localhost", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: noon}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon.Add(day + time.Second)}); err == nil {
		t.Error("it is good after its end")
	}
	if pair.Leaf.IsCA {
		t.Error("it is an authority")
	}
	client := write(t, t.TempDir(), a, cert.Request{Client: "ann"})
	pair, err = tls.LoadX509KeyPair(client.Cert, client.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon}); err == nil {
		t.Error("a client's certificate is good for a server")
	}
	if _, err := cert.ParseAuthority(read(t, files.Cert), read(t, files.Key)); err == nil {
		t.Error("a node's certificate was taken for an authority")
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// An authority that is bound to names certifies no others, and what nobody could use is not made.
func TestIssueRefuses(t *testing.T) {
	bound := newAuthority(t, "example.com", "10.0.0.0/8")
	open := newAuthority(t)
	node := cert.Request{Node: "n1", Cluster: "blue", Lifetime: day, Now: noon}
	with := func(change func(*cert.Request)) cert.Request {
		r := node
		change(&r)
		return r
	}
	tests := []struct {
		name, want string
		a          *cert.Authority
		req        cert.Request
	}{
		{"bound to other names", "may not certify that", bound, with(func(r *cert.Request) { r.Names = []string{"n1.example.org"} })},
		{"bound to other networks", "may not certify that", bound, with(func(r *cert.Request) { r.Names = []string{"192.168.0.1"} })},
		{"another cluster", "may not certify that", bound, with(func(r *cert.Request) { r.Cluster = "red" })},
		{"beyond its end", "fewer days", open, with(func(r *cert.Request) { r.Lifetime = 101 * day })},
		{"a long name", "cannot stand in a certificate", open, with(func(r *cert.Request) { r.Node = strings.Repeat("n", 64) })},
		{"two dots", "cannot stand in a certificate", open, with(func(r *cert.Request) { r.Node = "a..b" })},
		{"two nodes", "is a name of a node", open, with(func(r *cert.Request) { r.Names = []string{"n2.blue.leasehold"} })},
		{"no name", "neither a DNS name nor an IP address", open, with(func(r *cert.Request) { r.Names = []string{"n 1"} })},
	}
	for _, tt := range tests {
		if _, _, err := tt.a.Issue(tt.req); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
	if _, _, err := bound.Issue(with(func(r *cert.Request) { r.Names = []string{"n1.example.com", "10.1.2.3"} })); err != nil {
		t.Errorf("what it may certify: %v", err)
	}
	if _, err := cert.NewAuthority(cert.AuthorityRequest{Cluster: "blue", Lifetime: day, Allow: []string{"a b"}, Now: noon}); err == nil {
		t.Error("an authority for \"a b\" was made")
	}
}

// A store keeps what it had when its files are broken, tells why, and takes what is good.
func TestStoreReloads(t *testing.T) {
	dir, clock := t.TempDir(), noon
	now := func() time.Time { return clock }
	a := newAuthority(t)
	files := write(t, dir, a, cert.Request{Node: "n1", Cluster: "blue"})
	s, err := cert.Open(files, now, cert.OfNode("n1", "blue", now))
	if err != nil {
		t.Fatal(err)
	}
	first := s.Certificate()
	if changed, err := s.Reload(); changed || err != nil {
		t.Errorf("nothing changed: got %v, %v", changed, err)
	}
	good, key, authorities := read(t, files.Cert), read(t, files.Key), read(t, files.CA)
	other := write(t, t.TempDir(), newAuthority(t), cert.Request{Node: "n1", Cluster: "blue"})
	n2 := write(t, t.TempDir(), a, cert.Request{Node: "n2", Cluster: "blue"})
	ended := write(t, t.TempDir(), a, cert.Request{Node: "n1", Cluster: "blue", Now: noon.Add(-3 * day), Lifetime: 2*day + 23*time.Hour + 59*time.Minute})
	client := write(t, t.TempDir(), a, cert.Request{Client: "n1", Names: []string{"n1.blue.leasehold"}})
	for _, tt := range []struct {
		name, want    string
		cert, key, ca []byte
	}{
		{"another's key", "private key does not match", good, read(t, n2.Key), authorities},
		{"no PEM", "failed to find any PEM data", []byte("x"), key, authorities},
		{"empty", "failed to find any PEM data", nil, key, authorities},
		{"no authorities", "holds no certificate in PEM", good, key, []byte("x")},
		{"another node's", "is of node n2, not of n1", read(t, n2.Cert), read(t, n2.Key), authorities},
		{"another authority's", "not signed by an authority of the CA file", read(t, other.Cert), read(t, other.Key), authorities},
		{"ended", "is valid from", read(t, ended.Cert), read(t, ended.Key), authorities},
		{"a client's", "not good for a node", read(t, client.Cert), read(t, client.Key), authorities},
	} {
		put(t, files.Cert, tt.cert)
		put(t, files.Key, tt.key)
		put(t, files.CA, tt.ca)
		for _, changed := range []bool{true, false} {
			got, err := s.Reload()
			if err == nil || !strings.Contains(err.Error(), tt.want) || got != changed {
				t.Errorf("%s: got %v, %v, want %v and %q", tt.name, got, err, changed, tt.want)
			}
		}
		if s.Certificate() != first {
			t.Fatalf("%s: the store took it", tt.name)
		}
		if _, err := cert.Open(files, now, cert.OfNode("n1", "blue", now)); err == nil {
			t.Errorf("%s: opened", tt.name)
		}
	}
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reload(); !changed || !errors.Is(err, os.ErrNotExist) || s.Certificate() != first {
		t.Errorf("without its key: got %v, %v", changed, err)
	}
	write(t, dir, a, cert.Request{Node: "n1", Cluster: "blue", Lifetime: 2 * day, Now: noon.Add(2 * time.Hour)})
	if changed, err := s.Reload(); !changed || err == nil || s.Certificate() != first {
		t.Errorf("one that has not begun: got %v, %v", changed, err)
	}
	clock = noon.Add(2 * time.Hour)
	if changed, err := s.Reload(); changed || err != nil || s.Certificate() == first {
		t.Errorf("when it begins: got %v, %v, want it taken", changed, err)
	}
	write(t, dir, a, cert.Request{Node: "n1", Cluster: "blue", Lifetime: 2 * day, Now: noon})
	if changed, err := s.Reload(); !changed || err != nil || s.Certificate() == first || !s.End().Equal(noon.Add(2*day)) {
		t.Errorf("a new one: got %v, %v, end %v", changed, err, s.End())
	}
	put(t, files.Cert, good)
	put(t, files.Key, key)
	if changed, err := s.Reload(); !changed || err != nil || !s.End().Equal(noon.Add(day)) {
		t.Errorf("the first one again: got %v, %v, end %v", changed, err, s.End())
	}
}
