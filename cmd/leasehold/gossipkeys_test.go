package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// T8: a file of gossip keys that cannot be used is refused with the line, the reason and the remedy, and
// its keys are not shown.
func TestGossipKeyFile(t *testing.T) {
	var lines []string
	for range 9 {
		k := make([]byte, 32)
		rand.Read(k)
		lines = append(lines, base64.StdEncoding.EncodeToString(k))
	}
	name := filepath.Join(t.TempDir(), "gossip.key")
	tests := []struct {
		name, text string
		keys       int // 0: refused
		words      []string
	}{
		{"one", lines[0], 1, nil},
		{"two, with room between", "\n " + lines[0] + "\r\n\n" + lines[1] + "\n", 2, nil},
		{"eight", strings.Join(lines[:8], "\n"), 8, nil},
		{"none", "\n \n", 0, []string{"holds no key", "operator gossip generate"}},
		{"no base64", lines[0] + "\n" + lines[1] + "!", 0, []string{"line 2: the key is no base64", "operator gossip generate"}},
		{"too short", lines[0] + "\n\nc2hvcnQ=\n", 0, []string{"line 3: the key has 5 bytes and not 32"}},
		{"twice", lines[0] + "\n" + lines[1] + "\n" + lines[0], 0, []string{"line 3: the key is that of line 1", "delete one"}},
		{"nine", strings.Join(lines, "\n"), 0, []string{"line 9: there are more than 8 keys", "delete"}},
		{"long", strings.Repeat("x", maxGossipKeyFile+1), 0, []string{"more than 4096 bytes"}},
	}
	for _, tt := range tests {
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := loadGossipKeys(name)
		if len(keys) != tt.keys || (err == nil) != (tt.keys > 0) {
			t.Errorf("%s: got %d keys, %v, want %d", tt.name, len(keys), err, tt.keys)
		}
		if tt.keys > 0 {
			if got := base64.StdEncoding.EncodeToString(keys[0]); got != lines[0] {
				t.Errorf("%s: the first key is not that of the first line", tt.name)
			}
			continue
		}
		for _, word := range append(tt.words, "gossip.key_file: "+name) {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", tt.name, err, word)
			}
		}
		for _, line := range lines {
			if strings.Contains(err.Error(), line[:8]) {
				t.Errorf("%s: the error shows a key", tt.name)
			}
		}
	}
}

// T8: the keys of a rotation are what a restart reads, in their order, in a file that its owner alone
// can read, also behind a link; a file that cannot be replaced is named and stays what it was.
func TestGossipKeyFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "gossip.key"), filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	want := [][]byte{bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{1}, 32)}
	if err := saveGossipKeys(link, want); err != nil {
		t.Fatal(err)
	}
	got, err := loadGossipKeys(name)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: got %v, %v, want 0600", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v, %v", info.Mode(), err)
	}
	// A directory cannot be replaced by a file, not even by root, for whom nothing is read-only.
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := saveGossipKeys(taken, want); err == nil || !strings.Contains(err.Error(), "gossip.key_file "+taken+" was not written") {
		t.Errorf("over a directory: got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
