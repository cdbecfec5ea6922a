package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cert"
)

// pki is an authority and what it has made, in a directory.
type pki struct {
	t   *testing.T
	dir string
	*cert.Authority
}

func newPKI(t *testing.T) pki {
	t.Helper()
	a, err := cert.NewAuthority(cert.AuthorityRequest{Cluster: "leasehold", Lifetime: 10 * day, Now: time.Now().Add(-5 * day)})
	if err != nil {
		t.Fatal(err)
	}
	p := pki{t, t.TempDir(), a}
	certPEM, keyPEM, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	p.put("ca.pem", certPEM)
	p.put("ca-key.pem", keyPEM)
	return p
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p pki) put(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// issue writes name.pem and name-key.pem.
func (p pki) issue(name string, req cert.Request) {
	p.t.Helper()
	req.Cluster = "leasehold"
	if req.Now.IsZero() {
		req.Now, req.Lifetime = time.Now(), day
	}
	certPEM, keyPEM, err := p.Issue(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(name+".pem", certPEM)
	p.put(name+"-key.pem", keyPEM)
}

// client believes the authority, and shows own if there is one.
func (p pki) client(own string) *http.Client {
	p.t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(p.path("ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(text) {
		p.t.Fatal(err)
	}
	conf := &tls.Config{RootCAs: roots}
	if own != "" {
		pair, err := tls.LoadX509KeyPair(p.path(own+".pem"), p.path(own+"-key.pem"))
		if err != nil {
			p.t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}}
}

// secured are the flags of a node under TLS, in a cluster of one.
func (p pki) secured() []string {
	args, _ := single(p.t, key(1))
	return append(args, "-node-id=n1", "-listener-tls-cert-file="+p.path("n1.pem"), "-listener-tls-key-file="+p.path("n1-key.pem"),
		"-cluster-tls-ca-file="+p.path("ca.pem"), "-cluster-tls-cert-file="+p.path("n1.pem"), "-cluster-tls-key-file="+p.path("n1-key.pem"))
}

// awaitURL is where a server says that its API is.
func (s *server) awaitURL() string {
	s.t.Helper()
	return s.awaitMatch(`api +(https?://\S+) `)[1]
}

// health asks on a connection that the client may keep, and returns how it was reached.
func health(c *http.Client, url string) (*http.Response, bool, error) {
	reused := false
	req, err := http.NewRequest("GET", url+"/v1/sys/health?uninitcode=200&standbycode=200", nil)
	if err != nil {
		return nil, false, err
	}
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }}
	resp, err := c.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, reused, err
}

// T7: the API speaks TLS 1.3 and nothing older, HTTP/2 and no plain http, and the startup block says
// so. The same binary reaches it, as the health check of a container does.
func TestT7_TheAPIUnderTLS(t *testing.T) {
	p := newPKI(t)
	p.issue("n1", cert.Request{Node: "n1"})
	s := startServer(t, p.secured()...)
	url := s.awaitURL()
	s.awaitMatch(`\n  tls     api 1\.3, until \S+ \S+; peers 1\.3, both sides, until`)
	if !strings.HasPrefix(url, "https://") {
		t.Fatalf("address: got %s, want https", url)
	}
	c := p.client("")
	resp, _, err := health(c, url)
	if err != nil {
		t.Fatal(err)
	}
	if resp.TLS.Version != tls.VersionTLS13 || resp.Proto != "HTTP/2.0" {
		t.Errorf("got TLS %x and %s, want 1.3 and HTTP/2.0", resp.TLS.Version, resp.Proto)
	}
	old := p.client("")
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, _, err := health(old, url); err == nil {
		t.Error("TLS 1.2 was spoken")
	}
	if _, _, err := health(&http.Client{Timeout: 10 * time.Second}, url); err == nil {
		t.Error("a client that does not know the authority was content")
	}
	if status, body := get("http"+strings.TrimPrefix(url, "https")+"/v1/sys/health", ""); status != 400 || strings.Contains(body, "initialized") {
		t.Errorf("in plain http: got %d %s, want 400", status, body)
	}
	eventuallyServes(t, c, url)
	status := startTool(t, []string{"VAULT_ADDR=" + url, "VAULT_CACERT=" + p.path("ca.pem")}, "status")
	if code := status.awaitEnd(); code != 0 || !strings.Contains(status.output(), "Sealed") {
		t.Errorf("leasehold status: got %d\n%s", code, status.output())
	}
	bare := startTool(t, []string{"VAULT_ADDR=" + url}, "status")
	if code := bare.awaitEnd(); code != 1 || !strings.Contains(bare.output(), "VAULT_CACERT") {
		t.Errorf("leasehold status without the authority: got %d, want 1 and the remedy\n%s", code, bare.output())
	}
}

// eventuallyServes waits until a node leads and is initialised.
func eventuallyServes(t *testing.T, c *http.Client, url string) {
	t.Helper()
	for deadline := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := c.Get(url + "/v1/sys/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the node does not serve")
		}
	}
}

