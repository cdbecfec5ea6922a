package webhook_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

func TestRoutes(t *testing.T) {
	const r, l, w, d = backend.Read, backend.List, backend.Write, backend.Delete
	tests := []struct {
		path string
		want map[backend.Operation]backend.Class // the others are unsupported; nil: no such path
	}{
		{"config", map[backend.Operation]backend.Class{r: backend.Query, w: backend.Change}},
		{"roles", map[backend.Operation]backend.Class{l: backend.Query}},
		{"roles/ci", map[backend.Operation]backend.Class{r: backend.Query, w: backend.Change, d: backend.Change}},
		{"creds/ci", map[backend.Operation]backend.Class{r: backend.Issue, w: backend.Issue}},
		{"", nil}, {"creds", nil}, {"creds/", nil}, {"creds/a/b", nil}, {"roles/a/b", nil}, {"config/x", nil}, {"x/y", nil}, {"roles/", nil},
	}
	for _, test := range tests {
		for _, op := range []backend.Operation{r, l, w, d} {
			class, err := webhook.New(webhook.Options{}).Route(op, test.path)
			var e *lease.Error
			errors.As(err, &e)
			switch want, ok := test.want[op]; {
			case ok && (class != want || err != nil):
				t.Errorf("%d %q: got class %d, %v; want %d", op, test.path, class, err, want)
			case !ok && test.want != nil && (e == nil || e.Code != lease.Unsupported):
				t.Errorf("%d %q: got %v, want unsupported", op, test.path, err)
			case test.want == nil && (e == nil || e.Code != lease.NotFound):
				t.Errorf("%d %q: got %v, want not found", op, test.path, err)
			}
		}
	}
}

func TestConfigIsMergedAndNeverShowsTheKey(t *testing.T) {
	srv := startTLS(http.NotFoundHandler())
	defer srv.Close()
	m := newMount(t, webhook.Options{})
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	show := func(want map[string]any) {
		t.Helper()
		resp, err := m.handle(backend.Read, "config", nil)
		if err != nil || !reflect.DeepEqual(resp.Data, want) {
			t.Errorf("got  %v, %v\nwant %v", resp, err, want)
		}
	}
	empty := map[string]any{"allowed_hosts": []string{}, "ca_cert": "", "client_cert": "", "tls_server_name": "",
		"timeout": int64(30), "max_answer": 65536}
	show(empty)
	m.write("config", map[string]any{"allowed_hosts": "a.test, b.test:8443", "timeout": "1m", "ca_cert": cert})
	m.write("config", map[string]any{"max_answer": "2048", "tls_server_name": "hooks.internal", "nonsense": 1})
	show(map[string]any{
		"allowed_hosts": []string{"a.test", "b.test:8443"}, "ca_cert": cert, "client_cert": "",
		"tls_server_name": "hooks.internal", "timeout": int64(60), "max_answer": 2048,
	})
	m.write("config", map[string]any{"allowed_hosts": []any{}, "timeout": nil, "ca_cert": "", "max_answer": nil, "tls_server_name": ""})
	show(empty)
}

