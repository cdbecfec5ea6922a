package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

const (
	maxSmall = 64 << 10 // bytes of a member other than the state
	maxTail  = 1 << 20  // zeros behind the last member
)

// Archive is a snapshot that was read to its end.
type Archive struct {
	Meta     Meta
	Manifest Manifest
	State    *fsm.State // of its own: nobody else has it

	line    []byte // of the manifest, as it was authenticated
	version uint32 // of the data key
	mac     []byte
}

// errTooLarge ends a read that goes beyond its limit.
var errTooLarge = errors.New("it is larger than the limit")

// bounded is an io.LimitedReader that says so.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Read reads an archive of at most limit bytes, packed and unpacked each, and decodes its state. Nothing in
// it is to be believed before Verify has found it right. The error is a *lease.Error for the caller:
// TooLarge, or Invalid with what is wrong.
func Read(r io.Reader, limit int64) (*Archive, error) {
	a, err := read(r, limit)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, errTooLarge):
		return nil, lease.Errorf(lease.TooLarge,
			"the snapshot is larger than %d MiB, packed or unpacked: raise storage.snapshot_max_size on the node that leads", limit>>20)
	}
	return nil, lease.Errorf(lease.Invalid, "this is not a whole snapshot: %v", err)
}

func read(r io.Reader, limit int64) (*Archive, error) {
	zipped, err := gzip.NewReader(&bounded{r, limit})
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	plain := &bounded{zipped, limit}
	in := &members{tar.NewReader(plain)}
	a := &Archive{}
	meta, err := in.small(metaFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(meta, &a.Meta); err != nil {
		return nil, fmt.Errorf("%s: %w", metaFile, err)
	}
	if a.Meta.Version != metaVersion {
		return nil, fmt.Errorf("%s has version %d, and %d is known: run a newer leasehold", metaFile, a.Meta.Version, metaVersion)
	}
	state, err := a.readState(in)
	if err != nil {
		return nil, err
	}
	sums, err := in.small(sumsFile)
	if err != nil {
		return nil, err
	}
	manifest, err := in.small(manifestFile)
	if err != nil {
		return nil, err
	}
	if err := a.parseManifest(manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if err := a.agree(hexSum(meta), state, sums); err != nil {
		return nil, err
	}
	return a, in.end(plain)
}

// members are the files of an archive, which have an order.
type members struct{ *tar.Reader }

func (m *members) next(name string) (*tar.Header, error) {
	h, err := m.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s is missing: it was cut short", name)
	case err != nil:
		return nil, fmt.Errorf("read archive: %w", err)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, fmt.Errorf("it has %q where %s belongs", h.Name, name)
	}
	return h, nil
}

func (m *members) small(name string) ([]byte, error) {
	h, err := m.next(name)
	if err != nil {
		return nil, err
	}
	if h.Size > maxSmall {
		return nil, fmt.Errorf("%s has %d bytes", name, h.Size)
	}
	text, err := io.ReadAll(m)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// end makes sure that nothing follows; gzip's own checksum stands at the very end.
func (m *members) end(plain io.Reader) error {
	if h, err := m.Next(); err == nil {
		return fmt.Errorf("it has another member, %q", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("read archive: %w", err)
	}
	tail, err := io.ReadAll(io.LimitReader(plain, maxTail))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if len(tail) == maxTail || len(bytes.Trim(tail, "\x00")) > 0 {
		return errors.New("something follows the archive")
	}
	return nil
}

// readState decodes the state and returns its sum.
func (a *Archive) readState(in *members) (sum string, err error) {
	h, err := in.next(stateFile)
	if err != nil {
		return "", err
	}
	if h.Size != a.Meta.Size {
		return "", fmt.Errorf("%s has %d bytes and %s says %d", stateFile, h.Size, metaFile, a.Meta.Size)
	}
	hash := sha256.New()
	body := io.TeeReader(in, hash)
	a.State = fsm.New()
	if err := a.State.Restore(body); err != nil {
		return "", fmt.Errorf("%s: %w", stateFile, err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return "", fmt.Errorf("read %s: %w", stateFile, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// parseManifest takes apart what Manifest.sign has written.
func (a *Archive) parseManifest(text []byte) error {
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) != 3 || len(lines[2]) != 0 {
		return errors.New("it does not have two lines: the snapshot is not one of leasehold")
	}
	fields := bytes.Split(lines[1], []byte(" "))
	if len(fields) != 3 || string(fields[0]) != "hmac-sha256" {
		return errors.New("it carries no authentication code that this build knows")
	}
	version, err := strconv.ParseUint(string(fields[1]), 10, 32)
	if err != nil || strconv.FormatUint(version, 10) != string(fields[1]) {
		return errors.New("the version of its key is no number")
	}
	// There is one way to write a code: capitals would be another archive that says the same.
	if a.mac, err = hex.DecodeString(string(fields[2])); err != nil || hex.EncodeToString(a.mac) != string(fields[2]) {
		return errors.New("its authentication code is not in lower-case hex")
	}
	if err := json.Unmarshal(lines[0], &a.Manifest); err != nil {
		return err
	}
	if f := a.Manifest.Format; f != manifestFormat {
		return fmt.Errorf("format %d is not the one that this build reads (%d): run a newer leasehold", f, manifestFormat)
	}
	a.line, a.version = lines[0], uint32(version)
	return nil
}

// agree makes sure that all parts speak of the same snapshot.
func (a *Archive) agree(meta, state string, sums []byte) error {
	m := &a.Manifest
	cluster, index := a.identity()
	switch {
	case m.Meta != meta:
		return fmt.Errorf("%s does not match its checksum", metaFile)
	case m.State != state:
		return fmt.Errorf("%s does not match its checksum", stateFile)
	case !bytes.Equal(sums, m.sums()):
		return fmt.Errorf("%s does not match %s", sumsFile, manifestFile)
	case m.Index != a.Meta.Index, m.Term != a.Meta.Term, m.Size != a.Meta.Size:
		return fmt.Errorf("%s does not match %s", metaFile, manifestFile)
	case cluster.ID != m.ClusterID, index > m.Index:
		return fmt.Errorf("%s does not match %s", stateFile, manifestFile)
	}
	return nil
}

func (a *Archive) identity() (cluster fsm.Cluster, index uint64) {
	a.State.Read(func(v *fsm.View) { cluster, index = v.Cluster(), v.Index() })
	return cluster, index
}

// Verify returns nil if the snapshot was made, as it is, by the cluster that it names, and key opens that
// cluster's keyring. The error is a *lease.Error for the caller.
func (a *Archive) Verify(key *seal.StaticKey) error {
	cluster, _ := a.identity()
	if !cluster.Initialized {
		return lease.Errorf(lease.Invalid, "the snapshot is of a cluster that was not initialized: there is nothing in it to restore")
	}
	ring, err := seal.Unwrap(key, cluster.Keyring)
	if wrong := (*seal.WrongKeyError)(nil); errors.As(err, &wrong) {
		return lease.Errorf(lease.Invalid, "the snapshot is sealed with another key: it needs the seal key with ID %s, and this node has %s. "+
			"Start the cluster that is to be restored with the key file of the cluster that made it", wrong.Needed, wrong.Given)
	}
	if err != nil {
		return lease.Errorf(lease.Invalid, "the keyring in the snapshot cannot be opened: %v", err)
	}
	if err := ring.CheckMAC(macUse, a.line, a.version, a.mac); err != nil {
		return lease.Errorf(lease.Invalid, "the snapshot was not made by the cluster that it names, or was changed since: %v", err)
	}
	return nil
}
