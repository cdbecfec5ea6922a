package fsm_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// life plays what clients and the leader do, minute by minute, at a steady pace.
type life struct {
	*world
	minute int
}

// pass is one minute: leases with and without something outside, renewals, tokens with children, jobs and
// keys come, and what has ended goes.
func (l *life) pass() {
	name := func(format string) string { return fmt.Sprintf(format, l.minute) }
	parent, child := name("parent%d"), name("child%d")
	l.token(parent, "", 30*time.Minute)
	l.token(child, parent, 30*time.Minute)
	for i := range 5 {
		l.issue(name("locks/a/%d-")+fmt.Sprint(i), child, 7*time.Minute)
	}
	l.must(&command.Renew{Id: name("locks/a/%d-0"), Increment: int64(9 * time.Minute)})
	g := grant(name("slots/keyed/%d"), parent, 5*time.Minute)
	g.Idempotency = &command.Idempotency{Key: []byte(name("key%d")), Body: []byte("b")}
	l.must(&command.Issue{Grant: g})
	l.target(name("db/creds/%d"), child, 5*time.Minute)
	l.must(reserve(name("db/never/%d"), child, 5*time.Minute)) // its leader dies
	switch l.minute % 4 {
	case 1:
		l.sweep(l.must(openPrefix("locks/a/"))[0].Job.ID, 64)
	case 2:
		l.sweep(l.must(&command.OpenTidy{})[0].Job.ID, 64)
	case 3:
		l.must(&command.RevokeToken{Hash: parent})
	}
	l.advance(time.Minute)
	l.minute++
	l.clear()
}

// clear does the scheduler's work: what has ended ends, what is ending is destroyed, jobs are swept.
func (l *life) clear() {
	var ended []*command.Ref
	var jobs []uint64
	l.s.Read(func(v *fsm.View) {
		for _, m := range v.EndedMounts(l.now) {
			v.Ended(m, l.now, func(e *lease.Lease) bool {
				ended = append(ended, &command.Ref{Id: e.ID, Generation: e.Generation})
				return true
			})
		}
		for _, j := range v.SweepingJobs(100) {
			jobs = append(jobs, j.ID)
		}
	})
	l.must(&command.Expire{Epoch: 1, Leases: ended})
	for _, j := range jobs {
		l.sweep(j, 64)
	}
	var due []string
	l.s.Read(func(v *fsm.View) {
		for _, m := range v.AttemptMounts(l.now) {
			v.Attempts(m, 0, "", func(e *lease.Lease) bool {
				due = append(due, e.ID)
				return true
			})
		}
	})
	if len(due) == 0 {
		return
	}
	claimed := l.must(&command.Claim{Epoch: 1, Ids: due, Lapse: int64(time.Minute)})[0]
	for _, id := range due {
		l.must(&command.Finish{Id: id, Claim: claimed.Seq})
	}
}

// size is what a snapshot takes in bytes.
func (l *life) size() int {
	var n counting
	if err := l.s.Snapshot().Write(&n); err != nil {
		l.t.Fatal(err)
	}
	return int(n)
}

// counting counts what is written.
type counting int

func (c *counting) Write(p []byte) (int, error) {
	*c += counting(len(p))
	return len(p), nil
}

var _ io.Writer = (*counting)(nil)

// TestL15_TheStateDoesNotGrow: at a steady load the state is as large after three days as after one and a
// half: what has ended leaves nothing behind but what is kept for a day, and the last jobs.
func TestL15_TheStateDoesNotGrow(t *testing.T) {
	l := &life{world: newWorld(t)}
	for range 36 * 60 {
		l.pass()
		l.log = nil
	}
	settled := l.size()
	for range 36 * 60 {
		l.pass()
		l.log = nil
	}
	l.check() // what is derived is no larger than what is replicated
	if grown := l.size(); grown > settled+settled/50 {
		t.Errorf("after 36 hours a snapshot has %d bytes, after 72 hours %d: want it as large", settled, grown)
	}
	l.s.Read(func(v *fsm.View) {
		if got := v.Counts().Total(); got > 200 {
			t.Errorf("%d leases are left, want those of the last half hour", got)
		}
	})
	for range 24 * 60 { // nothing comes any more
		l.advance(time.Minute)
		l.must(&command.Tick{})
		l.clear()
		l.log = nil
	}
	l.s.Read(func(v *fsm.View) {
		if leases, tokens := v.Counts().Total(), v.TokenCount(); leases > 1 || tokens > 1 {
			t.Errorf("%d leases and %d tokens are left, want the root token alone", leases, tokens)
		}
	})
	if idle := l.size(); idle > settled*2/3 { // most of it are the last thousand jobs
		t.Errorf("a day after the last client a snapshot has %d bytes, want less than two thirds of %d", idle, settled)
	}
}