func TestRoleIsMergedAndNeverShowsTheSecret(t *testing.T) {
	m := newMount(t, webhook.Options{})
	m.write("config", map[string]any{"allowed_hosts": "a.test"})
	if resp, err := m.handle(backend.Read, "roles/ci", nil); resp != nil || err != nil {
		t.Errorf("a role that is not there: got %v, %v; want nothing", resp, err)
	}
	if resp, err := m.handle(backend.List, "roles", nil); resp != nil || err != nil {
		t.Errorf("a list of no roles: got %v, %v; want nothing", resp, err)
	}
	m.write("roles/ci", map[string]any{"revoke_url": "https://a.test/r", "secret": signingKey, "default_ttl": "1h", "max_ttl": "1d"})
	m.write("roles/ci", map[string]any{"renewable": "false", "params": `{"a":1}`})
	m.write("roles/aa", map[string]any{"revoke_url": "https://a.test/r", "secret": signingKey})
	resp, err := m.handle(backend.Read, "roles/ci", nil)
	want := map[string]any{
		"issue_url": "", "renew_url": "", "revoke_url": "https://a.test/r", "inventory_url": "", "default_ttl": int64(3600), "max_ttl": int64(86400),
		"renewable": false, "params": map[string]any{"a": json.Number("1")},
	}
	if err != nil || !reflect.DeepEqual(resp.Data, want) {
		t.Errorf("got  %v, %v\nwant %v", resp, err, want)
	}
	resp, err = m.handle(backend.List, "roles", map[string]any{"list": "true"})
	if err != nil || !reflect.DeepEqual(resp.Data, map[string]any{"keys": []string{"aa", "ci"}}) || resp.Warnings != nil {
		t.Errorf("list: got %v, %v", resp, err)
	}
	for range 2 {
		if _, err := m.handle(backend.Delete, "roles/ci", nil); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := m.engine.Prepare(t.Context(), m.request(backend.Read, "creds/ci", nil)); err == nil || err.Error() != "unknown role: ci" {
		t.Errorf("creds of a deleted role: got %v, want unknown role: ci", err)
	}
}

func TestRefusals(t *testing.T) {
	m := newMount(t, webhook.Options{})
	m.write("config", map[string]any{"allowed_hosts": "a.test"})
	good := func(change map[string]any) map[string]any {
		params := map[string]any{"revoke_url": "https://a.test/r", "secret": signingKey}
		for k, v := range change {
			params[k] = v
		}
		return params
	}
	long := strings.Repeat("x", 70_000)
	tests := []struct {
		path   string
		params map[string]any
		want   string // begins with
	}{
		{"config", map[string]any{"allowed_hosts": "*.test"}, `allowed_hosts: "*.test" is no host name: write`},
		{"config", map[string]any{"allowed_hosts": strings.Repeat("a.test,", 65)}, "allowed_hosts: 65 entries, at most 64"},
		{"config", map[string]any{"allowed_hosts": map[string]any{}}, `Field validation failed: error converting input for field "allowed_hosts": '' expected type '[]string'`},
		{"config", map[string]any{"timeout": "500ms", "max_answer": 1}, "max_answer: 1 bytes are outside 1024 to 1048576"},
		{"config", map[string]any{"timeout": "10m"}, "timeout: 10m0s is outside 1s to 5m0s"},
		{"config", map[string]any{"timeout": "-1"}, `Field validation failed: error converting input for field "timeout": cannot provide negative value '-1'`},
		{"config", map[string]any{"max_answer": "2097152"}, "max_answer: 2097152 bytes are outside"},
		{"config", map[string]any{"ca_cert": "nonsense"}, "ca_cert: no certificate in it"},
		{"config", map[string]any{"ca_cert": long}, "ca_cert: 70000 bytes long"},
		{"config", map[string]any{"client_cert": "x"}, "client_cert and client_key belong together"},
		{"config", map[string]any{"client_cert": "x", "client_key": "canary-key"}, "client_cert and client_key are no pair"},
		{"config", map[string]any{"tls_server_name": "hooks.test:443"}, `tls_server_name: "hooks.test:443" is no host name: write the name`},
		{"roles/ci", nil, "revoke_url: missing"},
		{"roles/ci", map[string]any{"revoke_url": "https://a.test"}, "secret: missing"},
		{"roles/ci", good(map[string]any{"secret": "canary-15-bytes"}), "secret: 15 bytes long, at least 16 are needed"},
		{"roles/ci", good(map[string]any{"secret": long}), "secret: 70000 bytes long, at most 4096"},
		{"roles/ci", good(map[string]any{"issue_url": "https://b.test/"}), "issue_url: host b.test:443 is not in the mount's allowed_hosts: add it"},
		{"roles/ci", good(map[string]any{"inventory_url": "https://a.test:x/"}), "inventory_url: not a URL"},
		{"roles/ci", good(map[string]any{"renew_url": "http://a.test/"}), "renew_url: plain http to a.test: use https"},
		{"roles/ci", good(map[string]any{"revoke_url": "https://127.0.0.1/"}), "revoke_url: host 127.0.0.1:443 is not in"},
		{"roles/ci", good(map[string]any{"default_ttl": "2h", "max_ttl": "1h"}), "default_ttl: 2h0m0s is longer than max_ttl 1h0m0s"},
		{"roles/ci", good(map[string]any{"max_ttl": "-1"}), `Field validation failed: error converting input for field "max_ttl": cannot`},
		{"roles/ci", good(map[string]any{"renewable": "perhaps"}), `Field validation failed: error converting input for field "renewable": ''`},
		{"roles/ci", good(map[string]any{"params": map[string]any{"a": long}}), "params: 70008 bytes as JSON, at most 16384"},
		{"roles/ci", good(map[string]any{"params": []any{}}), `Field validation failed: error converting input for field "params": '' expected a map`},
		{"roles/a b", good(nil), `name: path "a b" holds ' '`},
		{"roles/..", good(nil), `name: relative paths not supported: ".."`},
		{"roles/" + strings.Repeat("x", 129), good(nil), "name: 129 bytes long"},
	}
	for _, test := range tests {
		_, err := m.handle(backend.Write, test.path, test.params)
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.Invalid || !strings.HasPrefix(e.Message, test.want) || strings.Contains(e.Message, "canary") {
			t.Errorf("%s %.60v: got %v, want %q", test.path, test.params, err, test.want)
		}
	}
	if keys, _ := m.store.List("role/"); keys != nil {
		t.Errorf("a refused write left %q", keys)
	}
}

func TestPrepare(t *testing.T) {
	m := newMount(t, webhook.Options{})
	m.write("config", map[string]any{"allowed_hosts": "a.test"})
	m.write("roles/ci", map[string]any{
		"revoke_url": "https://a.test/r", "secret": signingKey, "default_ttl": "1h", "max_ttl": "1d", "params": map[string]any{"scope": "read"},
	})
	plan := m.prepare("ci", map[string]any{"ttl": "10m", "params": map[string]any{"who": "me"}, "name": "other", "zoo": 1})
	if plan.Path != "creds/ci" || plan.Role != "ci" || plan.TTL.String() != "10m0s" || plan.DefaultTTL.String() != "1h0m0s" ||
		plan.MaxTTL.String() != "24h0m0s" || !plan.Renewable || !plan.Target || plan.Answer != nil || plan.Keep != nil {
		t.Errorf("got %+v", plan)
	}
	wantWarnings := []string{
		"Endpoint ignored these unrecognized parameters: [zoo]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [name]",
	}
	if !reflect.DeepEqual(plan.Warnings, wantWarnings) {
		t.Errorf("warnings: got %q, want %q", plan.Warnings, wantWarnings)
	}
	refusals := map[string]map[string]any{
		`params: "scope" is set by the role: leave it out`: {"params": map[string]any{"scope": "write"}},
		`params: 16`: {"params": map[string]any{"a": strings.Repeat("x", webhook.MaxParams)}},
		`Field validation failed: error converting input for field "ttl"`: {"ttl": "x"},
	}
	for want, params := range refusals {
		_, err := m.engine.Prepare(t.Context(), m.request(backend.Write, "creds/ci", params))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40v: got %v, want %q", params, err, want)
		}
	}
	// A list that was made shorter stops issues before anything is committed.
	m.write("config", map[string]any{"allowed_hosts": "b.test"})
	_, err := m.engine.Prepare(t.Context(), m.request(backend.Read, "creds/ci", nil))
	if err == nil || !strings.HasPrefix(err.Error(), "revoke_url: host a.test:443 is not in") {
		t.Errorf("a host that is listed no more: got %v", err)
	}
}

