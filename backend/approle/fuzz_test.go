package approle_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

// FuzzLogin: nothing but the two right texts logs in, and whoever fails changes nothing.
func FuzzLogin(f *testing.F) {
	r := newRig(f)
	r.role("ci", params{"role_id": "host-7"})
	r.must(write, "role/ci/custom-secret-id", params{"secret_id": "testsecretid"})
	f.Add("host-7", "testsecretid")
	f.Add(" host-7\t", "testsecretid\n")
	f.Add("host-7", "")
	f.Add("", "testsecretid")
	f.Add("ci", "role/ci")
	f.Add("host-7/../ci", "testsecretid\x00")
	before := r.keys("")
	texts := []string{"missing role_id", "missing secret_id", "invalid role or secret ID"}
	f.Fuzz(func(t *testing.T, roleID, secretID string) {
		plan, err := r.login(roleID, secretID)
		right := strings.TrimSpace(roleID) == "host-7" && strings.TrimSpace(secretID) == "testsecretid"
		var e *lease.Error
		switch {
		case right && (err != nil || plan.Role != "ci"):
			t.Errorf("got %+v, %v", plan, err)
		case !right && (plan != nil || !errors.As(err, &e) || e.Code != lease.Invalid || !slices.Contains(texts, e.Message)):
			t.Errorf("%q, %q: got %+v, %v", roleID, secretID, plan, err)
		}
		if !slices.Equal(r.keys(""), before) {
			t.Errorf("a login changed the store")
		}
	})
}

// FuzzT15_Paths: Route and Handle are of one mind about every path, and what is written lies where the package
// says it does.
func FuzzT15_Paths(f *testing.F) {
	for _, path := range []string{"role/ci", "role/ci/secret-id", "role//x", "role/../key", "role/A", "key", "role/ci/policies", "login", "role"} {
		f.Add(path, uint8(write))
	}
	f.Add("role/:name", uint8(read))
	f.Fuzz(func(t *testing.T, path string, verb uint8) {
		r := newRig(t)
		op := backend.Operation(verb%4) + 1
		class, routed := r.method.Route(op, path)
		_, err := r.handle(op, path, params{"secret_id": "x", "secret_id_accessor": "x", "role_id": "x"})
		var e *lease.Error
		unknown := errors.As(err, &e) && (e.Message == "unsupported path" || e.Message == "unsupported operation")
		if (routed != nil) != unknown && class != backend.Login {
			t.Errorf("%d %q: Route says %v, Handle says %v", op, path, routed, err)
		}
		for _, key := range r.keys("") {
			kind, rest, _ := strings.Cut(key, "/")
			if !slices.Contains([]string{"key", "role", "role-id"}, kind) || strings.Contains(rest, "/") {
				t.Errorf("%d %q wrote %q", op, path, key)
			}
		}
	})
}

// FuzzSecretID: whatever is asked for, a secret_id lies within what its role allows.
func FuzzSecretID(f *testing.F) {
	f.Add(`{"ttl":"10m","num_uses":3,"cidr_list":"10.1.0.0/16","metadata":"{\"a\":\"b\"}"}`)
	f.Add(`{"ttl":9223372036854775807,"num_uses":-1}`)
	f.Add(`{"ttl":"106752d","num_uses":"0x1","token_bound_cidrs":["10.0.0.1","::ffff:10.0.0.0/104"]}`)
	f.Add(`{"metadata":{"\u2028":"x"},"cidr_list":"0.0.0.0/0"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var p params
		dec := json.NewDecoder(strings.NewReader(body))
		dec.UseNumber()
		if dec.Decode(&p) != nil {
			return
		}
		r := newRig(t)
		r.role("ci", params{"secret_id_ttl": "1h", "secret_id_num_uses": 5, "secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.0.0.0/8"})
		resp, err := r.handle(write, "role/ci/secret-id", p)
		if err != nil {
			if e := new(lease.Error); !errors.As(err, &e) || e.Code != lease.Invalid {
				t.Errorf("got %v, want an error that blames the request", err)
			}
			return
		}
		got := r.must(write, "role/ci/secret-id/lookup", params{"secret_id": resp.Data["secret_id"]})
		ttl, uses := got["secret_id_ttl"].(int64), got["secret_id_num_uses"].(int)
		if ttl < 1 || ttl > 3600 || uses < 1 || uses > 5 || len(got["metadata"].(map[string]string)) > approle.MaxMetadata {
			t.Errorf("got %v", got)
		}
		if end := lease.At(r.now.Std().Add(time.Duration(ttl) * time.Second)).String(); got["expiration_time"] != end {
			t.Errorf("ends at %v, want %v", got["expiration_time"], end)
		}
		// Wherever it may be used from, and whatever its tokens may be used from, the role covers it.
		roleID := r.must(read, "role/ci/role-id", nil)["role_id"].(string)
		r.from = "192.0.2.7"
		r.loginWorks(roleID, resp.Data["secret_id"].(string), false)
	})
}
