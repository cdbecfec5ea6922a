package lessor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// notingStore is a Store that notes whether anything was written through it.
type notingStore struct {
	backend.Store
	wrote atomic.Bool
}

func (s *notingStore) Put(ctx context.Context, key string, value []byte) error {
	return s.note(s.Store.Put(ctx, key, value))
}

func (s *notingStore) Delete(ctx context.Context, key string) error {
	return s.note(s.Store.Delete(ctx, key))
}

func (s *notingStore) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	return s.note(s.Store.Swap(ctx, key, seen, value, ttl))
}

func (s *notingStore) note(err error) error {
	if err == nil {
		s.wrote.Store(true)
	}
	return err
}

// halfDone is the error of a login that failed: once its method has written something, as that a use was
// taken, it is no longer true that nothing happened, and whoever began anew by itself would take another use.
func (s *notingStore) halfDone(err error) error {
	var e *lease.Error
	if !s.wrote.Load() || !errors.As(err, &e) || e.Code != lease.Unavailable {
		return err
	}
	return &lease.Error{Code: lease.Uncertain, Err: err,
		Message: "the login was not finished, though it may have used up what it was given: log in again, with another secret_id if this one is refused"}
}
