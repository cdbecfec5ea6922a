package userpass_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

func TestLoginEarnsTheTokenOfTheUser(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p", "token_policies": "dev", "token_ttl": "1h", "token_max_ttl": "2h", "token_period": "3h",
		"token_explicit_max_ttl": "4h", "token_num_uses": 5, "token_no_default_policy": true, "token_bound_cidrs": "192.0.2.0/24"}`)
	got, err := w.b.Login(context.Background(), w.request(backend.Write, "login/alice", `{"password": "p", "username": "bob", "x": 1}`))
	want := &backend.LoginPlan{
		Role: "alice", DisplayName: "userpass-alice", Policies: []string{"dev"}, Meta: map[string]string{"username": "alice"},
		LoginLimits:     backend.LoginLimits{TTL: time.Hour, MaxTTL: 2 * time.Hour, Period: 3 * time.Hour},
		NoDefaultPolicy: true, ExplicitMaxTTL: 4 * time.Hour, NumUses: 5, BoundCIDRs: []string{"192.0.2.0/24"},
		Warnings: []string{"Endpoint ignored these unrecognized parameters: [x]",
			"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [username]"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	w.mount.Path = "auth/team/people/"
	if got, err = w.login("alice", "p"); err != nil || got.DisplayName != "team-people-alice" {
		t.Errorf("mounted elsewhere: got %+v, %v", got, err)
	}
	_, err = w.b.Login(context.Background(), w.request(backend.Write, "login/alice", `{"password": []}`))
	wantError(t, "a password that is a list", err, lease.Invalid, `Field validation failed: error converting input for field "password"`)
}

// TestFailuresAreAlike: whatever is wrong, the answer and the work are the same (T29), while one user of the
// mount has a hash of a higher cost than the others as well.
func TestFailuresAreAlike(t *testing.T) {
	w := newWorld(t)
	w.mount.Options = map[string]string{"lockout_disable": "true"} // that is tested elsewhere
	hash := func(password string, cost int) string {
		made, err := bcrypt.GenerateFromPassword([]byte(password), cost)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"password_hash": %q}`, made)
	}
	long := strings.Repeat("x", 72)
	w.write("users/alice", `{"password": "p"}`)
	w.write("users/long", `{"password": "`+long+`"}`)
	w.write("users/empty", hash("", 5))
	for _, highest := range []int{5, 7} {
		w.write("users/costly", hash("p", highest))
		rounds, _ := userpass.CountWork(w.b)
		for _, test := range []struct{ what, name, body, want string }{
			{"the right password", "alice", `{"password": "p"}`, in},
			{"the right password of a costly hash", "costly", `{"password": "p"}`, in},
			{"a wrong password", "alice", `{"password": "q"}`, invalid},
			{"a wrong password of a costly hash", "costly", `{"password": "q"}`, invalid},
			{"an unknown user", "nobody", `{"password": "p"}`, invalid},
			{"a name that nobody can have", "no body", `{"password": "p"}`, invalid},
			{"no password", "alice", `{}`, invalid},
			{"an empty password", "alice", `{"password": ""}`, invalid},
			{"null", "alice", `{"password": null}`, invalid},
			{"no password and no user", "nobody", `{}`, invalid},
			{"an empty password whose hash was imported", "empty", `{"password": ""}`, invalid},
			{"more than bcrypt looks at", "long", `{"password": "` + long + `x"}`, invalid},
			{"exactly what bcrypt looks at", "long", `{"password": "` + long + `"}`, in},
		} {
			rounds.Store(0)
			_, err := w.b.Login(context.Background(), w.request(backend.Write, "login/"+test.name, test.body))
			if got := outcome(err); got != test.want {
				t.Errorf("%s: got %q, want %q", test.what, got, test.want)
			}
			if want := int64(1) << highest; rounds.Load() != want {
				t.Errorf("%s, highest cost %d: %d rounds, want %d", test.what, highest, rounds.Load(), want)
			}
		}
	}
}

// TestDummies: the hashes that stand for nobody's are as much work as real ones.
func TestDummies(t *testing.T) {
	for cost := userpass.Cost; cost <= userpass.MaxCost; cost++ {
		dummy := userpass.Dummy(cost)
		if got, err := bcrypt.Cost([]byte(dummy)); err != nil || got != cost || userpass.CostOf(dummy) != cost {
			t.Errorf("cost %d: %s has the cost %d, %d, %v", cost, dummy, got, userpass.CostOf(dummy), err)
		}
	}
	// An error other than this one would come before the work.
	if err := bcrypt.CompareHashAndPassword([]byte(userpass.Dummy(4)), nil); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("comparing with a dummy: got %v", err)
	}
}

