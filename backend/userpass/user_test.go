package userpass_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

var (
	_ backend.Authenticator = userpass.New()
	_ backend.Existing      = userpass.New()
)

func TestRoute(t *testing.T) {
	const none, verb = backend.Class(0), backend.Class(99) // no such path, no such verb
	tests := []struct {
		path                      string
		read, list, write, delete backend.Class
	}{
		{"users", verb, backend.Query, verb, verb},
		{"users/alice", backend.Query, verb, backend.Change, backend.Change},
		{"users/alice/password", verb, verb, backend.Change, verb},
		{"users/alice/policies", verb, verb, backend.Change, verb},
		{"users/alice/unlock", verb, verb, backend.Change, verb},
		{"login/alice", verb, verb, backend.Login, verb},
		{"", none, none, none, none},
		{"login", none, none, none, none},
		{"users/", none, none, none, none},
		{"users//password", none, none, none, none},
		{"users/alice/", none, none, none, none},
		{"users/alice/other", none, none, none, none},
		{"users/alice/password/x", none, none, none, none},
		{"login/alice/password", none, none, none, none},
		{"login/a/b", none, none, none, none},
		{"config", none, none, none, none},
	}
	for _, test := range tests {
		for op, want := range map[backend.Operation]backend.Class{
			backend.Read: test.read, backend.List: test.list, backend.Write: test.write, backend.Delete: test.delete,
		} {
			class, err := userpass.New().Route(op, test.path)
			what := fmt.Sprintf("operation %d on %q", op, test.path)
			switch want {
			case none:
				wantError(t, what, err, lease.NotFound, "unsupported path")
			case verb:
				wantError(t, what, err, lease.Unsupported, "unsupported operation")
			default:
				if class != want || err != nil {
					t.Errorf("%s: class %d, %v; want %d", what, class, err, want)
				}
			}
			if want == none || want == verb {
				w := newWorld(t)
				if _, err := w.handle(op, test.path, ""); err == nil {
					t.Errorf("%s: Handle serves what Route refuses", what)
				}
			}
		}
	}
}

func TestTheMethodIssuesNothing(t *testing.T) {
	w := newWorld(t)
	if got := w.b.Type(); got != "userpass" {
		t.Errorf("type: got %q", got)
	}
	_, err := w.b.Prepare(context.Background(), w.request(backend.Read, "users/alice", ""))
	wantError(t, "prepare", err, lease.Unsupported, "unsupported operation")
	_, err = w.handle(backend.Write, "login/alice", `{"password": "p"}`)
	wantError(t, "a login as a change", err, lease.Unsupported, "unsupported operation")
}

func TestUserIsMadeReadChangedListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	if got := w.read("alice"); got != nil {
		t.Errorf("before: got %v, want nothing", got)
	}
	if resp, err := w.handle(backend.List, "users", ""); resp != nil || err != nil {
		t.Errorf("list of nobody: got %v, %v; want nothing", resp, err)
	}
	w.write("users/alice", `{"password": "s3cret-Pass", "token_policies": "Dev,ops", "ttl": "1h", "token_max_ttl": 7200, "token_bound_cidrs": "192.0.2.0/24"}`)
	w.write("users/bob", `{"password": "other"}`)
	want := map[string]any{
		"token_ttl": int64(3600), "token_max_ttl": int64(7200), "token_explicit_max_ttl": int64(0), "token_period": int64(0),
		"token_num_uses": 0, "token_policies": []string{"dev", "ops"}, "token_no_default_policy": false,
		"token_bound_cidrs": []string{"192.0.2.0/24"}, "token_type": "default", "ttl": int64(3600),
	}
	if got := w.read("alice"); !reflect.DeepEqual(got, want) {
		t.Errorf("read: got  %v\nwant %v", got, want)
	}
	w.write("users/alice", `{"token_num_uses": 3}`)
	want["token_num_uses"] = 3
	if got := w.read("alice"); !reflect.DeepEqual(got, want) {
		t.Errorf("after an update: got  %v\nwant %v", got, want)
	}
	w.want("after an update without a password", "alice", "s3cret-Pass", in, 1)
	if ttl := w.store.TTL("user/alice"); ttl != 0 {
		t.Errorf("the user is kept for %v, want for ever", ttl)
	}
	resp, err := w.handle(backend.List, "users", `{"list": "true"}`)
	if err != nil || !reflect.DeepEqual(resp.Data, map[string]any{"keys": []string{"alice", "bob"}}) || resp.Warnings != nil {
		t.Errorf("list: got %+v, %v", resp, err)
	}
	for range 2 { // absent is success
		if resp, err := w.handle(backend.Delete, "users/alice", ""); resp != nil || err != nil {
			t.Errorf("delete: got %v, %v", resp, err)
		}
	}
	if got := w.read("alice"); got != nil {
		t.Errorf("after the delete: got %v", got)
	}
	w.want("after the delete", "alice", "s3cret-Pass", invalid, 1)
	w.want("another user", "bob", "other", in, 1)
}

