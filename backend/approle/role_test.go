package approle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

func TestARoleIsMergedAndShown(t *testing.T) {
	r := newRig(t)
	if got := r.must(read, "role/ci", nil); got != nil {
		t.Errorf("a role that is not there: got %v, want nothing", got)
	}
	if got := r.must(list, "role", nil); got != nil {
		t.Errorf("a list of no roles: got %v, want nothing", got)
	}
	fresh := params{
		"bind_secret_id": true, "secret_id_bound_cidrs": []string{}, "secret_id_num_uses": 0, "secret_id_ttl": int64(0),
		"local_secret_ids": false, "token_ttl": int64(0), "token_max_ttl": int64(0), "token_explicit_max_ttl": int64(0),
		"token_period": int64(0), "token_num_uses": 0, "token_policies": []string{}, "token_no_default_policy": false,
		"token_bound_cidrs": []string{}, "token_type": "default",
	}
	r.must(write, "role/ci", nil)
	r.shows("role/ci", fresh)
	r.must(write, "role/ci", params{
		"secret_id_bound_cidrs": "10.1.2.3/8, 127.0.0.1/32", "secret_id_num_uses": json.Number("40"), "secret_id_ttl": "10m",
		"local_secret_ids": false, "role_name": "other", "nonsense": 1,
	})
	r.must(write, "role/ci", params{"token_ttl": "20m", "token_max_ttl": "30m", "token_policies": "Dev,ops"})
	full := params{
		"bind_secret_id": true, "secret_id_bound_cidrs": []string{"10.1.2.3/8", "127.0.0.1/32"}, "secret_id_num_uses": 40,
		"secret_id_ttl": int64(600), "local_secret_ids": false, "token_ttl": int64(1200), "token_max_ttl": int64(1800),
		"token_explicit_max_ttl": int64(0), "token_period": int64(0), "token_num_uses": 0,
		"token_policies": []string{"dev", "ops"}, "token_no_default_policy": false, "token_bound_cidrs": []string{}, "token_type": "default",
	}
	r.shows("role/ci", full)
	r.must(write, "role/ci", params{"policies": "old", "period": 60})
	full["token_policies"], full["policies"] = []string{"old"}, []string{"old"}
	full["token_period"], full["period"] = int64(60), int64(60)
	r.shows("role/ci", full)
	r.must(write, "role/ci", params{
		"secret_id_bound_cidrs": "", "secret_id_num_uses": nil, "secret_id_ttl": "", "bind_secret_id": nil, "token_ttl": nil,
		"token_max_ttl": nil, "token_policies": nil, "token_period": nil,
	})
	r.shows("role/ci", fresh)
}

func (r *rig) shows(path string, want params) {
	r.Helper()
	if got := r.must(read, path, nil); !reflect.DeepEqual(got, want) {
		r.Errorf("%s: got\n%v\nwant\n%v", path, got, want)
	}
}

func TestARoleIDIsAUUIDThatStays(t *testing.T) {
	r := newRig(t)
	first := r.role("ci", nil)
	if id, err := uuid.Parse(first); err != nil || id.Version() != 4 {
		t.Errorf("role_id: got %q, want a random UUID", first)
	}
	if again := r.role("ci", params{"token_ttl": 60}); again != first {
		t.Errorf("a change of the role changed its role_id from %q to %q", first, again)
	}
	if other := r.role("cd", nil); other == first {
		t.Errorf("two roles have the role_id %q", other)
	}
	r.must(del, "role/ci", nil)
	if again := r.role("ci", nil); again == first {
		t.Errorf("a role that was made again has its old role_id %q", again)
	}
}

