package cluster_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/lease"
)

// keyholders are gossipers that keep their state and their gossip keys when they are restarted.
type keyholders struct {
	*gossipers
	dir string
	log logged

	mu   sync.Mutex          // guards what follows
	keys map[string][][]byte // by node: what its file holds
	full map[string]bool     // nodes whose file cannot be written
}

func newKeyholders(t *testing.T, count int) *keyholders {
	k := &keyholders{gossipers: newGossipers(t, count), dir: t.TempDir(), keys: make(map[string][][]byte), full: make(map[string]bool)}
	k.configure = func(cfg *cluster.Config) {
		id := cfg.NodeID
		cfg.DataDir = filepath.Join(k.dir, id)
		cfg.Log = slog.New(slog.NewTextHandler(&k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.keys[id] != nil {
			cfg.GossipKeys = k.keys[id]
		}
		cfg.SaveGossipKeys = func(keys [][]byte) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.full[id] {
				return errors.New("keys of " + id + ": read-only file system")
			}
			k.keys[id] = slices.Clone(keys)
			return nil
		}
	}
	return k
}

func (k *keyholders) readOnly(id string, full bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.full[id] = full
}

func (k *keyholders) file(id string) [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[id]
}

// started starts three nodes and waits until each sees all.
func (k *keyholders) started() *cluster.Node {
	k.t.Helper()
	for i := range 3 {
		k.start(i, 3)
	}
	k.sees(k.nodes, "a b c")
	leader := k.leader()
	mustPut(k.t, leader, "p", "text")
	for _, n := range k.nodes {
		mustGet(k.t, n, "p", "text") // it follows
	}
	return leader
}

// sees waits until the nodes see by gossip whom they are to.
func (k *keyholders) sees(nodes []*cluster.Node, want string) {
	k.t.Helper()
	for _, n := range nodes {
		clustertest.Wait(k.t, n.ID()+" to see "+want, func() bool { return strings.Join(n.GossipMembers(), " ") == want })
	}
}

func (k *keyholders) others(of *cluster.Node) []*cluster.Node {
	return slices.DeleteFunc(slices.Clone(k.nodes), func(n *cluster.Node) bool { return n == of })
}

// stranger is somebody who gossips with the key and is no node of the cluster. It joins when it can.
func (k *keyholders) stranger(name string, key, meta []byte) (*memberlist.Memberlist, error) {
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.Label, conf.SecretKey = name, k.t.Name(), key
	conf.BindAddr, conf.BindPort, conf.AdvertisePort = "127.0.0.1", 0, 0
	conf.LogOutput = &k.log
	conf.Delegate = says(meta)
	list, err := memberlist.Create(conf)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { list.Shutdown() })
	_, err = list.Join(k.seeds)
	return list, err
}

// says is a delegate that says this of itself.
type says []byte

func (s says) NodeMeta(int) []byte           { return s }
func (says) NotifyMsg([]byte)                {}
func (says) GetBroadcasts(int, int) [][]byte { return nil }
func (says) LocalState(bool) []byte          { return nil }
func (says) MergeRemoteState([]byte, bool)   {}

func newGossipKey() (key []byte, text, fingerprint string) {
	key = make([]byte, cluster.GossipKeySize)
	rand.Read(key)
	sum := sha256.Sum256(key)
	return key, base64.StdEncoding.EncodeToString(key), hex.EncodeToString(sum[:4])
}

// counted is a keyring as "fingerprint on/primary", the one that encrypts first.
func counted(ring cluster.GossipKeyring) string {
	var keys []string
	for _, k := range ring.Keys {
		keys = append(keys, k.Fingerprint+" "+string(rune('0'+k.Members))+"/"+string(rune('0'+k.Primary)))
	}
	return strings.Join(keys, ", ")
}

func (k *keyholders) step(leader *cluster.Node, step cluster.KeyringStep, key, want string) {
	k.t.Helper()
	ring, err := leader.ChangeGossipKeyring(within(k.t, 10*time.Second), step, key)
	if got := counted(ring); err != nil || got != want || len(ring.Warnings) > 0 {
		k.t.Fatalf("%s: got %q, %q, %v, want %q", step, got, ring.Warnings, err, want)
	}
	listed, err := leader.GossipKeyring(within(k.t, 10*time.Second))
	if got := counted(listed); err != nil || got != want || listed.Members != 3 {
		k.t.Fatalf("list after %s: got %q of %d, %v, want %q of 3", step, got, listed.Members, err, want)
	}
}

