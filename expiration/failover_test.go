package expiration_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/expiration"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S13, S24: leadership is lost in the middle of a call. The call is cancelled, nothing is proposed
// any more (the rig would complain), Run returns, and the next leader claims again with a higher
// fencing index.
func TestS13_S24_LeadershipLostMidCall(t *testing.T) {
	bubble(t, func(r *rig) {
		r.backend.Hang(fake.Destroy)
		r.target("a/creds/1", time.Second)
		stop := r.lead(2, nil)
		time.Sleep(2 * time.Second)
		if r.backend.Running("") != 1 {
			t.Fatal("no call is running")
		}
		stop()
		if n := r.backend.Running(""); n != 0 {
			t.Errorf("%d calls run after Run has returned, want 0", n)
		}
		if at, _ := proposed[*command.Fail](r); len(at) != 0 {
			t.Errorf("a cancelled call was reported as a failure")
		}
		if l := r.lease("a/creds/1"); l.Ending.Attempts != 0 {
			t.Errorf("the cancelled call counts as attempt %d", l.Ending.Attempts)
		}
		r.backend.Heal()
		r.lead(3, nil)
		near(t, "gone under the next leader", r.waitGone("a/creds/1", time.Minute), 0, 10*time.Millisecond)
		calls := r.destroyed()
		if len(calls) != 2 || calls[1].Fence <= calls[0].Fence {
			t.Errorf("calls %+v, want two with a growing fence", calls)
		}
	})
}

// S14: a leader is deposed and does not know; its worker was paused and comes back late. What it
// brings is dropped, and the target refuses its late call by the fence.
func TestS14_ALateWorkerChangesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		release := make(chan struct{})
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Times: 1, Until: release})
		r.backend.Inject(fake.Fault{Action: fake.Destroy, Times: 1}) // the next leader's first call fails
		r.target("a/creds/1", time.Second)
		stop := r.lead(2, nil)
		time.Sleep(2 * time.Second)
		r.depose()
		stop3 := r.lead(3, nil)
		time.Sleep(time.Second)
		l := r.lease("a/creds/1")
		if l == nil || l.Ending.Attempts != 1 {
			t.Fatalf("under the next leader: %+v, want one failed attempt", l)
		}
		close(release) // the paused call goes on: a stale fence, so it fails
		time.Sleep(time.Second)
		if got := r.lease("a/creds/1"); got != l {
			t.Errorf("the late outcome changed the lease: %+v", got)
		}
		// Even delivered to the log it is void.
		old := r.destroyed()[0].Fence
		for _, res := range r.apply(&command.Finish{Id: "a/creds/1", Claim: old}, &command.Fail{Id: "a/creds/1", Claim: old}) {
			if res.Err == nil {
				t.Error("an outcome of an old claim was taken")
			}
		}
		stop()
		r.waitGone("a/creds/1", time.Minute)
		stop3()
	})
}

// Nothing happened, or it may have happened: the loop pauses, looks at the state and goes on. The
// lost answers here are of commands that did happen and of such that did not.
func TestUnknownOutcomesAreNeverGuessedAt(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 40
		for i := range n {
			r.target(id("a/creds", i), time.Second)
			r.issue(id("locks/x", i), time.Second)
		}
		var dice atomic.Int64
		r.setRefuse(func(cmd fsm.Command) error {
			switch dice.Add(1) % 3 {
			case 0:
				return &lease.Error{Code: lease.Unavailable, Message: "the queue is full"}
			case 1:
				r.apply(cmd)
				return &lease.Error{Code: lease.Uncertain, Message: "leadership was lost while committing"}
			}
			return nil
		})
		r.lead(2, nil)
		time.Sleep(10 * time.Minute) // longer than claims need to lapse
		r.setRefuse(nil)
		time.Sleep(5 * time.Minute)
		if left := r.leases(); left != 0 {
			t.Errorf("%d leases are left, want 0", left)
		}
		if living := r.backend.Living(); len(living) != 0 {
			t.Errorf("%d things live on at the target", len(living))
		}
	})
}

