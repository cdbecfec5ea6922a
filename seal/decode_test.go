package seal

import (
	"bytes"
	"testing"
)

// Inside the package, because sections reach decodeKeyring only after they authenticated: nobody
// without the static key can hand it a malformed one.
func TestMalformedSectionsAreErrors(t *testing.T) {
	record := func(version byte) []byte {
		return append([]byte{0, 0, 0, version}, bytes.Repeat([]byte{version}, KeySize)...)
	}
	data := func(active byte, versions ...byte) []byte {
		b := []byte{0, 0, 0, active}
		for _, v := range versions {
			b = append(b, record(v)...)
		}
		return b
	}
	ring, err := decodeKeyring(data(2, 1, 2, 9), record(4))
	if err != nil || ring.Version() != 2 || len(ring.keys) != 3 || ring.TokenKeyVersion() != 4 {
		t.Fatalf("got %v, %v; want 3 keys, version 2 active, token key 4", ring, err)
	}
	for name, tt := range map[string]struct{ data, token []byte }{
		"nothing":                     {nil, nil},
		"no data keys":                {data(1), record(1)},
		"no token key":                {data(1, 1), nil},
		"a token key too long":        {data(1, 1), append(record(1), 0)},
		"data keys cut short":         {data(1, 1, 2)[:60], record(1)},
		"a byte too many":             {append(data(1, 1), 0), record(1)},
		"the active one is missing":   {data(3, 1, 2), record(1)},
		"version 0":                   {data(0, 0), record(1)},
		"a version twice":             {data(1, 1, 1), record(1)},
		"versions out of order":       {data(1, 2, 1), record(1)},
		"more keys than there may be": {tooMany(), record(1)},
	} {
		if ring, err := decodeKeyring(tt.data, tt.token); err == nil {
			t.Errorf("%s: got %v, want an error", name, ring)
		}
	}
}

func tooMany() []byte {
	b := []byte{0, 0, 0, 1}
	for v := 1; v <= maxDataKeys+1; v++ {
		b = append(b, 0, 0, byte(v>>8), byte(v))
		b = append(b, make([]byte, KeySize)...)
	}
	return b
}

func TestAKeyringHasABound(t *testing.T) {
	ring, err := NewKeyring(zeros{})
	for err == nil && len(ring.keys) < maxDataKeys {
		ring, err = ring.Rotate(zeros{})
	}
	if err != nil {
		t.Fatalf("%v: %v", ring, err)
	}
	if next, err := ring.Rotate(zeros{}); err == nil {
		t.Errorf("got %v, want an error", next)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