// T8: the key is replaced in three steps while the nodes see each other; what restarts comes back with
// the new key, and the old one lets nobody in.
func TestT8_GossipKeyRotation(t *testing.T) {
	k := newKeyholders(t, 4)
	leader := k.started()
	oldSum := sha256.Sum256(k.key)
	old := hex.EncodeToString(oldSum[:4])
	key, text, fresh := newGossipKey()
	k.step(leader, cluster.KeyringInstall, text, old+" 3/3, "+fresh+" 3/0")
	k.step(leader, cluster.KeyringInstall, text, old+" 3/3, "+fresh+" 3/0") // again: nothing changes
	k.step(leader, cluster.KeyringUse, text, fresh+" 3/3, "+old+" 3/0")
	k.step(leader, cluster.KeyringRemove, old, fresh+" 3/3")
	k.sees(k.nodes, "a b c")

	gone := k.others(leader)[0]
	gone.Close()
	k.nodes = k.others(gone)
	var left []string
	for _, n := range k.nodes {
		left = append(left, n.ID())
	}
	k.sees(k.nodes, strings.Join(left, " ")) // with the new key: one asks the other before it says so
	k.start(int(gone.ID()[0]-'a'), 3)
	k.sees(k.nodes, "a b c")
	mustGet(t, k.nodes[2], "p", "text")
	for _, id := range []string{"a", "b", "c"} {
		if got := k.file(id); len(got) != 1 || !bytes.Equal(got[0], key) {
			t.Errorf("the file of %s has %d keys, want the new one alone", id, len(got))
		}
	}

	if _, err := k.stranger("x", k.key, nil); err == nil {
		t.Error("somebody with the old key alone joined")
	}
	late := k.start(3, 3)       // with the old key
	time.Sleep(2 * time.Second) // long enough for some tries
	if got := late.GossipMembers(); len(got) != 1 {
		t.Errorf("a node with the old key alone sees %q, want itself", got)
	}
	k.sees(k.nodes[:3], "a b c")
	if _, err := k.stranger("y", key, cluster.GossipMeta("127.0.0.1:1", "")); err != nil {
		t.Errorf("somebody with the new key: %v", err)
	}
	k.nowhere(key)
	k.nowhere(k.key)
}

