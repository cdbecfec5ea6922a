package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

func TestWhatIsSent(t *testing.T) {
	var bodies []string
	var headers []http.Header
	srv := startPlain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies, headers = append(bodies, r.Method+" "+r.URL.RequestURI()+" "+string(body)), append(headers, r.Header)
		if strings.HasSuffix(r.URL.Path, "/issue") {
			io.WriteString(w, `{"data":{"login":"l"},"internal":{"id":"<17>","n":1.50},"ttl":600}`)
		}
	}))
	defer srv.Close()
	now := time.Unix(1_800_000_000, 0)
	m := newMount(t, webhook.Options{Now: func() time.Time { return now }})
	m.write("config", map[string]any{"allowed_hosts": "127.0.0.1"})
	role := roleAt(srv.URL)
	role["params"] = map[string]any{"scope": "read", "n": json.Number("12345678901234567890")}
	role["revoke_url"] = srv.URL + "/revoke?k=v"
	m.write("roles/ci", role)

	plan := m.prepare("ci", map[string]any{"params": map[string]any{"who": "<me>"}})
	in := m.intent(plan)
	in.TTL = 3599*time.Second + 1
	made, err := m.engine.Create(t.Context(), in)
	if err != nil || made.TTL != 10*time.Minute || made.Data["login"] != "l" {
		t.Fatalf("create: %+v, %v", made, err)
	}
	if _, err := m.engine.Renew(t.Context(), m.renewal(made.Internal)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.engine.Destroy(t.Context(), m.destruction(made.Internal)); err != nil {
			t.Fatal(err)
		}
	}
	const (
		head   = `"lease_id":"hooks/creds/ci/x","external_name":"lh-c1-x","role":"ci","params":{"n":12345678901234567890,"scope":"read","who":"<me>"},`
		keep   = `,"internal":{"id":"<17>","n":1.50}}`
		ending = `POST /revoke?k=v {"action":"revoke",` + head + `"expire_time":"2030-01-02T04:04:05Z","attempt":3,"fencing_index":812` + keep
	)
	want := []string{
		`POST /issue {"action":"issue",` + head + `"ttl":3600,"expire_time":"2030-01-02T03:04:05Z","attempt":1,"fencing_index":800}`,
		`POST /renew {"action":"renew",` + head + `"ttl":3600,"expire_time":"2030-01-02T04:04:05Z","attempt":1,"fencing_index":811` + keep,
		ending, ending,
	}
	if !reflect.DeepEqual(bodies, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(bodies, "\n"), strings.Join(want, "\n"))
	}
	for i, key := range []string{"issue-lh-c1-x-1", "renew-lh-c1-x-2", "revoke-lh-c1-x-2", "revoke-lh-c1-x-2"} {
		h := headers[i]
		_, body, _ := strings.Cut(bodies[i], " {")
		if !signed(h.Get("X-Leasehold-Signature"), []byte("{"+body)) || !strings.HasPrefix(h.Get("X-Leasehold-Signature"), "t=1800000000,v1=") {
			t.Errorf("call %d: signature %q is wrong", i, h.Get("X-Leasehold-Signature"))
		}
		fence := strconv.Itoa([]int{800, 811, 812, 812}[i])
		for name, want := range map[string]string{
			"Idempotency-Key": key, "X-Leasehold-Fencing": fence, "Content-Type": "application/json", "Accept-Encoding": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("call %d: %s is %q, want %q", i, name, got, want)
			}
		}
	}
}

// answering is a mount whose service always answers alike.
func answering(t *testing.T, answer http.HandlerFunc) *mount {
	srv := startPlain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server see the caller go away
		answer(w, r)
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return forService(t, srv)
}

