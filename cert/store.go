package cert

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile bounds a file of certificates, in bytes.
const maxFile = 1 << 20

// Files name what a Store reads, all of it PEM.
type Files struct {
	Cert string // the certificate, followed by those between it and its authority, if any
	Key  string
	CA   string // the authorities to believe; "": none
}

// Material is what was in the files at one time. It is never changed.
type Material struct {
	Certificate *tls.Certificate // with its Leaf
	Authorities *x509.CertPool   // nil without a file of them
}

// Store holds the certificate of its files and can read them again. Its methods are safe for
// concurrent use.
type Store struct {
	files Files
	now   func() time.Time
	check func(*Material) error

	current atomic.Pointer[Material]

	mu    sync.Mutex        // guards what follows
	tried [sha256.Size]byte // what the files held when they were last read
	taken [sha256.Size]byte // what they held when current was made of it
}

// Open reads the files. now gives the time of day, by which a certificate has begun and not ended;
// check, if not nil, says what else must hold of what is read, then and later.
func Open(files Files, now func() time.Time, check func(*Material) error) (*Store, error) {
	s := &Store{files: files, now: now, check: check}
	if _, err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Certificate is the certificate of now, never nil.
func (s *Store) Certificate() *tls.Certificate { return s.current.Load().Certificate }

// Authorities are the authorities of now, nil if the store has no file of them.
func (s *Store) Authorities() *x509.CertPool { return s.current.Load().Authorities }

// End is when the certificate of now ends.
func (s *Store) End() time.Time { return s.Certificate().Leaf.NotAfter }

// Reload reads the files and reports whether they held something else than at the last call. If
// what they hold is no use it returns why, and the store keeps what it had.
func (s *Store) Reload() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	certPEM, keyPEM, caPEM, err := s.read()
	if err != nil {
		changed, s.tried = s.tried != [sha256.Size]byte{}, [sha256.Size]byte{}
		return changed, err
	}
	sum := sha256.Sum256(bytes.Join([][]byte{certPEM, keyPEM, caPEM}, []byte{0}))
	changed, s.tried = sum != s.tried, sum
	m, err := s.parse(certPEM, keyPEM, caPEM)
	if err != nil {
		return changed, err
	}
	if sum != s.taken {
		s.taken = sum
		s.current.Store(m)
	}
	return changed, nil
}

func (s *Store) read() (certPEM, keyPEM, caPEM []byte, err error) {
	for _, f := range []struct {
		name string
		into *[]byte
	}{{s.files.Cert, &certPEM}, {s.files.Key, &keyPEM}, {s.files.CA, &caPEM}} {
		if f.name == "" {
			continue
		}
		info, err := os.Stat(f.name)
		if err == nil && info.Size() > maxFile {
			err = fmt.Errorf("%s is larger than %d bytes, which no certificate is", f.name, maxFile)
		}
		if err == nil {
			*f.into, err = os.ReadFile(f.name)
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return certPEM, keyPEM, caPEM, nil
}

func (s *Store) parse(certPEM, keyPEM, caPEM []byte) (*Material, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s with key %s: %w", s.files.Cert, s.files.Key, err)
	}
	if now := s.now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return nil, fmt.Errorf("%s is valid from %s to %s, and now it is %s: make another certificate, or set the clock",
			s.files.Cert, pair.Leaf.NotBefore.Format(time.RFC3339), pair.Leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	m := &Material{Certificate: &pair}
	if s.files.CA != "" {
		m.Authorities = x509.NewCertPool()
		if !m.Authorities.AppendCertsFromPEM(caPEM) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", s.files.CA)
		}
	}
	if s.check != nil {
		if err := s.check(m); err != nil {
			return nil, fmt.Errorf("%s: %w", s.files.Cert, err)
		}
	}
	return m, nil
}

// Chains returns an error unless the certificate was signed by one of m's authorities for use
// between nodes, as server and as client.
func (m *Material) Chains(now time.Time) error {
	between := x509.NewCertPool()
	for _, der := range m.Certificate.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := m.Certificate.Leaf.Verify(x509.VerifyOptions{
			Roots: m.Authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
			return errors.New("the certificate was not signed by an authority of the CA file")
		}
		if err != nil {
			return fmt.Errorf("the certificate is not good for a node: %w", err)
		}
	}
	return nil
}

// OfNode returns a check for Open: the certificate is that of the node, and the nodes that believe
// the same authorities will believe it.
func OfNode(node, cluster string, now func() time.Time) func(*Material) error {
	return func(m *Material) error {
		if m.Authorities == nil {
			return errors.New("a node needs the authorities that it believes")
		}
		got, err := NodeOf(m.Certificate.Leaf.DNSNames, cluster)
		if err != nil {
			return err
		}
		if got != node {
			return &NameError{Cluster: cluster, Want: node, Got: []string{got}}
		}
		return m.Chains(now())
	}
}
