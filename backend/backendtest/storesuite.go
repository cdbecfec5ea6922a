package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// RunStore runs the conformance suite for implementations of backend.Store. open makes an empty store
// and is called for each test with its own t. What expires is left to each implementation's own tests,
// since the interface does not move time.
func RunStore(t *testing.T, open func(t *testing.T) backend.Store) {
	tests := []struct {
		name string
		run  func(*shelf)
	}{
		{"get, put, delete", testValues},
		{"nobody shares memory with the store", testCopies},
		{"list", testList},
		{"level", testLevel},
		{"each value has a version of its own", testVersions},
		{"swap", testSwap},
		{"swaps that race", testSwapTogether},
		{"a cancelled call does nothing", testStoreCancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(&shelf{T: t, Store: open(t)}) })
	}
}

// shelf is a store under test.
type shelf struct {
	*testing.T
	backend.Store
}

var background = context.Background()

func (s *shelf) put(key, value string) {
	s.Helper()
	if err := s.Put(background, key, []byte(value)); err != nil {
		s.Fatalf("put %q: %v", key, err)
	}
}

func (s *shelf) look(key string) (string, backend.Version) {
	s.Helper()
	value, version, err := s.Look(key)
	if err != nil {
		s.Fatalf("look at %q: %v", key, err)
	}
	return string(value), version
}

// want checks the value by all ways of reading it.
func (s *shelf) want(key, want string) {
	s.Helper()
	got, ok, err := s.Get(key)
	if err != nil || !ok || string(got) != want {
		s.Errorf("get %q: got %q, %v, %v; want %q", key, got, ok, err, want)
	}
	if looked, version := s.look(key); looked != want || version == "" {
		s.Errorf("look at %q: got %q, version %q; want %q", key, looked, version, want)
	}
}

func (s *shelf) wantNone(key string) {
	s.Helper()
	if got, ok, err := s.Get(key); got != nil || ok || err != nil {
		s.Errorf("get %q: got %q, %v, %v; want nothing", key, got, ok, err)
	}
	if looked, version := s.look(key); looked != "" || version != "" {
		s.Errorf("look at %q: got %q, version %q; want nothing", key, looked, version)
	}
}

// swap wants the outcome that it names.
func (s *shelf) swap(key string, seen backend.Version, value []byte, want error) {
	s.Helper()
	if err := s.Swap(background, key, seen, value, 0); !errors.Is(err, want) || want == nil && err != nil {
		s.Errorf("swap %q for %q: got %v, want %v", key, value, err, want)
	}
}

func testValues(s *shelf) {
	s.wantNone("a")
	s.put("a", "1")
	s.put("a/b", "2")
	s.want("a", "1")
	s.put("a", "3")
	s.want("a", "3")
	s.put("e", "") // the empty value is one
	s.want("e", "")
	for range 2 {
		if err := s.Delete(background, "a"); err != nil {
			s.Errorf("delete: %v", err)
		}
		s.wantNone("a")
	}
	s.want("a/b", "2")
}

func testCopies(s *shelf) {
	mine := []byte("mine")
	if err := s.Put(background, "a", mine); err != nil {
		s.Fatal(err)
	}
	_, none := s.look("b")
	s.swap("b", none, mine, nil)
	mine[0] = '!'
	for _, key := range []string{"a", "b"} {
		got, _, _ := s.Get(key)
		looked, _, _ := s.Look(key)
		got[0], looked[0] = '!', '!'
		s.want(key, "mine")
	}
}

func testList(s *shelf) {
	for _, key := range []string{"b/2", "b/1", "b/1/x", "b", "c/1", "a"} {
		s.put(key, key)
	}
	for prefix, want := range map[string][]string{
		"b/": {"1", "1/x", "2"}, "c/": {"1"}, "a/": nil, "b/1/": {"x"}, "": {"a", "b", "b/1", "b/1/x", "b/2", "c/1"},
	} {
		if got, err := s.List(prefix); err != nil || !slices.Equal(got, want) {
			s.Errorf("list %q: got %q, %v; want %q", prefix, got, err, want)
		}
	}
}