// Every row of the table, and statuses that are in none.
func TestStatusTable(t *testing.T) {
	const (
		ok        = "ok"
		upstream  = "upstream error"
		final     = "final error"
		refused   = "final error, renews no more"
		retried   = "retried"
		permanent = "permanent"
	)
	tests := []struct {
		statuses             []int
		issue, renew, revoke string
	}{
		{[]int{200, 204}, ok, ok, ok},
		{[]int{404, 410}, upstream, refused, ok},
		{[]int{400, 403, 422}, final, refused, permanent},
		{[]int{408, 425, 429, 500, 502, 503, 504, 599}, upstream, upstream, retried},
		{[]int{201, 202, 206, 301, 302, 307, 308, 401, 405, 409, 418}, upstream, upstream, retried},
	}
	for _, test := range tests {
		for _, status := range test.statuses {
			m := answering(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				if r.URL.Path == "/elsewhere" {
					status = http.StatusOK
				}
				w.WriteHeader(status)
				if status >= 300 {
					io.WriteString(w, `{"reason": "words of the service"}`)
				}
			})
			internal := m.prepare("ci", nil).Internal
			_, err := m.engine.Create(t.Context(), m.intent(&backend.Plan{Role: "ci", Internal: internal}))
			check(t, "issue", status, test.issue, err)
			_, err = m.engine.Renew(t.Context(), m.renewal(internal))
			check(t, "renew", status, test.renew, err)
			err = m.engine.Destroy(t.Context(), m.destruction(internal))
			check(t, "revoke", status, test.revoke, err)
		}
	}
}

func check(t *testing.T, action string, status int, want string, err error) {
	t.Helper()
	got := "ok"
	var e *lease.Error
	switch {
	case err == nil:
	case backend.IsPermanent(err):
		got = "permanent"
	case errors.As(err, &e) && e.Code == lease.Upstream:
		got = "upstream error"
	case errors.As(err, &e) && e.Code == lease.Invalid && errors.Is(err, backend.ErrRefused):
		got = "final error, renews no more"
	case errors.As(err, &e) && e.Code == lease.Invalid:
		got = "final error"
	case e == nil:
		got = "retried"
	}
	if got != want {
		t.Errorf("%s answered %d: got %s (%v), want %s", action, status, got, err, want)
	}
	if err != nil && !strings.Contains(err.Error(), strconv.Itoa(status)) {
		t.Errorf("%s answered %d: the error does not say so: %v", action, status, err)
	}
	if e != nil && strings.Contains(e.Message, "words of the service") {
		t.Errorf("%s answered %d: the service's words reach the caller: %q", action, status, e.Message)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		header string
		want   time.Duration
	}{
		{"", 0}, {"17", 17 * time.Second}, {"0", 0}, {"-5", 0}, {"soon", 0}, {"99999999999999", 0},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{"86400", lease.IrrevocableRetry},
	}
	for _, test := range tests {
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
			m := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.header)
				w.WriteHeader(status)
			})
			m.engine = webhook.New(webhook.Options{Now: func() time.Time { return now }})
			err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal))
			if got := backend.AskedPause(err); err == nil || got != test.want {
				t.Errorf("%d with %q: got a pause of %v (%v), want %v", status, test.header, got, err, test.want)
			}
		}
	}
}

func TestAnswersToIssue(t *testing.T) {
	long := strings.Repeat("x", webhook.MaxInternal)
	tests := []struct {
		name, body string
		want       *backend.Created // Internal is compared for being there
		err        string           // in the text for the log
	}{
		{"nothing", "", &backend.Created{}, ""},
		{"an empty object", "{}", &backend.Created{}, ""},
		{"data alone", `{"data":{"a":1}}`, &backend.Created{Data: map[string]any{"a": json.Number("1")}}, ""},
		{"a shorter ttl", `{"ttl":60,"internal":{}}`, &backend.Created{TTL: time.Minute, Internal: []byte{}}, ""},
		{"a ttl no shorter", `{"ttl":3600}`, &backend.Created{}, ""},
		{"nulls", `{"data":null,"internal":null,"ttl":null}`, &backend.Created{}, ""},
		{"another field", `{"login":"x"}`, nil, `holds "login"`},
		{"data that is a list", `{"data":[]}`, nil, "holds a data that is no JSON object"},
		{"internal that is text", `{"internal":"x"}`, nil, "holds a internal that is no JSON object"},
		{"a ttl of zero", `{"ttl":0}`, nil, "holds a ttl"},
		{"a negative ttl", `{"ttl":-1}`, nil, "holds a ttl"},
		{"a ttl with a fraction", `{"ttl":1.5}`, nil, "holds a ttl"},
		{"a ttl in text", `{"ttl":"60"}`, nil, "holds a ttl"},
		{"a list", `[1]`, nil, "not a JSON object"},
		{"a page", `<html>`, nil, "not valid JSON"},
		{"half an object", `{"data":{"a":`, nil, "not valid JSON"},
		{"two objects", `{}{}`, nil, "more than one JSON value"},
		{"a key twice", `{"data":{"a":1,"a":2}}`, nil, "appears twice"},
		{"too much to keep", `{"internal":{"a":"` + long[:webhook.MaxInternal-7] + `"}}`, nil, "holds an internal of 65537 bytes"},
		{"too much in all", `{"data":{"a":"` + long + long + `"}}`, nil, "longer than max_answer, 131072 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, test.body) })
			m.write("config", map[string]any{"max_answer": 131072})
			got, err := m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil)))
			if test.err != "" {
				var e *lease.Error
				if got != nil || !errors.As(err, &e) || e.Code != lease.Upstream || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %+v, %v; want an upstream error with %q", got, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (got.Internal == nil) != (test.want.Internal == nil) || got.TTL != test.want.TTL || !reflect.DeepEqual(got.Data, test.want.Data) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAnswersToRenew(t *testing.T) {
	for body, want := range map[string]time.Duration{
		``: 0, `{}`: 0, `{"ttl":60}`: time.Minute, `{"ttl":7200}`: 0, `{"ttl":60,"status":"fine"}`: time.Minute,
		`{"ttl":0}`: -1, `[]`: -1, `ok`: -1,
	} {
		m := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		got, err := m.engine.Renew(t.Context(), m.renewal(m.prepare("ci", nil).Internal))
		if want < 0 && (err == nil || errors.Is(err, backend.ErrRefused)) || want >= 0 && (err != nil || got != want) {
			t.Errorf("%s: got %v, %v; want %v", body, got, err, want)
		}
	}
}

