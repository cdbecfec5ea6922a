package conformance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var names atomic.Int64

// unique makes a name that no other test has.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, names.Add(1)) }

// mount enables an engine at a path of its own and takes it away after the test.
func mount(t testing.TB, engine string, config map[string]any) string {
	t.Helper()
	path := unique(strings.ReplaceAll(strings.ToLower(t.Name()[len("Test"):]), "/", "-"))
	call(t, "POST", "sys/mounts/"+path, map[string]any{"type": engine, "config": config}).want(204)
	t.Cleanup(func() {
		call(t, "PUT", "sys/leases/revoke-force/"+path, nil).want(204)
		call(t, "DELETE", "sys/mounts/"+path, nil).want(204)
	})
	return path
}

// issue makes a lease of the lease engine and returns its ID.
func issue(t testing.TB, path string, params map[string]any) string {
	t.Helper()
	return call(t, "POST", path, params).want(200).text("lease_id")
}

// lookup asks for a lease at the next node.
func lookup(t testing.TB, id string) *reply {
	t.Helper()
	return call(t, "PUT", "sys/leases/lookup", map[string]any{"lease_id": id})
}

func gone(t testing.TB, id string) bool {
	t.Helper()
	r := lookup(t, id)
	return r.status == 400 && strings.Contains(r.body, "invalid lease")
}

// newToken makes a token with root's and returns its answer.
func newToken(t testing.TB, params map[string]any) *reply {
	t.Helper()
	return newTokenBy(t, "", params)
}

func newTokenBy(t testing.TB, parent string, params map[string]any) *reply {
	t.Helper()
	return send(t, request{method: "POST", path: "/v1/auth/token/create", body: params, token: parent}).want(200)
}

// policy writes a policy under a name of its own and returns the name.
func policy(t testing.TB, text string) string {
	t.Helper()
	name := unique("policy")
	call(t, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": text}).want(204)
	t.Cleanup(func() { call(t, "DELETE", "sys/policies/acl/"+name, nil).want(204) })
	return name
}

// hook is one call of the webhook engine, as its service sees it.
type hook struct {
	Action       string         `json:"action"`
	LeaseID      string         `json:"lease_id"`
	ExternalName string         `json:"external_name"`
	Role         string         `json:"role"`
	Params       map[string]any `json:"params"`
	TTL          int64          `json:"ttl"`
	ExpireTime   string         `json:"expire_time"`
	Attempt      int            `json:"attempt"`
	Fence        uint64         `json:"fencing_index"`
	Internal     map[string]any `json:"internal"`
	key          string         // Idempotency-Key
}

const hookSecret = "a signing key for tests"

// service is a webhook's receiver: it checks what every call must have, keeps the calls, and
// answers as the test says.
type service struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	calls  []hook
	fences map[string]uint64 // highest fencing index by lease
	answer func(hook) (status int, body string)
}

func newService(t testing.TB, answer func(hook) (int, string)) *service {
	t.Helper()
	s := &service{t: t, answer: answer, fences: make(map[string]uint64)}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.checkSignature(r.Header.Get("X-Leasehold-Signature"), body)
	var c hook
	if err := json.Unmarshal(body, &c); err != nil {
		s.t.Errorf("a webhook's body is %q: %v", body, err)
	}
	c.key = r.Header.Get("Idempotency-Key")
	if got, want := r.Header.Get("X-Leasehold-Fencing"), fmt.Sprint(c.Fence); got != want {
		s.t.Errorf("the fencing header of a webhook is %s, want %s as in the body", got, want)
	}
	s.mu.Lock()
	if c.Fence < s.fences[c.LeaseID] {
		s.t.Errorf("the fencing index of %s went from %d back to %d", c.LeaseID, s.fences[c.LeaseID], c.Fence)
	}
	s.fences[c.LeaseID] = c.Fence
	s.calls = append(s.calls, c)
	answer := s.answer
	s.mu.Unlock()
	status, text := answer(c)
	w.WriteHeader(status)
	io.WriteString(w, text)
}

func (s *service) checkSignature(header string, body []byte) {
	stamp, sum, _ := strings.Cut(header, ",v1=")
	stamp = strings.TrimPrefix(stamp, "t=")
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	if want := hex.EncodeToString(mac.Sum(nil)); sum != want {
		s.t.Errorf("a webhook's signature is %q, want v1=%s", header, want)
	}
}

// set changes what the service answers from now on.
func (s *service) set(answer func(hook) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// of returns the calls of one action about leases that begin with a prefix.
func (s *service) of(action, prefix string) []hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []hook
	for _, c := range s.calls {
		if c.Action == action && strings.HasPrefix(c.LeaseID, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// Answers of a service.
func healthy(c hook) (int, string) {
	if c.Action == "issue" {
		return 200, `{"data":{"login":"` + c.ExternalName + `"},"internal":{"id":"` + c.ExternalName + `"}}`
	}
	return 204, ""
}

// refusing answers revoke calls with a status and a text, all others as a healthy service does.
func refusing(status int, text string) func(hook) (int, string) {
	return func(c hook) (int, string) {
		if c.Action == "revoke" {
			return status, text
		}
		return healthy(c)
	}
}

// hooks mounts a webhook engine that calls the service, with the role "ci".
func hooks(t testing.TB, s *service, config map[string]any) string {
	t.Helper()
	path := mount(t, "webhook", config)
	address, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	call(t, "POST", path+"/config", map[string]any{"allowed_hosts": []string{address.Host}}).want(204)
	role(t, s, path, "ci", nil)
	return path
}

// role writes a role that calls the service for everything; more overrides fields.
func role(t testing.TB, s *service, path, name string, more map[string]any) {
	t.Helper()
	fields := map[string]any{
		"issue_url": s.server.URL + "/issue", "renew_url": s.server.URL + "/renew", "revoke_url": s.server.URL + "/revoke",
		"secret": hookSecret, "default_ttl": "1h", "max_ttl": "24h", "params": map[string]any{"scope": "read"},
	}
	for key, value := range more {
		if value == nil {
			delete(fields, key)
			continue
		}
		fields[key] = value
	}
	call(t, "POST", path+"/roles/"+name, fields).want(204)
}

// stubborn is the configuration of a mount that gives up at the first failure.
var stubborn = map[string]any{"revoke_attempts": 1}

// irrevocable makes n leases at a webhook mount that cannot be revoked any more.
func irrevocable(t testing.TB, path string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = issue(t, path+"/creds/ci", nil)
	}
	call(t, "PUT", "sys/leases/revoke-prefix/"+path, nil).want(202)
	accessor := accessorOf(t, path)
	eventually(t, 20*time.Second, fmt.Sprintf("%d irrevocable leases at %s", n, path), func() bool {
		r := call(t, "GET", "sys/leases/count?type=irrevocable", nil).want(200)
		return fmt.Sprint(r.get("data.counts."+accessor)) == fmt.Sprint(n)
	})
	return ids
}

func accessorOf(t testing.TB, path string) string {
	t.Helper()
	r := call(t, "GET", "sys/mounts", nil).want(200)
	mounts, _ := r.get("data").(map[string]any)
	entry, _ := mounts[path+"/"].(map[string]any)
	accessor, _ := entry["accessor"].(string)
	if accessor == "" {
		t.Fatalf("sys/mounts shows no accessor of %s/: %s", path, r.body)
	}
	return accessor
}
