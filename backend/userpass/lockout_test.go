package userpass_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

const minute = time.Minute

func TestFiveFailuresLockForFifteenMinutes(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	w.write("users/bob", `{"password": "p"}`)
	w.want("before", "alice", "q", invalid, 4)
	w.pass(15*minute - 1)
	w.want("the fifth, in time", "alice", "q", invalid, 1)
	rounds, _ := userpass.CountWork(w.b)
	w.want("locked", "alice", "q", denied, 3)
	w.want("locked, with the right password", "alice", "p", denied, 1)
	w.want("locked, written otherwise", "ALICE", "p", denied, 1)
	if n := rounds.Load(); n != 0 {
		t.Errorf("%d rounds were computed for a locked name, want none", n)
	}
	w.want("another", "bob", "p", in, 1)
	w.pass(15*minute - 1)
	w.want("to the end", "alice", "p", denied, 1)
	w.pass(1)
	w.want("afterwards the count begins anew", "alice", "q", invalid, 4)
	w.want("and the right password", "alice", "p", in, 1)
}

func TestWhatClearsTheCount(t *testing.T) {
	for what, clear := range map[string]func(w *world){
		"a login":              func(w *world) { w.want("clearing", "alice", "p", in, 1) },
		"time":                 func(w *world) { w.pass(15 * minute) },
		"an unlock":            func(w *world) { w.write("users/alice/unlock", "") },
		"a password":           func(w *world) { w.write("users/alice", `{"password": "p"}`) },
		"a password by itself": func(w *world) { w.write("users/alice/password", `{"password": "p"}`) },
	} {
		w := newWorld(t)
		w.write("users/alice", `{"password": "p"}`)
		for range 3 {
			w.want(what, "alice", "q", invalid, 4)
			clear(w)
		}
		w.want(what, "alice", "q", invalid, 5)
		w.want(what, "alice", "p", denied, 1)
		if what != "a login" {
			clear(w)
			w.want(what+" ends the lock", "alice", "p", in, 1)
		}
	}
}

func TestWhatDoesNotUnlock(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	w.want("locking", "alice", "q", invalid, 5)
	w.write("users/alice", `{"token_ttl": 60}`)
	w.write("users/alice/policies", `{"policies": "x"}`)
	w.want("after changes of other fields", "alice", "p", denied, 1)
	if _, err := w.handle(backend.Delete, "users/alice", ""); err != nil {
		t.Fatal(err)
	}
	w.want("after a delete, which must not show", "alice", "p", denied, 1)
	w.write("users/alice", `{"password": "p"}`)
	w.want("made anew", "alice", "p", in, 1)
}

func TestOptionsOfTheMount(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	w.mount.Options = map[string]string{"lockout_threshold": "2", "lockout_duration": "1h", "lockout_counter_reset": "60"}
	w.want("one", "alice", "q", invalid, 1)
	w.pass(minute)
	w.want("one again, since the first is forgotten", "alice", "q", invalid, 1)
	w.pass(minute - 1)
	w.want("two", "alice", "q", invalid, 1)
	w.pass(time.Hour - 1)
	w.want("locked", "alice", "p", denied, 1)
	w.mount.Options = map[string]string{"lockout_disable": "true"}
	w.want("disabled", "alice", "q", invalid, 10)
	w.want("disabled", "alice", "p", in, 1)
	w.mount.Options = map[string]string{"lockout_threshold": "2", "lockout_duration": "1h"}
	w.want("enabled again", "alice", "p", denied, 1)
	w.mount.Options = map[string]string{"lockout_disable": "true"}
	w.write("users/alice/unlock", "")
	w.mount.Options = map[string]string{"lockout_threshold": "2", "lockout_duration": "1h"}
	w.want("unlocked while it was disabled", "alice", "p", in, 1)

	w.mount.Options["lockout_threshold"] = "none"
	_, err := w.login("alice", "p")
	wantError(t, "an option that nobody checked", err, lease.Invalid, "option lockout_threshold")
}

