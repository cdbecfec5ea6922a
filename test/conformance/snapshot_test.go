package conformance

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// unpack reads a gzipped tar archive and checks its SHA256SUMS.
func unpack(t *testing.T, archive string) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(archive))
	if err != nil {
		t.Fatalf("the archive of %d bytes is not gzip: %v", len(archive), err)
	}
	files, sums := make(map[string]string), make(map[string]string)
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
		sum := sha256.Sum256(text)
		sums[h.Name] = hex.EncodeToString(sum[:])
	}
	lines := 0
	for _, line := range strings.Split(strings.TrimSpace(files["SHA256SUMS"]), "\n") {
		sum, name, _ := strings.Cut(line, "  ")
		if sums[strings.TrimSpace(name)] != sum {
			t.Errorf("SHA256SUMS says %q, the file's sum is %s", line, sums[strings.TrimSpace(name)])
		}
		lines++
	}
	if lines < 2 {
		t.Errorf("SHA256SUMS has %d lines, want meta.json and state.bin: %q", lines, files["SHA256SUMS"])
	}
	return files
}
