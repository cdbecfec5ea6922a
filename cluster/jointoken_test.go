package cluster_test

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// doors is a cluster that lets nobody in without a join token, and what newcomers present to it.
type doors struct {
	*clustertest.Cluster
	log bytesLog

	mu     sync.Mutex // guards tokens
	tokens map[string]string
}

// bytesLog is a log to look into.
type bytesLog struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *bytesLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *bytesLog) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			return true
		}
	}
	return false
}

func hashForTests(token string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:]), nil
}

func newDoors(t *testing.T, required bool) *doors {
	d := &doors{tokens: map[string]string{}}
	d.Cluster = clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
		id := cfg.NodeID
		cfg.RequireJoinToken, cfg.HashJoinToken = required, hashForTests
		cfg.Log = slog.New(slog.NewTextHandler(&d.log, nil))
		cfg.JoinToken = func() (string, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.tokens[id], nil
		}
	}})
	d.Wait("the feature level", func() bool {
		var level uint32
		d.WaitLeader().State().Read(func(v *fsm.View) { level = v.FeatureLevel() })
		return level >= 2
	})
	return d
}

func (d *doors) make(t *testing.T, id string, ttl time.Duration) string {
	t.Helper()
	made, err := d.WaitLeader().CreateJoinToken(within(t, 5*time.Second), id, ttl)
	if err != nil {
		t.Fatalf("make a token for %s: %v", id, err)
	}
	return made.Token
}

func (d *doors) give(id, token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens[id] = token
}

func (d *doors) refused(t *testing.T, what, id string, seconds time.Duration) {
	t.Helper()
	time.Sleep(seconds) // long enough to do the wrong thing
	if _, member := voter(t, d.WaitLeader(), id); member {
		t.Errorf("%s: %s was let in", what, id)
	}
}

func (d *doors) member(t *testing.T, id string) {
	t.Helper()
	d.Wait(id+" to be a member", func() bool { _, member := voter(t, d.WaitLeader(), id); return member })
}

// TestT9_JoinNeedsAToken: a stranger is let in with a token that was made for it, and only so. Both
// sides say why it is not.
func TestT9_JoinNeedsAToken(t *testing.T) {
	d := newDoors(t, true)
	n4 := d.Join()
	d.Wait("both sides to say so", func() bool {
		return d.log.has("a node was not let in", "id=n4", "presents no join token") &&
			d.log.has("the cluster does not let this node in", "join-token n4")
	})
	d.refused(t, "no token", "n4", 500*time.Millisecond)
	d.give("n4", "join.guessed")
	d.Wait("the leader to say so", func() bool { return d.log.has("a node was not let in", "id=n4", "not the newest token") })
	d.give("n4", d.make(t, "n5", 0))
	d.refused(t, "another node's token", "n4", time.Second)
	old := d.make(t, "n4", 0)
	token := d.make(t, "n4", 0)
	d.give("n4", old)
	d.refused(t, "a token that was replaced", "n4", time.Second)
	d.give("n4", token)
	d.member(t, "n4")
	mustPut(t, d.WaitLeader(), "p", "text")
	mustGet(t, n4, "p", "text")
	if d.log.has(token) || d.log.has(old) {
		t.Error("a token is in the log")
	}
	d.WaitLeader().State().Read(func(v *fsm.View) {
		if made, ok := v.JoinToken("n4"); ok {
			t.Errorf("the spent token is kept: %+v", made)
		}
		if made, ok := v.JoinToken("n5"); !ok || strings.Contains(made.Hash, token) || len(made.Hash) != 64 {
			t.Errorf("n5's token at rest: %+v", made)
		}
	})
	if _, err := d.WaitLeader().CreateJoinToken(within(t, time.Second), "n4", 0); code(err) != lease.Conflict {
		t.Errorf("a token for a member: got %v, want a conflict", err)
	}
}

// TestT9_ASpentTokenLetsNobodyIn: not the node that it was made for either, once it was removed.
func TestT9_ASpentTokenLetsNobodyIn(t *testing.T) {
	d := newDoors(t, true)
	token := d.make(t, "n4", 0)
	d.give("n4", token)
	n4 := d.Join()
	d.member(t, "n4")
	mustPut(t, d.WaitLeader(), "p", "text")
	mustGet(t, n4, "p", "text")
	if err := d.WaitLeader().RemovePeer(within(t, 5*time.Second), "n4"); err != nil {
		t.Fatal(err)
	}
	d.Wait("n4 to stop", func() bool { return d.Fatal("n4") != nil })
	d.Stop("n4")
	d.Wipe("n4")
	d.Rejoined("n4")
	d.refused(t, "a spent token", "n4", time.Second)
	d.give("n4", d.make(t, "n4", 0))
	d.member(t, "n4")
}

// TestT9_AnExpiredToken: time is the log's.
func TestT9_AnExpiredToken(t *testing.T) {
	d := newDoors(t, true)
	d.give("n4", d.make(t, "n4", 100*time.Millisecond))
	time.Sleep(200 * time.Millisecond)
	mustPut(t, d.WaitLeader(), "p", "text") // an entry, for its time
	d.Join()
	d.Wait("the leader to say so", func() bool { return d.log.has("a node was not let in", "it has expired") })
	d.refused(t, "an expired token", "n4", 500*time.Millisecond)
}

// TestT9_MembersNeedNoToken: one that comes back elsewhere is known.
func TestT9_MembersNeedNoToken(t *testing.T) {
	d := newDoors(t, true)
	id := others(d.Cluster, d.WaitLeader().ID())[0]
	d.Stop(id)
	d.Move(id)
	n := d.Restart(id)
	mustPut(t, d.WaitLeader(), "p", "text")
	mustGet(t, n, "p", "text")
	d.Wait("its new address", func() bool {
		cfg, err := d.WaitLeader().Configuration()
		if err != nil {
			return false
		}
		for _, s := range cfg.Servers {
			if s.ID == id {
				return s.Address == n.PeerAddr()
			}
		}
		return false
	})
}

// TestT9_ATokenThatIsPresentedMustBeGood, even where none is asked for.
func TestT9_ATokenThatIsPresentedMustBeGood(t *testing.T) {
	d := newDoors(t, false)
	d.give("n4", "join.guessed")
	d.Join()
	d.refused(t, "a bad token", "n4", time.Second)
	d.give("n4", "")
	d.member(t, "n4")
}
