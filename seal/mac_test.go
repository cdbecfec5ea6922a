package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/leasehold/leasehold/seal"
)

// T11: a code is good for its data, its use and its key only; a key that is not active any more still checks.
func TestT11_AuthenticationCodes(t *testing.T) {
	ring, err := seal.NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("manifest")
	version, mac, err := ring.MAC("use", data)
	if err != nil || version != ring.Version() || len(mac) != 32 {
		t.Fatalf("version %d, %d bytes, %v", version, len(mac), err)
	}
	rotated, err := ring.Rotate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(mac)
	flipped[31] ^= 1
	for _, c := range []struct {
		name    string
		ring    *seal.Keyring
		use     string
		data    string
		version uint32
		mac     []byte
		want    error
	}{
		{"as it was made", ring, "use", "manifest", version, mac, nil},
		{"after a rotation", rotated, "use", "manifest", version, mac, nil},
		{"another use", ring, "us", "emanifest", version, mac, seal.ErrDamaged},
		{"other data", ring, "use", "manifesu", version, mac, seal.ErrDamaged},
		{"the new key", rotated, "use", "manifest", rotated.Version(), mac, seal.ErrDamaged},
		{"another keyring", other, "use", "manifest", version, mac, seal.ErrDamaged},
		{"one bit flipped", ring, "use", "manifest", version, flipped, seal.ErrDamaged},
		{"cut", ring, "use", "manifest", version, mac[:31], seal.ErrDamaged},
		{"empty", ring, "use", "manifest", version, nil, seal.ErrDamaged},
	} {
		if err := c.ring.CheckMAC(c.use, []byte(c.data), c.version, c.mac); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := ring.CheckMAC("use", data, 99, mac); err == nil || errors.Is(err, seal.ErrDamaged) {
		t.Errorf("an unknown version: %v", err)
	}
	if _, _, err := ring.MAC("", data); err == nil {
		t.Error("a code for no use")
	}
}
