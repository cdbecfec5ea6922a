package seal_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/leasehold/leasehold/seal"
)

// Whatever the bytes, opening ends; what opens is what was sealed. The genuine blobs are the golden
// ones, since fuzzing runs in several processes and each sealing is different.
func FuzzOpen(f *testing.F) {
	ring, err := seal.Unwrap(staticKey(f, 3), unhex(f, goldenKeyring))
	if err != nil {
		f.Fatal(err)
	}
	good, at := unhex(f, goldenMount), seal.MountPlace("6f9619ff", "config")
	f.Add(at, good)
	f.Add("q", good)
	f.Add(at, good[:20])
	f.Add("", []byte{})
	f.Add(at, bytes.Repeat([]byte{1}, 64))
	f.Fuzz(func(t *testing.T, place string, blob []byte) {
		plain, err := ring.Open(place, blob)
		if genuine := place == at && bytes.Equal(blob, good); (err == nil) != genuine || genuine && string(plain) != "a secret" {
			t.Errorf("Open(%q, %x): got %q, %v", place, blob, plain, err)
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	key := staticKey(f, 3)
	good := unhex(f, goldenKeyring)
	f.Add(good)
	f.Add(good[:30])
	f.Add([]byte("LHKR\x01"))
	f.Add(binary.BigEndian.AppendUint32(bytes.Clone(good[:9]), 1<<32-1))
	f.Fuzz(func(t *testing.T, blob []byte) {
		ring, err := seal.Unwrap(key, blob)
		if (err == nil) != bytes.Equal(blob, good) || (ring == nil) != (err != nil) {
			t.Errorf("Unwrap(%x): got %v, %v", blob, ring, err)
		}
	})
}

func FuzzParseStaticKey(f *testing.F) {
	for _, seed := range []string{"", "=", "AAAA", staticKey(f, 1).Encode().Reveal(), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := seal.ParseStaticKey(text)
		if err != nil {
			return
		}
		again, err := seal.ParseStaticKey(key.Encode().Reveal())
		if err != nil || again.ID() != key.ID() {
			t.Errorf("%q: got %v, %v; want %v", text, again, err, key)
		}
	})
}