// T7: certificates are taken from their files while the node runs: when they change, and at SIGHUP. What
// is broken is told and changes nothing. Connections that are there stay.
func TestT7_CertificatesAreReloaded(t *testing.T) {
	p := newPKI(t)
	p.issue("n1", cert.Request{Node: "n1"})
	s := startServer(t, append(p.secured(), "-log-format=json")...)
	url := s.awaitMatch(`"api":"(https://\S+) `)[1]
	serial := func(c *http.Client) string {
		t.Helper()
		resp, _, err := health(c, url)
		if err != nil {
			t.Fatal(err)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	kept := p.client("")
	first := serial(kept)

	p.put("n1.pem", []byte("broken"))
	s.hangUp()
	s.awaitMatch(`"level":"ERROR","msg":"a certificate was not replaced: the one before stays in use".*"setting":"listener.tls_cert_file"`)
	s.awaitMatch(`"level":"ERROR","msg":"a certificate was not replaced: the one before stays in use".*"setting":"cluster_tls.cert_file"`)
	if got := serial(p.client("")); got != first {
		t.Error("a broken file changed the certificate")
	}

	p.issue("n1", cert.Request{Node: "n1"})
	s.hangUp()
	s.awaitMatch(`"msg":"a certificate was replaced".*"setting":"cluster_tls.cert_file"`)
	second := serial(p.client(""))
	if second == first {
		t.Error("after SIGHUP a new connection sees the old certificate")
	}
	if resp, reused, err := health(kept, url); err != nil || !reused || resp.TLS.PeerCertificates[0].SerialNumber.String() != first {
		t.Errorf("the connection of before: got %v, used again: %v", err, reused)
	}

	p.issue("n1", cert.Request{Node: "n1"})
	for deadline := time.Now().Add(patient); serial(p.client("")) == second; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a changed file is not noticed without a signal")
		}
	}
}

func (s *server) hangUp() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// SIGHUP reads the level of the log again, and a file that has become faulty changes nothing.
func TestSIGHUPReadsTheLogLevelAgain(t *testing.T) {
	p := newPKI(t)
	p.issue("n1", cert.Request{Node: "n1"})
	file := p.path("level.hcl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log_level = \"info\"\n")
	s := startServer(t, append(p.secured(), "-config="+file)...)
	url := s.awaitURL()
	write("log_level = \"loud\"\n")
	s.hangUp()
	s.awaitMatch(`level=ERROR msg="the settings were not read again".*loud`)
	write("log_level = \"debug\"\n")
	s.hangUp()
	s.awaitMatch(`msg=reloading.*log_level=debug was=INFO`)
	if _, _, err := health(&http.Client{Timeout: 10 * time.Second}, url); err == nil {
		t.Error("a client that does not know the authority was content")
	}
	s.awaitMatch(`level=DEBUG .*TLS handshake error`)
}

// T7: with authorities of clients, who shows no certificate of theirs gets no answer.
func TestT7_ClientsMustShowACertificate(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	p.issue("n1", cert.Request{Node: "n1"})
	p.issue("ann", cert.Request{Client: "ann"})
	other.issue("eve", cert.Request{Client: "eve"})
	s := startServer(t, append(p.secured(), "-listener-tls-client-ca-file="+p.path("ca.pem"))...)
	url := s.awaitURL()
	s.awaitMatch(`tls     api 1\.3 with clients' certificates`)
	if _, _, err := health(p.client("ann"), url); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if _, _, err := health(p.client(""), url); err == nil {
		t.Error("without a certificate: got an answer")
	}
	eve := other.client("eve")
	eve.Transport.(*http.Transport).TLSClientConfig.RootCAs = p.client("").Transport.(*http.Transport).TLSClientConfig.RootCAs
	if _, _, err := health(eve, url); err == nil {
		t.Error("with a certificate of another authority: got an answer")
	}
}

// A node does not start with certificates that are no use, and says which setting it is.
func TestUnusableCertificates(t *testing.T) {
	p := newPKI(t)
	p.issue("n1", cert.Request{Node: "n1"})
	p.issue("n2", cert.Request{Node: "n2"})
	p.issue("ended", cert.Request{Node: "n1", Now: time.Now().Add(-3 * day), Lifetime: day})
	for name, tt := range map[string]struct{ flag, file, want string }{
		"missing":     {"-listener-tls-cert-file", "none.pem", "listener.tls_cert_file: stat "},
		"another key": {"-listener-tls-key-file", "n2-key.pem", "private key does not match"},
		"ended":       {"-listener-tls-cert-file", "ended.pem", "private key does not match"},
		"no PEM":      {"-cluster-tls-ca-file", "n1-key.pem", "holds no certificate in PEM"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, append(p.secured(), tt.flag+"="+p.path(tt.file)), tt.want) })
	}
	refused(t, append(p.secured(), "-node-id=n2"), "cluster_tls.cert_file: ", "the certificate is of node n1, not of n2")
	refused(t, append(p.secured(), "-listener-tls-cert-file="+p.path("ended.pem"), "-listener-tls-key-file="+p.path("ended-key.pem")),
		"listener.tls_cert_file: ", "is valid from", "make another certificate")
}

// Keys are for their owner alone, what everybody may see besides.
func TestMadeFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	tool := startTool(t, nil, "tls", "ca", "create", "-out="+filepath.Join(dir, "made", "ca"))
	if code := tool.awaitEnd(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, tool.output())
	}
	for name, want := range map[string]os.FileMode{"made": 0o700, "made/ca.pem": 0o600, "made/ca-key.pem": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %o", name, info.Mode(), err, want)
		}
	}
}
