package approle_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leasehold/leasehold/backend/approle"
	"github.com/leasehold/leasehold/lease"
)

func TestASecretIDIsMadeShownListedAndDestroyed(t *testing.T) {
	r := newRig(t)
	r.role("ci", params{"secret_id_num_uses": 40, "secret_id_ttl": "10m"})
	resp, err := r.handle(write, "role/ci/secret-id", params{
		"metadata": `{"tag":"production","n":7}`, "cidr_list": "192.0.2.0/24", "token_bound_cidrs": []any{"192.0.2.7"},
		"num_uses": json.Number("5"), "ttl": "1m", "role_name": "other", "zoo": 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	id, accessor := resp.Data["secret_id"].(string), resp.Data["secret_id_accessor"].(string)
	for _, text := range []string{id, accessor} {
		if u, err := uuid.Parse(text); err != nil || u.Version() != 4 {
			t.Errorf("%q is no random UUID", text)
		}
	}
	if want := (params{
		"secret_id": id, "secret_id_accessor": accessor, "secret_id_ttl": int64(60), "secret_id_num_uses": 5,
	}); !reflect.DeepEqual(resp.Data, want) || id == accessor {
		t.Errorf("got %v, want %v", resp.Data, want)
	}
	if want := []string{
		"Endpoint ignored these unrecognized parameters: [zoo]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [role_name]",
	}; !reflect.DeepEqual(resp.Warnings, want) {
		t.Errorf("warnings: got %q, want %q", resp.Warnings, want)
	}
	want := params{
		"secret_id_accessor": accessor, "secret_id_num_uses": 5, "secret_id_ttl": int64(60),
		"creation_time": "2027-01-15T09:00:00Z", "last_updated_time": "2027-01-15T09:00:00Z", "expiration_time": "2027-01-15T09:01:00Z",
		"cidr_list": []string{"192.0.2.0/24"}, "token_bound_cidrs": []string{"192.0.2.7"},
		"metadata": map[string]string{"tag": "production", "n": "7"},
	}
	for path, p := range map[string]params{
		"role/ci/secret-id/lookup":          {"secret_id": " " + id},
		"role/ci/secret-id-accessor/lookup": {"secret_id_accessor": accessor},
	} {
		if got := r.must(write, path, p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", path, got, want)
		}
	}
	_, other := r.secret("ci", nil)
	if got := r.must(list, "role/ci/secret-id", nil)["keys"].([]string); len(got) != 2 {
		t.Errorf("accessors: got %q, want two", got)
	}
	r.must(write, "role/ci/secret-id/destroy", params{"secret_id": id})
	if got := r.must(list, "role/ci/secret-id", nil)["keys"]; !reflect.DeepEqual(got, []string{other}) {
		t.Errorf("accessors: got %q, want %q alone", got, other)
	}
	r.must(del, "role/ci/secret-id-accessor/destroy", params{"secret_id_accessor": other})
	if got := r.must(list, "role/ci/secret-id", nil); got != nil {
		t.Errorf("accessors: got %q, want none", got)
	}
}

func TestASecretIDWithoutWishesIsTheRoles(t *testing.T) {
	r := newRig(t)
	r.role("limited", params{"secret_id_num_uses": 40, "secret_id_ttl": "10m"})
	r.role("free", nil)
	for _, test := range []struct {
		role string
		send params
		ttl  int64
		uses int
		end  string
	}{
		{"limited", nil, 600, 40, "2027-01-15T09:10:00Z"},
		{"limited", params{"ttl": nil, "num_uses": nil, "metadata": nil, "cidr_list": nil}, 600, 40, "2027-01-15T09:10:00Z"},
		{"free", params{"metadata": ""}, 0, 0, "0001-01-01T00:00:00Z"},
		{"free", params{"ttl": 30, "num_uses": "2"}, 30, 2, "2027-01-15T09:00:30Z"},
	} {
		id, _ := r.secret(test.role, test.send)
		got := r.must(write, "role/"+test.role+"/secret-id/lookup", params{"secret_id": id})
		if got["secret_id_ttl"] != test.ttl || got["secret_id_num_uses"] != test.uses || got["expiration_time"] != test.end ||
			!reflect.DeepEqual(got["metadata"], map[string]string{}) || !reflect.DeepEqual(got["cidr_list"], []string{}) {
			t.Errorf("%s %v: got %v", test.role, test.send, got)
		}
	}
	r.mount.Config.MaxTTL = time.Minute
	resp, err := r.handle(write, "role/limited/secret-id", nil)
	if err != nil || resp.Data["secret_id_ttl"] != int64(60) ||
		!reflect.DeepEqual(resp.Warnings, []string{"the secret_id lives for 1m0s, which is the mount's limit"}) {
		t.Errorf("past the mount's limit: got %+v, %v", resp, err)
	}
}

func TestACustomSecretID(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	send := params{"secret_id": "  testsecretid\t", "num_uses": 1}
	data := r.must(write, "role/ci/custom-secret-id", send)
	if data["secret_id"] != "testsecretid" || data["secret_id_num_uses"] != 1 {
		t.Errorf("got %v", data)
	}
	const taken = "secret_id: already registered with the role"
	r.refused(write, "role/ci/custom-secret-id", send, lease.Invalid, taken)
	r.role("cd", nil)
	other := r.must(write, "role/cd/custom-secret-id", send) // another role's is another one
	if other["secret_id_accessor"] == data["secret_id_accessor"] {
		t.Errorf("two roles' secret_ids have the accessor %v, which tells that they are alike", other["secret_id_accessor"])
	}
	r.loginWorks(roleID, "testsecretid", true)
	r.loginWorks(roleID, "testsecretid", false)
	r.must(write, "role/ci/custom-secret-id", send) // a used one may be registered again

	r.must(write, "role/ci/custom-secret-id", params{"secret_id": "short", "ttl": 10})
	r.refused(write, "role/ci/custom-secret-id", params{"secret_id": "short"}, lease.Invalid, taken)
	r.pass(10 * time.Second)
	r.must(write, "role/ci/custom-secret-id", params{"secret_id": "short"}) // and an expired one that is not yet removed
	r.loginWorks(roleID, "short", true)
}

func TestRefusedSecretIDs(t *testing.T) {
	r := newRig(t)
	r.role("ci", params{
		"secret_id_num_uses": 5, "secret_id_ttl": "1h", "secret_id_bound_cidrs": "10.0.0.0/8,2001:db8::/32", "token_bound_cidrs": "10.1.0.0/16",
	})
	r.role("open", params{"bind_secret_id": false, "token_bound_cidrs": "10.0.0.0/8"})
	many := params{}
	for i := range approle.MaxMetadata + 1 {
		many[fmt.Sprint(i)] = "x"
	}
	tests := []struct {
		path string
		send params
		want string
	}{
		{"ci/secret-id", params{"num_uses": 0}, "num_uses cannot be higher than the role's secret_id_num_uses"},
		{"ci/secret-id", params{"num_uses": 6}, "num_uses cannot be higher than the role's secret_id_num_uses"},
		{"ci/secret-id", params{"num_uses": -1}, "num_uses cannot be negative"},
		{"ci/secret-id", params{"num_uses": "many"}, `Field validation failed: error converting input for field "num_uses"`},
		{"ci/secret-id", params{"ttl": "0"}, "ttl cannot be longer than the role's secret_id_ttl"},
		{"ci/secret-id", params{"ttl": "61m"}, "ttl cannot be longer than the role's secret_id_ttl"},
		{"ci/secret-id", params{"ttl": "-1"}, `Field validation failed: error converting input for field "ttl"`},
		{"ci/secret-id", params{"cidr_list": "nowhere"}, `cidr_list: "nowhere" is neither`},
		{"ci/secret-id", params{"cidr_list": "10.0.0.0/8,11.0.0.1"}, `cidr_list: "11.0.0.1" is not within the role's secret_id_bound_cidrs`},
		{"ci/secret-id", params{"cidr_list": "0.0.0.0/0"}, `cidr_list: "0.0.0.0/0" is not within`},
		{"ci/secret-id", params{"cidr_list": "10.0.0.0/7"}, `cidr_list: "10.0.0.0/7" is not within`},
		{"ci/secret-id", params{"cidr_list": "::/0"}, `cidr_list: "::/0" is not within`},
		{"ci/secret-id", params{"token_bound_cidrs": "10.0.0.0/15"}, `token_bound_cidrs: "10.0.0.0/15" is not within the role's token_bound_cidrs`},
		{"ci/secret-id", params{"metadata": many}, "metadata: 64 entries, at most 63"},
		{"ci/secret-id", params{"metadata": params{"a": strings.Repeat("x", 513)}}, "metadata: a text of 513 bytes"},
		{"ci/secret-id", params{"metadata": params{"a": "b\x1b[2J"}}, `metadata: "a" holds the control character`},
		{"ci/secret-id", params{"metadata": "[1]"}, `Field validation failed: error converting input for field "metadata"`},
		{"ci/secret-id", params{"metadata": `{"a":"canary"`}, `Field validation failed: error converting input for field "metadata"`},
		{"ci/custom-secret-id", nil, "missing secret_id"},
		{"ci/custom-secret-id", params{"secret_id": " "}, "missing secret_id"},
		{"ci/custom-secret-id", params{"secret_id": strings.Repeat("x", 4097)}, "secret_id: 4097 bytes long"},
		{"ci/custom-secret-id", params{"secret_id": "canary\x00"}, "secret_id: holds the control character"},
		{"open/secret-id", nil, "bind_secret_id is not set on the role"},
		{"open/custom-secret-id", params{"secret_id": "x"}, "bind_secret_id is not set on the role"},
		{"ci/secret-id/lookup", nil, "missing secret_id"},
		{"ci/secret-id/destroy", nil, "missing secret_id"},
		{"ci/secret-id-accessor/lookup", nil, "missing secret_id_accessor"},
		{"ci/secret-id-accessor/destroy", nil, "missing secret_id_accessor"},
		{"ci/role-id", nil, "missing role_id"},
		{"ci/role-id", params{"role_id": nil}, "missing role_id"},
	}
	for _, test := range tests {
		r.refused(write, "role/"+test.path, test.send, lease.Invalid, test.want)
		if _, err := r.handle(write, "role/"+test.path, test.send); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error tells a secret: %v", test.path, err)
		}
	}
	if got := r.keys("secret-id/"); got != nil {
		t.Errorf("refused writes left %q", got)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"secret-id", "custom-secret-id", "role-id", "secret-id/lookup", "secret-id/destroy",
		"secret-id-accessor/lookup", "secret-id-accessor/destroy"} {
		r.refused(write, "role/none/"+path, params{"secret_id": "x", "secret_id_accessor": "x", "role_id": "x"}, lease.NotFound,
			`role "none" does not exist`)
	}
	r.role("ci", nil)
	r.role("cd", nil)
	id, accessor := r.secret("ci", nil)
	for _, path := range []string{"role/ci/secret-id", "role/cd/secret-id"} {
		for _, verb := range []string{"/lookup", "/destroy"} {
			if got := r.must(write, path+verb, params{"secret_id": "another"}); got != nil {
				t.Errorf("%s%s: got %v, want nothing", path, verb, got)
			}
		}
	}
	// A secret_id is out of reach through another role, whoever knows it or its accessor.
	r.must(write, "role/cd/secret-id/destroy", params{"secret_id": id})
	for _, unknown := range []string{accessor, "another", "../" + accessor, strings.ToUpper(accessor), "{" + accessor + "}"} {
		for _, verb := range []string{"lookup", "destroy"} {
			r.refused(write, "role/cd/secret-id-accessor/"+verb, params{"secret_id_accessor": unknown}, lease.NotFound,
				fmt.Sprintf("failed to find accessor entry for secret_id_accessor: %q", unknown))
		}
	}
	if got := r.must(write, "role/ci/secret-id/lookup", params{"secret_id": id}); got == nil {
		t.Error("another role's requests removed the secret_id")
	}
}

// T1: neither the keys nor the values of the store hold a secret_id or its plain hash. The keys, which are
// not sealed, do not hold role_ids either.
func TestT1_OnlyKeyedHashesAreStored(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	r.must(write, "role/cd", params{"role_id": "host-7"})
	made, _ := r.secret("ci", nil)
	r.must(write, "role/ci/custom-secret-id", params{"secret_id": "canary"})
	for _, key := range r.keys("") {
		value, _, err := r.store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{made, "canary", encoded("canary"), encoded(made)} {
			if strings.Contains(string(value), secret) {
				t.Errorf("%s: the value holds %q", key, secret)
			}
		}
		for _, secret := range []string{made, "canary", roleID, hexSHA("canary"), hexSHA(made), hexSHA(roleID), "host-7"} {
			if strings.Contains(key, secret) {
				t.Errorf("the key %s holds %q", key, secret)
			}
		}
	}
	// Two mounts have different keys: what is found in one says nothing about the other.
	other := newRig(t)
	other.role("ci", nil)
	mine, _, _ := r.store.Get("key")
	its, _, _ := other.store.Get("key")
	if len(mine) != 32 || len(its) != 32 || string(mine) == string(its) {
		t.Errorf("the mounts' keys have %d and %d bytes; want 32 different ones each", len(mine), len(its))
	}
}

func TestTheStoreRemovesASecretIDAtItsEnd(t *testing.T) {
	r := newRig(t)
	roleID := r.role("ci", nil)
	id, accessor := r.secret("ci", params{"ttl": "1h", "num_uses": 3})
	keys := r.keys("secret-id/")
	if len(keys) != 1 || !strings.HasSuffix(keys[0], "/"+accessor) || r.store.TTL(keys[0]) != time.Hour {
		t.Fatalf("got %q with a time to live of %v", keys, r.store.TTL(keys[0]))
	}
	r.pass(15 * time.Minute)
	r.loginWorks(roleID, id, true)
	if got := r.store.TTL(keys[0]); got != 45*time.Minute {
		t.Errorf("after a use the entry lives for %v, want what was left, 45m", got)
	}
	forever, _ := r.secret("ci", params{"num_uses": 3})
	r.pass(400 * 24 * time.Hour)
	r.loginWorks(roleID, forever, true)
	for _, key := range r.keys("secret-id/") {
		if key != keys[0] && r.store.TTL(key) != 0 {
			t.Errorf("a secret_id without an end lives for %v", r.store.TTL(key))
		}
	}
}
