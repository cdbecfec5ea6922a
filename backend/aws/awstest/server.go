// Package awstest is a stand-in for IAM and STS on loopback: an HTTP server that takes the query APIs'
// requests, keeps users, keys, policies and groups, and answers in XML as AWS does. It exists for tests
// of code that has no AWS account to try itself on.
//
// It is strict where AWS is: signatures (version 4) are verified with the secret of the key, a key that
// was deleted is refused, names are unique whatever their case, a user has two keys at most and is not
// deleted while it has anything. And it goes wrong as AWS does, when told to: reads that lag behind
// writes, users and keys that are not known everywhere yet, throttling, calls that fail before or after
// their work, answers that are lost, calls that hang.
//
// The package's own test drives it with the aws command, which knows nothing of this project.
package awstest

import (
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is the account that a server of New plays.
const Account = "123456789012"

// Operator is the user whose key New makes: it may do everything. All others may ask who they are.
const Operator = "leasehold"

const maxBody = 1 << 20 // bytes

// Key is an access key with its secret.
type Key struct {
	ID, Secret string
}

// Server is a running stand-in. Its methods may be called at any time.
type Server struct {
	URL string
	Key Key // of the operator

	srv *httptest.Server

	mu       sync.Mutex // guards all below
	account  *account
	past     []moment // older versions, oldest first; kept while there is a lag
	lags     Lags
	skew     time.Duration
	pageSize int
	faults   []*planted
	words    string
	healed   chan struct{}
	calls    []string
	hook     func(action string)
	serial   int
}

// Lags are how far AWS's copies are behind.
type Lags struct {
	Reads time.Duration // lists and reads answer what was true so long ago
	Users time.Duration // a new user is not found by any call so long
	Keys  time.Duration // a new access key is refused so long
}

// moment is the account as it was from a time on. An account is not changed once it was answered from:
// every change makes a copy.
type moment struct {
	at      time.Time
	account *account
}

// New starts a server with an operator and no other user. Close ends it.
func New() *Server { return NewAccount(Account) }

// NewAccount is New for an account of twelve digits.
func NewAccount(id string) *Server {
	s := &Server{account: newAccount(id), healed: make(chan struct{}), pageSize: 100}
	s.Key = s.newKey()
	now := s.now()
	s.account.put(&user{
		account: id, name: Operator, path: "/", id: "AIDAOPERATOR00000001", created: now,
		keys: []accessKey{{Key: s.Key, created: now.Add(-24 * time.Hour)}},
	})
	s.srv = httptest.NewUnstartedServer(s)
	s.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // connections are cut on purpose
	s.srv.Start()
	s.URL = s.srv.URL
	return s
}

// Close ends the server and every call that hangs.
func (s *Server) Close() {
	s.Heal()
	s.srv.CloseClientConnections()
	s.srv.Close()
}

// Lag sets how far copies are behind from now on.
func (s *Server) Lag(l Lags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lags = l
	s.past = []moment{{time.Time{}, s.account}}
}

// Skew lets the server's clock differ from the real one.
func (s *Server) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// PageSize bounds every list to n entries at a time.
func (s *Server) PageSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

// Hook has fn called with the action of each call, such as "CreateUser", before it is worked on. Nil: none.
func (s *Server) Hook(fn func(action string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = fn
}

// Calls are the actions that were called since the last Forget, in order.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Forget empties the list of calls.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Server) now() time.Time { return time.Now().Add(s.skew).UTC().Truncate(time.Millisecond) }

func (s *Server) newKey() Key {
	s.serial++
	return Key{ID: "AKIA" + rand.Text()[:16], Secret: rand.Text() + rand.Text()[:14]}
}

// newID makes an ID as AWS has them for users and the like.
func (s *Server) newID(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s%016d", prefix, s.serial)
}

// call is one request while it is worked on.
type call struct {
	*Server
	action string
	form   url.Values
	caller identity
	now    time.Time
	view   *account // what the call sees: a copy that may lag, if it reads
}

// ServeHTTP takes one call: checks who makes it, plays the fault that is planted, does the work.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the caller has gone
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost {
		s.write(w, "", nil, errorf(http.StatusBadRequest, "MalformedInput", "a form is wanted"))
		return
	}
	action := form.Get("Action")
	s.mu.Lock()
	s.calls = append(s.calls, action)
	hook, healed := s.hook, s.healed
	s.mu.Unlock()
	if hook != nil {
		hook(action)
	}
	f := s.meet(action)
	if f.kind.before() {
		s.spoil(w, r, f, healed)
		return
	}
	result, failure := s.work(r, body, action, form)
	switch f.kind {
	case 0:
	case Twice:
		result, failure = s.work(r, body, action, form)
	default:
		s.spoil(w, r, f, healed)
		return
	}
	s.write(w, action, result, failure)
}

// work does what is asked under the lock, as one step.
func (s *Server) work(r *http.Request, body []byte, action string, form url.Values) (*element, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := actions[action]
	if !ok {
		return nil, errorf(http.StatusBadRequest, "InvalidAction", "Could not find operation %s", action)
	}
	if want := versions[a.service]; form.Get("Version") != want {
		return nil, errorf(http.StatusBadRequest, "InvalidAction", "version %q is not %s", form.Get("Version"), want)
	}
	c := &call{Server: s, action: action, form: form, now: s.now(), view: s.account}
	var failure *apiError
	if c.caller, failure = s.authenticate(r, body, a.service, c.now); failure != nil {
		return nil, failure
	}
	if failure := c.authorize(a); failure != nil {
		return nil, failure
	}
	if a.reads && s.lags.Reads > 0 {
		c.view = s.at(c.now.Add(-s.lags.Reads))
	}
	if !a.reads {
		s.account = s.account.clone()
		c.view = s.account
	}
	result, failure := a.do(c)
	if !a.reads && s.lags.Reads > 0 && failure == nil {
		s.past = append(s.past, moment{c.now, s.account})
	}
	return result, failure
}

// at is the account as it was at a time.
func (s *Server) at(t time.Time) *account {
	for i := len(s.past) - 1; i >= 0; i-- {
		if !s.past[i].at.After(t) {
			return s.past[i].account
		}
	}
	return s.account
}

// authorize lets the operator do everything, and others ask who they are.
func (c *call) authorize(a action) *apiError {
	if c.caller.user == Operator && c.caller.session == nil || c.action == "GetCallerIdentity" {
		return nil
	}
	return errorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: %s:%s", c.caller.arn, a.service, c.action)
}

// write answers a call.
func (s *Server) write(w http.ResponseWriter, action string, result *element, failure *apiError) {
	s.mu.Lock()
	date := s.now()
	s.mu.Unlock()
	id := strings.ToLower(rand.Text())
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Date", date.Format(http.TimeFormat))
	w.Header().Set("X-Amzn-RequestId", id)
	if failure != nil {
		w.WriteHeader(failure.status)
		io.WriteString(w, node("ErrorResponse",
			node("Error", text("Type", "Sender"), text("Code", failure.code), text("Message", failure.message)),
			text("RequestId", id)).String())
		return
	}
	answer := node(action + "Response")
	if result != nil {
		answer.kids = append(answer.kids, node(action+"Result", result.kids...))
	}
	answer.kids = append(answer.kids, node("ResponseMetadata", text("RequestId", id)))
	io.WriteString(w, answer.String())
}
