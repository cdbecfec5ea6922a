package seal_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/leasehold/leasehold/seal"
)

// pattern is a source of keys for tests: bytes that count up from the seed.
func pattern(seed byte) io.Reader {
	b := make([]byte, 1024)
	for i := range b {
		b[i] = seed + byte(i)
	}
	return bytes.NewReader(b)
}

func staticKey(t testing.TB, seed byte) *seal.StaticKey {
	t.Helper()
	key, err := seal.NewStaticKey(pattern(seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyring(t testing.TB, seed byte) *seal.Keyring {
	t.Helper()
	ring, err := seal.NewKeyring(pattern(seed))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func rotate(t testing.TB, ring *seal.Keyring, seed byte) *seal.Keyring {
	t.Helper()
	next, err := ring.Rotate(pattern(seed))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func sealed(t testing.TB, ring *seal.Keyring, place, plain string) []byte {
	t.Helper()
	blob, err := ring.Seal(place, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func wrapped(t testing.TB, ring *seal.Keyring, key *seal.StaticKey) []byte {
	t.Helper()
	blob, err := ring.Wrap(key)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsSealedOpens(t *testing.T) {
	ring := keyring(t, 1)
	for _, plain := range []string{"", "x", strings.Repeat("secret ", 10_000)} {
		blob := sealed(t, ring, "lease/a/internal", plain)
		if len(blob) != len(plain)+seal.Overhead {
			t.Errorf("%d bytes sealed: got %d, want %d", len(plain), len(blob), len(plain)+seal.Overhead)
		}
		// A single byte may well stand in a random blob by chance.
		if len(plain) > 16 && bytes.Contains(blob, []byte(plain[:16])) {
			t.Errorf("the blob shows what is sealed")
		}
		got, err := ring.Open("lease/a/internal", blob)
		if err != nil || string(got) != plain {
			t.Errorf("got %.20q, %v; want %.20q", got, err, plain)
		}
	}
}

func TestNoTwoBlobsAreAlike(t *testing.T) {
	ring := keyring(t, 1)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(sealed(t, ring, "p", "same"))] = true
	}
	if len(seen) != 1000 {
		t.Errorf("got %d blobs of 1000 sealings, want 1000: nonces repeat", len(seen))
	}
}

func TestABlobOpensNowhereElse(t *testing.T) {
	ring := keyring(t, 1)
	places := []string{seal.LeasePlace("a/b", "internal"), seal.LeasePlace("a", "internal"), seal.LeasePlace("a/b", "data"),
		seal.MountPlace("a/b", "internal"), seal.MountPlace("6f9619ff", "config"), "", "lease/a/b/internal\x00"}
	for i, from := range places {
		if from == "" {
			if _, err := ring.Seal(from, nil); err == nil {
				t.Error("Seal for no place: got no error")
			}
			continue
		}
		blob := sealed(t, ring, from, "x")
		for j, to := range places {
			if _, err := ring.Open(to, blob); (err == nil) != (i == j) || i != j && !errors.Is(err, seal.ErrDamaged) {
				t.Errorf("sealed for %q, opened for %q: got %v", from, to, err)
			}
		}
	}
}

// Header, nonce, ciphertext and tag: a change of any bit, and a cut anywhere, is noticed.
func TestAlteredBlobsDoNotOpen(t *testing.T) {
	ring := keyring(t, 1)
	blob := sealed(t, ring, "p", "a secret")
	for i := range blob {
		for bit := range 8 {
			bad := bytes.Clone(blob)
			bad[i] ^= 1 << bit
			if plain, err := ring.Open("p", bad); err == nil {
				t.Errorf("bit %d of byte %d changed: got %q, want an error", bit, i, plain)
			}
		}
		if _, err := ring.Open("p", blob[:i]); err == nil {
			t.Errorf("cut to %d bytes: got no error", i)
		}
	}
	if _, err := ring.Open("p", append(bytes.Clone(blob), 0)); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("a byte more: got %v, want %v", err, seal.ErrDamaged)
	}
	if _, err := keyring(t, 2).Open("p", blob); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("another keyring: got %v, want %v", err, seal.ErrDamaged)
	}
	if plain, err := ring.Open("p", blob); err != nil || string(plain) != "a secret" {
		t.Errorf("opening changed the blob: got %q, %v", plain, err)
	}
}

func TestErrorsSayWhatIsNeeded(t *testing.T) {
	ring := keyring(t, 1)
	blob := sealed(t, ring, "p", "x")
	newer := sealed(t, rotate(t, ring, 7), "p", "x")
	format := bytes.Clone(blob)
	format[0] = 9
	ringBlob := wrapped(t, ring, staticKey(t, 3))
	ringFormat := bytes.Clone(ringBlob)
	ringFormat[4] = 2
	key := staticKey(t, 3)
	open := func(b []byte) error { _, err := ring.Open("p", b); return err }
	unwrap := func(b []byte) error { _, err := seal.Unwrap(key, b); return err }
	tests := []struct {
		err  error
		want string
	}{
		{open(newer), "sealed data needs version 2 of the data key, which is not in this keyring of 1 data keys, version 1 active"},
		{open(format), "sealed data has format 9, and format 1 is known"},
		{open(blob[:9]), "sealed data of 9 bytes is shorter than 33: sealed data does not authenticate: it is damaged, or belongs elsewhere"},
		{unwrap(nil), "this is not a wrapped keyring"},
		{unwrap([]byte("LHKX12345678")), "this is not a wrapped keyring"},
		{unwrap(ringFormat), "the keyring has format 2, and format 1 is known"},
		{unwrap(ringBlob[:20]), "wrapped keyring: data keys: cut short: sealed data does not authenticate: it is damaged, or belongs elsewhere"},
		{unwrap(append(bytes.Clone(ringBlob), 0)), "wrapped keyring: 1 bytes too many: sealed data does not authenticate: it is damaged, or belongs elsewhere"},
	}
	for _, tt := range tests {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", tt.err, tt.want)
		}
	}
}

func TestKeyringsSurviveWrapping(t *testing.T) {
	ring := keyring(t, 1)
	old := sealed(t, ring, "p", "old")
	ring = rotate(t, rotate(t, ring, 20), 30)
	blob := wrapped(t, ring, staticKey(t, 3))
	got, err := seal.Unwrap(staticKey(t, 3), blob)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version() != 3 || got.TokenKeyVersion() != 1 || got.String() != ring.String() {
		t.Errorf("got %v, token key %d; want %v, token key 1", got, got.TokenKeyVersion(), ring)
	}
	if got, want := got.HashToken("t"), ring.HashToken("t"); got != want {
		t.Errorf("token hash: got %s, want %s", got, want)
	}
	for _, b := range [][]byte{old, sealed(t, ring, "p", "old")} {
		if plain, err := got.Open("p", b); err != nil || string(plain) != "old" {
			t.Errorf("got %q, %v; want old", plain, err)
		}
	}
	if plain, err := ring.Open("p", sealed(t, got, "p", "back")); err != nil || string(plain) != "back" {
		t.Errorf("sealed after unwrapping: got %q, %v; want back", plain, err)
	}
	if bytes.Equal(blob, wrapped(t, ring, staticKey(t, 3))) {
		t.Error("two wrappings are alike: nonces repeat")
	}
}

func TestTheStaticKeyCanChange(t *testing.T) {
	ring := keyring(t, 1)
	opened, err := seal.Unwrap(staticKey(t, 3), wrapped(t, ring, staticKey(t, 3)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Unwrap(staticKey(t, 4), wrapped(t, opened, staticKey(t, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open("p", sealed(t, ring, "p", "x")); err != nil || string(plain) != "x" {
		t.Errorf("got %q, %v; want x", plain, err)
	}
}

func TestAWrongStaticKeyIsNamed(t *testing.T) {
	right, wrong := staticKey(t, 3), staticKey(t, 4)
	_, err := seal.Unwrap(wrong, wrapped(t, keyring(t, 1), right))
	var wrongKey *seal.WrongKeyError
	if !errors.As(err, &wrongKey) || wrongKey.Needed != right.ID() || wrongKey.Given != wrong.ID() {
		t.Fatalf("got %v, want a WrongKeyError from %s to %s", err, right.ID(), wrong.ID())
	}
	want := "the keyring needs the static key with ID " + right.ID() + "; the one given has ID " + wrong.ID() +
		": use the seal key file of the node that initialized this cluster"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if len(right.ID()) != 8 || right.ID() == wrong.ID() {
		t.Errorf("got IDs %q and %q, want different ones of 8 digits", right.ID(), wrong.ID())
	}
}

func TestAlteredKeyringsDoNotUnwrap(t *testing.T) {
	key := staticKey(t, 3)
	blob := wrapped(t, rotate(t, keyring(t, 1), 9), key)
	for i := range blob {
		for bit := range 8 {
			bad := bytes.Clone(blob)
			bad[i] ^= 1 << bit
			if _, err := seal.Unwrap(key, bad); err == nil {
				t.Errorf("bit %d of byte %d changed: got no error", bit, i)
			}
		}
		if _, err := seal.Unwrap(key, blob[:i]); err == nil {
			t.Errorf("cut to %d bytes: got no error", i)
		}
	}
	// The two sections in each other's place, each with its length.
	n := 13 + int(blob[11])<<8 + int(blob[12])
	swapped := append(append(bytes.Clone(blob[:9]), blob[n:]...), blob[9:n]...)
	if _, err := seal.Unwrap(key, swapped); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("sections swapped: got %v, want %v", err, seal.ErrDamaged)
	}
}

// What this version writes must open for ever; the blobs were made by it and are kept as text.
func TestBlobsOfTheFirstFormatStillOpen(t *testing.T) {
	ring, err := seal.Unwrap(staticKey(t, 3), unhex(t, goldenKeyring))
	if err != nil {
		t.Fatal(err)
	}
	for place, golden := range map[string]string{seal.LeasePlace("aws/creds/x/1", "internal"): goldenLease,
		seal.MountPlace("6f9619ff", "config"): goldenMount} {
		if plain, err := ring.Open(place, unhex(t, golden)); err != nil || string(plain) != "a secret" {
			t.Errorf("%s: got %q, %v; want a secret", place, plain, err)
		}
	}
}

func TestHashTokenIsTheHMACOfTheToken(t *testing.T) {
	ring := keyring(t, 1)
	key := make([]byte, 32) // the second 32 bytes of pattern(1)
	for i := range key {
		key[i] = 33 + byte(i)
	}
	for _, token := range []string{"", "hvs.abc", strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("xyz", 1000)} {
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, token)
		want := hex.EncodeToString(mac.Sum(nil))
		for range 3 {
			if got := ring.HashToken(token); got != want {
				t.Errorf("token of %d bytes: got %s, want %s", len(token), got, want)
			}
		}
		if got := rotate(t, ring, 9).HashToken(token); got != want {
			t.Errorf("after a rotation of the data key: got %s, want %s", got, want)
		}
		if got := keyring(t, 2).HashToken(token); got == want {
			t.Errorf("another keyring gives the same hash")
		}
	}
}

func TestKeyringsAreUsedConcurrently(t *testing.T) {
	ring := keyring(t, 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			token := fmt.Sprintf("hvs.%d", i)
			want := ring.HashToken(token)
			for range 500 {
				if got := ring.HashToken(token); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			blob := sealed(t, ring, token, token)
			if plain, err := ring.Open(token, blob); err != nil || string(plain) != token {
				t.Errorf("got %q, %v; want %q", plain, err, token)
			}
		})
	}
	wg.Wait()
}

func TestNoKeysWithoutRandomness(t *testing.T) {
	broken := iotest.ErrReader(errors.New("no entropy"))
	short := io.LimitReader(rand.Reader, 40) // enough for one key, not for two
	_, err1 := seal.NewStaticKey(broken)
	_, err2 := seal.NewKeyring(broken)
	_, err3 := seal.NewKeyring(short)
	_, err4 := keyring(t, 1).Rotate(broken)
	for i, err := range []error{err1, err2, err3, err4} {
		if err == nil {
			t.Errorf("%d: got a key, want an error", i+1)
		}
	}
}
