package approle_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

func hexSHA(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// encoded is the SHA-256 of text as JSON holds bytes.
func encoded(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestALoginEarnsWhatRoleAndSecretIDSay(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{
		"token_ttl": "20m", "token_max_ttl": "30m", "token_explicit_max_ttl": "40m", "token_num_uses": 7, "token_policies": "dev",
		"token_no_default_policy": true, "token_bound_cidrs": "192.0.2.0/24", "token_period": "0",
	})
	id, _ := r.secret("ci", params{"metadata": `{"tag":"x","role_name":"forged"}`, "token_bound_cidrs": "192.0.2.7"})
	got, err := r.login(" "+roleID, id+"\n")
	want := &backend.LoginPlan{
		Role: "ci", DisplayName: "approle", Policies: []string{"dev"}, Meta: map[string]string{"tag": "x", "role_name": "ci"},
		LoginLimits:     backend.LoginLimits{TTL: 20 * time.Minute, MaxTTL: 30 * time.Minute},
		NoDefaultPolicy: true, ExplicitMaxTTL: 40 * time.Minute, NumUses: 7, BoundCIDRs: []string{"192.0.2.7"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, %v\nwant\n%+v", got, err, want)
	}
	r.mount = &lease.Mount{ID: "m1", Path: "auth/team/machines/"}
	plain, _ := r.secret("ci", nil)
	got, err = r.login(roleID, plain)
	if err != nil || got.DisplayName != "team-machines" || !reflect.DeepEqual(got.BoundCIDRs, []string{"192.0.2.0/24"}) ||
		!reflect.DeepEqual(got.Meta, map[string]string{"role_name": "ci"}) {
		t.Errorf("without wishes, at another path: got %+v, %v", got, err)
	}
}

func TestUsesRunOut(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"secret_id_num_uses": 3})
	id, accessor := r.secret("ci", nil)
	for left := 2; left >= 0; left-- {
		r.pass(time.Second)
		r.loginWorks(roleID, id, true)
		data, err := r.handle(write, "role/ci/secret-id-accessor/lookup", params{"secret_id_accessor": accessor})
		if left == 0 {
			checkError(t, err, lease.NotFound, "failed to find accessor entry")
		} else if err != nil || data.Data["secret_id_num_uses"] != left || data.Data["last_updated_time"] != r.now.String() {
			t.Errorf("%d uses left: got %v, %v", left, data, err)
		}
	}
	r.loginWorks(roleID, id, false)
	if got := r.keys("secret-id/"); got != nil {
		t.Errorf("a used up secret_id left %q", got)
	}
	unlimited, _ := func() (string, string) { r.role("free", nil); return r.secret("free", nil) }()
	free := r.must(read, "role/free/role-id", nil)["role_id"].(string)
	for range 5 {
		r.loginWorks(free, unlimited, true)
	}
}

// A refused login takes no use: else anybody who learnt a role_id could wear out its secret_ids.
func TestARefusedLoginTakesNoUse(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"secret_id_bound_cidrs": "192.0.2.0/24", "secret_id_num_uses": 1})
	id, _ := r.secret("ci", nil)
	r.from = "198.51.100.1"
	r.loginWorks(roleID, id, false)
	r.from = "192.0.2.7"
	r.loginWorks(roleID, id+"x", false)
	r.loginWorks(roleID, id, true)
}

func TestASecretIDEndsByTheClock(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"secret_id_ttl": "10m"})
	id, accessor := r.secret("ci", nil)
	r.pass(10*time.Minute - 1)
	r.loginWorks(roleID, id, true)
	r.pass(1)
	r.loginWorks(roleID, id, false) // though the store has it still
	if got := r.must(write, "role/ci/secret-id/lookup", params{"secret_id": id}); got != nil {
		t.Errorf("lookup at its end: got %v, want nothing", got)
	}
	r.refused(write, "role/ci/secret-id-accessor/destroy", params{"secret_id_accessor": accessor}, lease.NotFound, "failed to find")
}

