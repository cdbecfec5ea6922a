package fsm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S8: many issuers race a revoke-prefix. Whatever the order in the log, an intent before the job is
// never activated and one after it lives.
func TestS8_IntentsRacingAPrefix(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprintf("packed %v", packed), func(t *testing.T) {
			w := newWorld(t)
			var cmds []fsm.Command
			for i, id := range ids("db/creds/ro", 100) {
				if i == 50 {
					cmds = append(cmds, openPrefix("db/creds/ro"))
				}
				cmds = append(cmds, reserve(id, rootHash, time.Hour))
			}
			for _, id := range ids("db/creds/ro", 100) {
				cmds = append(cmds, &command.Activate{Id: id})
			}
			var results []fsm.Result
			if packed {
				results = w.do(cmds...) // one entry: coverage goes by command, not by entry
			} else {
				for _, c := range cmds {
					results = append(results, w.one(c))
				}
			}
			job := results[50].Job.ID
			check := func() {
				t.Helper()
				w.wantStanding("revoking", ids("db/creds/ro", 50)...)
				w.wantStanding("active", ids("db/creds/ro", 100)[50:]...)
			}
			for i, r := range results[101:] {
				if (r.Err == nil) != (i >= 50) {
					t.Errorf("activation %d: %v", i, r.Err)
				}
			}
			check()
			w.sweep(job, 7)
			check()
			w.check()
		})
	}
}

// S9: prefixes match whole segments.
func TestS9_PrefixesMatchSegments(t *testing.T) {
	for _, c := range []struct {
		prefix string
		covers bool
	}{
		{"db/creds/ro/x/1", true}, {"db/creds/ro/x/1/", true}, {"db/creds/ro/x", true}, {"db/creds/ro", true}, {"db/creds/ro/", true},
		{"db", true}, {"db/", true}, {"", true},
		{"db/creds/r", false}, {"db/creds/ro/x/", true}, {"db/creds/ro2", false}, {"db/creds/ro/x/10", false}, {"d", false},
		{"db/creds/ro//x", false}, {"DB/creds/ro", false}, {"db/creds/ro/x/1/2", false}, {"/db", false},
	} {
		w := newWorld(t)
		w.target("db/creds/ro/x/1", rootHash, time.Hour)
		job := w.must(openPrefix(c.prefix))[0].Job.ID
		want := map[bool]string{true: "revoking", false: "active"}[c.covers]
		if got := w.standing("db/creds/ro/x/1"); got != want {
			t.Errorf("prefix %q before the sweep: %s, want %s", c.prefix, got, want)
		}
		w.sweep(job, 100)
		if got := w.standing("db/creds/ro/x/1"); got != want {
			t.Errorf("prefix %q after the sweep: %s, want %s", c.prefix, got, want)
		}
	}
}

// S10: log time never goes back, whoever stamps, and a lease's end is judged by it.
func TestS10_LogTimeNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	w.issue("locks/a/1", rootHash, time.Minute)
	w.advance(2 * time.Minute)
	w.must(&command.Tick{})
	w.now = start // a new leader whose clock is behind
	r := w.one(&command.Renew{Id: "locks/a/1"})
	if r.Now != start.Add(2*time.Minute) || r.Err != lease.ErrLeaseExpired {
		t.Errorf("got %s, %v; want %s, %v", since(r.Now), r.Err, "2m0s", lease.ErrLeaseExpired)
	}
	w.s.Read(func(v *fsm.View) {
		if v.Now() != start.Add(2*time.Minute) {
			t.Errorf("log time went back to %s", since(v.Now()))
		}
	})
}

// tree makes tokens in a chain of depth, and descendants below the last of it, each with a lease.
func tree(w *world, depth, descendants int) {
	w.token("top", "", 100*time.Hour)
	parent := "top"
	for i := range depth {
		name := fmt.Sprintf("chain%d", i)
		w.token(name, parent, 100*time.Hour)
		parent = name
	}
	for i := 0; i < descendants; i += 500 {
		var cmds []fsm.Command
		for k := range min(500, descendants-i) {
			name := fmt.Sprintf("leaf%d", i+k)
			cmds = append(cmds, createToken(name, parent, 100*time.Hour),
				&command.Issue{Grant: grant(fmt.Sprintf("locks/%d/1", i+k), name, 10*time.Hour)})
		}
		w.must(cmds...)
	}
}

