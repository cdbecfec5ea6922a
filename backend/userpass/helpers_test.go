package userpass_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

// world is one mount. Its store and its backend may be used from many goroutines, the rest from one.
type world struct {
	t     reporter
	b     *userpass.Backend
	store *backendtest.Store
	mount *lease.Mount
	now   lease.Time
	addr  netip.Addr
}

// reporter is what a test and a check of rapid have in common.
type reporter interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newWorld(t reporter) *world {
	return &world{
		t: t, b: userpass.NewCheap(bcrypt.MinCost, 4), store: backendtest.NewStore(),
		mount: &lease.Mount{Path: "auth/userpass/", Type: "userpass", Options: map[string]string{}},
		now:   lease.At(time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)), addr: netip.MustParseAddr("192.0.2.7"),
	}
}

func (w *world) request(op backend.Operation, path, body string) *backend.Request {
	params := map[string]any{}
	if body != "" {
		var err error
		if params, err = field.ParseObject([]byte(body)); err != nil {
			w.t.Fatal(err)
		}
	}
	return &backend.Request{
		Mount: w.mount, Operation: op, Path: path, Params: params, Store: w.store, Now: w.now, ClientAddr: w.addr, Random: rand.Reader,
	}
}

func (w *world) handle(op backend.Operation, path, body string) (*backend.Response, error) {
	return w.b.Handle(context.Background(), w.request(op, path, body))
}

// write is a write that must succeed.
func (w *world) write(path, body string) {
	w.t.Helper()
	if _, err := w.handle(backend.Write, path, body); err != nil {
		w.t.Fatalf("write %s %s: %v", path, body, err)
	}
}

func (w *world) read(name string) map[string]any {
	w.t.Helper()
	resp, err := w.handle(backend.Read, "users/"+name, "")
	if err != nil {
		w.t.Fatalf("read %s: %v", name, err)
	}
	if resp == nil {
		return nil
	}
	return resp.Data
}

// login folds the path as the server does.
func (w *world) login(name, password string) (*backend.LoginPlan, error) {
	return w.b.Login(context.Background(), w.request(backend.Write, w.b.Fold("login/"+name), `{"password": "`+password+`"}`))
}

// The answers to a login.
const (
	in      = "in"
	invalid = "invalid username or password"
	denied  = "permission denied"
)

// try logs in and says in one word what came of it.
func (w *world) try(name, password string) string {
	_, err := w.login(name, password)
	return outcome(err)
}

func outcome(err error) string {
	var e *lease.Error
	switch {
	case err == nil:
		return in
	case errors.Is(err, lease.ErrDenied):
		return denied
	case errors.As(err, &e) && e.Code == lease.Invalid && e.Message == invalid:
		return invalid
	}
	return err.Error()
}

// want checks the outcomes of so many logins in a row.
func (w *world) want(what, name, password, outcome string, times int) {
	w.t.Helper()
	for i := range times {
		if got := w.try(name, password); got != outcome {
			w.t.Fatalf("%s: login %d of %s with %q: got %q, want %q", what, i+1, name, password, got, outcome)
		}
	}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func wantError(t *testing.T, what string, err error, code lease.Code, message string) {
	t.Helper()
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code || !strings.HasPrefix(e.Message, message) {
		t.Errorf("%s: got %v, want code %q and a text beginning %q", what, err, code, message)
	}
}