func TestWhereLoginsMayComeFrom(t *testing.T) {
	tests := []struct {
		name, role, secret, from string
		want                     bool
	}{
		{"anywhere", "", "", "198.51.100.1", true},
		{"anywhere, from nobody knows where", "", "", "", true},
		{"the role's network", "192.0.2.0/24", "", "192.0.2.7", true},
		{"the role's network, as IPv6 writes it", "192.0.2.0/24", "", "::ffff:192.0.2.7", true},
		{"beside the role's network", "192.0.2.0/24", "", "192.0.3.7", false},
		{"the role's network, from nobody knows where", "192.0.2.0/24", "", "", false},
		{"the secret_id's address", "192.0.2.0/24", "192.0.2.7", "192.0.2.7", true},
		{"beside the secret_id's address", "192.0.2.0/24", "192.0.2.7", "192.0.2.8", false},
		{"the secret_id's alone", "", "192.0.2.7", "192.0.2.7", true},
		{"beside the secret_id's alone", "", "192.0.2.7", "2001:db8::1", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			roleID := r.role("ci", params{"secret_id_bound_cidrs": test.role})
			id, _ := r.secret("ci", params{"cidr_list": test.secret})
			r.from = test.from
			r.loginWorks(roleID, id, test.want)
		})
	}
}

// A role that is made stricter counts for the secret_ids that it has.
func TestAStricterRoleCountsForOldSecretIDs(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"token_bound_cidrs": "10.0.0.0/8"})
	id, _ := r.secret("ci", params{"token_bound_cidrs": "10.1.0.0/16,10.2.0.0/16"})
	tokens := func(want ...string) {
		t.Helper()
		plan, err := r.login(roleID, id)
		if err != nil || !slices.Equal(plan.BoundCIDRs, want) {
			t.Errorf("got %+v, %v; want the networks %q", plan, err, want)
		}
	}
	tokens("10.1.0.0/16", "10.2.0.0/16")
	r.must(write, "role/ci", params{"token_bound_cidrs": "10.1.2.0/24"})
	tokens("10.1.2.0/24")
	r.must(write, "role/ci", params{"token_bound_cidrs": "10.3.0.0/16"})
	r.loginWorks(roleID, id, false)
	r.must(write, "role/ci", params{"token_bound_cidrs": "", "secret_id_bound_cidrs": "10.9.0.0/16"})
	r.loginWorks(roleID, id, false)
}

func TestARoleWithoutSecretIDs(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", params{"bind_secret_id": false, "secret_id_bound_cidrs": "192.0.2.0/24"})
	for _, secretID := range []string{"", "whatever"} {
		plan, err := r.login(roleID, secretID)
		if err != nil || plan.Role != "ci" || !reflect.DeepEqual(plan.Meta, map[string]string{"role_name": "ci"}) {
			t.Errorf("secret_id %q: got %+v, %v", secretID, plan, err)
		}
	}
	r.must(write, "role/ci/bind-secret-id", params{"bind_secret_id": true})
	_, err := r.login(roleID, "")
	checkError(t, err, lease.Invalid, "missing secret_id")
	r.loginWorks(roleID, "whatever", false)
}

func TestACustomRoleID(t *testing.T) {
	r := newRig(t)
	first := r.role("ci", nil)
	id, _ := r.secret("ci", nil)
	r.must(write, "role/ci/role-id", params{"role_id": " host-7 ", "token_ttl": 5})
	r.shows("role/ci/role-id", params{"role_id": "host-7"})
	if got := r.must(read, "role/ci", nil)["token_ttl"]; got != int64(0) {
		t.Errorf("role-id changed token_ttl to %v", got)
	}
	r.loginWorks("host-7", id, true)
	r.loginWorks(first, id, false)
	const taken = "role_id: already in use by a role of this mount"
	r.pass(time.Hour)
	r.role("cd", nil)
	r.refused(write, "role/cd/role-id", params{"role_id": "host-7"}, lease.Invalid, taken)
	r.refused(write, "role/ce", params{"role_id": "host-7"}, lease.Invalid, taken)
	if got := r.must(read, "role/ce", nil); got != nil {
		t.Errorf("a refused role_id left the role %v", got)
	}
	r.must(write, "role/ci/role-id", params{"role_id": "host-7"}) // its own
	r.loginWorks("host-7", id, true)
	r.must(del, "role/ci", nil)
	r.must(write, "role/cd/role-id", params{"role_id": "host-7"}) // free again at once
	r.loginWorks("host-7", id, false)
	r.must(write, "role/cd/role-id", params{"role_id": first})
	if got := r.keys("role-id/"); len(got) != 1 {
		t.Errorf("one role has %d role_ids", len(got))
	}
}

