package approle_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

const (
	read  = backend.Read
	list  = backend.List
	write = backend.Write
	del   = backend.Delete
)

type params = map[string]any

// rig is a mount with a clock that stands still.
type rig struct {
	testing.TB
	method *approle.Backend
	mount  *lease.Mount
	store  *backendtest.Store
	use    backend.Store // what requests get; store unless a test puts something before it
	now    lease.Time
	from   string // the client's address
}

func newRig(t testing.TB) *rig {
	store := backendtest.NewStore()
	return &rig{
		TB: t, method: approle.New(), store: store, use: store, from: "192.0.2.7",
		mount: &lease.Mount{ID: "m1", Path: "auth/approle/", Type: "approle"},
		now:   lease.At(time.Date(2027, 1, 15, 9, 0, 0, 0, time.UTC)),
	}
}

func (r *rig) request(op backend.Operation, path string, p params) *backend.Request {
	from, _ := netip.ParseAddr(r.from)
	return &backend.Request{
		Mount: r.mount, Operation: op, Path: path, Params: p, Store: r.use, Now: r.now, ClientAddr: from, Random: rand.Reader,
	}
}

func (r *rig) handle(op backend.Operation, path string, p params) (*backend.Response, error) {
	return r.method.Handle(context.Background(), r.request(op, path, p))
}

// must is handle for what has to succeed; it returns the answer's data.
func (r *rig) must(op backend.Operation, path string, p params) params {
	r.Helper()
	resp, err := r.handle(op, path, p)
	if err != nil {
		r.Fatalf("%d %s %.80v: %v", op, path, p, err)
	}
	if resp == nil {
		return nil
	}
	return resp.Data
}

// refused makes sure that a request fails with a code and a message that begins with want.
func (r *rig) refused(op backend.Operation, path string, p params, code lease.Code, want string) {
	r.Helper()
	resp, err := r.handle(op, path, p)
	checkError(r, err, code, want)
	if resp != nil {
		r.Errorf("%d %s: got an answer beside the error", op, path)
	}
}

func checkError(t testing.TB, err error, code lease.Code, want string) {
	t.Helper()
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code || !strings.HasPrefix(e.Message, want) {
		t.Errorf("got %v, want code %v and %q", err, code, want)
	}
}

func (r *rig) login(roleID, secretID string) (*backend.LoginPlan, error) {
	return r.method.Login(context.Background(), r.request(write, "login", params{"role_id": roleID, "secret_id": secretID}))
}

// role makes a role and returns its role_id.
func (r *rig) role(name string, p params) string {
	r.Helper()
	r.must(write, "role/"+name, p)
	return r.must(read, "role/"+name+"/role-id", nil)["role_id"].(string)
}

// secret makes a secret_id and returns it with its accessor.
func (r *rig) secret(name string, p params) (id, accessor string) {
	r.Helper()
	data := r.must(write, "role/"+name+"/secret-id", p)
	return data["secret_id"].(string), data["secret_id_accessor"].(string)
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

// keys are all keys of the store that begin with prefix.
func (r *rig) keys(prefix string) []string {
	all, err := r.store.List("")
	if err != nil {
		r.Fatal(err)
	}
	var some []string
	for _, key := range all {
		if strings.HasPrefix(key, prefix) {
			some = append(some, key)
		}
	}
	return some
}

// loginWorks makes sure that a login succeeds, or fails as every wrong one does.
func (r *rig) loginWorks(roleID, secretID string, want bool) {
	r.Helper()
	plan, err := r.login(roleID, secretID)
	switch {
	case want && err != nil:
		r.Errorf("login: %v", err)
	case !want && plan != nil:
		r.Errorf("login: got %+v, want a refusal", plan)
	case !want:
		checkError(r, err, lease.Invalid, "invalid role or secret ID")
	}
}