func TestDevServerMayCallLoopbackWithoutAList(t *testing.T) {
	srv := startPlain(http.NotFoundHandler())
	defer srv.Close()
	m := newMount(t, webhook.Options{})
	if _, err := m.handle(backend.Write, "roles/ci", roleAt(srv.URL)); err == nil {
		t.Error("without -dev: got no error")
	}
	m.dev = true
	m.write("roles/ci", roleAt(srv.URL))
	// Renewals and destructions know of -dev from what the lease kept.
	if err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal)); err != nil {
		t.Error(err)
	}
}

func TestAHostListedNoMoreIsNotCalled(t *testing.T) {
	srv := startPlain(http.NotFoundHandler())
	defer srv.Close()
	m := forService(t, srv)
	plan := m.prepare("ci", nil)
	m.write("config", map[string]any{"allowed_hosts": "a.test"})
	err := m.engine.Destroy(t.Context(), m.destruction(plan.Internal))
	if !backend.IsPermanent(err) || !strings.Contains(err.Error(), "revoke_url: host 127.0.0.1:") {
		t.Errorf("got %v, want a permanent error that names the field and the host", err)
	}
	var e *lease.Error
	if _, err := m.engine.Create(t.Context(), m.intent(plan)); !errors.As(err, &e) || e.Code != lease.Upstream {
		t.Errorf("create: got %v, want an upstream error", err)
	}
}

