package backendtest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Look is Get with the version of the value.
func (s *Store) Look(key string) ([]byte, backend.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values[key]), s.version(key), nil
}

// Swap changes the value if seen is its version. The time to live is noted for TTL; nothing expires
// by itself.
func (s *Store) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version(key) != seen {
		return lease.ErrChanged
	}
	s.set(key, value)
	if s.ttls == nil {
		s.ttls = map[string]time.Duration{}
	}
	s.ttls[key] = ttl
	return nil
}

// TTL is the time to live that the last Swap of key gave it.
func (s *Store) TTL(key string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttls[key]
}

// Level returns one level of the keys below prefix.
func (s *Store) Level(prefix, after string, limit int) (keys []string, more bool, err error) {
	all, err := s.List(prefix)
	for _, key := range all {
		if head, _, below := strings.Cut(key, "/"); below {
			key = head + "/"
		}
		if key > after && (len(keys) == 0 || keys[len(keys)-1] != key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) > limit {
		return keys[:limit], true, err
	}
	return keys, false, err
}

// set stores a copy of value under a version of its own; nil deletes.
func (s *Store) set(key string, value []byte) {
	s.changes++
	if s.versions == nil {
		s.versions = map[string]int{}
	}
	s.versions[key] = s.changes
	if s.values[key] = slices.Clone(value); value == nil {
		delete(s.values, key)
	}
}

func (s *Store) version(key string) backend.Version {
	if _, ok := s.values[key]; !ok {
		return ""
	}
	return backend.Version(strconv.Itoa(s.versions[key]))
}
