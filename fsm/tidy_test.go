package fsm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S17: tidying goes in bounded steps, also where every owner hangs on a line of a thousand, and takes
// what the line's end has orphaned, and no more.
func TestS17_TidyingADeepLine(t *testing.T) {
	const depth, limit = 1000, 64
	w := newWorld(t)
	w.token("lives", "", 100*time.Hour)
	w.token("top", "", time.Hour)
	parent := "top"
	for i := range depth {
		name := fmt.Sprintf("chain%d", i)
		w.token(name, parent, 100*time.Hour)
		w.issue(fmt.Sprintf("locks/%04d/1", i), name, 50*time.Hour)
		w.issue(fmt.Sprintf("locks/%04d/2", i), "lives", 50*time.Hour)
		parent = name
	}
	w.advance(time.Hour)
	job := w.must(&command.OpenTidy{})[0].Job
	ended, steps := 0, 1
	for ; ; steps++ {
		r := w.must(&command.Sweep{Epoch: 1, Job: job.ID, Limit: limit})[0]
		if r.Count > limit {
			t.Fatalf("a step of %d ended %d", limit, r.Count)
		}
		ended += r.Count
		if r.Job.State != lease.JobSweeping {
			break
		}
	}
	leases := 3*depth + 3 // two of each link, its own, and those of top, lives and the root token
	if want := leases/limit + 1; steps > want+1 || ended != depth {
		t.Errorf("%d ended in %d steps, want %d in about %d", ended, steps, depth, want)
	}
	w.s.Read(func(v *fsm.View) {
		if got := v.MountCounts(plainMount).Total(); got != depth {
			t.Errorf("%d locks are left, want the %d of the living", got, depth)
		}
	})
	w.check()
}

// A job that another leader's step has finished says so, and the next order opens another.
func TestTidyIsOneAtATime(t *testing.T) {
	w := newWorld(t)
	results := w.do(&command.OpenTidy{}, &command.OpenTidy{}, &command.Sweep{Epoch: 1, Job: 9, Limit: 10}, &command.OpenTidy{})
	first, again, swept, second := results[0], results[1], results[2], results[3]
	if first.Job == nil || first.Repeated || first.Job.ID != first.Seq || first.Job.Cause != lease.CauseTidy || first.Job.Force {
		t.Fatalf("the first order: %+v", first)
	}
	if again.Job == nil || !again.Repeated || again.Job.ID != first.Job.ID || again.Job.State != lease.JobSweeping {
		t.Errorf("while it sweeps: %+v, want job %d again", again, first.Job.ID)
	}
	if swept.Err == nil {
		t.Fatalf("job 9 is none: %+v", swept)
	}
	if !second.Repeated {
		t.Errorf("it sweeps still: %+v", second)
	}
	w.sweep(first.Job.ID, 10)
	if r := w.must(&command.OpenTidy{})[0]; r.Repeated || r.Job.ID == first.Job.ID {
		t.Errorf("after it has swept: %+v, want another job", r)
	}
	w.check()
}
