package webhook_test

import (
	"encoding/pem"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

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
		"issue_url": url + "/issue", "renew_url": url + "/renew", "revoke_url": url + "/revoke",
		"inventory_url": url + "/inventory", "secret": signingKey,
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
