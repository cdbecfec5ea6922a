package userpass

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Failures are counted by name and not by user, so that names with and without a user behave alike. Lest
// callers fill the state with names that they invent, a mount keeps a fixed number of slots, each with
// a fixed number of names. Which slot a name shares is known to nobody: the hash has a key. So nobody can
// push another's failures out, short of making more wrong guesses than there is room for.
const (
	slots     = 1024
	slotKeys  = "lockout/slot/"
	keyKey    = "lockout/key"
	keyLen    = 32
	nameIDLen = 16 // bytes
)

// tally is the count of failures of one name, for one request.
type tally struct {
	lockout
	store backend.Store
	now   lease.Time
	key   string // of the slot
	name  string // in the slot
}

// openTally finds the tally of a name.
func openTally(ctx context.Context, req *backend.Request, name string) (*tally, error) {
	rule, err := readLockout(req.Mount.Options)
	if err != nil {
		return nil, err
	}
	key, err := hashKey(ctx, req)
	if err != nil {
		return nil, err
	}
	slotKey, id := nameID(key, name)
	return &tally{lockout: rule, store: req.Store, now: req.Now, key: slotKey, name: id}, nil
}

// nameID says in which slot a name is counted, and as what.
func nameID(key []byte, name string) (slotKey, id string) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(name))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint16(sum) % slots
	return fmt.Sprintf("%s%04d", slotKeys, n), hex.EncodeToString(sum[2 : 2+nameIDLen])
}

// hashKey returns the mount's key, which the first login makes.
func hashKey(ctx context.Context, req *backend.Request) ([]byte, error) {
	for range maxTries {
		key, version, err := req.Store.Look(keyKey)
		if err != nil {
			return nil, fmt.Errorf("read the key of the lock-out: %w", err)
		}
		if version != "" {
			return key, nil
		}
		key = make([]byte, keyLen)
		if _, err := io.ReadFull(req.Random, key); err != nil {
			return nil, fmt.Errorf("make the key of the lock-out: %w", err)
		}
		if err = req.Store.Swap(ctx, keyKey, "", key, 0); err == nil {
			return key, nil
		}
		if !errors.Is(err, lease.ErrChanged) {
			return nil, err
		}
	}
	return nil, errContended()
}

// look returns the slot as it is stored; some of it may have expired.
func (t *tally) look() (*slot, backend.Version, error) {
	data, version, err := t.store.Look(t.key)
	if err != nil {
		return nil, "", fmt.Errorf("read the failed logins: %w", err)
	}
	s := new(slot)
	if version == "" {
		return s, version, nil
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, "", &lease.Error{Code: lease.Internal, Message: "the failed logins cannot be read: set " + optionDisable + " until they have expired", Err: err}
	}
	return s, version, nil
}

func (t *tally) locked(s *slot) bool {
	i := s.of(t.name)
	return i >= 0 && t.locks(s.Names[i], t.now)
}

// check is lease.ErrDenied while the name is locked.
func (t *tally) check() error {
	if t.disable {
		return nil
	}
	s, _, err := t.look()
	if err == nil && t.locked(s) {
		err = lease.ErrDenied
	}
	return err
}

// settle records the outcome of a comparison, and is lease.ErrDenied if the name has been locked
// meanwhile: then the outcome must not be told. Of many that race, as many are told theirs as the threshold says.
func (t *tally) settle(ctx context.Context, success bool) error {
	if t.disable {
		return nil
	}
	return t.change(ctx, func(s *slot) (bool, error) {
		switch {
		case t.locked(s):
			return false, lease.ErrDenied
		case success:
			return s.forget(t.name), nil
		}
		s.expire(t.lockout, t.now)
		s.fail(t.lockout, t.name, t.now)
		return true, nil
	})
}

// forget drops the failures of a name, be it locked or not.
func forget(ctx context.Context, req *backend.Request, name string) error {
	t, err := openTally(ctx, req, name)
	if err != nil {
		return err
	}
	return t.change(ctx, func(s *slot) (bool, error) { return s.forget(t.name), nil })
}

// change swaps the slot for a changed one; work says whether it changed it.
func (t *tally) change(ctx context.Context, work func(*slot) (bool, error)) error {
	for range maxTries {
		s, version, err := t.look()
		if err != nil {
			return err
		}
		changed, err := work(s)
		if err != nil || !changed {
			return err
		}
		s.expire(t.lockout, t.now) // what stays has a time to live
		var data []byte            // nil deletes
		if len(s.Names) > 0 {
			if data, err = field.FormatJSON(s); err != nil {
				return fmt.Errorf("encode the failed logins: %w", err)
			}
		}
		err = t.store.Swap(ctx, t.key, version, data, s.left(t.lockout, t.now))
		if !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return errContended()
}