// S17: a tree a thousand deep with a hundred thousand descendants is dead with one entry, and swept in
// bounded ones. Steps are counted instead of time: no entry ends more than its limit.
func TestS17_ADeepAndWideTree(t *testing.T) {
	depth, descendants := 1000, 100_000
	if testing.Short() {
		depth, descendants = 200, 2_000
	}
	w := newWorld(t)
	tree(w, depth, descendants)
	r := w.must(&command.RevokeToken{Hash: "top", Cause: "token-revoked"})[0]
	last := fmt.Sprintf("leaf%d", descendants-1)
	if w.alive(last) {
		t.Errorf("%s lives after the entry that revoked its ancestor", last)
	}
	w.wantStanding("revoking", fmt.Sprintf("locks/%d/1", descendants-1))
	if got := w.one(&command.Issue{Grant: grant("locks/late/1", last, time.Hour)}).Err; got != lease.ErrDenied {
		t.Errorf("a dead token leases: %v, want %v", got, lease.ErrDenied)
	}
	ended, steps := 0, 0
	for ; ; steps++ {
		s := w.must(&command.Sweep{Epoch: 1, Job: r.Job.ID, Limit: 1_000_000})[0]
		if s.Count > fsm.MaxSweep {
			t.Fatalf("one entry ended %d, want at most %d", s.Count, fsm.MaxSweep)
		}
		ended += s.Count
		if s.Job.State != lease.JobSweeping {
			break
		}
	}
	// Each token takes a step down and a step of its own, each lease one step.
	if limit := (3*(depth+descendants)+10)/fsm.MaxSweep + 2; steps > limit {
		t.Errorf("%d steps, want at most %d: the sweep walks in circles", steps, limit)
	}
	if want := 2*descendants + depth + 1; ended != want {
		t.Errorf("%d ended, want %d", ended, want)
	}
	w.s.Read(func(v *fsm.View) {
		if v.TokenCount() != 1 || v.Counts().Total() != 1 {
			t.Errorf("%d tokens and %d leases are left, want the root's alone", v.TokenCount(), v.Counts().Total())
		}
	})
	w.check()
}

// S17: the end of a token does the same as its revocation.
func TestS17_ATokensEndDoesTheSame(t *testing.T) {
	w := newWorld(t)
	w.token("p", "", time.Hour)
	w.token("c", "p", 100*time.Hour)
	w.target("db/creds/ro/1", "c", 50*time.Hour)
	w.must(reserve("db/creds/ro/2", "c", 50*time.Hour))
	w.advance(time.Hour)
	w.must(&command.Tick{})
	w.wantStanding("revoking", "db/creds/ro/1", "db/creds/ro/2", "auth/token/create/hc", "auth/token/create/hp")
	if w.one(&command.Activate{Id: "db/creds/ro/2"}).Err == nil {
		t.Error("an intent of a dead token was activated")
	}
}

// S18: however entries are packed, and wherever a node was restored, the hash is the same; a change
// changes it.
func TestS18_HashTellsStatesApart(t *testing.T) {
	w := goldenWorld(t)
	seen := map[string]string{hashOf(w.s): "before"}
	for _, cmd := range []fsm.Command{
		&command.Tick{}, // counts as a command
		&command.PutPolicy{Name: "p", Text: "other"},
		&command.Renew{Id: "locks/b/1", Increment: int64(time.Minute)},
		&command.PutNode{Id: "n1", ApiAddr: "elsewhere"},
		&command.PutEntry{MountId: targetMnt, Key: "config/main", Value: []byte{0}},
		&command.UseToken{Hash: "t4"},
	} {
		w.one(cmd)
		h := hashOf(w.s)
		if other, dup := seen[h]; dup {
			t.Errorf("after %T the hash is that of %s", cmd, other)
		}
		seen[h] = fmt.Sprintf("%T", cmd)
	}
}