// TestNothingShowsThePassword: neither the answers nor the store hold it, and answers no hash.
func TestNothingShowsThePassword(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "s3cret-Pass"}`)
	w.write("users/alice/password", `{"password": "s3cret-Pass"}`)
	w.want("login", "alice", "s3cret-Pass", in, 1)
	w.want("login", "alice", "s3cret-Pass-not", invalid, 1)
	text, err := json.Marshal(w.read("alice"))
	if err != nil || strings.Contains(string(text), "$2") || strings.Contains(string(text), "hash") {
		t.Errorf("the answer shows a hash: %s, %v", text, err)
	}
	keys, err := w.store.List("")
	if err != nil || len(keys) < 3 {
		t.Fatalf("keys %q, %v: want the user, a slot and a key", keys, err)
	}
	for _, key := range keys {
		value, _, err := w.store.Get(key)
		if err != nil || strings.Contains(string(value), "s3cret-Pass") {
			t.Errorf("%s holds the password: %s, %v", key, value, err)
		}
	}
}

// TestCapitalsAreNoWayAroundAPolicy: there is one path to a user, and a rule about it reaches all that is done to the user.
func TestCapitalsAreNoWayAroundAPolicy(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"users": "users", "users/Alice": "users/alice", "users/ALICE/password": "users/alice/password", "login/aLice": "login/alice",
		"users/bob": "users/bob", "users/A@b.C/unlock": "users/a@b.c/unlock", "Users/Alice": "Users/Alice", "users/Alice/Password": "users/Alice/Password",
		"users/\u212Aelvin": "users/\u212Aelvin", "users/A B": "users/A B", "users/": "users/", "": "", "login": "login", "users//password": "users//password",
	} {
		if got := w.b.Fold(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
	w.write("users/alice", `{"password": "p"}`)
	for _, test := range []struct {
		op   backend.Operation
		path string
	}{
		{backend.Read, "users/Alice"}, {backend.Write, "users/Alice"}, {backend.Delete, "users/Alice"},
		{backend.Write, "users/Alice/password"}, {backend.Write, "users/Alice/policies"}, {backend.Write, "users/Alice/unlock"},
	} {
		resp, err := w.handle(test.op, test.path, `{"password": "q"}`)
		wantError(t, fmt.Sprintf("operation %d on %s", test.op, test.path), err, lease.Invalid, `username: "Alice" has capitals: write it in lower case`)
		if resp != nil {
			t.Errorf("%s: got %v beside the error", test.path, resp)
		}
	}
	_, err := w.b.Login(context.Background(), w.request(backend.Write, "login/Alice", `{"password": "p"}`))
	wantError(t, "a login that would make a lease ID of its own", err, lease.Invalid, `username: "Alice" has capitals`)
	w.want("afterwards", "ALICE", "p", in, 1)
}

func TestExists(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	for path, want := range map[string]bool{
		"users/alice": true, "users/ALICE": false, "users/bob": false, "users/a b": false,
		"users/bob/password": true, "users/bob/policies": true, "users/bob/unlock": true,
	} {
		if got, err := w.b.Exists(context.Background(), w.request(backend.Write, path, "")); got != want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", path, got, err, want)
		}
	}
}

func TestPoliciesPathChangesNothingElse(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p", "token_policies": "a", "token_ttl": 60}`)
	resp, err := w.handle(backend.Write, "users/alice/policies", `{"policies": ["x", "Y"], "token_ttl": 120, "username": "bob"}`)
	want := []string{"Endpoint ignored these unrecognized parameters: [token_ttl]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [username]"}
	if err != nil || !reflect.DeepEqual(resp.Warnings, want) {
		t.Errorf("got %+v, %v; want the warnings %q", resp, err, want)
	}
	got := w.read("alice")
	if !reflect.DeepEqual(got["token_policies"], []string{"x", "y"}) || got["token_ttl"] != int64(60) {
		t.Errorf("got %v", got)
	}
	w.write("users/alice/policies", `{"token_policies": ""}`)
	if got := w.read("alice"); !reflect.DeepEqual(got["token_policies"], []string{}) {
		t.Errorf("after an empty list: got %v", got)
	}
}