func TestRefusedRoles(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("x", approle.MaxID+1)
	nets := strings.Repeat("10.0.0.0/8,", 3)
	for i := range 130 {
		nets += fmt.Sprintf(",10.0.%d.0/24", i)
	}
	tests := []struct {
		name   string
		params params
		want   string
	}{
		{"a b", nil, `role_name: path "a b" holds ' '`},
		{"..", nil, `role_name: relative paths not supported: ".."`},
		{"a\nb", nil, `role_name: path "a\nb" holds '\n'`},
		{strings.Repeat("x", approle.MaxRoleName+1), nil, "role_name: 129 bytes long, at most 128 are allowed"},
		{"CI", nil, `role_name: "CI" has capital letters`},
		{"ci", params{"bind_secret_id": false}, "at least one constraint should be enabled on the role"},
		{"ci", params{"bind_secret_id": "perhaps"}, `Field validation failed: error converting input for field "bind_secret_id": ''`},
		{"ci", params{"secret_id_bound_cidrs": "example.com"}, `secret_id_bound_cidrs: "example.com" is neither an address nor a network`},
		{"ci", params{"secret_id_bound_cidrs": nets}, "secret_id_bound_cidrs: more than the 128 entries"},
		{"ci", params{"secret_id_num_uses": -1}, "secret_id_num_uses cannot be negative"},
		{"ci", params{"secret_id_num_uses": 1<<30 + 1}, "secret_id_num_uses is too large: give at most 1073741824"},
		{"ci", params{"secret_id_ttl": "-1"}, `Field validation failed: error converting input for field "secret_id_ttl": cannot provide negative`},
		{"ci", params{"local_secret_ids": true}, "local_secret_ids: every node has every secret_id here"},
		{"ci", params{"role_id": " "}, "missing role_id"},
		{"ci", params{"role_id": long}, "role_id: 4097 bytes long, at most 4096"},
		{"ci", params{"role_id": "a\x00b"}, "role_id: holds the control character U+0000: use plain text"},
		{"ci", params{"token_ttl": "2h", "token_max_ttl": "1h"}, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{"ci", params{"token_bound_cidrs": "x"}, `token_bound_cidrs: "x" is neither`},
	}
	for _, test := range tests {
		r.refused(write, "role/"+test.name, test.params, lease.Invalid, test.want)
	}
	if got := r.keys(""); got != nil {
		t.Errorf("refused writes left %q", got)
	}
}

func TestARoleNeedsAConstraintWhateverWayItIsChanged(t *testing.T) {
	const want = "at least one constraint should be enabled on the role"
	r := newRig(t)
	for _, cidrs := range []string{"secret_id_bound_cidrs", "token_bound_cidrs"} {
		r.must(write, "role/"+strings.ReplaceAll(cidrs, "_", "-"), params{"bind_secret_id": false, cidrs: "10.0.0.0/8"})
	}
	r.refused(write, "role/token-bound-cidrs", params{"token_bound_cidrs": ""}, lease.Invalid, want)
	r.refused(del, "role/token-bound-cidrs/token-bound-cidrs", nil, lease.Invalid, want)
	r.refused(del, "role/secret-id-bound-cidrs/secret-id-bound-cidrs", nil, lease.Invalid, want)
	r.must(write, "role/ci", nil)
	r.refused(write, "role/ci/bind-secret-id", params{"bind_secret_id": "false"}, lease.Invalid, want)
	// Deleting it gives the field its first value, which is a constraint.
	r.must(del, "role/token-bound-cidrs/bind-secret-id", nil)
	r.must(del, "role/token-bound-cidrs/token-bound-cidrs", nil)
}

func TestAMaxTTLPastTheMountsIsWarnedOf(t *testing.T) {
	r := newRig(t)
	r.mount.Config.MaxTTL = time.Hour
	resp, err := r.handle(write, "role/ci", params{"token_max_ttl": "2h"})
	if err != nil || resp == nil || !reflect.DeepEqual(resp.Warnings,
		[]string{"token_max_ttl of 2h0m0s is longer than the mount's limit of 1h0m0s, which tokens will get"}) {
		t.Errorf("got %+v, %v", resp, err)
	}
	if resp, err = r.handle(write, "role/ci", params{"token_max_ttl": "1h"}); resp != nil || err != nil {
		t.Errorf("within the limit: got %+v, %v; want nothing", resp, err)
	}
}

func TestProperties(t *testing.T) {
	tests := []struct {
		path  string
		send  params
		want  params
		after params // when it was deleted
	}{
		{"policies", params{"token_policies": "b,a"}, params{"token_policies": []string{"a", "b"}, "policies": []string{"a", "b"}},
			params{"token_policies": []string{}, "policies": []string{}}},
		{"policies", params{"policies": []any{"c"}}, params{"token_policies": []string{"c"}, "policies": []string{"c"}},
			params{"token_policies": []string{}, "policies": []string{}}},
		{"period", params{"period": "1m"}, params{"token_period": int64(60), "period": int64(60)},
			params{"token_period": int64(0), "period": int64(0)}},
		{"token-ttl", params{"token_ttl": 70}, params{"token_ttl": int64(70)}, params{"token_ttl": int64(0)}},
		{"token-max-ttl", params{"token_max_ttl": "2m"}, params{"token_max_ttl": int64(120)}, params{"token_max_ttl": int64(0)}},
		{"token-num-uses", params{"token_num_uses": 5}, params{"token_num_uses": 5}, params{"token_num_uses": 0}},
		{"token-bound-cidrs", params{"token_bound_cidrs": "10.0.0.0/8"}, params{"token_bound_cidrs": []string{"10.0.0.0/8"}},
			params{"token_bound_cidrs": []string{}}},
		{"secret-id-bound-cidrs", params{"secret_id_bound_cidrs": "10.0.0.0/8"},
			params{"secret_id_bound_cidrs": []string{"10.0.0.0/8"}}, params{"secret_id_bound_cidrs": []string{}}},
		{"secret-id-num-uses", params{"secret_id_num_uses": 3}, params{"secret_id_num_uses": 3}, params{"secret_id_num_uses": 0}},
		{"secret-id-ttl", params{"secret_id_ttl": "1h"}, params{"secret_id_ttl": int64(3600)}, params{"secret_id_ttl": int64(0)}},
		{"bind-secret-id", params{"bind_secret_id": false}, params{"bind_secret_id": false}, params{"bind_secret_id": true}},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			r := newRig(t)
			path := "role/ci/" + test.path
			if got := r.must(read, path, nil); got != nil {
				t.Errorf("of a role that is not there: got %v, want nothing", got)
			}
			r.refused(write, path, test.send, lease.NotFound, `role "ci" does not exist`)
			r.must(del, path, nil)
			if got := r.keys("role/"); got != nil {
				t.Fatalf("a property made the role: %q", got)
			}
			// Constraints of both kinds stay, so that each property can be deleted.
			r.must(write, "role/ci", params{"secret_id_bound_cidrs": "192.0.2.0/24", "token_bound_cidrs": "192.0.2.0/24"})
			before := r.must(read, "role/ci", nil)
			r.refused(write, path, params{"secret_id_ttl_of_somebody": 1}, lease.Invalid, "missing ")

			r.must(write, path, with(test.send, "local_secret_ids", true, "token_explicit_max_ttl", 99))
			r.shows(path, test.want)
			for name, value := range r.must(read, "role/ci", nil) {
				if _, own := test.want[name]; !own && !reflect.DeepEqual(value, before[name]) {
					t.Errorf("%s changed to %v as well", name, value)
				}
			}
			r.must(del, path, nil)
			r.shows(path, test.after)
		})
	}
}

