package backendtest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Store is a backend.Store in memory. It passes RunStore. Unlike the replicated store it knows no
// time: what has a time to live stays, and TTL tells it.
type Store struct {
	mu      sync.Mutex // guards all below
	entries map[string]entry
	changes int // so many values were stored
}

// entry is a value as it is kept.
type entry struct {
	value  []byte
	change int // the one that made it
	ttl    time.Duration
}

// NewStore makes an empty Store.
func NewStore() *Store { return &Store{entries: map[string]entry{}} }

// Get returns a copy of the value and whether there is one.
func (s *Store) Get(key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	return slices.Clone(e.value), ok, nil
}

// List returns the keys below prefix, without it, sorted.
func (s *Store) List(prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.entries {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			keys = append(keys, rest)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Level returns one level of the keys below prefix. Unlike that of the replicated store it looks at
// all keys.
func (s *Store) Level(prefix, after string, limit int) (keys []string, more bool, err error) {
	all, err := s.List(prefix)
	if err != nil {
		return nil, false, err
	}
	for _, key := range all {
		if head, _, below := strings.Cut(key, "/"); below {
			key = head + "/"
		}
		if key > after {
			keys = append(keys, key)
		}
	}
	keys = slices.Compact(keys) // what lies below one key is next to each other
	if limit >= 0 && len(keys) > limit {
		return keys[:limit:limit], true, nil
	}
	return keys, false, nil
}

// Put stores a copy of value, for ever.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, value, 0)
	return nil
}

// Delete removes the value; absent is success.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
	return nil
}

// Look is Get with the version of the value.
func (s *Store) Look(key string) ([]byte, backend.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries[key].value), s.version(key), nil
}

// Swap changes the value if seen is its version.
func (s *Store) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ttl < 0 {
		return lease.Errorf(lease.Invalid, "the ttl of a value cannot be negative, got %s", ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.version(key) != seen:
		return lease.ErrChanged
	case value == nil:
		delete(s.entries, key)
	default:
		s.set(key, value, ttl)
	}
	return nil
}

// TTL is the time to live of the value that key has, as Swap was told it; 0 if it stays for ever or is
// not there.
func (s *Store) TTL(key string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[key].ttl
}

// set stores a copy of value under a version that none had before.
func (s *Store) set(key string, value []byte, ttl time.Duration) {
	s.changes++
	s.entries[key] = entry{slices.Clone(value), s.changes, ttl}
}

func (s *Store) version(key string) backend.Version {
	e, ok := s.entries[key]
	if !ok {
		return ""
	}
	return backend.Version(strconv.Itoa(e.change))
}
