package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// Keyring seals, opens and hashes. It never changes and is safe for concurrent use.
type Keyring struct {
	active uint32
	keys   map[uint32]Secret // data keys by version
	token  tokenKey
	hashes sync.Pool // of *tokenHash
}

// tokenKey hashes tokens.
type tokenKey struct {
	version uint32
	key     Secret
}

// NewKeyring makes a keyring with one data key and one token key from rand.
func NewKeyring(rand io.Reader) (*Keyring, error) {
	data, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	token, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	return newKeyring(1, map[uint32]Secret{1: data}, tokenKey{1, token}), nil
}

func newKeyring(active uint32, keys map[uint32]Secret, token tokenKey) *Keyring {
	k := &Keyring{active: active, keys: keys, token: token}
	k.hashes.New = func() any { return &tokenHash{mac: hmac.New(sha256.New, []byte(token.key.Reveal()))} }
	return k
}

// Rotate returns a keyring with one data key more, which is the active one. What the older keys
// sealed still opens; the token key stays.
func (k *Keyring) Rotate(rand io.Reader) (*Keyring, error) {
	next := slices.Max(slices.Collect(maps.Keys(k.keys))) + 1
	if len(k.keys) >= maxDataKeys || next == 0 {
		return nil, fmt.Errorf("%v: there is no room for another", k)
	}
	key, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	keys := maps.Clone(k.keys)
	keys[next] = key
	return newKeyring(next, keys, k.token), nil
}

// Version returns the version of the active data key.
func (k *Keyring) Version() uint32 { return k.active }

// String returns the version of the active data key and how many there are.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring of %d data keys, version %d active", len(k.keys), k.active)
}

// Format writes what String returns, whatever the verb and flags.
func (k *Keyring) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LeasePlace names a secret field of a lease.
func LeasePlace(leaseID, field string) string { return "lease/" + leaseID + "/" + field }

// MountPlace names a secret entry of a mount. The mount is given by its UUID, since a path may be
// taken by another mount later.
func MountPlace(uuid, key string) string { return "mount/" + uuid + "/" + key }

// A sealed blob, version 1:
//
//	byte  0      1, the format's version
//	bytes 1-4    version of the data key, big-endian
//	bytes 5-16   nonce
//	bytes 17-    AES-256-GCM ciphertext, then its tag of 16 bytes
//
// The additional data is bytes 0-4 and the place. The AES key is HMAC-SHA-256 of a label and the
// place under the data key: random nonces are safe for 2^32 messages under one key, which a busy
// cluster would reach in weeks if all places shared one.
const (
	blobFormat = 1
	blobHeader = 5
	nonceSize  = 12
	tagSize    = 16

	// Overhead is how much longer a sealed blob is than what is in it.
	Overhead = blobHeader + nonceSize + tagSize
)

// ErrDamaged means that a blob does not authenticate: it was altered, cut, or sealed for another
// place or by another cluster.
var ErrDamaged = errors.New("sealed data does not authenticate: it is damaged, or belongs elsewhere")

// Seal encrypts plaintext for a place under the active data key.
func (k *Keyring) Seal(place string, plaintext []byte) ([]byte, error) {
	if place == "" {
		return nil, errors.New("seal: no place given")
	}
	header := binary.BigEndian.AppendUint32([]byte{blobFormat}, k.active)
	aead, err := placeAEAD(k.keys[k.active], place)
	if err != nil {
		return nil, err
	}
	out := make([]byte, blobHeader, Overhead+len(plaintext))
	copy(out, header)
	return aead.Seal(out, nil, plaintext, append(header, place...)), nil
}

// Open decrypts what Seal made for the same place, under whichever data key it names.
func (k *Keyring) Open(place string, blob []byte) ([]byte, error) {
	if len(blob) < Overhead {
		return nil, fmt.Errorf("sealed data of %d bytes is shorter than %d: %w", len(blob), Overhead, ErrDamaged)
	}
	if blob[0] != blobFormat {
		return nil, fmt.Errorf("sealed data has format %d, and format %d is known", blob[0], blobFormat)
	}
	version := binary.BigEndian.Uint32(blob[1:blobHeader])
	key, ok := k.keys[version]
	if !ok {
		return nil, fmt.Errorf("sealed data needs version %d of the data key, which is not in this %v", version, k)
	}
	aead, err := placeAEAD(key, place)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, blob[blobHeader:], append(blob[:blobHeader:blobHeader], place...))
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}

func placeAEAD(key Secret, place string) (cipher.AEAD, error) {
	return newAEAD(key, "leasehold data key v1\x00"+place)
}

// newAEAD returns AES-256-GCM under a key made from key for one use. It makes its own nonces and
// puts them before the ciphertext.
func newAEAD(key Secret, use string) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	io.WriteString(mac, use)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