func TestCheckMount(t *testing.T) {
	for _, good := range []map[string]string{
		nil, {"version": "1", "anything": "else"}, {"lockout_threshold": "", "lockout_duration": "", "lockout_counter_reset": "", "lockout_disable": ""},
		{"lockout_threshold": "1", "lockout_duration": "1s", "lockout_counter_reset": "30d", "lockout_disable": "false"}, {"lockout_threshold": "1000"},
	} {
		if err := userpass.New().CheckMount(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range []struct{ name, value, want string }{
		{"lockout_threshold", "0", `option lockout_threshold: "0" is not possible: give a number of failures from 1 to 1000, or set lockout_disable`},
		{"lockout_threshold", "1001", `option lockout_threshold: "1001" is not possible`},
		{"lockout_threshold", "five\n", `option lockout_threshold: "five" is not possible`},
		{"lockout_duration", "0", `option lockout_duration: "0" is not possible: give a time from 1s to 720h0m0s, such as 15m`},
		{"lockout_duration", "31d", `option lockout_duration: "31d" is not possible`},
		{"lockout_counter_reset", "-5m", `option lockout_counter_reset: "-5m" is not possible`},
		{"lockout_disable", "maybe", `option lockout_disable: "maybe" is not possible: give true or false`},
		{"lockout_treshold", "5", "option lockout_treshold: there is none of this name: use lockout_threshold,"},
	} {
		wantError(t, bad.name+" "+bad.value, userpass.New().CheckMount(map[string]string{bad.name: bad.value}), lease.Invalid, bad.want)
	}
}

// TestNobodyLearnsWhoExists plays histories made by chance for a user who is there and for one who is not, with
// guesses at other names between: all answers are the same.
func TestNobodyLearnsWhoExists(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		there, absent := newWorld(t), newWorld(t)
		there.write("users/alice", `{"password": "p"}`)
		there.write("users/other1", `{"password": "p"}`)
		absent.write("users/other2", `{"password": "p"}`)
		seen := map[string]int{}
		for range 20 {
			name := []string{"alice", "Alice", "other1", "other2", "other3"}[random.IntN(5)]
			for range 1 + random.IntN(7) {
				a, b := there.try(name, "q"), absent.try(name, "q")
				if a != b {
					t.Fatalf("seed %d, %s: %q where the user is there, %q where not", seed, name, a, b)
				}
				seen[a]++
			}
			pause := time.Duration(random.Int64N(int64(8 * minute)))
			there.pass(pause)
			absent.pass(pause)
		}
		if len(seen) != 2 || seen[invalid] < 10 || seen[denied] < 10 {
			t.Errorf("seed %d: the answers were %v, want many of two kinds", seed, seen)
		}
	}
}

// TestRacingFailuresLockExactly: of a hundred wrong guesses at once, five are told that they are wrong. All others
// are told nothing, whatever their password, though some were compared.
func TestRacingFailuresLockExactly(t *testing.T) {
	for _, name := range []string{"alice", "nobody"} {
		w := newWorld(t)
		w.b = userpass.NewCheap(4, 100) // all compare at once
		w.write("users/alice", `{"password": "p"}`)
		req := w.request(backend.Write, "login/"+name, `{"password": "q"}`)
		start, told := make(chan struct{}), make(chan string, 100)
		var wg sync.WaitGroup
		for range cap(told) {
			wg.Go(func() {
				<-start
				_, err := w.b.Login(context.Background(), req)
				told <- outcome(err)
			})
		}
		close(start)
		wg.Wait()
		close(told)
		counts := map[string]int{}
		for what := range told {
			counts[what]++
		}
		if counts[invalid] != 5 || counts[denied] != 95 {
			t.Errorf("%s: got %v, want 5 and 95", name, counts)
		}
		w.want("afterwards", name, "p", denied, 1)
	}
}

// TestARightGuessAfterTheLockIsNotTold: the comparison began before the name was locked and ended after.
func TestARightGuessAfterTheLockIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.b = userpass.NewCheap(4, 2)
	w.write("users/alice", `{"password": "p"}`)
	userpass.BeforeFirstCompare(w.b, func() { w.want("meanwhile", "alice", "q", invalid, 5) })
	w.want("the right password", "alice", "p", denied, 1)
}

// TestLoginsAtOnceDoNotLock: many logins with the right password, and fewer wrong ones than lock, end with everybody
// in; the count is exact all the same.
func TestLoginsAtOnceDoNotLock(t *testing.T) {
	w := newWorld(t)
	w.write("users/alice", `{"password": "p"}`)
	right, wrong := w.request(backend.Write, "login/alice", `{"password": "p"}`), w.request(backend.Write, "login/alice", `{"password": "q"}`)
	var wg sync.WaitGroup
	for i := range 40 {
		req, want := right, in
		if i%10 == 0 {
			req, want = wrong, invalid
		}
		wg.Go(func() {
			if _, err := w.b.Login(context.Background(), req); outcome(err) != want {
				t.Errorf("got %q, want %q", outcome(err), want)
			}
		})
	}
	wg.Wait()
	w.want("clearing", "alice", "p", in, 1)
	w.want("as many as before", "alice", "q", invalid, 5)
}

