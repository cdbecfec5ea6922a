package seal

import (
	"encoding/hex"
	"hash"
)

// tokenHash is a keyed hash with the room one call needs, pooled because each request hashes its
// token and setting up a key costs more than the hash.
type tokenHash struct {
	mac hash.Hash
	in  [128]byte
	out [32]byte
	hex [64]byte
}

// HashToken returns HMAC-SHA-256 of a token under the token key, as 64 hex digits. Only this is
// stored and replicated: who reads the disk can neither use it nor test guesses against it.
func (k *Keyring) HashToken(token string) string {
	h := k.hashes.Get().(*tokenHash)
	h.mac.Reset()
	for len(token) > 0 {
		n := copy(h.in[:], token)
		h.mac.Write(h.in[:n])
		token = token[n:]
	}
	clear(h.in[:])
	hex.Encode(h.hex[:], h.mac.Sum(h.out[:0]))
	sum := string(h.hex[:])
	k.hashes.Put(h)
	return sum
}

// TokenKeyVersion returns the version of the key that HashToken uses.
func (k *Keyring) TokenKeyVersion() uint32 { return k.token.version }
