package approle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

const (
	keyKey   = "key"
	keyBytes = 32
)

// macKey is a mount's key. Custom secret_ids and role_ids may be guessed, so a plain hash of one could be
// found by trying; this one cannot without the key, which is sealed at rest.
type macKey []byte

// loadKey returns the mount's key. A mount without roles has none; then nothing matches the hashes
// under the nil key.
func loadKey(store backend.Store) (macKey, error) {
	key, _, err := store.Get(keyKey)
	if err != nil {
		return nil, fmt.Errorf("read the mount's key: %w", err)
	}
	return key, nil
}

// makeKey returns the mount's key, and draws it if there is none.
func makeKey(ctx context.Context, r *request) (macKey, error) {
	key, err := loadKey(r.Store)
	if err != nil || key != nil {
		return key, err
	}
	key = make(macKey, keyBytes)
	if _, err := io.ReadFull(r.Random, key); err != nil {
		return nil, noRandomness(err)
	}
	switch err := r.Store.Swap(ctx, keyKey, "", key, 0); {
	case errors.Is(err, lease.ErrChanged): // another request drew it first
		return loadKey(r.Store)
	case err != nil:
		return nil, err
	}
	return key, nil
}

// sum hashes texts under a label that no two uses share. Lengths go in, so that no two lists of texts
// come to the same bytes.
func (k macKey) sum(label string, texts ...string) []byte {
	mac := hmac.New(sha256.New, k)
	for _, text := range append(texts, label) {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		io.WriteString(mac, text)
	}
	return mac.Sum(nil)
}

// roleIDKey is where the owner of a role_id is kept.
func (k macKey) roleIDKey(roleID string) string {
	return roleIDPrefix + hex.EncodeToString(k.sum("role_id", roleID))
}

// digest is what is stored of a secret_id.
func (k macKey) digest(generation, secretID string) []byte {
	return k.sum("secret_id", generation, secretID)
}

// accessor is the safe handle of a secret_id, in the form of a UUID.
func (k macKey) accessor(generation, secretID string) string {
	id := uuid.UUID(k.sum("accessor", generation, secretID)[:16])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // of RFC 9562
	return id.String()
}

func randomUUID(random io.Reader) (string, error) {
	id, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return "", noRandomness(err)
	}
	return id.String(), nil
}

func noRandomness(err error) error {
	return &lease.Error{Code: lease.Internal, Message: "no randomness to be had", Err: err}
}
