package lessor

import (
	"bytes"
	"context"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// openRing is the keyring with the wrapped form it was opened from.
type openRing struct {
	wrapped []byte
	ring    *seal.Keyring
}

// Keyring returns the cluster's keyring, opened with this node's static key. Before the cluster is
// initialized the error is lease.ErrNotInitialized; a wrong static key is named by the error.
func (l *Lessor) Keyring() (*seal.Keyring, error) {
	var wrapped []byte
	l.state.Read(func(v *fsm.View) { wrapped = v.Cluster().Keyring })
	if len(wrapped) == 0 {
		return nil, lease.ErrNotInitialized
	}
	if open := l.ring.Load(); open != nil && bytes.Equal(open.wrapped, wrapped) {
		return open.ring, nil
	}
	ring, err := seal.Unwrap(l.sealKey, wrapped)
	if err != nil {
		return nil, lease.Errorf(lease.Internal, "this node cannot open the cluster's keyring: %v", err)
	}
	l.ring.Store(&openRing{wrapped, ring})
	return ring, nil
}

// Verifier checks something with the key that seals the cluster's keyring.
type Verifier interface {
	Verify(key *seal.StaticKey) error
}

// Verify has what checked with this node's seal key.
func (l *Lessor) Verify(what Verifier) error { return what.Verify(l.sealKey) }

// HashToken returns the hash by which the state knows the token with this bearer secret.
func (l *Lessor) HashToken(bearer string) (string, error) {
	ring, err := l.Keyring()
	if err != nil {
		return "", err
	}
	return ring.HashToken(bearer), nil
}

func (l *Lessor) seal(place string, plaintext []byte) ([]byte, error) {
	ring, err := l.Keyring()
	if err != nil {
		return nil, err
	}
	blob, err := ring.Seal(place, plaintext)
	if err != nil {
		return nil, asError(err)
	}
	return blob, nil
}

func (l *Lessor) open(place string, blob []byte) ([]byte, error) {
	ring, err := l.Keyring()
	if err != nil {
		return nil, err
	}
	plaintext, err := ring.Open(place, blob)
	if err != nil {
		return nil, &lease.Error{Code: lease.Internal, Message: "a sealed value cannot be opened", Err: err}
	}
	return plaintext, nil
}

// Names of a lease's sealed fields.
const (
	fieldInternal = "internal"
	fieldData     = "data"
)

// OpenInternal returns what le's backend keeps with it, such as Destroy needs; nil when there is
// none.
func (l *Lessor) OpenInternal(le *lease.Lease) ([]byte, error) {
	if len(le.Internal) == 0 {
		return nil, nil
	}
	return l.open(seal.LeasePlace(le.ID, fieldInternal), le.Internal)
}

// OpenData returns the data that was kept with le at its issue, nil when there is none. It is for
// the eyes of the lease's owner.
func (l *Lessor) OpenData(le *lease.Lease) (map[string]any, error) {
	if len(le.Data) == 0 {
		return nil, nil
	}
	text, err := l.open(seal.LeasePlace(le.ID, fieldData), le.Data)
	if err != nil {
		return nil, err
	}
	return decodeObject(text)
}

// store is a mount's configuration in the replicated state.
type store struct {
	l       *Lessor
	mountID string
}

// Store returns the configuration of a mount, given by its UUID: values are sealed before they are
// proposed. Put and Delete fail on a node that does not lead.
func (l *Lessor) Store(mountID string) backend.Store { return &store{l, mountID} }

// Get returns the value of key and whether there is one.
func (s *store) Get(key string) ([]byte, bool, error) {
	var blob []byte
	var ok bool
	s.l.state.Read(func(v *fsm.View) { blob, ok = v.Entry(s.mountID, key) })
	if !ok {
		return nil, false, nil
	}
	value, err := s.l.open(seal.MountPlace(s.mountID, key), blob)
	return value, err == nil, err
}

// List returns the keys below prefix, without it, sorted.
func (s *store) List(prefix string) ([]string, error) {
	var keys []string
	s.l.state.Read(func(v *fsm.View) {
		v.Entries(s.mountID, prefix, func(key string) bool {
			keys = append(keys, key[len(prefix):])
			return true
		})
	})
	return keys, nil
}

// Level returns one level of the keys below prefix.
func (s *store) Level(prefix, after string, limit int) (keys []string, more bool, err error) {
	s.l.state.Read(func(v *fsm.View) { keys, more = v.EntryLevel(s.mountID, prefix, after, limit) })
	return keys, more, nil
}

// Look returns the value of key with its version, which is its sealed form: no two are alike.
func (s *store) Look(key string) ([]byte, backend.Version, error) {
	var blob []byte
	var ok bool
	s.l.state.Read(func(v *fsm.View) { blob, ok = v.Entry(s.mountID, key) })
	if !ok {
		return nil, "", nil
	}
	value, err := s.l.open(seal.MountPlace(s.mountID, key), blob)
	return value, backend.Version(blob), err
}

// Swap seals value and puts it in place of the version seen, or deletes the key.
func (s *store) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	cmd := &command.SwapEntry{MountId: s.mountID, Key: key, Seen: []byte(seen), Ttl: int64(ttl)}
	if value != nil {
		blob, err := s.l.seal(seal.MountPlace(s.mountID, key), value)
		if err != nil {
			return err
		}
		cmd.Value = blob
	}
	_, err := s.l.propose(ctx, cmd)
	return err
}

// Put seals value and returns when it is committed.
func (s *store) Put(ctx context.Context, key string, value []byte) error {
	blob, err := s.l.seal(seal.MountPlace(s.mountID, key), value)
	if err != nil {
		return err
	}
	_, err = s.l.propose(ctx, &command.PutEntry{MountId: s.mountID, Key: key, Value: blob})
	return err
}

// Delete returns when the change is committed.
func (s *store) Delete(ctx context.Context, key string) error {
	_, err := s.l.propose(ctx, &command.DeleteEntry{MountId: s.mountID, Key: key})
	return err
}
