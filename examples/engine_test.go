package examples

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

// hooks is a mount of the webhook engine whose role "ci" is served at a URL.
type hooks struct {
	t      *testing.T
	engine *webhook.Backend
	store  *backendtest.Store
}

func mount(t *testing.T, url string, config map[string]any) *hooks {
	t.Helper()
	h := &hooks{t: t, engine: webhook.New(webhook.Options{}), store: backendtest.NewStore()}
	t.Cleanup(func() { h.engine.Close() })
	h.do(backend.Write, "config", config)
	h.do(backend.Write, "roles/ci", map[string]any{
		"issue_url": url, "renew_url": url, "revoke_url": url, "inventory_url": url, "secret": secret,
	})
	return h
}

func (h *hooks) request(op backend.Operation, path string, params map[string]any) *backend.Request {
	return &backend.Request{
		Mount: &lease.Mount{Path: "hooks/", Type: "webhook"}, Operation: op, Path: path, Params: params, Store: h.store,
	}
}

func (h *hooks) do(op backend.Operation, path string, params map[string]any) {
	h.t.Helper()
	if _, err := h.engine.Handle(h.t.Context(), h.request(op, path, params)); err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
}

// Each sample stands behind the engine and keeps the whole contract of a target, whatever goes wrong
// between the two.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, command []string) {
		address := start(t, command)
		backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
			between := newWire(t, "http://"+address)
			h := mount(t, between.url, map[string]any{"allowed_hosts": "127.0.0.1"})
			return &backendtest.Harness{
				Backend: h.engine,
				Request: func() *backend.Request { return h.request(backend.Read, "creds/ci", nil) },
				Living: func() (names []string) {
					for _, item := range list(t, "http://"+address) {
						names = append(names, item["external_name"].(string))
					}
					return names
				},
				Until:   func(name string) time.Time { return end(t, "http://"+address, name) },
				Plant:   between.plant,
				Heal:    between.heal,
				Forget:  func() { h.do(backend.Delete, "roles/ci", nil) },
				Secrets: []string{secret},
				Also:    []backendtest.Fault{backendtest.FailAfter, backendtest.Twice},
				FailAt:  between.failAt,
				Fenced:  true,
			}
		})
	})
}

// end is what a sample knows of a thing's end.
func end(t *testing.T, url, name string) time.Time {
	t.Helper()
	for _, item := range list(t, url) {
		if item["external_name"] == name {
			at, err := time.Parse(time.RFC3339Nano, item["end"].(string))
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	return time.Time{}
}

// wire is what lies between the engine and a sample, and goes wrong as the suite says.
type wire struct {
	t   *testing.T
	url string
	to  string

	mu     sync.Mutex // guards all below
	fault  backendtest.Fault
	step   int // this request from now on fails; 0 and below: none does
	healed chan struct{}
}

func newWire(t *testing.T, to string) *wire {
	w := &wire{t: t, to: to, healed: make(chan struct{})}
	srv := httptest.NewUnstartedServer(w)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	w.url = srv.URL
	t.Cleanup(func() {
		w.heal()
		srv.CloseClientConnections()
		srv.Close()
	})
	return w
}

func (w *wire) plant(f backendtest.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

func (w *wire) failAt(step int) (reached func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step = step
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.step <= 0
	}
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.step = 0, 0
	close(w.healed)
	w.healed = make(chan struct{})
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	w.mu.Lock()
	fault, healed := w.fault, w.healed
	if w.step--; w.step == 0 {
		fault = backendtest.FailBefore
	}
	w.mu.Unlock()
	switch fault {
	case backendtest.FailBefore, backendtest.FailHalf: // a sample's work is one step
		out.WriteHeader(http.StatusServiceUnavailable)
		return
	case backendtest.HangBefore:
		hang(r, healed)
	}
	status, answer := w.forward(r, body)
	switch fault {
	case backendtest.Twice:
		status, answer = w.forward(r, body)
	case backendtest.FailAfter:
		status, answer = http.StatusInternalServerError, nil
	case backendtest.LoseAnswer:
		panic(http.ErrAbortHandler)
	case backendtest.HangAfter:
		hang(r, healed)
	}
	out.WriteHeader(status)
	_, _ = out.Write(answer)
}

// forward passes a call on as it came.
func (w *wire) forward(r *http.Request, body []byte) (int, []byte) {
	req, err := http.NewRequest(r.Method, w.to+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return http.StatusInternalServerError, nil
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Errorf("call the sample: %v", err)
		return http.StatusBadGateway, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Errorf("read the sample's answer: %v", err)
	}
	return resp.StatusCode, answer
}

// hang answers nothing until the caller goes away or the fault is healed, and then breaks off.
func hang(r *http.Request, healed <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-healed:
	}
	panic(http.ErrAbortHandler)
}

// Elsewhere than on loopback the engine calls https alone, so the samples serve it.
func TestSamplesServeHTTPS(t *testing.T) {
	each(t, func(t *testing.T, command []string) {
		cert, key, authority := certificate(t)
		address := start(t, command, "WEBHOOK_CERT="+cert, "WEBHOOK_KEY="+key)
		h := mount(t, "https://"+address, map[string]any{
			"allowed_hosts": address, "ca_cert": authority, "tls_server_name": "accounts.example.com",
		})
		plan, err := h.engine.Prepare(t.Context(), h.request(backend.Write, "creds/ci", nil))
		if err != nil {
			t.Fatal(err)
		}
		made, err := h.engine.Create(t.Context(), &backend.Intent{
			ExternalName: "lh-a-1", Role: "ci", Generation: 1, Fence: 1, TTL: time.Hour, ExpireTime: time.Now().Add(time.Hour),
			Internal: plan.Internal, Request: h.request(backend.Write, "creds/ci", nil),
		})
		if err != nil || made.Data["login"] != "lh-a-1" {
			t.Fatalf("got %+v, %v", made, err)
		}
		err = h.engine.Destroy(t.Context(), &backend.Destruction{
			ExternalName: "lh-a-1", Role: "ci", Generation: 1, Fence: 2, Attempt: 1, Internal: plan.Internal, Store: h.store,
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// certificate makes a certificate that is its own authority, for a name, and returns the files of it and of
// its key, and its text.
func certificate(t *testing.T) (cert, key, text string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"accounts.example.com"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for file, content := range map[string][]byte{cert: []byte(b.String()), key: keyText} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, b.String()
}
