package fsm_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// goldenHash is what the golden log comes to, for ever: what an entry once did, it does on every
// later version, or nodes that replay it part ways with those that hold its snapshot.
const goldenHash = "golden/state.sha256"

// goldenLog returns the entries of the golden log, one in each line, in hex.
func goldenLog(t testing.TB) [][]byte {
	text, err := os.ReadFile(filepath.Join("testdata", "golden/log.hex"))
	if err != nil {
		t.Fatal(err)
	}
	var log [][]byte
	for line := range strings.Lines(string(text)) {
		e, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
	}
	return log
}

// TestS18_GoldenLog replays a log that an earlier version wrote, with every type of command in it.
func TestS18_GoldenLog(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	s := fsm.New()
	for i, e := range goldenLog(t) {
		if _, err := s.Apply(uint64(i+1), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CheckInvariants(); err != nil {
		t.Error(err)
	}
	golden(t, goldenHash, []byte(hashOf(s)+"\n"))
	var buf bytes.Buffer
	if err := s.Snapshot().Write(&buf); err != nil {
		t.Fatal(err)
	}
	golden(t, "golden/snapshot", buf.Bytes())
}

// TestS18_GoldenSnapshot restores a snapshot that an earlier version wrote.
func TestS18_GoldenSnapshot(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "golden/snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	s := fsm.New()
	if err := s.Restore(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	golden(t, goldenHash, []byte(hashOf(s)+"\n"))
	if got, want := s.Applied(), uint64(len(goldenLog(t))); got != want {
		t.Errorf("restored at index %d, want %d", got, want)
	}
	if err := s.CheckInvariants(); err != nil {
		t.Error(err)
	}
}

// TestGoldenLogHasEveryCommand keeps the golden log complete: a new type of command is not finished
// before it stands there.
func TestGoldenLogHasEveryCommand(t *testing.T) {
	seen := map[byte]bool{}
	for _, e := range goldenLog(t) {
		_, framed := fsm.SplitEntry(e)
		for _, f := range framed {
			seen[fsm.CommandNumber(f)] = true
		}
	}
	for _, n := range fsm.CommandNumbers() {
		if !seen[n] {
			t.Errorf("no command of type %d in the golden log", n)
		}
	}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs: got %d bytes, want %d. An old entry must mean for ever what it meant", name, len(got), len(want))
	}
}

// writeGolden makes the golden log anew. Only before the first release may a change come to that;
// later ones add a file.
func writeGolden(t *testing.T) {
	w := goldenWorld(t)
	old := goldenLog(t)
	var text strings.Builder
	for i, e := range w.log {
		if i < len(old) && sameEntry(old[i], e) {
			e = old[i] // the encoding of maps has no order
		}
		text.WriteString(hex.EncodeToString(e) + "\n")
	}
	if err := os.MkdirAll(filepath.Join("testdata", "golden"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "golden/log.hex"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sameEntry reports whether two entries hold the same commands at the same time.
func sameEntry(a, b []byte) bool {
	at, left := fsm.SplitEntry(a)
	bt, right := fsm.SplitEntry(b)
	return at == bt && slices.EqualFunc(left, right, func(x, y []byte) bool {
		return proto.Equal(fsm.DecodeCommand(x), fsm.DecodeCommand(y))
	})
}

// goldenWorld applies every type of command and leaves something of everything behind.
func goldenWorld(t testing.TB) *world {
	w := newWorld(t)
	w.must(&command.SetFeatureLevel{Level: 1},
		&command.PutNode{Id: "n1", PeerAddr: "127.0.0.1:8211", ApiAddr: "http://127.0.0.1:8210", Version: "0.1.0", FeatureLevel: 1},
		&command.PutNode{Id: "n2"}, &command.DeleteNode{Id: "n2"},
		&command.PutPolicy{Name: "p", Text: `path "a/*" { capabilities = ["read"] }`}, &command.PutPolicy{Name: "q", Text: "x"},
		&command.DeletePolicy{Name: "q"},
		&command.PutNamespace{Id: "ns1", Path: "team/", Metadata: map[string]string{"b": "2", "a": "1", "c": "3"}},
		&command.PutNamespace{Id: "ns2", Path: "gone/"}, &command.DeleteNamespace{Id: "ns2"},
		&command.PutEntry{MountId: targetMnt, Key: "config/main", Value: []byte{0, 1, 2}},
		&command.PutEntry{MountId: targetMnt, Key: "role/x", Value: []byte("x")}, &command.DeleteEntry{MountId: targetMnt, Key: "role/x"},
		&command.TuneMount{Id: targetMnt, Description: "the database", Options: map[string]string{"z": "1", "y": "2"},
			Config: fsm.ConfigRecord(lease.MountConfig{MaxTTL: time.Hour, DefaultTTL: 30 * time.Minute, RevokeAttempts: 2})})
	w.advance(time.Second)
	w.token("t1", rootHash, time.Hour)
	w.token("t2", "t1", time.Hour)
	w.token("t3", "", time.Hour)
	w.must(&command.RenewToken{Hash: "t3", Increment: int64(2 * time.Hour)})
	limited := createToken("t4", rootHash, time.Hour)
	limited.Token.NumUses, limited.Token.Meta = 3, []*command.Pair{{Key: "team", Value: "core"}}
	w.must(limited, &command.UseToken{Hash: "t4"})
	g := grant("locks/a/1", "t1", time.Minute)
	g.Labels, g.Data = map[string]string{"b": "2", "a": "1"}, []byte("sealed")
	g.Idempotency = &command.Idempotency{Key: []byte("key"), Body: []byte("body")}
	w.must(&command.Issue{Grant: g})
	for _, id := range []string{"gone", "irrevocable", "claimed", "active", "swept", "covered"} {
		w.target("db/creds/"+id+"/1", "t3", 10*time.Minute)
	}
	w.must(reserve("db/creds/open/1", "t3", time.Hour), &command.Renew{Id: "db/creds/active/1", Increment: int64(time.Minute)},
		&command.Revoke{Ids: []string{"db/creds/gone/1", "db/creds/irrevocable/1", "db/creds/claimed/1"}, Cause: "revoked"})
	for range 2 {
		w.advance(time.Minute)
		c := w.must(&command.Claim{Epoch: 1, Ids: []string{"db/creds/irrevocable/1"}, Lapse: int64(time.Minute)})[0]
		w.must(&command.Fail{Id: "db/creds/irrevocable/1", Claim: c.Seq, Error: "down", RetryAfter: int64(time.Second)})
	}
	c := w.must(&command.Claim{Epoch: 1, Ids: []string{"db/creds/gone/1", "db/creds/claimed/1"}, Lapse: int64(time.Minute)})[0]
	w.must(&command.Finish{Id: "db/creds/gone/1", Claim: c.Seq}, &command.Tick{})
	w.must(&command.Expire{Epoch: 1, Leases: []*command.Ref{{Id: "locks/a/1"}}})
	swept := w.must(openPrefix("db/creds/swept"))[0].Job
	w.sweep(swept.ID, 10)
	w.must(openPrefix("db/creds/covered"), &command.RevokeToken{Hash: "t1", Cause: "token-revoked"},
		&command.RevokeToken{Hash: "t3", Cause: "token-revoked", SpareChildren: true}, &command.DisableMount{Id: otherMount})
	w.issue("locks/b/1", rootHash, time.Hour)
	goldenNamespaces(w)
	goldenMounts(w)
	goldenMembers(w)
	w.must(&command.Lineage{}, &command.ReleaseHold{}, &command.ReleaseHold{Restore: "none"})
	return w
}

// goldenNamespaces is the part of goldenWorld about namespaces, auth methods, wrapping, tidying and
// entries that end.
func goldenNamespaces(w *world) {
	w.must(createNamespace("ns3", "apps/"), createNamespace("ns4", "apps/sub/"), createNamespace("ns5", "over/"),
		mountCommand("m-ns4", "ns4", "db/", "fake"), mountCommand("m-ns5", "ns5", "db/", "fake"),
		mountCommand("m-login", "ns3", "auth/login/", "login"),
		&command.PutPolicy{Namespace: "ns4", Name: "p", Text: "x"}, &command.PutPolicy{Namespace: "ns5", Name: "p", Text: "x"},
		&command.PutEntry{MountId: "m-ns4", Key: "config", Value: []byte("sealed")},
		&command.PutEntry{MountId: "m-ns5", Key: "config", Value: []byte("sealed")})
	login := loginToken("t5", "ns3", "m-login", "auth/login/x", time.Hour)
	login.MaxTtl, login.Token.BoundCidrs = int64(time.Minute), []string{"10.0.0.0/8", "::1/128"}
	w.must(login, wrapToken("t6", "ns3", time.Hour, "wrapped"), wrapToken("t7", "", time.Hour, "opened"), &command.UseToken{Hash: "t7"})
	for _, ns := range []string{"ns4", "ns5"} {
		g := grant("db/creds/x/1."+ns, "t5", time.Hour)
		g.Namespace, g.MountId = ns, "m-"+ns
		w.must(&command.Reserve{Grant: g, ExternalName: "x", Deadline: int64(time.Minute)}, &command.Activate{Id: g.Id})
	}
	gone := w.must(&command.CloseNamespace{Id: "ns5"})[0].Job
	w.sweep(gone.ID, 10)
	c := w.must(&command.Claim{Epoch: 1, Ids: []string{"db/creds/x/1.ns5"}, Lapse: int64(time.Minute)})[0]
	w.must(&command.Finish{Id: "db/creds/x/1.ns5", Claim: c.Seq})
	w.must(&command.CloseNamespace{Id: "ns4", Parent: "ns3"}, &command.CloseNamespace{Id: "none"})
	w.must(&command.PutEntry{MountId: targetMnt, Key: "short", Value: []byte("x"), Ttl: int64(time.Second)},
		&command.PutEntry{MountId: targetMnt, Key: "long", Value: []byte("x"), Ttl: int64(time.Hour)},
		&command.SwapEntry{MountId: targetMnt, Key: "swap/new", Value: []byte("1"), Ttl: int64(time.Hour)},
		&command.SwapEntry{MountId: targetMnt, Key: "swap/new", Seen: []byte("1"), Value: []byte("2")},
		&command.SwapEntry{MountId: targetMnt, Key: "config/main", Seen: []byte{0, 1, 2}})
	tidied := w.must(&command.OpenTidy{})[0].Job
	w.sweep(tidied.ID, 100)
	w.advance(time.Second)
	w.must(&command.Tick{}, &command.OpenTidy{Namespace: "ns3"}, &command.OpenTidy{})
}

// goldenMounts is the part of goldenWorld about mounts that are frozen, moved or down.
func goldenMounts(w *world) {
	for _, id := range []string{"moved", "moving", "frozen"} {
		w.must(mountCommand("m-"+id, "", id+"/", "fake"))
		g := grant(id+"/creds/1", rootHash, time.Hour)
		g.MountId = "m-" + id
		w.must(&command.Reserve{Grant: g, ExternalName: "x", Deadline: int64(time.Minute)}, &command.Activate{Id: g.Id})
	}
	w.must(&command.PutEntry{MountId: "m-moved", Key: "config", Value: []byte("sealed")})
	moved := w.must(&command.MoveMount{Id: "m-moved", Path: "there/"})[0].Job
	w.sweep(moved.ID, 10)
	c := w.must(&command.Claim{Epoch: 1, Ids: []string{"moved/creds/1"}, Lapse: int64(time.Minute)})[0]
	w.must(&command.Finish{Id: "moved/creds/1", Claim: c.Seq})
	moving := w.must(&command.MoveMount{Id: "m-moving", Path: "elsewhere/"})[0].Job
	w.sweep(moving.ID, 10)
	w.must(&command.FreezeMount{Id: "m-frozen", Reason: "a backup is restored", Duration: int64(time.Hour)},
		&command.Revoke{Ids: []string{"frozen/creds/1"}, Cause: "revoked"},
		&command.FreezeMount{Id: otherMount}, &command.FreezeMount{Id: plainMount}, &command.ThawMount{Id: plainMount},
		&command.SetMountHealth{Epoch: 1, Id: "m-moving", Error: "refused"},
		&command.SetMountHealth{Epoch: 1, Id: "m-moved", Error: "refused"}, &command.SetMountHealth{Epoch: 1, Id: "m-moved"},
		&command.RetryRevocations{Ids: []string{"db/creds/irrevocable/1", "frozen/creds/1"}},
		&command.TuneMount{Id: "m-frozen", Config: fsm.ConfigRecord(lease.MountConfig{RevokeRate: 5, ReconcileInterval: time.Hour})})
}

// goldenMembers is the part of goldenWorld about members to come and the care for those there are.
func goldenMembers(w *world) {
	w.must(fsm.SetAutopilot(fsm.Autopilot{CleanupDeadServers: true, DeadServerLastContact: time.Hour, LastContact: 2 * time.Second,
		MaxTrailingLogs: 250, MinQuorum: 3, Stabilization: 10 * time.Second}),
		&command.PutJoinToken{NodeId: "n4", Hash: "h4", Ttl: int64(time.Minute)},
		&command.PutJoinToken{NodeId: "n5", Hash: "h5", Ttl: int64(time.Minute)},
		&command.PutJoinToken{NodeId: "n6", Hash: "h6", Ttl: int64(time.Minute)}, &command.PutJoinToken{NodeId: "n6"},
		&command.UseJoinToken{NodeId: "n5", Hash: "h5", PeerAddr: "127.0.0.1:8251"})
	w.do(&command.UseJoinToken{NodeId: "n5", Hash: "h5", PeerAddr: "127.0.0.1:9999"})
}