// S13: what was destroyed is recorded although the log did not take it at first: the target is not
// called again.
func TestS13_AnOutcomeIsOfferedUntilItIsTaken(t *testing.T) {
	bubble(t, func(r *rig) {
		refused := 0
		r.setRefuse(func(cmd fsm.Command) error {
			if _, ok := cmd.(*command.Finish); ok && refused < 5 {
				refused++
				return &lease.Error{Code: lease.Unavailable, Message: "the queue is full"}
			}
			return nil
		})
		r.target("a/creds/1", time.Second)
		r.lead(2, nil)
		near(t, "gone", r.waitGone("a/creds/1", time.Minute), time.Second, time.Second)
		if calls := r.destroyed(); len(calls) != 1 || refused != 5 {
			t.Errorf("%d calls after %d refusals, want 1 after 5", len(calls), refused)
		}
	})
}

// While the log is out of reach the loop pauses longer and longer instead of spinning.
func TestAnUnreachableLogIsNotHammered(t *testing.T) {
	bubble(t, func(r *rig) {
		r.setRefuse(func(fsm.Command) error { return &lease.Error{Code: lease.Unavailable, Message: "no leader"} })
		r.issue("locks/x/1", time.Second)
		r.lead(2, nil)
		time.Sleep(61 * time.Second)
		at, _ := proposed[fsm.Command](r)
		if len(at) < 40 || len(at) > 140 {
			t.Errorf("%d proposals in a minute without a log, want about one or two a second", len(at))
		}
		r.setRefuse(nil)
		near(t, "gone once the log is back", r.waitGone("locks/x/1", time.Minute), 0, 1100*time.Millisecond)
	})
}

// L4: what came due while nobody led is acted on at once.
func TestL4_WhatCameDueMeanwhile(t *testing.T) {
	bubble(t, func(r *rig) {
		stop := r.lead(2, nil)
		r.target("a/creds/1", 10*time.Second)
		r.issue("locks/x/1", 10*time.Second)
		time.Sleep(5 * time.Second)
		stop()
		time.Sleep(10 * time.Second)
		r.lead(3, nil)
		near(t, "the target's lease went", r.waitGone("a/creds/1", time.Minute), 0, 60*time.Millisecond)
		near(t, "the plain lease went", r.waitGone("locks/x/1", time.Minute), 0, 60*time.Millisecond)
	})
}

// A sweep that a leader began is gone on with where it stood; a disabled mount vanishes when the
// last of its leases is destroyed.
func TestASweepIsResumedAndADisabledMountVanishes(t *testing.T) {
	bubble(t, func(r *rig) {
		const n = 3000
		for i := range n {
			r.target(id("a/creds", i), time.Hour)
		}
		r.latency = 10 * time.Millisecond
		job := r.must(&command.DisableMount{Id: "a"})[0].Job.ID
		stop := r.lead(2, nil)
		time.Sleep(12 * time.Millisecond) // one step and a bit
		stop()
		var cursor string
		r.state.Read(func(v *fsm.View) { cursor = v.Job(job).Cursor })
		if cursor == "" || cursor >= id("a/creds", n-1) {
			t.Fatalf("the first leader left the sweep at %q, want it half-way", cursor)
		}
		before, _ := proposed[*command.Sweep](r)
		r.lead(3, nil)
		time.Sleep(time.Minute)
		after, _ := proposed[*command.Sweep](r)
		if steps := len(after) - len(before); steps > n/fsm.MaxSweep+2 {
			t.Errorf("%d steps to finish, want at most %d: the sweep started anew", steps, n/fsm.MaxSweep+2)
		}
		r.state.Read(func(v *fsm.View) {
			if j := v.Job(job); j.State != lease.JobFinished || j.Done != n || j.Left() != 0 {
				t.Errorf("the job: %+v, want it finished with %d done", j, n)
			}
			if v.Mount("a") != nil {
				t.Error("the mount is still there")
			}
		})
		if got := len(r.destroyed()); got != n {
			t.Errorf("%d calls, want %d", got, n)
		}
	})
}

