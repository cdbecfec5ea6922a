package userpass_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

// faulty is a store that fails at the keys that begin with what the fields say.
type faulty struct {
	*backendtest.Store
	look, swap, changed string // "": none
}

var errStore = errors.New("the store fails")

func hit(key, prefix string) bool { return prefix != "" && strings.HasPrefix(key, prefix) }

func (s *faulty) Look(key string) ([]byte, backend.Version, error) {
	if hit(key, s.look) {
		return nil, "", errStore
	}
	return s.Store.Look(key)
}

func (s *faulty) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	switch {
	case hit(key, s.swap):
		return errStore
	case hit(key, s.changed):
		return lease.ErrChanged
	}
	return s.Store.Swap(ctx, key, seen, value, ttl)
}

// TestAFailingStoreLetsNobodyIn: what cannot be counted is not told, and what cannot be read is not passed over.
func TestAFailingStoreLetsNobodyIn(t *testing.T) {
	for _, test := range []struct {
		what   string
		store  faulty
		bodies []string // of logins that must fail with the store's error, or that of contention
	}{
		{"the user cannot be read", faulty{look: "user/"}, []string{"p", "q"}},
		{"the slot cannot be read", faulty{look: "lockout/slot/"}, []string{"p", "q"}},
		{"the key of the hash cannot be read", faulty{look: "lockout/key"}, []string{"p", "q"}},
		{"the highest cost cannot be read", faulty{look: "cost"}, []string{"p", "q"}},
		{"the slot cannot be written", faulty{swap: "lockout/slot/"}, []string{"p", "q"}},
		{"the slot changes for ever", faulty{changed: "lockout/slot/"}, []string{"p", "q"}},
	} {
		w := newWorld(t)
		w.write("users/alice", `{"password": "p"}`)
		w.want("counting", "alice", "q", invalid, 1) // so that the right password has something to clear
		test.store.Store = w.store
		for _, password := range test.bodies {
			req := w.request(backend.Write, "login/alice", `{"password": "`+password+`"}`)
			req.Store = &test.store
			plan, err := w.b.Login(context.Background(), req)
			var e *lease.Error
			if plan != nil || !errors.Is(err, errStore) && (!errors.As(err, &e) || e.Code != lease.Unavailable) {
				t.Errorf("%s, password %s: got %v, %v", test.what, password, plan, err)
			}
		}
	}
}

func TestAFailingStoreFailsOperators(t *testing.T) {
	const hash = `{"password_hash": "%s"}`
	for _, test := range []struct {
		store      faulty
		path, body string
	}{
		{faulty{look: "user/"}, "users/alice", `{"token_ttl": 1}`},
		{faulty{look: "user/"}, "users/alice/password", `{"password": "x"}`},
		{faulty{look: "user/"}, "users/alice/unlock", ""},
		{faulty{swap: "user/"}, "users/alice", `{"token_ttl": 1}`},
		{faulty{swap: "user/"}, "users/alice/password", `{"password": "x"}`},
		{faulty{changed: "user/"}, "users/alice/policies", `{"policies": "x"}`},
		{faulty{swap: "lockout/"}, "users/alice/password", `{"password": "p"}`},
		{faulty{look: "lockout/"}, "users/alice", `{"password": "p"}`},
		{faulty{swap: "cost"}, "users/alice", fmt.Sprintf(hash, userpass.Dummy(9))},
		{faulty{changed: "cost"}, "users/alice", fmt.Sprintf(hash, userpass.Dummy(9))},
	} {
		w := newWorld(t)
		w.write("users/alice", `{"password": "p"}`)
		w.want("counting", "alice", "q", invalid, 1)
		before := w.read("alice")
		test.store.Store = w.store
		req := w.request(backend.Write, test.path, test.body)
		req.Store = &test.store
		_, err := w.b.Handle(context.Background(), req)
		var e *lease.Error
		if !errors.Is(err, errStore) && (!errors.As(err, &e) || e.Code != lease.Unavailable) {
			t.Errorf("%+v %s: got %v", test.store, test.path, err)
		}
		if got := w.read("alice"); !reflect.DeepEqual(got, before) {
			t.Errorf("%+v %s: changed to %v", test.store, test.path, got)
		}
		w.want("unchanged", "alice", "p", in, 1)
	}
}

func TestWhatCannotBeDecodedIsNamed(t *testing.T) {
	for key, want := range map[string]string{
		"user/alice": `user "alice" cannot be read: delete it and make it again`,
		"slot":       "the failed logins cannot be read: set lockout_disable until they have expired",
	} {
		w := newWorld(t)
		w.write("users/alice", `{"password": "p"}`)
		w.want("counting", "alice", "q", invalid, 1)
		if key == "slot" {
			keys, err := w.store.List(userpass.SlotKeys)
			if err != nil || len(keys) != 1 {
				t.Fatalf("slots %q, %v", keys, err)
			}
			key = userpass.SlotKeys + keys[0]
		}
		if err := w.store.Put(context.Background(), key, []byte("{")); err != nil {
			t.Fatal(err)
		}
		_, err := w.login("alice", "p")
		wantError(t, key, err, lease.Internal, want)
		if syntax := new(json.SyntaxError); !errors.As(err, &syntax) {
			t.Errorf("%s: got %v, want the cause for the log", key, err)
		}
	}
}

func TestTheHighestCostMendsItself(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	for _, broken := range []string{"{", "15", "99999999999999999999"} {
		if err := w.store.Put(context.Background(), "cost", []byte(broken)); err != nil {
			t.Fatal(err)
		}
		w.want(broken, "alice", "p", in, 1)
		w.write("users/bob", fmt.Sprintf(`{"password_hash": %q}`, userpass.Dummy(5)))
		if got, _, err := w.store.Get("cost"); string(got) != "5" || err != nil {
			t.Errorf("after %s and a hash of cost 5: got %s, %v", broken, got, err)
		}
	}
}

// TestTheKeyOfTheHashIsMadeOnce: logins that come first all at once agree on one, and without chance there is none.
func TestTheKeyOfTheHashIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	req := w.request(backend.Write, "login/alice", `{"password": "p"}`)
	req.Random = strings.NewReader("too short")
	if _, err := w.b.Login(context.Background(), req); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without chance: got %v", err)
	}
	told := make(chan string, 20)
	for range cap(told) {
		req := w.request(backend.Write, "login/alice", `{"password": "p"}`)
		go func() {
			_, err := w.b.Login(context.Background(), req)
			told <- outcome(err)
		}()
	}
	counts := map[string]int{}
	for range cap(told) {
		counts[<-told]++
	}
	if counts[invalid] != 5 || counts[denied] != 15 {
		t.Errorf("got %v, want 5 counted by one key and 15 denied", counts)
	}
}
