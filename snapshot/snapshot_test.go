package snapshot_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
	"github.com/leasehold/leasehold/snapshot"
)

const plenty = 1 << 30

// cluster is what makes snapshots.
type cluster struct {
	key   *seal.StaticKey
	ring  *seal.Keyring
	state *fsm.State
	id    string
}

func newCluster(t testing.TB, id string) *cluster {
	t.Helper()
	key, err := seal.NewStaticKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := ring.Wrap(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{key, ring, fsm.New(), id}
	framed, err := fsm.EncodeCommand(&command.Init{ClusterId: id, ClusterName: "test", Keyring: wrapped,
		TokenMount: &command.EnableMount{Id: "m", Accessor: "acc", Path: "auth/token/", Type: "token"},
		Root: fsm.TokenRecord(&lease.Token{Hash: "root", Accessor: "acc-root", LeaseID: "auth/token/root/h",
			Path: "auth/token/root", Policies: []string{"root"}})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.state.Apply(7, fsm.EncodeEntry(1e18, [][]byte{framed})); err != nil {
		t.Fatal(err)
	}
	return c
}

// archive writes a snapshot of the cluster.
func (c *cluster) archive(t testing.TB) []byte {
	t.Helper()
	var state, out bytes.Buffer
	if err := c.state.Snapshot().Write(&state); err != nil {
		t.Fatal(err)
	}
	meta := snapshot.Meta{ID: "2-9-1", Index: 9, Term: 2, Size: int64(state.Len())}
	if err := snapshot.Write(&out, meta, &state, snapshot.Cluster{ID: c.id, Name: "test"}, c.ring, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// check reads and verifies.
func (c *cluster) check(data []byte) (*snapshot.Archive, error) {
	a, err := snapshot.Read(bytes.NewReader(data), plenty)
	if err != nil {
		return nil, err
	}
	return a, a.Verify(c.key)
}

type member struct{ name, text string }

func unpack(t testing.TB, data []byte) (list []member) {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for in := tar.NewReader(zipped); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, member{h.Name, string(text)})
	}
}

func pack(t testing.TB, list []member) []byte {
	t.Helper()
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	out := tar.NewWriter(zipped)
	for _, m := range list {
		if err := out.WriteHeader(&tar.Header{Name: m.name, Mode: 0o600, Size: int64(len(m.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestASnapshotComesBack(t *testing.T) {
	c := newCluster(t, "c1")
	data := c.archive(t)
	a, err := c.check(data)
	if err != nil {
		t.Fatal(err)
	}
	_, want := c.state.Hash()
	if _, got := a.State.Hash(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	m := a.Manifest
	if m.ClusterID != "c1" || m.Index != 9 || m.Term != 2 || a.Meta.ID != "2-9-1" || !m.Created.Equal(time.Unix(1e9, 0)) {
		t.Errorf("manifest %+v, meta %+v", m, a.Meta)
	}
	if _, err := c.check(pack(t, unpack(t, data))); err != nil {
		t.Errorf("packed again: %v", err)
	}
}

// T11: no member may be flipped, cut, swapped with that of another snapshot, left out, repeated, moved or added
// to, and no other key will do, whether or not the checksums in it are made right again.
func TestT11_WhatWasTamperedWithIsRefused(t *testing.T) {
	c, other := newCluster(t, "c1"), newCluster(t, "c1")
	data := c.archive(t)
	refuse := func(what string, data []byte) {
		t.Helper()
		_, err := c.check(data)
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.Invalid {
			t.Errorf("%s: got %v, want it refused", what, err)
		}
	}
	for n := range len(data) {
		refuse(fmt.Sprintf("cut to %d of %d bytes", n, len(data)), data[:n])
	}
	good, foreign := unpack(t, data), unpack(t, other.archive(t))
	for i, m := range good {
		for range 50 {
			flipped := []byte(m.text)
			flipped[mathrand.IntN(len(flipped))] ^= 1 << mathrand.IntN(8)
			refuse("a flipped bit in "+m.name, pack(t, replace(good, i, member{m.name, string(flipped)})))
		}
		refuse("a shorter "+m.name, pack(t, replace(good, i, member{m.name, m.text[:len(m.text)-1]})))
		refuse("a longer "+m.name, pack(t, replace(good, i, member{m.name, m.text + "x"})))
		refuse("another "+m.name, pack(t, replace(good, i, member{m.name, strings.Replace(foreign[i].text, "2-9-1", "2-9-2", 1)})))
		refuse("without "+m.name, pack(t, append(append([]member{}, good[:i]...), good[i+1:]...)))
		refuse("twice "+m.name, pack(t, append(append([]member{}, good[:i+1]...), good[i:]...)))
	}
	capitals := strings.ToUpper(good[3].text[strings.LastIndexByte(good[3].text, ' '):])
	refuse("a code in capitals", pack(t, replace(good, 3, member{good[3].name, good[3].text[:strings.LastIndexByte(good[3].text, ' ')] + capitals})))
	refuse("another member", pack(t, append(append([]member{}, good...), member{"more", "x"})))
	refuse("another order", pack(t, []member{good[1], good[0], good[2], good[3]}))
	refuse("something behind", append(bytes.Clone(data), data...))
	refuse("all of another cluster with the same ID", other.archive(t))
	forged := *c
	forged.ring = other.ring // whoever has no key makes one up
	refuse("made without the key", forged.archive(t))
	moved := strings.Replace(good[0].text, `"Index":9`, `"Index":8`, 1)
	refuse("another index with the right sums", pack(t, resum(good, moved)))
}

func replace(list []member, i int, m member) []member {
	list = append([]member{}, list...)
	list[i] = m
	return list
}

// resum puts another meta.json in place, with sums that fit as far as they can without the key.
func resum(list []member, meta string) []member {
	old, sum := sumOf(list[0].text), sumOf(meta)
	return []member{{list[0].name, meta}, list[1], {list[2].name, strings.Replace(list[2].text, old, sum, 1)},
		{list[3].name, strings.NewReplacer(old, sum, `"index":9`, `"index":8`).Replace(list[3].text)}}
}

// What is no snapshot, or one of a newer build, is refused with a reason.
func TestReadSaysWhatIsWrong(t *testing.T) {
	c := newCluster(t, "c1")
	good := unpack(t, c.archive(t))
	at := len("LEASEHLD")
	for good[1].text[at] != 0x08 { // the header's first field is the format
		at++
	}
	newer := good[1].text[:at+1] + "\x63" + good[1].text[at+2:]
	for _, x := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"text", []byte("hello"), "open archive"},
		{"an archive of something else", pack(t, []member{{"a", "b"}}), `"a" where meta.json belongs`},
		{"a newer layout", pack(t, replace(good, 0, member{good[0].name, strings.Replace(good[0].text, `"Version":1`, `"Version":2`, 1)})), "run a newer leasehold"},
		{"a newer state", pack(t, replace(good, 1, member{good[1].name, newer})), "run a newer leasehold"},
		{"a newer manifest", pack(t, replace(good, 3, member{good[3].name, strings.Replace(good[3].text, `"format":1`, `"format":2`, 1)})), "run a newer leasehold"},
	} {
		if _, err := snapshot.Read(bytes.NewReader(x.data), plenty); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q in it", x.name, err, x.want)
		}
	}
	a, err := snapshot.Read(bytes.NewReader(c.archive(t)), plenty)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(newCluster(t, "c2").key); err == nil || !strings.Contains(err.Error(), "needs the seal key with ID "+c.key.ID()) {
		t.Errorf("with another key: %v", err)
	}
}

// What unpacks to more than the limit is refused before it takes more room, however small it is packed.
func TestReadIsBounded(t *testing.T) {
	c := newCluster(t, "c1")
	good := unpack(t, c.archive(t))
	bomb := pack(t, append([]member{{good[0].name, good[0].text + strings.Repeat(" ", 32<<10)}}, good[1:]...))
	for name, data := range map[string][]byte{"packed": c.archive(t), "unpacked": bomb} {
		limit := int64(len(data) - 1)
		if name == "unpacked" {
			limit = int64(len(data)) + 1000
		}
		var e *lease.Error
		if _, err := snapshot.Read(bytes.NewReader(data), limit); !errors.As(err, &e) || e.Code != lease.TooLarge {
			t.Errorf("larger %s: got %v, want that it is too large", name, err)
		}
	}
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
