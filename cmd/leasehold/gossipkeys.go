package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/cluster"
)

// maxGossipKeyFile bounds gossip.key_file, in bytes.
const maxGossipKeyFile = 4 << 10

// loadGossipKeys reads the gossip keys of a file, one in base64 on each line: the first encrypts, all
// decrypt. Errors name the line and never what is on it.
func loadGossipKeys(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gossip.key_file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxGossipKeyFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("gossip.key_file: %w", err)
	case len(text) > maxGossipKeyFile:
		return nil, fmt.Errorf("gossip.key_file: %s has more than %d bytes: it is to hold one key in base64 on each line", path, maxGossipKeyFile)
	}
	var (
		keys  [][]byte
		lines []int // of keys
	)
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := cluster.ParseGossipKey(line)
		if err != nil {
			return nil, fmt.Errorf("gossip.key_file: %s, line %d: the key %w", path, i+1, err)
		}
		if before := slices.IndexFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }); before >= 0 {
			return nil, fmt.Errorf("gossip.key_file: %s, line %d: the key is that of line %d: delete one of them", path, i+1, lines[before])
		}
		if len(keys) == cluster.MaxGossipKeys {
			return nil, fmt.Errorf("gossip.key_file: %s, line %d: there are more than %d keys: delete those that no node encrypts with", path, i+1, cluster.MaxGossipKeys)
		}
		keys, lines = append(keys, key), append(lines, i+1)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("gossip.key_file: %s holds no key: make one with 'leasehold operator gossip generate'", path)
	}
	return keys, nil
}

// saveGossipKeys replaces the file by one that holds the keys, readable by its owner alone; where path
// is a link, what it leads to. When it returns nil, the keys survive a loss of power. The error names
// the file, which is then what it was.
func saveGossipKeys(path string, keys [][]byte) error {
	name := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		name = real
	}
	if err := replaceFile(name, encodeGossipKeys(keys)); err != nil {
		return fmt.Errorf("gossip.key_file %s was not written: %w", path, err)
	}
	return nil
}

func encodeGossipKeys(keys [][]byte) []byte {
	var text bytes.Buffer
	for _, key := range keys {
		text.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	}
	return text.Bytes()
}

// replaceFile puts text in the place of a file, with mode 0600.
func replaceFile(name string, text []byte) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, filepath.Base(name)+".*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