// S19: what no version writes is the same recorded no-op everywhere; what a newer one wrote stops
// the node, which says so, and changes nothing.
func TestS19_BadEntries(t *testing.T) {
	good := entry(t, start, &command.Tick{}, &command.Tick{})
	for _, c := range []struct {
		name  string
		entry []byte
		stop  string // in the error, "" for a no-op
		count int    // results
	}{
		{"nothing", nil, "", 1},
		{"one byte", []byte{1}, "", 1},
		{"cut off", good[:len(good)-1], "", 1},
		{"one byte too many", append(bytes.Clone(good), 0), "", 1},
		{"more commands than bytes", []byte{1, 0, 200, 1, 2}, "", 1},
		{"a command of no bytes", []byte{1, 0, 1, 2, 0}, "", 1},
		{"a command that is no protocol buffer", []byte{1, 0, 2, 2, 3, 10, 0xff, 0xff, 1, 3}, "", 2},
		{"a newer version", append([]byte{2}, good[1:]...), "format version 2", 0},
		{"unknown flags", append([]byte{1, 1}, good[2:]...), "flags 0x1", 0},
		{"an unknown command", []byte{1, 0, 1, 2, 1, 200}, "type 200", 0},
	} {
		w := newWorld(t)
		before := hashOf(w.s)
		results, err := w.s.Apply(100, c.entry)
		if c.stop != "" {
			if err == nil || !strings.Contains(err.Error(), c.stop) || !strings.Contains(err.Error(), "run a newer leasehold") {
				t.Errorf("%s: got %v, want an error with %q", c.name, err, c.stop)
			}
			if hashOf(w.s) != before || w.s.Applied() == 100 {
				t.Errorf("%s: the state has changed", c.name)
			}
			continue
		}
		if err != nil || len(results) != c.count || results[0].Err == nil {
			t.Errorf("%s: %v, %v; want %d results and a refusal", c.name, results, err, c.count)
		}
		w.s.Read(func(v *fsm.View) {
			if v.Malformed() != 1 {
				t.Errorf("%s: %d recorded, want 1", c.name, v.Malformed())
			}
		})
		w.check()
	}
}

// S20: the table of keys is bounded, and forgets in small steps.
func TestS20_KeysAreForgottenAfterADay(t *testing.T) {
	w := newWorld(t)
	issue := func(n int) fsm.Result {
		g := grant(fmt.Sprintf("locks/%d/1", n), rootHash, 30*time.Hour)
		g.Idempotency = &command.Idempotency{Key: []byte(fmt.Sprint(n))}
		return w.one(&command.Issue{Grant: g})
	}
	for n := range 100_000 {
		if r := issue(n); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if r := issue(100_000); r.Err == nil || r.Err.Code != lease.Limited {
		t.Errorf("beyond the bound: %v, want a refusal that ends with the day", r.Err)
	}
	if r := issue(5); !r.Repeated {
		t.Errorf("a known key in a full table: %+v, want the first answer", r)
	}
	w.advance(24 * time.Hour)
	if r := issue(100_000); r.Err == nil {
		t.Error("one entry forgot the whole table")
	}
	for range 100_000 / 8 {
		w.must(&command.Tick{})
	}
	if r := issue(100_000); r.Err != nil {
		t.Errorf("after a day: %v", r.Err)
	}
	w.check()
}

// Finished jobs are kept for a while, by when they finished, and open ones for as long as they are.
func TestFinishedJobsAreKeptForAWhile(t *testing.T) {
	w := newWorld(t)
	w.target("db/creds/ro/1", rootHash, time.Hour)
	old := w.must(openPrefix("db/creds"))[0].Job.ID
	w.sweep(old, 10)
	var first uint64
	for i := range 1100 {
		job := w.must(openPrefix("locks/none"))[0].Job.ID
		if i == 0 {
			first = job
		}
		w.advance(time.Millisecond)
		w.sweep(job, 10)
	}
	c := w.must(&command.Claim{Epoch: 1, Ids: []string{"db/creds/ro/1"}, Lapse: 1})[0]
	w.must(&command.Finish{Id: "db/creds/ro/1", Claim: c.Seq})
	w.s.Read(func(v *fsm.View) {
		if v.Job(first) != nil {
			t.Error("the first of 1,100 finished jobs is still kept")
		}
		if j := v.Job(old); j == nil || j.State != lease.JobFinished {
			t.Errorf("the job that finished last: %+v, want it kept", j)
		}
	})
	w.check()
}

// L5: whatever pause, lapse or deadline a command brings, the lease stays due: zero would mean never.
func TestL5_NoPauseLosesALease(t *testing.T) {
	w := newWorld(t)
	absurd := func() int64 { return -int64(w.now) } // would lead to the zero time
	r := reserve("db/creds/ro/1", rootHash, time.Hour)
	r.Deadline = absurd()
	w.must(r)
	for _, step := range []func(){
		func() {
			w.must(&command.Expire{Epoch: 1, Leases: []*command.Ref{{Id: "db/creds/ro/1"}}})
		},
		func() { w.must(&command.Claim{Epoch: 1, Ids: []string{"db/creds/ro/1"}, Lapse: absurd()}) },
		func() {
			claim := w.lease("db/creds/ro/1").Ending.Claim
			w.must(&command.Fail{Id: "db/creds/ro/1", Claim: claim, RetryAfter: absurd()})
		},
	} {
		w.advance(time.Nanosecond)
		step()
		w.advance(time.Nanosecond)
		if due := w.lease("db/creds/ro/1").Due(); due == 0 || due > w.now {
			t.Fatalf("due at %s, want it due by %s", due, w.now)
		}
	}
}
