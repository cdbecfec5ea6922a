package backendtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store is a backend.Store in memory.
type Store struct {
	mu       sync.Mutex // guards all below
	values   map[string][]byte
	changes  int
	versions map[string]int // the change that made a value, by key
	ttls     map[string]time.Duration
}

// NewStore makes an empty Store.
func NewStore() *Store { return &Store{values: map[string][]byte{}} }

// Get returns a copy of the value and whether there is one.
func (s *Store) Get(key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[key]
	return slices.Clone(value), ok, nil
}

// List returns the keys below prefix, without it, sorted.
func (s *Store) List(prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.values {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			keys = append(keys, rest)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Put stores a copy of value.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, value)
	return nil
}

// Delete removes the value; absent is success.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, nil)
	return nil
}