// nowhere looks for a key in the logs, raft's and that of the process.
func (k *keyholders) nowhere(key []byte) {
	k.t.Helper()
	text := base64.StdEncoding.EncodeToString(key)
	if k.log.count(text) > 0 {
		k.t.Error("a log line has the key")
	}
	files := 0
	err := filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		if bytes.Contains(content, key) || bytes.Contains(content, []byte(text)) {
			k.t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil || files == 0 {
		k.t.Errorf("looked into %d files: %v", files, err)
	}
}

// T8: what would leave a member without a key that the others use is refused, and a key that was not
// written down is told.
func TestT8_GossipKeyringRefuses(t *testing.T) {
	k := newKeyholders(t, 3)
	leader := k.started()
	oldSum := sha256.Sum256(k.key)
	old := hex.EncodeToString(oldSum[:4])
	_, text, fresh := newGossipKey()
	refused := func(n *cluster.Node, step cluster.KeyringStep, key string, want lease.Code, words ...string) {
		t.Helper()
		_, err := n.ChangeGossipKeyring(within(t, 10*time.Second), step, key)
		if err == nil || code(err) != want {
			t.Fatalf("%s: got %v, want %v", step, err, want)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", step, err, word)
			}
		}
		if strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error has the key", step)
		}
	}
	refused(leader, cluster.KeyringInstall, "c2hvcnQ=", lease.Invalid, "key has 5 bytes and not 32", "operator gossip generate")
	refused(leader, cluster.KeyringInstall, "no base64", lease.Invalid, "key is no base64")
	refused(leader, cluster.KeyringUse, text, lease.NotFound, "no member has this key")
	refused(leader, cluster.KeyringUse, "zzz", lease.Invalid, "neither a key nor a fingerprint")
	refused(leader, cluster.KeyringRemove, old, lease.Conflict, old+" is the primary key of a, b, c")
	refused(k.others(leader)[0], cluster.KeyringInstall, text, lease.ErrNotLeader.Code)

	mate := k.others(leader)[0]
	k.readOnly(mate.ID(), true)
	ring, err := leader.ChangeGossipKeyring(within(t, 10*time.Second), cluster.KeyringInstall, text)
	if err != nil || len(ring.Warnings) != 1 || !strings.HasPrefix(ring.Warnings[0], mate.ID()+" ") || !strings.Contains(ring.Warnings[0], "keys of "+mate.ID()+": read-only file system") {
		t.Errorf("install where %s cannot write: %q, %v, want one warning of it", mate.ID(), ring.Warnings, err)
	}
	if got, want := counted(ring), old+" 3/3, "+fresh+" 3/0"; got != want {
		t.Errorf("got %q, want %q: it is in memory all the same", got, want)
	}
	if got := k.file(mate.ID()); got != nil {
		t.Errorf("the file that cannot be written has %d keys", len(got))
	}
	k.readOnly(mate.ID(), false)
	if ring, err = leader.ChangeGossipKeyring(within(t, 10*time.Second), cluster.KeyringInstall, text); err != nil || len(ring.Warnings) > 0 {
		t.Errorf("again, where it can: %q, %v", ring.Warnings, err)
	}

	mate.Close() // the two others go on
	k.nodes = k.others(mate)
	refused(leader, cluster.KeyringUse, fresh, lease.Unavailable, "nothing was changed", mate.ID()+": ")
	refused(leader, cluster.KeyringRemove, fresh, lease.Unavailable, "nothing was changed", mate.ID()+": ")
	_, another, _ := newGossipKey()
	refused(leader, cluster.KeyringInstall, another, lease.Unavailable, "not carried out everywhere", mate.ID()+": ", "repeat")
	ring, err = leader.GossipKeyring(within(t, 10*time.Second))
	if err != nil || ring.Members != 3 || len(ring.Warnings) != 1 || ring.Keys[0].Fingerprint != old || ring.Keys[0].Primary != 2 {
		t.Errorf("list with one away: %+v, %v", ring, err)
	}
	// It comes back without the key that it missed.
	back := k.start(int(mate.ID()[0]-'a'), 3)
	mustGet(t, back, "p", "text")
	refused(leader, cluster.KeyringUse, another, lease.Conflict, "is not on "+back.ID()+": install it first")
	for range cluster.MaxGossipKeys - 3 {
		_, more, _ := newGossipKey()
		if _, err := leader.ChangeGossipKeyring(within(t, 10*time.Second), cluster.KeyringInstall, more); err != nil {
			t.Fatal(err)
		}
	}
	_, more, _ := newGossipKey()
	refused(leader, cluster.KeyringInstall, more, lease.Unavailable, "it has 8 keys, which is the most")
	if ring, err = leader.ChangeGossipKeyring(within(t, 10*time.Second), cluster.KeyringRemove, fresh); err != nil { // from the middle
		t.Fatal(err)
	}
	if ring.Keys[0].Fingerprint != old || ring.Keys[0].Primary != 3 || strings.Contains(counted(ring), fresh) {
		t.Errorf("after a key of the middle was removed: %s, want %s first and no %s", counted(ring), old, fresh)
	}
	k.sees(k.nodes, "a b c")
}

// T4, T8: a member takes gossip keys from the leader that it follows alone, whatever a caller says of itself.
func TestT8_KeyringIsTheLeaders(t *testing.T) {
	s := startSecured(t, 3)
	leader := s.WaitLeader()
	ids := others(s.Cluster, leader.ID())
	mustGet(t, leader, "none", "")
	key, _, _ := newGossipKey()
	for _, id := range ids {
		s.Wait("it follows", func() bool { return s.Node(id).LeaderID() == leader.ID() })
	}
	mate := s.Node(ids[0])
	if err := leader.AskKeyring(within(t, 5*time.Second), ids[1], leader.ID(), key); err != nil {
		t.Errorf("the leader: %v", err)
	}
	if err := mate.AskKeyring(within(t, 5*time.Second), ids[1], leader.ID(), key); code(err) != lease.Invalid {
		t.Errorf("another in the leader's name: got %v, want %v", err, lease.Invalid)
	}
	if err := mate.AskKeyring(within(t, 5*time.Second), ids[1], mate.ID(), key); code(err) != lease.Unavailable || !strings.Contains(err.Error(), "the leader's to change") {
		t.Errorf("another in its own name: got %v, want %v", err, lease.Unavailable)
	}
	if _, err := leader.ChangeGossipKeyring(within(t, 5*time.Second), cluster.KeyringRemove, "0a1b2c3d"); code(err) != lease.Conflict {
		t.Errorf("where nobody gossips: got %v, want %v", err, lease.Conflict)
	}
}
