package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// KeySize is the length of every key, in bytes.
const KeySize = 32

// maxKeyFile bounds what is read of a key file; the base64 of a key has 44 bytes.
const maxKeyFile = 4 << 10

// StaticKey wraps keyrings. It comes from outside and is never stored.
type StaticKey struct {
	key Secret // the bytes themselves: as a Secret they stay hidden when an owner is printed
	id  string
}

// NewStaticKey makes a key of 32 bytes from rand.
func NewStaticKey(rand io.Reader) (*StaticKey, error) {
	key, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	return newStaticKey(key), nil
}

func newKey(rand io.Reader) (Secret, error) {
	var key [KeySize]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return Secret{}, fmt.Errorf("make a key: %w", err)
	}
	return NewSecret(string(key[:])), nil
}

func newStaticKey(key Secret) *StaticKey {
	sum := sha256.Sum256([]byte("leasehold static key id v1" + key.Reveal()))
	return &StaticKey{key: key, id: hex.EncodeToString(sum[:keyIDSize])}
}

// ParseStaticKey reads 32 bytes in base64, of either alphabet, with or without padding. Errors do
// not repeat the text.
func ParseStaticKey(text string) (*StaticKey, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, fmt.Errorf("is empty: expected %d bytes in base64", KeySize)
	}
	if _, err := hex.DecodeString(text); err == nil && len(text) == 2*KeySize {
		return nil, fmt.Errorf("looks like hex: expected %d bytes in base64", KeySize)
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	raw, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("is not base64: expected %d bytes in base64", KeySize)
	}
	if len(raw) != KeySize {
		return nil, fmt.Errorf("has %d bytes: expected %d bytes in base64", len(raw), KeySize)
	}
	return newStaticKey(NewSecret(string(raw))), nil
}

// LoadKeyFile reads a static key from a file. Warnings say what is wrong with the file while the
// key can be used.
func LoadKeyFile(path string) (key *StaticKey, warnings []string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("seal key file %q does not exist: copy it from another node, or for a new "+
			"cluster make it with: openssl rand -base64 32", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("seal key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("seal key file: %w", err)
	}
	if info.IsDir() {
		return nil, nil, fmt.Errorf("seal key file %q is a directory", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("seal key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, nil, fmt.Errorf("seal key file %q has more than %d bytes: expected %d bytes in base64", path,
			maxKeyFile, KeySize)
	}
	if key, err = ParseStaticKey(string(text)); err != nil {
		return nil, nil, fmt.Errorf("seal key file %q %w", path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		warnings = append(warnings, fmt.Sprintf("seal key file %q is open to others than its owner (mode %04o): "+
			"chmod 600 it", path, mode))
	}
	return key, warnings, nil
}

// ID returns eight hex digits that tell keys apart and say nothing of them.
func (k *StaticKey) ID() string { return k.id }

// Encode returns the key as ParseStaticKey reads it.
func (k *StaticKey) Encode() Secret {
	return NewSecret(base64.StdEncoding.EncodeToString([]byte(k.key.Reveal())))
}

// String returns "static key" and the ID.
func (k *StaticKey) String() string { return "static key " + k.id }

// Format writes what String returns, whatever the verb and flags.
func (k *StaticKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
