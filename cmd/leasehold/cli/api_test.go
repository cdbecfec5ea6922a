package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// exchange is a request that must come, to the byte, and the answer to it.
type exchange struct {
	request string   // METHOD TARGET [BODY]
	headers []string // that it must have
	without []string // headers that it must not have
	status  int
	body    string
	answers []string // headers of the answer
}

// readExchanges reads lines of
//
//	> METHOD TARGET [BODY]
//	+ HEADER: VALUE    (it must have it)
//	- HEADER           (it must not have it)
//	= HEADER: VALUE    (the answer has it)
//	< STATUS [BODY]
//
// in turn, those of the middle as often as needed. The lines below a "<" belong to its body; empty lines and those with
// # do not count.
func readExchanges(text string) ([]exchange, error) {
	var all []exchange
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "> "):
			all = append(all, exchange{request: line[2:]})
		case len(all) == 0:
			return nil, fmt.Errorf("%q before any request", line)
		case strings.HasPrefix(line, "+ "):
			all[len(all)-1].headers = append(all[len(all)-1].headers, line[2:])
		case strings.HasPrefix(line, "- "):
			all[len(all)-1].without = append(all[len(all)-1].without, line[2:])
		case strings.HasPrefix(line, "= "):
			all[len(all)-1].answers = append(all[len(all)-1].answers, line[2:])
		case strings.HasPrefix(line, "< "):
			status, body, _ := strings.Cut(line[2:], " ")
			code, err := strconv.Atoi(status)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			all[len(all)-1].status, all[len(all)-1].body = code, body
		default:
			all[len(all)-1].body += line
		}
	}
	return all, nil
}

// api is a server that plays a script and notes what departs from it.
type api struct {
	mu     sync.Mutex // guards the fields below
	left   []exchange
	faults []string
}

func (s *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := ""
	if len(s.left) > 0 {
		fault = wrongHeader(r.Header, s.left[0])
	}
	switch {
	case len(s.left) == 0:
		fault = "got " + got + ", want no request"
	case s.left[0].request != got:
		fault = "got " + got + ", want " + s.left[0].request
	case r.Header.Get("X-Vault-Request") != "true":
		fault = got + ": X-Vault-Request is missing"
	case r.Header.Get("Content-Type") != "":
		fault = got + ": the stock CLI sends no Content-Type"
	case r.Header.Get("X-Vault-Token") == "" && !slices.Contains(s.left[0].without, "X-Vault-Token"):
		fault = got + ": X-Vault-Token is missing"
	}
	if fault != "" {
		s.faults = append(s.faults, fault)
		http.Error(w, fault, http.StatusTeapot)
		return
	}
	next := s.left[0]
	s.left = s.left[1:]
	w.Header().Set("Content-Type", "application/json")
	for _, header := range next.answers {
		name, value, _ := strings.Cut(header, ": ")
		w.Header().Set(name, value)
	}
	w.WriteHeader(next.status)
	io.WriteString(w, next.body)
}

// wrongHeader tells which of the headers wanted is not there, or which is there and should not be.
func wrongHeader(got http.Header, want exchange) string {
	for _, header := range want.headers {
		name, value, _ := strings.Cut(header, ": ")
		if got.Get(name) != value {
			return fmt.Sprintf("%s: %s: got %q, want %q", want.request, name, got.Get(name), value)
		}
	}
	for _, name := range want.without {
		if got.Get(name) != "" {
			return fmt.Sprintf("%s: %s: got %q, want none", want.request, name, got.Get(name))
		}
	}
	return ""
}

// running is the server of each script, by the script's own value.
var running sync.Map

func startAPI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: api FILE")
	}
	exchanges, err := readExchanges(ts.ReadFile(args[0]))
	ts.Check(err)
	s := &api{left: exchanges}
	server := httptest.NewServer(s)
	ts.Defer(server.Close)
	running.Store(ts, s)
	ts.Setenv("VAULT_ADDR", server.URL)
}

func checkServed(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := running.LoadAndDelete(ts)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: served, after api")
	}
	s := found.(*api)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fault := range s.faults {
		ts.Logf("%s", fault)
	}
	for _, missing := range s.left {
		ts.Logf("never came: %s", missing.request)
	}
	if len(s.faults)+len(s.left) > 0 {
		ts.Fatalf("the requests were not those scripted")
	}
}
