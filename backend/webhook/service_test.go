package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

const (
	signingKey = "a-signing-key-of-the-test"
	// handle is what the service asks to be kept. It counts as a secret.
	handle = "internal-handle-of-the-thing"
)

// service is a service as docs/webhook.md wants it: it checks the signature and the fencing
// index, repeats an issue's answer, and takes an unknown name on revoke for done.
type service struct {
	t   *testing.T
	srv *httptest.Server

	mu     sync.Mutex // guards all below
	things map[string]*thing
	fences map[string]uint64
	fault  backendtest.Fault
	healed chan struct{}
	bodies []map[string]any
	header []http.Header
}

// thing has two parts, so that a revoke can stop half-way.
type thing struct {
	account, grants bool
	until           time.Time
}

func newService(t *testing.T, start func(http.Handler) *httptest.Server) *service {
	s := &service{t: t, things: map[string]*thing{}, fences: map[string]uint64{}, healed: make(chan struct{})}
	s.srv = start(s)
	t.Cleanup(func() {
		s.heal()
		s.srv.CloseClientConnections()
		s.srv.Close()
	})
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	var call struct {
		Action string          `json:"action"`
		Name   string          `json:"external_name"`
		Fence  uint64          `json:"fencing_index"`
		Expire time.Time       `json:"expire_time"`
		Keep   json.RawMessage `json:"internal"`
	}
	var all map[string]any
	if json.Unmarshal(body, &call) != nil || json.Unmarshal(body, &all) != nil || "/"+call.Action != r.URL.Path {
		http.Error(w, "bad call", http.StatusBadRequest)
		return
	}
	if !signed(r.Header.Get("X-Leasehold-Signature"), body) {
		http.Error(w, "bad signature", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.bodies, s.header = append(s.bodies, all), append(s.header, r.Header.Clone())
	fault, healed := s.fault, s.healed
	if call.Fence < s.fences[call.Name] || r.Header.Get("X-Leasehold-Fencing") != strconv.FormatUint(call.Fence, 10) {
		s.mu.Unlock()
		http.Error(w, "stale", http.StatusConflict)
		return
	}
	s.fences[call.Name] = call.Fence
	s.mu.Unlock()

	switch fault {
	case backendtest.FailBefore:
		http.Error(w, "down; your key is "+signingKey, http.StatusServiceUnavailable)
		return
	case backendtest.HangBefore:
		hang(r, healed)
		return
	}
	status := s.work(call.Action, call.Name, call.Expire, fault == backendtest.FailHalf)
	switch fault {
	case backendtest.FailHalf:
		http.Error(w, "half done; you keep "+handle, http.StatusInternalServerError)
		return
	case backendtest.HangAfter:
		hang(r, healed)
		return
	case backendtest.LoseAnswer:
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
		return
	}
	w.WriteHeader(status)
	if call.Action == "issue" {
		fmt.Fprintf(w, `{"data":{"login":%q},"internal":{"handle":%q}}`, call.Name, handle)
	}
}

func (s *service) work(action, name string, expire time.Time, half bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	th := s.things[name]
	switch action {
	case "issue":
		if th == nil {
			th = &thing{}
			s.things[name] = th
		}
		th.account, th.grants, th.until = true, !half, expire
	case "renew":
		if th == nil {
			return http.StatusNotFound
		}
		if !half {
			th.until = expire
		}
	case "revoke":
		if th == nil {
			return http.StatusNotFound
		}
		if th.grants = false; !half {
			delete(s.things, name)
		}
	}
	return http.StatusOK
}

// hang answers nothing until the caller goes away or the fault is healed, and then breaks off.
func hang(r *http.Request, healed <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-healed:
	}
	panic(http.ErrAbortHandler)
}

func (s *service) plant(f backendtest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *service) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = 0
	close(s.healed)
	s.healed = make(chan struct{})
}

func (s *service) living() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.things {
		names = append(names, name)
	}
	return names
}

func (s *service) until(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if th := s.things[name]; th != nil {
		return th.until
	}
	return time.Time{}
}

func startTLS(h http.Handler) *httptest.Server { return start(h, (*httptest.Server).StartTLS) }

func startPlain(h http.Handler) *httptest.Server { return start(h, (*httptest.Server).Start) }

