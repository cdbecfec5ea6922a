package fsm_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// TestT9_JoinTokens: a token is for one node, for once and for ten minutes of log time at most.
func TestT9_JoinTokens(t *testing.T) {
	w := newWorld(t)
	put := func(node, hash string, ttl time.Duration) fsm.Command {
		return &command.PutJoinToken{NodeId: node, Hash: hash, Ttl: int64(ttl)}
	}
	use := func(node, hash, addr string) *lease.Error {
		t.Helper()
		seen := error(nil)
		w.s.Read(func(v *fsm.View) { seen = v.CheckJoinToken(node, hash, addr) })
		got := w.do(&command.UseJoinToken{NodeId: node, Hash: hash, PeerAddr: addr})[0].Err
		if (seen == nil) != (got == nil) {
			t.Errorf("%s with %s from %q: the check says %v, the entry %v", node, hash, addr, seen, got)
		}
		return got
	}
	good := func(node, hash, addr string) {
		t.Helper()
		if err := use(node, hash, addr); err != nil {
			t.Errorf("%s with %s from %q: refused: %v", node, hash, addr, err)
		}
	}
	bad := func(what, node, hash, addr string) {
		t.Helper()
		if err := use(node, hash, addr); err == nil || err.Code != lease.Invalid {
			t.Errorf("%s: got %v, want a refusal", what, err)
		}
	}
	w.must(put("n4", "h4", time.Minute), put("n5", "h5", time.Minute))
	bad("no token was made", "n6", "h6", "n6:1")
	bad("another node's token", "n5", "h4", "n5:1")
	bad("a wrong token", "n4", "h", "n4:1")
	bad("no address", "n4", "h4", "")
	good("n4", "h4", "n4:1")
	good("n4", "h4", "n4:1") // its leader died before it was let in
	bad("a used token from elsewhere", "n4", "h4", "n9:1")
	w.must(put("n4", "", 0))
	bad("a voided token", "n4", "h4", "n4:1")
	w.must(put("n5", "newer", time.Minute))
	bad("a replaced token", "n5", "h5", "n5:1")
	w.advance(time.Minute)
	w.must(&command.Tick{}) // the check sees the time of the last entry
	bad("an expired token", "n5", "newer", "n5:1")

	for _, ttl := range []time.Duration{0, -1, fsm.JoinTokenMaxTTL + 1} {
		if err := w.do(put("n7", "h7", ttl))[0].Err; err == nil || err.Code != lease.Invalid {
			t.Errorf("ttl %v: got %v, want a refusal", ttl, err)
		}
	}
	if err := w.do(put("", "h", time.Minute))[0].Err; err == nil {
		t.Error("a token for no node was made")
	}
	w.must(put("n7", "h7", fsm.JoinTokenMaxTTL))
	w.s.Read(func(v *fsm.View) {
		if _, ok := v.JoinToken("n5"); ok {
			t.Error("an expired token is kept")
		}
	})
}

// TestT9_JoinTokensAreBounded: those who may make tokens cannot fill the state with them.
func TestT9_JoinTokensAreBounded(t *testing.T) {
	w := newWorld(t)
	made := 0
	for i := range 100 {
		if w.do(&command.PutJoinToken{NodeId: "n" + strconv.Itoa(i), Hash: "h", Ttl: int64(time.Minute)})[0].Err == nil {
			made++
		}
	}
	if made != 64 {
		t.Errorf("%d tokens, want 64", made)
	}
	w.must(&command.PutJoinToken{NodeId: "n1", Hash: "again", Ttl: int64(time.Minute)})
	w.advance(time.Minute)
	w.must(&command.PutJoinToken{NodeId: "late", Hash: "h", Ttl: int64(time.Minute)})
}

// TestJoinTokensAgainstAModel uses tokens at random, over snapshots, against a plain map.
func TestJoinTokensAgainstAModel(t *testing.T) {
	type token struct {
		hash, used string
		ends       lease.Time
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w, model := newWorld(t), map[string]token{}
		for range 60 {
			node, hash, addr := "n"+strconv.Itoa(rng.IntN(3)), "h"+strconv.Itoa(rng.IntN(3)), strconv.Itoa(rng.IntN(2))+":1"
			switch rng.IntN(5) {
			case 0:
				ttl := time.Duration(rng.IntN(5)-1) * time.Minute
				err := w.do(&command.PutJoinToken{NodeId: node, Hash: hash, Ttl: int64(ttl)})[0].Err
				if (err == nil) != (ttl > 0) {
					t.Fatalf("seed %d: ttl %v: %v", seed, ttl, err)
				}
				if ttl > 0 {
					model[node] = token{hash: hash, ends: w.now.Add(ttl)}
				}
			case 1:
				w.advance(time.Duration(rng.IntN(90)) * time.Second)
			case 2:
				var buf bytes.Buffer
				if err := w.s.Snapshot().Write(&buf); err != nil {
					t.Fatal(err)
				}
				if err := w.s.Restore(&buf); err != nil {
					t.Fatal(err)
				}
			default:
				err := w.do(&command.UseJoinToken{NodeId: node, Hash: hash, PeerAddr: addr})[0].Err
				m, ok := model[node]
				want := ok && m.hash == hash && m.ends > w.now && (m.used == "" || m.used == addr)
				if (err == nil) != want {
					t.Fatalf("seed %d: %s with %s from %s: %v, want it let in: %v", seed, node, hash, addr, err, want)
				}
				if want {
					m.used = addr
					model[node] = m
				}
			}
		}
	}
}

// TestAutopilotSettings: they are replaced as a whole, and a snapshot has them.
func TestAutopilotSettings(t *testing.T) {
	w := newWorld(t)
	get := func() (a fsm.Autopilot) {
		w.s.Read(func(v *fsm.View) { a = v.Autopilot() })
		return a
	}
	if get().Set {
		t.Error("settings are there before they were set")
	}
	want := fsm.Autopilot{Set: true, CleanupDeadServers: true, DeadServerLastContact: time.Hour, LastContact: time.Second,
		MaxTrailingLogs: 7, MinQuorum: 5, Stabilization: time.Minute}
	w.must(fsm.SetAutopilot(want))
	var buf bytes.Buffer
	if err := w.s.Snapshot().Write(&buf); err != nil {
		t.Fatal(err)
	}
	w.s = fsm.New()
	if err := w.s.Restore(&buf); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != want {
		t.Errorf("after a restore: got %+v, want %+v", got, want)
	}
	w.must(fsm.SetAutopilot(fsm.Autopilot{MinQuorum: 3}))
	if got, want := get(), (fsm.Autopilot{Set: true, MinQuorum: 3}); got != want {
		t.Errorf("replaced: got %+v, want %+v", got, want)
	}
}