func testLevel(s *shelf) {
	// "!" and "." come before the slash, "0" right after it: none of them may part a key from what is
	// below it.
	for _, key := range []string{"a", "a/1", "a/2/x", "a/2/y", "a!", "a!/1", "a.b", "a0", "b/1/2/3", "c"} {
		s.put(key, key)
	}
	top := []string{"a", "a!", "a!/", "a.b", "a/", "a0", "b/", "c"}
	tests := []struct {
		prefix, after string
		limit         int
		want          []string
		more          bool
	}{
		{"", "", 100, top, false},
		{"", "", len(top), top, false},
		{"", "", 3, top[:3], true},
		{"", "a!", 2, top[2:4], true},
		{"", "a/", 100, top[5:], false},
		{"", "a/1", 100, top[5:], false}, // behind what is deeper: the folder is before it
		{"", "a-", 100, top[3:], false},  // behind a key that is not there
		{"", "c", 100, nil, false},
		{"", "", 0, nil, true},
		{"", "c", 0, nil, false},
		{"a/", "", 100, []string{"1", "2/"}, false},
		{"a/", "1", 1, []string{"2/"}, false},
		{"a/2/", "", 1, []string{"x"}, true},
		{"b/", "", 1, []string{"1/"}, false},
		{"c/", "", 100, nil, false},
		{"none/", "", 100, nil, false},
	}
	for _, test := range tests {
		got, more, err := s.Level(test.prefix, test.after, test.limit)
		if err != nil || !slices.Equal(got, test.want) || more != test.more {
			s.Errorf("level %q behind %q, %d keys: got %q, more %v, %v; want %q, more %v",
				test.prefix, test.after, test.limit, got, more, err, test.want, test.more)
		}
	}
}

func testVersions(s *shelf) {
	seen := map[backend.Version]bool{}
	for range 3 {
		s.put("a", "same")
		_, first := s.look("a")
		if _, again := s.look("a"); again != first {
			s.Errorf("two looks at one value: versions %q and %q", first, again)
		}
		s.swap("a", first, []byte("same"), nil)
		_, second := s.look("a")
		for _, v := range []backend.Version{first, second} {
			if seen[v] {
				s.Errorf("the version %q is that of two values", v)
			}
			seen[v] = true
		}
		if err := s.Delete(background, "a"); err != nil {
			s.Fatal(err)
		}
		s.wantNone("a")
	}
}

func testSwap(s *shelf) {
	const none = backend.Version("")
	s.swap("a", "stranger", []byte("0"), lease.ErrChanged)
	s.wantNone("a")
	s.swap("a", none, nil, nil) // what is not there is gone already
	s.swap("a", none, []byte("1"), nil)
	s.want("a", "1")
	_, first := s.look("a")
	s.swap("a", none, []byte("2"), lease.ErrChanged)
	s.swap("a", none, nil, lease.ErrChanged)
	s.want("a", "1")
	s.swap("a", first, []byte("2"), nil)
	s.want("a", "2")
	s.swap("a", first, []byte("3"), lease.ErrChanged)
	s.swap("a", first, nil, lease.ErrChanged)
	s.want("a", "2")

	_, second := s.look("a")
	s.swap("b", second, []byte("x"), lease.ErrChanged) // another key's version
	s.put("a", "2")
	s.swap("a", second, []byte("4"), lease.ErrChanged) // the same value, put again
	_, third := s.look("a")
	s.swap("a", third, nil, nil)
	s.wantNone("a")
	s.swap("a", third, nil, lease.ErrChanged)
	s.put("a", "2")
	s.swap("a", third, []byte("5"), lease.ErrChanged) // it was gone in between
	s.want("a", "2")

	_, fourth := s.look("a")
	var e *lease.Error
	if err := s.Swap(background, "a", fourth, []byte("6"), -1); !errors.As(err, &e) || e.Code != lease.Invalid {
		s.Errorf("swap with a negative time to live: got %v, want a lease.Error with code Invalid", err)
	}
	s.want("a", "2")
}

func testSwapTogether(s *shelf) {
	const n, rounds = 4, 25
	add := func() error {
		for done := 0; done < rounds; {
			text, version, err := s.Look("sum")
			if err != nil {
				return err
			}
			sum, _ := strconv.Atoi(string(text))
			switch err := s.Swap(background, "sum", version, []byte(strconv.Itoa(sum+1)), 0); {
			case err == nil:
				done++
			case !errors.Is(err, lease.ErrChanged):
				return err
			}
		}
		return nil
	}
	if err := errors.Join(together(add, add, add, add)...); err != nil {
		s.Fatal(err)
	}
	s.want("sum", fmt.Sprint(n*rounds))
}

func testStoreCancelled(s *shelf) {
	s.put("a", "1")
	_, version := s.look("a")
	ctx, cancel := context.WithCancel(background)
	cancel()
	for what, err := range map[string]error{
		"put":    s.Put(ctx, "a", []byte("2")),
		"swap":   s.Swap(ctx, "a", version, []byte("2"), 0),
		"delete": s.Delete(ctx, "a"),
	} {
		if err == nil {
			s.Errorf("%s with a cancelled context: got no error", what)
		}
	}
	s.want("a", "1")
}