// S16: force gives each lease one attempt, then lets go and says what may live on.
func TestS16_ForceLetsGoAfterOneAttempt(t *testing.T) {
	bubble(t, func(r *rig) {
		r.backend.Inject(fake.Fault{Action: fake.Destroy})
		r.target("a/creds/1", time.Hour)
		r.target("a/creds/2", time.Second)
		r.lead(2, nil)
		time.Sleep(2 * time.Second) // the second has failed once
		r.must(&command.OpenJob{Cause: "revoke-force", Force: true,
			Selector: &command.Selector{Kind: uint32(lease.SelectPrefix), Value: "a/creds", Show: "a/creds"}})
		near(t, "the first was dropped", r.waitGone("a/creds/1", time.Minute), 0, 60*time.Millisecond)
		near(t, "the second was dropped", r.waitGone("a/creds/2", time.Minute), 0, 60*time.Millisecond)
		synctest.Wait() // the outcome is logged after it is recorded
		want := `level=WARN msg="lease abandoned by force: its target may live on" lease_id=a/creds/1 mount=a/ cause=revoke-force attempt=1`
		if !strings.Contains(r.logs(), want) || !strings.Contains(r.logs(), "external_name=x:a/creds/1") {
			t.Errorf("the log lacks %q with the external name:\n%s", want, r.logs())
		}
	})
}

// A token's end takes what it leased along, and the target is told.
func TestS17_ATokensEndDestroysItsLeases(t *testing.T) {
	bubble(t, func(r *rig) {
		r.lead(2, nil)
		r.must(&command.CreateToken{Ttl: int64(10 * time.Second), Token: &command.Token{Hash: "t", Accessor: "acc-t",
			Parent: root, LeaseId: "auth/token/create/ht", Path: "auth/token/create", Policies: []string{"p"}}})
		res := reserve("a/creds/1", time.Hour)
		res.Grant.Owner = "t"
		r.must(res, &command.Activate{Id: "a/creds/1"})
		near(t, "the token's lease went", r.waitGone("auth/token/create/ht", time.Minute), 10*time.Second, 60*time.Millisecond)
		near(t, "its secret's lease went", r.waitGone("a/creds/1", time.Minute), 0, 60*time.Millisecond)
	})
}

// A revoke by hand does not wait for the tick: the state calls for attention.
func TestARevokeByHandIsActedOnAtOnce(t *testing.T) {
	bubble(t, func(r *rig) {
		r.target("a/creds/1", time.Hour)
		r.lead(2, nil)
		synctest.Wait()
		r.must(&command.Revoke{Ids: []string{"a/creds/1"}, Cause: "revoked"})
		synctest.Wait()
		if r.lease("a/creds/1") != nil {
			t.Error("the lease is still there although no time was needed")
		}
	})
}

// L12: a hundred thousand leases end in one second. Batches are bounded, one is under way at a
// time, and all are gone in about the second that the log needs for them.
func TestL12_MassExpiryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 leases")
	}
	bubble(t, func(r *rig) {
		const n = 100_000
		batch := make([]fsm.Command, 0, 1000)
		for i := range n {
			batch = append(batch, &command.Issue{Grant: grant(id("locks/x", i), time.Minute+time.Duration(i)*10*time.Microsecond)})
			if len(batch) == cap(batch) {
				r.must(batch...)
				batch = batch[:0]
			}
		}
		r.latency = 4 * time.Millisecond
		r.lead(2, nil)
		time.Sleep(time.Minute)
		begun := time.Now()
		for r.leases() > 0 && time.Since(begun) < 10*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("gone after %s, want at most 2s at 4ms an entry", took)
		}
		at, cmds := proposed[*command.Expire](r)
		for i, cmd := range cmds {
			if len(cmd.Leases) > expiration.MaxExpire {
				t.Fatalf("a batch of %d, want at most %d", len(cmd.Leases), expiration.MaxExpire)
			}
			if i > 0 && at[i].Sub(at[i-1]) < r.latency {
				t.Fatalf("batches %s apart, want one outstanding at %s each", at[i].Sub(at[i-1]), r.latency)
			}
		}
	})
}
