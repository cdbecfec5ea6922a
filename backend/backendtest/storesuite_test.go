package backendtest_test

import (
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
)

// storeBugs are planted in a store that passes, each with the test of RunStore that must fail.
var storeBugs = map[string]struct {
	plant func(*backendtest.Store) backend.Store
	test  string
}{
	"swap does not look": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, swap: func(ctx context.Context, key string, _ backend.Version, value []byte, ttl time.Duration) error {
				_, seen, _ := s.Look(key)
				return s.Swap(ctx, key, seen, value, ttl)
			}}
		}, "swap"},
	"swap looks too early": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, swap: func(ctx context.Context, key string, seen backend.Version, value []byte, _ time.Duration) error {
				if _, now, _ := s.Look(key); now != seen {
					return lease.ErrChanged
				}
				runtime.Gosched()
				return s.Put(ctx, key, value)
			}}
		}, "swaps_that_race"},
	"equal values have equal versions": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, look: func(key string) ([]byte, backend.Version, error) {
				value, version, err := s.Look(key)
				if version != "" {
					sum := sha256.Sum256(value)
					version = backend.Version(sum[:])
				}
				return value, version, err
			}}
		}, "each_value_has_a_version_of_its_own"},
	"a level shows all that is below": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, level: func(prefix, after string, limit int) ([]string, bool, error) {
				all, err := s.List(prefix)
				var keys []string
				for _, key := range all {
					if key > after {
						keys = append(keys, key)
					}
				}
				more := len(keys) > limit
				return keys[:min(limit, len(keys))], more, err
			}}
		}, "level"},
	"a full page promises another": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, level: func(prefix, after string, limit int) ([]string, bool, error) {
				keys, _, err := s.Level(prefix, after, limit)
				return keys, len(keys) == limit, err
			}}
		}, "level"},
	"the context is ignored": {
		func(s *backendtest.Store) backend.Store {
			return brokenStore{Store: s, swap: func(_ context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
				return s.Swap(context.Background(), key, seen, value, ttl)
			}}
		}, "a_cancelled_call_does_nothing"},
}

// brokenStore is the store in memory with some methods replaced.
type brokenStore struct {
	*backendtest.Store
	look  func(string) ([]byte, backend.Version, error)
	swap  func(context.Context, string, backend.Version, []byte, time.Duration) error
	level func(string, string, int) ([]string, bool, error)
}

func (b brokenStore) Look(key string) ([]byte, backend.Version, error) {
	if b.look == nil {
		return b.Store.Look(key)
	}
	return b.look(key)
}

func (b brokenStore) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if b.swap == nil {
		return b.Store.Swap(ctx, key, seen, value, ttl)
	}
	return b.swap(ctx, key, seen, value, ttl)
}

func (b brokenStore) Level(prefix, after string, limit int) ([]string, bool, error) {
	if b.level == nil {
		return b.Store.Level(prefix, after, limit)
	}
	return b.level(prefix, after, limit)
}

func TestTheStoreSuiteFindsPlantedBugs(t *testing.T) {
	for name, bug := range storeBugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestPlantedStore$/^"+bug.test+"$", "-test.v")
			cmd.Env = append(os.Environ(), bugVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestPlantedStore/"+bug.test+" ") {
				t.Errorf("the suite did not fail in %q (%v):\n%s", bug.test, err, out)
			}
		})
	}
}

// TestPlantedStore runs the suite on the store in memory, with the bug that the variable names, if it
// names one.
func TestPlantedStore(t *testing.T) {
	name := os.Getenv(bugVariable)
	backendtest.RunStore(t, func(*testing.T) backend.Store {
		if bug, ok := storeBugs[name]; ok {
			return bug.plant(backendtest.NewStore())
		}
		return backendtest.NewStore()
	})
}
