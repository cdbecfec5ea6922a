package approle_test

import (
	"context"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

var (
	_ backend.Authenticator = (*approle.Backend)(nil)
	_ backend.Existing      = (*approle.Backend)(nil)
)

type classes = map[backend.Operation]backend.Class

func TestRoutes(t *testing.T) {
	const q, c, l = backend.Query, backend.Change, backend.Login
	property := classes{read: q, write: c, del: c}
	tests := map[string]classes{ // the other verbs are unsupported; nil: no such path
		"login":                              {write: l},
		"tidy/secret-id":                     {write: c},
		"role":                               {list: q},
		"role/ci":                            {read: q, write: c, del: c},
		"role/login":                         {read: q, write: c, del: c},
		"role/ci/role-id":                    {read: q, write: c},
		"role/ci/secret-id":                  {list: q, write: c},
		"role/ci/custom-secret-id":           {write: c},
		"role/ci/secret-id/lookup":           {write: q},
		"role/ci/secret-id/destroy":          {write: c, del: c},
		"role/ci/secret-id-accessor/lookup":  {write: q},
		"role/ci/secret-id-accessor/destroy": {write: c, del: c},
		"role/ci/policies":                   property,
		"role/ci/period":                     property,
		"role/ci/token-ttl":                  property,
		"role/ci/token-max-ttl":              property,
		"role/ci/token-num-uses":             property,
		"role/ci/token-bound-cidrs":          property,
		"role/ci/bind-secret-id":             property,
		"role/ci/secret-id-num-uses":         property,
		"role/ci/secret-id-ttl":              property,
		"role/ci/secret-id-bound-cidrs":      property,
		"":                                   nil,
		"role/":                              nil,
		"role//role-id":                      nil,
		"role/ci/":                           nil,
		"role/ci/nothing":                    nil,
		"role/ci/secret-id/":                 nil,
		"role/ci/secret-id/lookup/x":         nil,
		"roles/ci":                           nil,
		"Role/ci":                            nil,
		"role/ci/Role-ID":                    nil,
		"login/ci":                           nil,
		"tidy":                               nil,
	}
	method := approle.New()
	for path, want := range tests {
		for _, op := range []backend.Operation{read, list, write, del} {
			class, err := method.Route(op, path)
			switch wanted, ok := want[op]; {
			case ok && (class != wanted || err != nil):
				t.Errorf("%d %q: got class %d, %v; want %d", op, path, class, err, wanted)
			case !ok && want != nil:
				checkError(t, err, lease.Unsupported, "unsupported operation")
			case want == nil:
				checkError(t, err, lease.NotFound, "unsupported path")
			}
		}
	}
}

func TestWhatHandleDoesNotServe(t *testing.T) {
	r := newRig(t)
	r.refused(write, "login", nil, lease.Unsupported, "unsupported operation")
	r.refused(read, "nothing", nil, lease.NotFound, "unsupported path")
	_, err := r.method.Prepare(context.Background(), r.request(write, "role/ci", nil))
	checkError(t, err, lease.Unsupported, "unsupported operation")
	_, err = r.method.Login(context.Background(), r.request(write, "role/ci", params{"role_id": "a", "secret_id": "b"}))
	checkError(t, err, lease.NotFound, "unsupported path")
	if got := r.method.Type(); got != "approle" {
		t.Errorf("type: got %q", got)
	}
}

func TestExistsTellsCreatingARoleFromChangingIt(t *testing.T) {
	r := newRig(t)
	r.role("ci", nil)
	for path, want := range map[string]bool{
		"role/ci": true, "role/cd": false, "role/CI": false, "role/a b": false,
		"role/ci/policies": true, "role/cd/policies": true, "role/cd/secret-id": true, "tidy/secret-id": true,
	} {
		got, err := r.method.Exists(context.Background(), r.request(write, path, nil))
		if got != want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", path, got, err, want)
		}
	}
}

// A second spelling of a path would get around a policy that denies the first (T4).
func TestT4_ARoleHasOneSpelling(t *testing.T) {
	r := newRig(t)
	r.role("prod", nil)
	const want = `role_name: "PROD" has capital letters, and roles have none: write "prod"`
	for _, e := range []struct {
		op   backend.Operation
		path string
	}{
		{read, ""}, {write, ""}, {del, ""}, {read, "/role-id"}, {write, "/role-id"}, {list, "/secret-id"}, {write, "/secret-id"},
		{write, "/custom-secret-id"}, {write, "/secret-id/lookup"}, {write, "/secret-id/destroy"}, {del, "/secret-id/destroy"},
		{write, "/secret-id-accessor/lookup"}, {write, "/secret-id-accessor/destroy"}, {read, "/policies"}, {write, "/policies"},
		{del, "/policies"},
	} {
		r.refused(e.op, "role/PROD"+e.path, params{"role_id": "x", "secret_id": "x", "secret_id_accessor": "x", "policies": "x"},
			lease.Invalid, want)
	}
	if got := r.keys("role/"); len(got) != 1 {
		t.Errorf("roles: got %q, want prod alone", got)
	}
}
