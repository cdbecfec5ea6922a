package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/backendtest"
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
	failAt int // this request from now on fails; 0 and below: none does
	healed chan struct{}
	asked  int // inventory calls
}

// thing has two parts, so that a revoke can stop half-way.
type thing struct {
	account, grants bool
	until, created  time.Time
}

// servicePage is how many names the service puts on a page, however many are asked for.
const servicePage = 2

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
		Action string    `json:"action"`
		Name   string    `json:"external_name"`
		Fence  uint64    `json:"fencing_index"`
		Expire time.Time `json:"expire_time"`
		Mark   string    `json:"mark"`
		After  string    `json:"after"`
		Limit  int       `json:"limit"`
		Keep   any       `json:"internal"`
	}
	if json.Unmarshal(body, &call) != nil || "/"+call.Action != r.URL.Path {
		http.Error(w, "bad call", http.StatusBadRequest)
		return
	}
	if !signed(r.Header.Get("X-Leasehold-Signature"), body) {
		http.Error(w, "bad signature", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	fault, healed := s.fault, s.healed
	if s.failAt--; s.failAt == 0 {
		fault = backendtest.FailBefore
	}
	if call.Action == "inventory" {
		s.mu.Unlock()
		s.inventory(w, r, fault, healed, call.Mark, call.After, min(call.Limit, servicePage))
		return
	}
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
	case backendtest.Twice:
		status = s.work(call.Action, call.Name, call.Expire, false)
	case backendtest.FailAfter:
		http.Error(w, "done, and now down", http.StatusInternalServerError)
		return
	case backendtest.FailHalf:
		words := "half done"
		if call.Action == "issue" || call.Keep != nil { // what nobody was told, nobody can take out
			words += "; you keep " + handle
		}
		http.Error(w, words, http.StatusInternalServerError)
		return
	case backendtest.HangAfter:
		hang(r, healed)
		return
	case backendtest.LoseAnswer:
		panic(http.ErrAbortHandler)
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
			th = &thing{created: time.Now()}
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

// inventory answers with one page.
func (s *service) inventory(
	w http.ResponseWriter, r *http.Request, fault backendtest.Fault, healed <-chan struct{}, mark, after string, limit int,
) {
	switch fault {
	case backendtest.FailBefore:
		http.Error(w, "down; your key is "+signingKey, http.StatusServiceUnavailable)
		return
	case backendtest.HangBefore:
		hang(r, healed)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	var names []string
	for name := range s.things {
		if strings.HasPrefix(name, mark+"-") && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	more := len(names) > limit
	items := []map[string]any{}
	for _, name := range names[:min(limit, len(names))] {
		items = append(items, map[string]any{"external_name": name, "created": s.things[name].created, "note": "of our own"})
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"items": items, "more": more}); err != nil {
		s.t.Error(err)
	}
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

// failStep lets the step-th request from now on fail.
func (s *service) failStep(step int) (reached func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failAt = step
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failAt <= 0
	}
}

func (s *service) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.failAt = 0, 0
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

// startHTTP2 checks that its callers do speak HTTP/2: many calls share one connection then.
func startHTTP2(h http.Handler) *httptest.Server {
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		h.ServeHTTP(w, r)
	})
	return start(checked, func(srv *httptest.Server) {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	})
}

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