func TestRefusalsOfOperators(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	hash := func(cost int) string { return userpass.Dummy(cost) }
	long := strings.Repeat("n", userpass.MaxName+1)
	tests := []struct{ path, body, want string }{
		{"users/new", `{}`, "missing password"},
		{"users/new", `{"password": ""}`, "missing password"},
		{"users/new", `{"password": null}`, "missing password"},
		{"users/alice", `{"password": ""}`, "missing password"},
		{"users/alice/password", `{}`, "missing password"},
		{"users/alice", `{"password": "` + strings.Repeat("x", 73) + `"}`, "password: 73 bytes long, and bcrypt looks at 72 only: choose a shorter one"},
		{"users/alice", `{"password": {}}`, `Field validation failed: error converting input for field "password"`},
		{"users/alice", `{"password": "a", "password_hash": "` + hash(10) + `"}`, "password and password_hash are mutually exclusive"},
		{"users/alice", `{"password_hash": ""}`, "password_hash: not a bcrypt hash of a cost from 4 to 14"},
		{"users/alice", `{"password_hash": "` + hash(3) + `"}`, "password_hash: not a bcrypt hash of a cost from 4 to 14"},
		{"users/alice", `{"password_hash": "` + hash(15) + `"}`, "password_hash: not a bcrypt hash of a cost from 4 to 14"},
		{"users/alice/password", `{"password_hash": "` + strings.Replace(hash(10), "2a", "2x", 1) + `"}`, "password_hash: not a bcrypt hash"},
		{"users/alice", `{"password_hash": "` + hash(10)[:59] + `"}`, "password_hash: not a bcrypt hash"},
		{"users/alice", `{"password_hash": "` + hash(10) + `."}`, "password_hash: not a bcrypt hash"},
		{"users/alice", `{"password_hash": "` + hash(10)[:59] + `="}`, "password_hash: not a bcrypt hash"},
		{"users/alice", `{"token_ttl": 2, "token_max_ttl": 1}`, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{"users/alice/policies", `{"policies": {}}`, `Field validation failed: error converting input for field "policies"`},
		{"users/bob/password", `{"password": "p"}`, "username does not exist"},
		{"users/bob/policies", `{"policies": "p"}`, "username does not exist"},
		{"users/bob/unlock", ``, "username does not exist"},
		{"users/a b", `{"password": "p"}`, `username: path "a b" holds ' '`},
		{"users/..", `{"password": "p"}`, "username: relative paths not supported"},
		{"users/\u212Aelvin", `{"password": "p"}`, "username: path"},
		{"users/a%2fb", `{"password": "p"}`, "username: path"},
		{"users/" + long, `{"password": "p"}`, "username: 129 bytes long, at most 128 are allowed"},
	}
	for _, test := range tests {
		_, err := w.handle(backend.Write, test.path, test.body)
		wantError(t, test.path+" "+test.body, err, lease.Invalid, test.want)
	}
	w.want("after all of that", "alice", "p", in, 1)
	if keys, err := w.store.List("user/"); err != nil || len(keys) != 1 {
		t.Errorf("users %q, %v: want alice alone", keys, err)
	}
	w.write("users/"+long[1:], `{"password": "`+strings.Repeat("x", 72)+`"}`)
	w.want("at the bounds", long[1:], strings.Repeat("x", 72), in, 1)

	w.mount.Path, w.mount.Namespace = "auth/"+strings.Repeat("m", 400)+"/", "n1"
	_, err := w.handle(backend.Write, "users/"+strings.Repeat("a", 34), `{"password": "p"}`)
	wantError(t, "a name that leaves no room", err, lease.Invalid, "username: the lease IDs of its tokens would be 515 bytes long, at most 512 are allowed: shorten it by 3")
	w.write("users/"+strings.Repeat("a", 31), `{"password": "p"}`)
}

// TestImportedHashes: what other programs made of the same password is taken, under each of the
// names that the algorithm goes by.
func TestImportedHashes(t *testing.T) {
	w := newWorld(t)
	made, err := bcrypt.GenerateFromPassword([]byte("imported"), 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"2a", "2b", "2y"} {
		body := fmt.Sprintf(`{"password_hash": %q}`, strings.Replace(string(made), "2a", version, 1))
		w.write("users/v"+version, body)
		w.want(version, "v"+version, "imported", in, 1)
		w.want(version, "v"+version, "imporTed", invalid, 1)
	}
	w.write("users/alice", `{"password": "p"}`)
	w.write("users/alice/password", fmt.Sprintf(`{"password_hash": %q}`, made))
	w.want("a new hash", "alice", "imported", in, 1)
	w.want("the old password", "alice", "p", invalid, 1)
}

// TestUpdatesAtOnceAllCount: two operators who change different fields do not undo each other.
func TestUpdatesAtOnceAllCount(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	bodies := []string{`{"token_ttl": 60}`, `{"token_max_ttl": 120}`, `{"token_num_uses": 3}`, `{"token_policies": "a"}`, `{"token_period": 9}`,
		`{"token_type": "service"}`, `{"token_no_default_policy": true}`, `{"token_explicit_max_ttl": 5}`, `{"token_bound_cidrs": "10.0.0.1"}`}
	var wg sync.WaitGroup
	for _, body := range bodies {
		req := w.request(backend.Write, "users/alice", body)
		wg.Go(func() {
			if _, err := w.b.Handle(context.Background(), req); err != nil {
				t.Errorf("%s: %v", body, err)
			}
		})
	}
	wg.Wait()
	got := w.read("alice")
	for _, body := range bodies {
		sent, err := field.ParseObject([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range sent {
			if shown, want := strings.Trim(fmt.Sprint(got[name]), "[]"), fmt.Sprint(value); shown != want {
				t.Errorf("%s: got %s, want %s", name, shown, want)
			}
		}
	}
}

// FuzzName: a name is either one that a user can have, log in and be found with, or nobody's; and nobody
// learns from a login which it is.
func FuzzName(f *testing.F) {
	for _, s := range []string{"alice", "Alice", "a.b@example.com", "..", "a b", "", "a/b", "\u212A", strings.Repeat("x", 200), "users", "x\x00", "%2e%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		w := newWorld(t)
		if class, err := w.b.Route(backend.Write, "login/"+name); err != nil || class != backend.Login {
			return
		}
		if got := w.try(name, "p"); got != invalid {
			t.Errorf("%q: a login of nobody: got %q", name, got)
		}
		if _, err := w.handle(backend.Write, w.b.Fold("users/"+name), `{"password": "p"}`); err != nil {
			wantError(t, fmt.Sprintf("make %q", name), err, lease.Invalid, "username: ")
			if got := w.try(name, "p"); got != invalid {
				t.Errorf("%q: a login of a name that nobody can have: got %q", name, got)
			}
			if got, err := w.handle(backend.Read, w.b.Fold("users/"+name), ""); got != nil || err != nil {
				t.Errorf("%q: refused and yet there: %v, %v", name, got, err)
			}
			return
		}
		id := lease.NewID("auth/userpass/login/"+name, strings.Repeat("f", 65), "")
		if err := lease.CheckPath(id); err != nil {
			t.Errorf("%q: taken, but no lease ID can be made of it: %v", name, err)
		}
		plan, err := w.login(strings.ToUpper(name), "p")
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		resp, err := w.handle(backend.List, "users", "")
		if err != nil || !reflect.DeepEqual(resp.Data["keys"], []string{strings.ToLower(name)}) || plan.Role != strings.ToLower(name) {
			t.Errorf("%q: listed as %v, role %q, %v", name, resp, plan.Role, err)
		}
	})
}
