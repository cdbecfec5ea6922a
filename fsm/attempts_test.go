package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// What waits for an attempt is listed by its next attempt, from anywhere on, in pages and backwards, and
// apart from what is revoked by force and from what ends.
func TestAttemptsAreListedInOrder(t *testing.T) {
	w := newWorld(t)
	names := ids("db/creds", 6)
	for _, id := range names {
		w.target(id, rootHash, time.Hour)
	}
	w.target("db/creds/lives", rootHash, time.Minute)
	w.must(&command.Revoke{Ids: names})
	c := w.must(&command.Claim{Epoch: 1, Ids: names[:5], Lapse: int64(time.Hour)})[0].Seq
	for i, id := range names[:4] { // 0 and 1 after 20 s, 2 and 3 after 10 s; 4 lapses after an hour; 5 is due
		w.must(&command.Fail{Id: id, Claim: c, RetryAfter: int64(20*time.Second) - int64(i/2)*int64(10*time.Second)})
	}
	w.must(&command.Revoke{Ids: names[3:4], Force: true})
	list := func(from lease.Time, after string) string {
		var got []string
		w.s.Read(func(v *fsm.View) {
			v.Attempts(targetMnt, from, after, func(l *lease.Lease) bool {
				got = append(got, l.ID[len("db/creds/00"):]+"@"+since(l.Ending.NextAttempt))
				return true
			})
		})
		return strings.Join(got, " ")
	}
	for _, q := range []struct {
		from  lease.Time
		after string
		want  string
	}{
		{0, "", "5@0s 2@10s 0@20s 1@20s 4@1h0m0s"},
		{start, "", "5@0s 2@10s 0@20s 1@20s 4@1h0m0s"},
		{start.Add(20 * time.Second), names[0], "1@20s 4@1h0m0s"},
		{start.Add(20 * time.Second), "db/creds/000x", "1@20s 4@1h0m0s"},
		{start.Add(2 * time.Hour), "", ""},
	} {
		if got := list(q.from, q.after); got != q.want {
			t.Errorf("behind %s at %s: got %q, want %q", q.after, since(q.from), got, q.want)
		}
	}
	w.advance(time.Minute)
	w.must(&command.Tick{})
	var latest, forced, ended []string
	w.s.Read(func(v *fsm.View) {
		into := func(list *[]string) func(*lease.Lease) bool {
			return func(l *lease.Lease) bool {
				*list = append(*list, l.ID)
				return len(*list) < 3
			}
		}
		v.LatestAttempts(targetMnt, w.now, into(&latest))
		v.Forced(targetMnt, w.now, into(&forced))
		v.Ended(targetMnt, w.now, into(&ended))
		if got := append(v.AttemptMounts(w.now), v.EndedMounts(w.now)...); !slices.Equal(got, []string{targetMnt, targetMnt}) {
			t.Errorf("mounts %q", got)
		}
	})
	if want := []string{names[1], names[0], names[2]}; !slices.Equal(latest, want) {
		t.Errorf("the latest: got %q, want %q", latest, want)
	}
	if !slices.Equal(forced, names[3:4]) || !slices.Equal(ended, []string{"db/creds/lives"}) {
		t.Errorf("by force %q, ended %q", forced, ended)
	}
	w.check()
}

// Many may ask for attempts at targets that are down, and nobody may listen: on a follower nobody does.
func TestWhatIsAskedForIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		mount := fmt.Sprintf("m%d", i)
		w.must(mountCommand(mount, "", mount+"/", "fake"), &command.SetMountHealth{Epoch: 1, Id: mount, Error: "refused"})
		for k := range 80 {
			g := grant(fmt.Sprintf("%s/creds/%d", mount, k), rootHash, time.Hour)
			g.MountId = mount
			w.must(&command.Reserve{Grant: g, ExternalName: "x", Deadline: int64(time.Hour)}, &command.Revoke{Ids: []string{g.Id}})
		}
	}
	all := 0
	for mount, asked := range w.s.TakeAsked() {
		if len(asked) > 64 || asked[0] != mount+"/creds/0" {
			t.Errorf("%s: %d asked for, the first %s; want at most 64, and the oldest", mount, len(asked), asked[0])
		}
		all += len(asked)
	}
	if all != 1024 {
		t.Errorf("%d asked for in all, want 1024", all)
	}
	if again := w.s.TakeAsked(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
	if many := w.one(&command.RetryRevocations{Ids: make([]string, fsm.MaxRetry+1)}); many.Err == nil || many.Err.Code != lease.Invalid {
		t.Errorf("more than %d named: %v", fsm.MaxRetry, many.Err)
	}
}

// The leader is roused for what is due at once, but not for what a frozen mount keeps; the thaw rouses it.
func TestAFrozenMountCallsForNoAttention(t *testing.T) {
	w := newWorld(t)
	roused := func() bool {
		select {
		case <-w.s.Attention():
			return true
		default:
			return false
		}
	}
	w.target("db/creds/1", rootHash, time.Hour)
	w.target("db/creds/2", rootHash, time.Hour)
	if w.must(&command.Revoke{Ids: []string{"db/creds/1"}}); !roused() {
		t.Error("a revoked lease raises no attention")
	}
	w.must(&command.FreezeMount{Id: targetMnt})
	if w.must(&command.Revoke{Ids: []string{"db/creds/2"}}); roused() {
		t.Error("a revoked lease of a frozen mount raises attention")
	}
	if w.must(&command.ThawMount{Id: targetMnt}); !roused() {
		t.Error("the thaw raises no attention")
	}
	if w.must(&command.ThawMount{Id: targetMnt}); roused() {
		t.Error("a thaw of what is not frozen raises attention")
	}
}