func TestTheProductsCost(t *testing.T) {
	w := newWorld(t)
	w.b = userpass.New()
	w.write("users/alice", `{"password": "p"}`)
	value, _, err := w.store.Get("user/alice")
	if err != nil || !strings.Contains(string(value), "$2a$10$") {
		t.Errorf("stored as %s, %v; want a hash of cost 10", value, err)
	}
	w.want("right", "alice", "p", in, 1)
	w.want("wrong", "alice", "q", invalid, 1)
	for cost, want := range map[int]string{9: "password_hash: not a bcrypt hash of a cost from 10 to 14", 10: "", 14: "", 15: "password_hash: "} {
		_, err := w.handle(backend.Write, "users/bob", fmt.Sprintf(`{"password_hash": %q}`, userpass.Dummy(cost)))
		if want != "" {
			wantError(t, fmt.Sprint("cost ", cost), err, lease.Invalid, want)
		} else if err != nil {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}

func TestBoundCIDRs(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p", "token_bound_cidrs": ["192.0.2.0/24", "2001:db8::/32"]}`)
	for addr, want := range map[string]string{
		"192.0.2.200": in, "::ffff:192.0.2.1": in, "2001:db8::7": in, "198.51.100.1": denied, "": denied,
	} {
		w.addr = netip.Addr{}
		if addr != "" {
			w.addr = netip.MustParseAddr(addr)
		}
		w.want("from "+addr, "alice", "p", want, 1)
		w.want("with a wrong password from "+addr, "alice", "q", invalid, 1)
	}
	// Neither does the right password from elsewhere clear the count of failures.
	w.addr = netip.MustParseAddr("192.0.2.1")
	w.want("clearing", "alice", "p", in, 1)
	w.want("failing", "alice", "q", invalid, 4)
	w.addr = netip.MustParseAddr("198.51.100.1")
	w.want("from elsewhere", "alice", "p", denied, 1)
	w.want("the fifth failure", "alice", "q", invalid, 1)
	w.addr = netip.MustParseAddr("192.0.2.1")
	w.want("locked", "alice", "p", denied, 1)
}

// TestAnOldPasswordIsWorthNothing: once the change is acknowledged, a login with the old password that was on
// its way fails as well.
func TestAnOldPasswordIsWorthNothing(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"another password": func(w *world) { w.write("users/alice/password", `{"password": "new"}`) },
		"a delete": func(w *world) {
			if _, err := w.handle(backend.Delete, "users/alice", ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := newWorld(t)
		w.write("users/alice", `{"password": "old"}`)
		userpass.BeforeFirstCompare(w.b, func() { change(w) })
		_, err := w.login("alice", "old")
		wantError(t, what, err, lease.Unavailable, "the user was changed during the login")
		w.want(what, "alice", "old", invalid, 1)
	}
}

func TestRenewLogin(t *testing.T) {
	w := newWorld(t)
	renew := func(policies ...string) (*backend.LoginLimits, error) {
		return w.b.RenewLogin(context.Background(), &backend.LoginRenewal{
			Mount: w.mount, Store: w.store, Token: &lease.Token{Role: "alice", Policies: policies},
		})
	}
	w.write("users/alice", `{"password": "p", "token_policies": "dev,ops", "token_ttl": 60}`)
	w.write("users/alice", `{"token_ttl": 120, "token_max_ttl": 600, "token_period": 30}`)
	want := backend.LoginLimits{TTL: 2 * time.Minute, MaxTTL: 10 * time.Minute, Period: 30 * time.Second}
	for _, policies := range [][]string{{"default", "dev", "ops"}, {"dev", "ops"}} {
		if got, err := renew(policies...); err != nil || *got != want {
			t.Errorf("%v: got %+v, %v; want the limits of now, %+v", policies, got, err, want)
		}
	}
	for _, policies := range [][]string{{"default", "dev"}, {"default", "dev", "ops", "x"}, {"default"}, nil} {
		_, err := renew(policies...)
		wantError(t, fmt.Sprint(policies), err, lease.Invalid, "policies have changed, not renewing")
	}
	w.write("users/alice", `{"token_policies": "default"}`)
	if _, err := renew("default"); err != nil {
		t.Errorf("default alone: %v", err)
	}
	if _, err := w.handle(backend.Delete, "users/alice", ""); err != nil {
		t.Fatal(err)
	}
	_, err := renew("default")
	wantError(t, "a user who is gone", err, lease.Invalid, `user "alice" does not exist any more, not renewing`)
}
