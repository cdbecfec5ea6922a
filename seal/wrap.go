package seal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A wrapped keyring, version 1:
//
//	bytes 0-3    "LHKR"
//	byte  4      1, the format's version
//	bytes 5-8    ID of the static key
//	bytes 9-12   length of the data section, big-endian; the section
//	then         length of the token section; the section; nothing more
//
// A section is AES-256-GCM, nonce first, under a key derived from the static key; its additional
// data is bytes 0-8 and the section's name. The data section holds the version of the active key,
// then each key's version and bytes in order of version; the token section the token key's version
// and bytes.
const (
	ringMagic  = "LHKR"
	ringFormat = 1
	keyIDSize  = 4
	ringHeader = len(ringMagic) + 1 + keyIDSize
	keyRecord  = 4 + KeySize

	dataSection  = "data keys"
	tokenSection = "token key"

	// maxDataKeys bounds a keyring, which every node holds and every snapshot carries.
	maxDataKeys = 1024
)

// WrongKeyError says that a keyring is wrapped by another static key than the one given.
type WrongKeyError struct {
	Needed, Given string // IDs
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("the keyring needs the static key with ID %s; the one given has ID %s: "+
		"use the seal key file of the node that initialized this cluster", e.Needed, e.Given)
}

// Wrap returns the keyring sealed by the static key.
func (k *Keyring) Wrap(key *StaticKey) ([]byte, error) {
	id, err := hex.DecodeString(key.id)
	if err != nil {
		return nil, err
	}
	header := slices.Concat([]byte(ringMagic), []byte{ringFormat}, id)
	data := binary.BigEndian.AppendUint32(nil, k.active)
	for _, version := range slices.Sorted(maps.Keys(k.keys)) {
		data = appendKey(data, version, k.keys[version])
	}
	out := header
	for _, s := range []struct {
		name  string
		plain []byte
	}{{dataSection, data}, {tokenSection, appendKey(nil, k.token.version, k.token.key)}} {
		aead, err := newAEAD(key.key, "leasehold keyring v1\x00"+s.name)
		if err != nil {
			return nil, err
		}
		sealed := aead.Seal(nil, nil, s.plain, append(header[:ringHeader:ringHeader], s.name...))
		out = binary.BigEndian.AppendUint32(out, uint32(len(sealed)))
		out = append(out, sealed...)
		clear(s.plain)
	}
	return out, nil
}

func appendKey(b []byte, version uint32, key Secret) []byte {
	return append(binary.BigEndian.AppendUint32(b, version), key.Reveal()...)
}

// Unwrap opens a wrapped keyring. The error is a *WrongKeyError if another static key is needed.
func Unwrap(key *StaticKey, blob []byte) (*Keyring, error) {
	if len(blob) < ringHeader || string(blob[:len(ringMagic)]) != ringMagic {
		return nil, errors.New("this is not a wrapped keyring")
	}
	if format := blob[len(ringMagic)]; format != ringFormat {
		return nil, fmt.Errorf("the keyring has format %d, and format %d is known", format, ringFormat)
	}
	header := blob[:ringHeader:ringHeader]
	if needed := hex.EncodeToString(header[ringHeader-keyIDSize:]); needed != key.id {
		return nil, &WrongKeyError{Needed: needed, Given: key.id}
	}
	data, rest, err := openSection(key, header, dataSection, blob[ringHeader:])
	if err != nil {
		return nil, err
	}
	token, rest, err := openSection(key, header, tokenSection, rest)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("wrapped keyring: %d bytes too many: %w", len(rest), ErrDamaged)
	}
	return decodeKeyring(data, token)
}

func openSection(key *StaticKey, header []byte, name string, b []byte) (plain, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, fmt.Errorf("wrapped keyring: %s: cut short: %w", name, ErrDamaged)
	}
	n := 4 + int(binary.BigEndian.Uint32(b))
	aead, err := newAEAD(key.key, "leasehold keyring v1\x00"+name)
	if err != nil {
		return nil, nil, err
	}
	plain, err = aead.Open(nil, nil, b[4:n], append(header, name...))
	if err != nil {
		return nil, nil, fmt.Errorf("wrapped keyring: %s: %w", name, ErrDamaged)
	}
	return plain, b[n:], nil
}

// decodeKeyring reads the opened sections. They authenticated, so a fault in them is one of the
// program that wrote them; it is an error all the same.
func decodeKeyring(data, token []byte) (*Keyring, error) {
	if len(token) != keyRecord || len(data) < 4+keyRecord || (len(data)-4)%keyRecord != 0 {
		return nil, fmt.Errorf("wrapped keyring: sections of %d and %d bytes", len(data), len(token))
	}
	active := binary.BigEndian.Uint32(data)
	keys := map[uint32]Secret{}
	last := uint32(0)
	for data = data[4:]; len(data) > 0; data = data[keyRecord:] {
		version, key := readKey(data)
		if version <= last || len(keys) == maxDataKeys {
			return nil, fmt.Errorf("wrapped keyring: data key version %d after %d, %d keys", version, last, len(keys))
		}
		keys[version], last = key, version
	}
	if _, ok := keys[active]; !ok {
		return nil, fmt.Errorf("wrapped keyring: the active data key, version %d, is missing", active)
	}
	version, key := readKey(token)
	return newKeyring(active, keys, tokenKey{version, key}), nil
}

func readKey(b []byte) (uint32, Secret) {
	return binary.BigEndian.Uint32(b), NewSecret(string(b[4:keyRecord]))
}