// with is a copy of p with more entries: names and values in turn.
func with(p params, more ...any) params {
	out := params{}
	for name, value := range p {
		out[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

func TestListsComeInPages(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.role(fmt.Sprintf("r%d", i), nil)
		r.secret("r0", nil)
	}
	for _, path := range []string{"role", "role/r0/secret-id"} {
		all := r.must(list, path, params{"list": "true"})["keys"].([]string)
		if len(all) != 5 {
			t.Fatalf("%s: got %q, want 5 keys", path, all)
		}
		var got []string
		for p := (params{"limit": 2}); ; {
			data := r.must(list, path, p)
			keys := data["keys"].([]string)
			got = append(got, keys...)
			next, more := data["next"]
			if !more {
				break
			}
			if len(keys) != 2 || next != keys[1] {
				t.Fatalf("%s: got page %v", path, data)
			}
			p["after"] = next
		}
		if !reflect.DeepEqual(got, all) {
			t.Errorf("%s: the pages hold %q, want %q", path, got, all)
		}
		if got := r.must(list, path, params{"after": all[4]}); got != nil {
			t.Errorf("%s after the last: got %v, want nothing", path, got)
		}
		r.refused(list, path, params{"limit": -1}, lease.Invalid, "limit: -1 is negative")
	}
	r.refused(list, "role/none/secret-id", nil, lease.NotFound, `role "none" does not exist`)
}

// renew asks for the renewal of a login's token.
func (r *rig) renew(role string) (*backend.LoginLimits, error) {
	return r.method.RenewLogin(context.Background(), &backend.LoginRenewal{
		Mount: r.mount, Token: &lease.Token{Role: role}, Store: r.use,
	})
}

func TestARenewalGoesByTheRoleAsItIsNow(t *testing.T) {
	r := newRig(t)
	r.role("ci", params{"token_ttl": "1m"})
	r.must(write, "role/ci", params{"token_ttl": "2m", "token_max_ttl": "3m", "token_period": "4m"})
	got, err := r.renew("ci")
	want := backend.LoginLimits{TTL: 2 * time.Minute, MaxTTL: 3 * time.Minute, Period: 4 * time.Minute}
	if err != nil || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	r.must(del, "role/ci", nil)
	for _, name := range []string{"ci", "", "x/y"} {
		_, err = r.renew(name)
		checkError(t, err, lease.Invalid, fmt.Sprintf("role %q does not exist any more", name))
	}
}