// tracer notes what is read.
type tracer struct {
	backend.Store
	reads []string
}

func (s *tracer) Get(key string) ([]byte, bool, error) {
	s.reads = append(s.reads, kind(key))
	return s.Store.Get(key)
}

func (s *tracer) Look(key string) ([]byte, backend.Version, error) {
	s.reads = append(s.reads, kind(key))
	return s.Store.Look(key)
}

func (s *tracer) Swap(context.Context, string, backend.Version, []byte, time.Duration) error {
	return errors.New("a refused login writes")
}

func kind(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

// T2, T29: whatever is wrong, the answer and the steps to it are the same.
func TestT29_WrongProofsAreOfOneKind(t *testing.T) {
	r := newRig(t)
	empty := newRig(t)
	ci := r.role("ci", params{"secret_id_ttl": "1h"})
	bound := r.role("bound", params{"secret_id_bound_cidrs": "10.0.0.0/8"})
	open := r.role("open", params{"bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8"})
	gone := r.role("gone", nil)
	id, _ := r.secret("ci", nil)
	boundID, _ := r.secret("bound", nil)
	elsewhere, _ := r.secret("ci", params{"cidr_list": "10.0.0.1"})
	goneID, _ := r.secret("gone", nil)
	r.must(del, "role/gone", nil)
	tests := []struct {
		name             string
		on               *rig
		roleID, secretID string
		wait             time.Duration
	}{
		{"an unknown role", r, "nobody", id, 0},
		{"a role's name", r, "ci", id, 0},
		{"a deleted role", r, gone, goneID, 0},
		{"a wrong secret_id", r, ci, "nothing", 0},
		{"another role's secret_id", r, ci, boundID, 0},
		{"an expired secret_id", r, ci, id, time.Hour},
		{"an address that the role does not take", r, bound, boundID, 0},
		{"an address that the secret_id does not take", r, ci, elsewhere, 0},
		{"an address that a role without secret_ids does not take", r, open, "x", 0},
		{"an empty mount", empty, ci, id, 0},
	}
	want := []string{"key", "role-id", "role", "secret-id"}
	for _, secretID := range []bool{true, false} {
		for _, test := range tests {
			trace := &tracer{Store: test.on.store}
			req := test.on.request(write, "login", params{"role_id": test.roleID, "secret_id": test.secretID})
			req.Store, req.Now = trace, r.now.Add(test.wait)
			text := "invalid role or secret ID"
			if !secretID {
				text = "missing secret_id"
				delete(req.Params, "secret_id")
			}
			_, err := test.on.method.Login(context.Background(), req)
			if e := new(lease.Error); !errors.As(err, &e) || e.Code != lease.Invalid || e.Error() != text {
				t.Errorf("%s: got %v, want %q", test.name, err, text)
			}
			if !slices.Equal(trace.reads, want) {
				t.Errorf("%s: reads %q, want %q", test.name, trace.reads, want)
			}
		}
	}
}

func TestWhatIsNoLogin(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("x", 4097)
	for _, test := range []struct {
		send params
		want string
	}{
		{nil, "missing role_id"},
		{params{"secret_id": "x"}, "missing role_id"},
		{params{"role_id": " ", "secret_id": "x"}, "missing role_id"},
		{params{"role_id": nil}, "missing role_id"},
		{params{"role_id": "x"}, "missing secret_id"},
		{params{"role_id": "x", "secret_id": "\n"}, "missing secret_id"},
		{params{"role_id": long, "secret_id": "x"}, "invalid role or secret ID"},
		{params{"role_id": "x", "secret_id": long}, "invalid role or secret ID"},
		{params{"role_id": long}, "missing secret_id"},
		{params{"role_id": params{}, "secret_id": "x"}, `Field validation failed: error converting input for field "role_id"`},
		{params{"role_id": json.Number("7"), "secret_id": json.Number("8")}, "invalid role or secret ID"},
	} {
		_, err := r.method.Login(context.Background(), r.request(write, "login", test.send))
		checkError(t, err, lease.Invalid, test.want)
	}
}
