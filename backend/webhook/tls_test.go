package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
)

// authority is a certificate authority of the test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, a.key, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// pair makes a certificate for a name and its key, both in PEM. It serves either side.
func (a *authority) pair(name string) (cert, key string) {
	a.t.Helper()
	private := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.pem(a.sign(template, a.cert, private, a.key)),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (*authority) pem(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// mutual is a service that calls itself by a name and takes only clients of the authority.
func (a *authority) mutual(name string, h http.Handler) *httptest.Server {
	a.t.Helper()
	cert, key := a.pair(name)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.StartTLS()
	a.t.Cleanup(srv.Close)
	return srv
}

// Both sides prove who they are: the service's certificate is for a name that its URL does not hold, and
// the service takes no client but ours.
func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	var caller atomic.Value
	srv := ours.mutual("hooks.internal", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		caller.Store(r.TLS.PeerCertificates[0].Subject.CommonName + " for " + r.TLS.ServerName)
	}))
	m := newMount(t, webhook.Options{})
	m.write("config", map[string]any{"allowed_hosts": "127.0.0.1", "ca_cert": ours.pem(ours.cert)})
	m.write("roles/ci", roleAt(srv.URL))
	internal := m.prepare("ci", nil).Internal
	goodCert, goodKey := ours.pair("leasehold")
	foreignCert, foreignKey := theirs.pair("leasehold")
	for _, step := range []struct {
		config map[string]any
		want   string // in the error; "": none
	}{
		{nil, "doesn't contain any IP SANs"},
		{map[string]any{"tls_server_name": "other.internal"}, "not other.internal"},
		{map[string]any{"tls_server_name": "hooks.internal"}, "certificate required"},
		{map[string]any{"client_cert": foreignCert, "client_key": foreignKey}, "unknown certificate authority"},
		{map[string]any{"client_cert": goodCert, "client_key": goodKey}, ""},
		{map[string]any{"ca_cert": theirs.pem(theirs.cert)}, "signed by unknown authority"},
		{map[string]any{"ca_cert": ""}, "signed by unknown authority"},
		{map[string]any{"ca_cert": ours.pem(ours.cert)}, ""},
		{map[string]any{"client_cert": "", "client_key": ""}, "certificate required"},
	} {
		m.write("config", step.config)
		err := m.engine.Destroy(t.Context(), m.destruction(internal))
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) || backend.IsPermanent(err) {
			t.Errorf("%.60v: got %v, want %q, to be tried again", step.config, err, step.want)
		}
		if text := fmt.Sprint(err); strings.Contains(text, "PRIVATE") {
			t.Errorf("an error shows a key: %s", text)
		}
	}
	if got := caller.Load(); got != "leasehold for hooks.internal" {
		t.Errorf("the service was called by %v", got)
	}
}

func TestT12_TheClientKeyIsNeverShown(t *testing.T) {
	m := newMount(t, webhook.Options{})
	a := newAuthority(t)
	cert, key := a.pair("leasehold")
	m.write("config", map[string]any{"client_cert": cert, "client_key": key})
	resp, err := m.handle(backend.Read, "config", nil)
	if err != nil || resp.Data["client_cert"] != cert || strings.Contains(fmt.Sprint(resp.Data), key) {
		t.Errorf("got %v, %v; want the certificate and not the key", resp, err)
	}
	// Half of a pair would leave the mount unable to call anyone.
	other, otherKey := a.pair("leasehold")
	for _, change := range []map[string]any{{"client_cert": other}, {"client_key": otherKey}, {"client_key": ""}, {"client_cert": key, "client_key": cert}} {
		if _, err := m.handle(backend.Write, "config", change); err == nil || strings.Contains(err.Error(), key[40:80]) {
			t.Errorf("%.40v: got %v, want a refusal without the key", change, err)
		}
	}
	if resp, err := m.handle(backend.Read, "config", nil); err != nil || resp.Data["client_cert"] != cert {
		t.Errorf("after refused changes: %v, %v", resp, err)
	}
}