func TestForeignInternalIsPermanent(t *testing.T) {
	m := newMount(t, webhook.Options{})
	for _, internal := range []string{"", "sealed", "[]"} {
		if err := m.engine.Destroy(t.Context(), m.destruction([]byte(internal))); !backend.IsPermanent(err) {
			t.Errorf("%q: got %v, want a permanent error", internal, err)
		}
	}
}

// A redirect to a metadata service is the classic way around a list of hosts.
func TestT16_RedirectsAreNotFollowed(t *testing.T) {
	var calls atomic.Int32
	m := answering(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect)
	})
	err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal))
	if err == nil || !strings.Contains(err.Error(), "307") || calls.Load() != 1 {
		t.Errorf("got %v after %d calls, want 307 after one", err, calls.Load())
	}
}

// The name server answers 127.0.0.1 while the service is looked at, and later an address that
// nobody meant. The listener's port is the service's, so only the address can stop the call.
func TestT16_ANameThatChangesItsAnswer(t *testing.T) {
	srv := startTLS(http.NotFoundHandler())
	defer srv.Close()
	var addr atomic.Value
	addr.Store([4]byte{127, 0, 0, 1})
	resolver := nameServer(t, &addr)
	m := newMount(t, webhook.Options{Resolver: resolver})
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	m.write("config", map[string]any{"allowed_hosts": "example.com", "ca_cert": cert})
	url := strings.Replace(srv.URL, "127.0.0.1", "example.com", 1) // a name that the test certificate covers
	m.write("roles/ci", roleAt(url))
	internal := m.prepare("ci", nil).Internal
	if err := m.engine.Destroy(t.Context(), m.destruction(internal)); err != nil {
		t.Fatalf("with its first answer: %v", err)
	}
	for _, bad := range [][4]byte{{169, 254, 169, 254}, {0, 0, 0, 0}, {168, 63, 129, 16}} {
		addr.Store(bad)
		m.engine.Close() // connections that are open went to the address that was checked
		err := m.engine.Destroy(t.Context(), m.destruction(internal))
		if !backend.IsPermanent(err) || !strings.Contains(err.Error(), "is not called unless the address itself is in allowed_hosts") {
			t.Errorf("%v: got %v, want a permanent refusal", bad, err)
		}
		var e *lease.Error
		_, err = m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil)))
		if !errors.As(err, &e) || e.Message != "the mount's config does not let the service be called" {
			t.Errorf("%v: create: got %v", bad, err)
		}
	}
}

// nameServer answers every question for an IPv4 address with addr.
func nameServer(t *testing.T, addr *atomic.Value) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var msg dnsmessage.Message
			if msg.Unpack(buf[:n]) != nil {
				continue
			}
			msg.Response, msg.Authoritative, msg.Additionals = true, true, nil
			for _, q := range msg.Questions {
				if q.Type == dnsmessage.TypeA {
					msg.Answers = append(msg.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
						Body:   &dnsmessage.AResource{A: addr.Load().([4]byte)},
					})
				}
			}
			if out, err := msg.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