// TestTheStateIsBounded: whatever names are tried, no more slots than there are come to be; each goes by itself,
// and none tells a name.
func TestTheStateIsBounded(t *testing.T) {
	w := newWorld(t)
	const names = 700
	for i := range names {
		w.want("guessing", fmt.Sprint("guess", i), "q", invalid, 1)
	}
	keys, err := w.store.List(userpass.SlotKeys)
	if err != nil || len(keys) > userpass.Slots || len(keys) < userpass.Slots/3 {
		t.Errorf("%d slots, %v; want many, and at most %d", len(keys), err, userpass.Slots)
	}
	for _, key := range keys {
		if n, err := fmt.Sscanf(key, "%04d", new(int)); n != 1 || err != nil || len(key) != 4 {
			t.Errorf("slot %q: want four digits", key)
		}
		value, _, err := w.store.Get(userpass.SlotKeys + key)
		if err != nil || strings.Contains(string(value), "guess") {
			t.Errorf("slot %s tells a name: %s, %v", key, value, err)
		}
		if ttl := w.store.TTL(userpass.SlotKeys + key); ttl != 15*minute {
			t.Errorf("slot %s lives for %v, want 15m", key, ttl)
		}
	}
	w.write("users/alice", `{"password": "p"}`)
	if all, err := w.store.List(""); err != nil || len(all) != len(keys)+2 {
		t.Errorf("%d keys, %v; want the slots, a user and the key of the hash", len(all), err)
	}
}

// TestASlotGoesWhenItSaysNothing: its time to live covers the longest of what is in it.
func TestASlotGoesWhenItSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.mount.Options = map[string]string{"lockout_threshold": "2", "lockout_duration": "1h", "lockout_counter_reset": "1m"}
	w.write("users/alice", `{"password": "p"}`)
	slots := func() []string {
		keys, err := w.store.List(userpass.SlotKeys)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	for i, want := range []time.Duration{minute, time.Hour} {
		w.want("failing", "alice", "q", invalid, 1)
		if keys := slots(); len(keys) != 1 || w.store.TTL(userpass.SlotKeys+keys[0]) != want {
			t.Errorf("after %d failures: slots %v, the first lives for %v; want %v", i+1, keys, w.store.TTL(userpass.SlotKeys+keys[0]), want)
		}
	}
	w.write("users/alice/unlock", "")
	if keys := slots(); len(keys) != 0 {
		t.Errorf("after the unlock: slots %v, want none", keys)
	}
}

// TestTwoNamesInOneSlot: they have nothing to do with each other, and the slot ends with the one that lives longer.
func TestTwoNamesInOneSlot(t *testing.T) {
	w := newWorld(t)
	w.want("making the key", "nobody", "q", invalid, 1)
	key, _, err := w.store.Get("lockout/key")
	if err != nil || len(key) != 32 {
		t.Fatalf("key of %d bytes, %v", len(key), err)
	}
	found := map[string]string{}
	var first, second, slot string
	for i := 0; second == ""; i++ {
		name := fmt.Sprint("name", i)
		slot, _ = userpass.NameID(key, name)
		if first = found[slot]; first != "" {
			second = name
		}
		found[slot] = name
	}
	w.write("users/"+second, `{"password": "p"}`)
	w.want("the first", first, "q", invalid, 5)
	w.pass(10 * minute)
	w.want("the second", second, "q", invalid, 4)
	w.want("the first", first, "q", denied, 1)
	if ttl := w.store.TTL(slot); ttl != 15*minute {
		t.Errorf("the slot lives for %v, want what the second needs", ttl)
	}
	w.pass(5 * minute)
	w.write("users/"+second+"/unlock", "")
	if value, there, err := w.store.Get(slot); there || err != nil {
		t.Errorf("the slot says nothing any more and is kept: %s, %v", value, err)
	}
}

// TestSlotsCannotBeForeseen: each mount has a key of its own, so nobody can choose names that share a slot.
func TestSlotsCannotBeForeseen(t *testing.T) {
	var seen []string
	for range 2 {
		w := newWorld(t)
		w.want("failing", "alice", "q", invalid, 1)
		keys, err := w.store.List(userpass.SlotKeys)
		if err != nil || len(keys) != 1 {
			t.Fatalf("slots %q, %v", keys, err)
		}
		value, _, err := w.store.Get(userpass.SlotKeys + keys[0])
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, string(value))
	}
	if seen[0] == seen[1] {
		t.Errorf("two mounts count a name alike: %s", seen[0])
	}
}