func start(h http.Handler, how func(*httptest.Server)) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	how(srv)
	return srv
}

// signed is written from the page for service authors, not from the engine's code.
func signed(header string, body []byte) bool {
	t, v1, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	if !ok {
		return false
	}
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write([]byte(t + "." + string(body)))
	got, err := hex.DecodeString(v1)
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

// mount is one mount of the engine with its store.
type mount struct {
	*testing.T
	engine *webhook.Backend
	store  *backendtest.Store
	dev    bool
}

func newMount(t *testing.T, opts webhook.Options) *mount {
	m := &mount{T: t, engine: webhook.New(opts), store: backendtest.NewStore()}
	t.Cleanup(func() { m.engine.Close() })
	return m
}

func (m *mount) request(op backend.Operation, path string, params map[string]any) *backend.Request {
	return &backend.Request{
		Mount: &lease.Mount{Path: "hooks/", Type: "webhook"}, Operation: op, Path: path, Params: params,
		Store: m.store, Cluster: "c1", DevMode: m.dev,
	}
}

func (m *mount) handle(op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	return m.engine.Handle(m.Context(), m.request(op, path, params))
}

func (m *mount) write(path string, params map[string]any) {
	m.Helper()
	if resp, err := m.handle(backend.Write, path, params); err != nil || resp != nil {
		m.Fatalf("write %s: got %v, %v; want nothing to say", path, resp, err)
	}
}

func (m *mount) prepare(role string, params map[string]any) *backend.Plan {
	m.Helper()
	plan, err := m.engine.Prepare(m.Context(), m.request(backend.Write, "creds/"+role, params))
	if err != nil {
		m.Fatalf("prepare %s: %v", role, err)
	}
	return plan
}

func (m *mount) intent(plan *backend.Plan) *backend.Intent {
	return &backend.Intent{
		LeaseID: "hooks/creds/ci/x", ExternalName: "lh-c1-x", Role: plan.Role, Generation: 1, Fence: 800,
		TTL: time.Hour, ExpireTime: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Internal: plan.Internal, Request: m.request(backend.Write, "creds/ci", nil),
	}
}

func (m *mount) renewal(internal []byte) *backend.Renewal {
	return &backend.Renewal{
		LeaseID: "hooks/creds/ci/x", ExternalName: "lh-c1-x", Role: "ci", Generation: 2, Fence: 811,
		TTL: time.Hour, ExpireTime: time.Date(2030, 1, 2, 4, 4, 5, 0, time.UTC), Internal: internal, Store: m.store,
	}
}

func (m *mount) destruction(internal []byte) *backend.Destruction {
	return &backend.Destruction{
		LeaseID: "hooks/creds/ci/x", ExternalName: "lh-c1-x", Role: "ci", Generation: 2, Fence: 812, Attempt: 3,
		ExpireTime: time.Date(2030, 1, 2, 4, 4, 5, 0, time.UTC), Internal: internal, Store: m.store,
	}
}

func roleAt(url string) map[string]any {
	return map[string]any{
		"issue_url": url + "/issue", "renew_url": url + "/renew", "revoke_url": url + "/revoke", "secret": signingKey,
	}
}

// forService is a mount whose role "ci" is served by the server.
func forService(t *testing.T, srv *httptest.Server) *mount {
	m := newMount(t, webhook.Options{})
	config := map[string]any{"allowed_hosts": []any{"127.0.0.1"}}
	if cert := srv.Certificate(); cert != nil {
		config["ca_cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	m.write("config", config)
	m.write("roles/ci", roleAt(srv.URL))
	return m
}

func TestConformance(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"https": startTLS, "http on loopback": startPlain,
	} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
				s := newService(t, start)
				m := forService(t, s.srv)
				return &backendtest.Harness{
					Backend: m.engine,
					Request: func() *backend.Request { return m.request(backend.Read, "creds/ci", nil) },
					Living:  s.living,
					Until:   s.until,
					Plant:   s.plant,
					Heal:    s.heal,
					Forget: func() {
						if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
							t.Fatal(err)
						}
					},
					Secrets: []string{signingKey, handle},
				}
			})
		})
	}
}

// clientPair makes a certificate and its key, both in PEM.
func clientPair(t *testing.T) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
