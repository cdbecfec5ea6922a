package client_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/client"
)

// archive makes a snapshot of two parts and the sums given, or the right ones.
func archive(t *testing.T, sums string) []byte {
	t.Helper()
	parts := [][2]string{{"meta.json", `{"Index":7}`}, {"state.bin", strings.Repeat("state", 10_000)}}
	if sums == "" {
		for _, part := range parts {
			sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(part[1])), part[0])
		}
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	files := tar.NewWriter(zip)
	for _, part := range append(parts, [2]string{"SHA256SUMS", sums}) {
		if part[1] == "none" {
			continue
		}
		if err := files.WriteHeader(&tar.Header{Name: part[0], Mode: 0o600, Size: int64(len(part[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(part[1])); err != nil {
			t.Fatal(err)
		}
	}
	files.Close()
	zip.Close()
	return out.Bytes()
}

func TestSnapshot(t *testing.T) {
	whole := archive(t, "")
	zero := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		body []byte
		want string
	}{
		"whole":             {whole, ""},
		"cut in the middle": {whole[:len(whole)/2], "snapshot: "},
		"cut at the end":    {whole[:len(whole)-1], "snapshot: "},
		"no checksums":      {archive(t, "none"), "no checksums"},
		"a wrong checksum":  {archive(t, zero+"  state.bin\n"), "state.bin does not match"},
		"a part is missing": {archive(t, zero+"  other.bin\n"), "other.bin is missing"},
		"empty":             {nil, "snapshot: open archive"},
	} {
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(test.body) })
		var got bytes.Buffer
		err := c.Snapshot(context.Background(), &got)
		if test.want == "" {
			if err != nil || !bytes.Equal(got.Bytes(), test.body) {
				t.Errorf("%s: got %d bytes and %v, want the %d sent", name, got.Len(), err, len(test.body))
			}
		} else if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if err := c.Snapshot(context.Background(), new(bytes.Buffer)); client.CodeOf(err) != client.Denied {
		t.Errorf("denied: got %v, want an *Error that says so", err)
	}
}
