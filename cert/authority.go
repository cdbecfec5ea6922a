package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// backdate is how long before now a certificate begins, for machines whose clocks are behind.
const backdate = time.Hour

// here are the names of the machine itself, by which a node is asked whether it is well.
var here = []string{"localhost", "127.0.0.1", "::1"}

// AuthorityRequest says what authority to make.
type AuthorityRequest struct {
	Cluster  string // whose nodes it certifies
	Lifetime time.Duration
	// Allow are DNS names (with all below them), IP addresses and networks that it may certify
	// beside the cluster's nodes and localhost. Empty: any name at all.
	Allow []string
	Now   time.Time
}

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes an authority with a new ECDSA P-256 key. It signs certificates of holders only,
// no other authorities.
func NewAuthority(req AuthorityRequest) (*Authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "leasehold authority of cluster " + req.Cluster},
		NotBefore:             req.Now.Add(-backdate),
		NotAfter:              req.Now.Add(req.Lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if len(req.Allow) > 0 {
		template.PermittedDNSDomainsCritical = true
		template.PermittedDNSDomains = []string{req.Cluster + "." + nodeDomain}
		for _, name := range append(here[:len(here):len(here)], req.Allow...) {
			if err := permit(template, name); err != nil {
				return nil, err
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key}, nil
}

// permit adds a DNS name, an address or a network to what an authority may certify.
func permit(template *x509.Certificate, name string) error {
	if ip := net.ParseIP(name); ip != nil {
		name += "/32"
		if ip.To4() == nil {
			name = ip.String() + "/128"
		}
	}
	if _, network, err := net.ParseCIDR(name); err == nil {
		template.PermittedIPRanges = append(template.PermittedIPRanges, network)
		return nil
	}
	if !isDNS(name) {
		return fmt.Errorf("%q is no DNS name, no IP address and no network such as 10.0.0.0/8", name)
	}
	template.PermittedDNSDomains = append(template.PermittedDNSDomains, name)
	return nil
}

// ParseAuthority reads an authority from PEM.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA || !pair.Leaf.BasicConstraintsValid {
		return nil, errors.New("the certificate is not that of an authority")
	}
	return &Authority{cert: pair.Leaf, key: signer}, nil
}

// PEM returns the authority's certificate, which everybody may see, and its key, which nobody may.
func (a *Authority) PEM() (certPEM, keyPEM []byte, err error) { return encode(a.cert, a.key) }

// Request says what certificate to make: that of a node, or of a client of the API.
type Request struct {
	Node, Cluster string // the node; Node is "" for a client
	Client        string // the client's name, for people
	// Names are DNS names and IP addresses at which a node's API is reached. A node gets those of
	// its own machine besides.
	Names    []string
	Lifetime time.Duration
	Now      time.Time
}

// Issue makes a certificate with a new ECDSA P-256 key.
func (a *Authority) Issue(req Request) (certPEM, keyPEM []byte, err error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: req.Client},
		NotBefore:             req.Now.Add(-backdate),
		NotAfter:              req.Now.Add(req.Lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	names := req.Names
	if req.Node != "" {
		if err := CheckNodeName(req.Node, req.Cluster); err != nil {
			return nil, nil, err
		}
		template.Subject.CommonName = "node " + req.Node
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.DNSNames = []string{NodeName(req.Node, req.Cluster)}
		names = append(here[:len(here):len(here)], names...)
	}
	for _, name := range names {
		if err := addName(template, name, req); err != nil {
			return nil, nil, err
		}
	}
	if end := a.cert.NotAfter; template.NotAfter.After(end) {
		return nil, nil, fmt.Errorf("the certificate would end on %s, after its authority, which ends on %s: ask for fewer days, or make another authority",
			template.NotAfter.Format(time.DateOnly), end.Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: req.Now, KeyUsages: template.ExtKeyUsage}); err != nil {
		return nil, nil, fmt.Errorf("the authority may not certify that: %w", err)
	}
	return encode(cert, key)
}

// addName puts one name on a certificate.
func addName(template *x509.Certificate, name string, req Request) error {
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
		return nil
	}
	if !isDNS(strings.TrimPrefix(name, "*.")) {
		return fmt.Errorf("%q is neither a DNS name nor an IP address", name)
	}
	if strings.HasSuffix(name, "."+req.Cluster+"."+nodeDomain) {
		return fmt.Errorf("%q is a name of a node: a certificate has one such name, that of its own node", name)
	}
	template.DNSNames = append(template.DNSNames, name)
	return nil
}

// isDNS reports whether name can be a DNS name.
func isDNS(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return false
			}
		}
	}
	return len(name) <= maxDNS
}

// sign makes a certificate, which gets a random serial number of 128 bits or so.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func encode(cert *x509.Certificate, key crypto.Signer) (certPEM, keyPEM []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