// T12: what a service says may hold what it was told.
func TestT12_ErrorsAreScrubbedAndCut(t *testing.T) {
	m := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/issue" {
			fmt.Fprintf(w, `{"internal":{"deep":[{"handle":%q}]}}`, handle)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "no\r\n%s\x1b[31m %s %s", signingKey, handle, strings.Repeat("é", 9000))
	})
	made, err := m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil)))
	if err != nil {
		t.Fatal(err)
	}
	err = m.engine.Destroy(t.Context(), m.destruction(made.Internal))
	text := fmt.Sprint(err)
	if len(text) > webhook.MaxErrorText || strings.ContainsAny(text, "\r\n\x1b") || strings.Contains(text, signingKey) ||
		strings.Contains(text, handle) || !strings.Contains(text, "500 Internal Server Error: no [redacted] [31m [redacted] éé") {
		t.Errorf("got %q (%d bytes)", text, len(text))
	}
	_, err = m.engine.Renew(t.Context(), m.renewal(made.Internal))
	if text := fmt.Sprint(err); strings.Contains(text, signingKey) || strings.Contains(text, handle) {
		t.Errorf("renew: the error holds a secret: %q", text)
	}
}

// The URL's query may be a key, and the client's own errors quote URLs.
func TestT12_ErrorsDoNotQuoteTheURL(t *testing.T) {
	srv := startPlain(http.NotFoundHandler())
	m := forService(t, srv)
	m.write("roles/ci", map[string]any{"revoke_url": srv.URL + "/revoke?key=canary-in-query"})
	internal := m.prepare("ci", nil).Internal
	srv.Close()
	err := m.engine.Destroy(t.Context(), m.destruction(internal))
	if err == nil || strings.Contains(err.Error(), "canary") || backend.IsPermanent(err) {
		t.Errorf("got %v, want an error without the query, to be tried again", err)
	}
}

func TestRoleWithoutIssueURLCreatesNothing(t *testing.T) {
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.Path) }))
	defer srv.Close()
	m := forService(t, srv)
	m.write("roles/ci", map[string]any{"issue_url": "", "renew_url": nil})
	plan := m.prepare("ci", nil)
	made, err := m.engine.Create(t.Context(), m.intent(plan))
	if err != nil || !reflect.DeepEqual(made, &backend.Created{}) || !plan.Target {
		t.Errorf("create: got %+v, %v, target %v; want nothing made, with a target", made, err, plan.Target)
	}
	if ttl, err := m.engine.Renew(t.Context(), m.renewal(plan.Internal)); ttl != 0 || err != nil {
		t.Errorf("renew: got %v, %v; want nothing", ttl, err)
	}
	if err := m.engine.Destroy(t.Context(), m.destruction(plan.Internal)); err != nil {
		t.Error(err)
	}
	if want := []string{"/revoke"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("called %q, want %q", paths, want)
	}
}
