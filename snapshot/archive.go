package snapshot

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/leasehold/leasehold/seal"
)

// The members of an archive.
const (
	metaFile     = "meta.json"
	stateFile    = "state.bin"
	sumsFile     = "SHA256SUMS"
	manifestFile = "SHA256SUMS.sealed"
)

// Meta is meta.json, in the words of raft's own tools.
type Meta struct {
	Version            int
	ID                 string
	Index, Term        uint64
	Size               int64 // of state.bin, in bytes
	ConfigurationIndex uint64
}

// metaVersion is raft's, not ours.
const metaVersion = 1

// Manifest is what is authenticated of a snapshot.
type Manifest struct {
	Format      int       `json:"format"`
	ClusterID   string    `json:"cluster_id"`
	ClusterName string    `json:"cluster_name"`
	Index       uint64    `json:"index"`
	Term        uint64    `json:"term"`
	Size        int64     `json:"size"` // of state.bin, in bytes
	Created     time.Time `json:"created"`
	Meta        string    `json:"meta_sha256"`
	State       string    `json:"state_sha256"`
}

// manifestFormat is the one that this build writes and the newest it reads.
const manifestFormat = 1

// macUse separates the code of manifests from all others that a keyring makes.
const macUse = "snapshot manifest"

// Cluster says whose snapshot it is.
type Cluster struct{ ID, Name string }

// Write writes an archive of body, which must have meta.Size bytes, made at now. After an error w holds
// what no reader takes for whole.
func Write(w io.Writer, meta Meta, body io.Reader, of Cluster, ring *seal.Keyring, now time.Time) error {
	meta.Version = metaVersion
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	text, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("encode snapshot's meta data: %w", err)
	}
	if err := addFile(archive, metaFile, text, now); err != nil {
		return err
	}
	if err := addHeader(archive, stateFile, meta.Size, now); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(archive, io.TeeReader(body, hash)); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	m := Manifest{Format: manifestFormat, ClusterID: of.ID, ClusterName: of.Name, Index: meta.Index, Term: meta.Term, Size: meta.Size,
		Created: now.UTC(), Meta: hexSum(text), State: hex.EncodeToString(hash.Sum(nil))}
	if err := addFile(archive, sumsFile, m.sums(), now); err != nil {
		return err
	}
	signed, err := m.sign(ring)
	if err != nil {
		return err
	}
	if err := addFile(archive, manifestFile, signed, now); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end snapshot: %w", err)
	}
	return zipped.Close()
}

// sums is SHA256SUMS as sha256sum writes it.
func (m *Manifest) sums() []byte {
	return fmt.Appendf(nil, "%s  %s\n%s  %s\n", m.Meta, metaFile, m.State, stateFile)
}

// sign is the manifest as a line of JSON, and a line with the version of the key and the code of the first.
func (m *Manifest) sign(ring *seal.Keyring) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot's manifest: %w", err)
	}
	version, mac, err := ring.MAC(macUse, line)
	if err != nil {
		return nil, fmt.Errorf("authenticate snapshot's manifest: %w", err)
	}
	return fmt.Appendf(line, "\nhmac-sha256 %d %x\n", version, mac), nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func addHeader(archive *tar.Writer, name string, size int64, now time.Time) error {
	return archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: now})
}

func addFile(archive *tar.Writer, name string, content []byte, now time.Time) error {
	if err := addHeader(archive, name, int64(len(content)), now); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
