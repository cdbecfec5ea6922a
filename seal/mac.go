package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// MAC authenticates data for a use with HMAC-SHA-256 under a key that HKDF makes from the active data key
// for that use alone. It returns the data key's version, which CheckMAC needs.
func (k *Keyring) MAC(use string, data []byte) (version uint32, mac []byte, err error) {
	mac, err = useMAC(k.keys[k.active], use, data)
	return k.active, mac, err
}

// CheckMAC returns nil if mac is what MAC returned for the same use and data under that version of the data
// key, and else ErrDamaged or that the version is not known.
func (k *Keyring) CheckMAC(use string, data []byte, version uint32, mac []byte) error {
	key, ok := k.keys[version]
	if !ok {
		return fmt.Errorf("the authentication code needs version %d of the data key, which is not in this %v", version, k)
	}
	want, err := useMAC(key, use, data)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, want) {
		return ErrDamaged
	}
	return nil
}

func useMAC(key Secret, use string, data []byte) ([]byte, error) {
	if use == "" {
		return nil, fmt.Errorf("mac: no use given")
	}
	derived, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "leasehold mac v1\x00"+use, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	mac := hmac.New(sha256.New, derived)
	mac.Write(data)
	return mac.Sum(nil), nil
}
