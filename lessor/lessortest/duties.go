package lessortest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// retryAfter is the pause after a failed attempt.
const retryAfter = 10 * time.Second

// Settle does what the leader's duties would have done by now: it expires what is past its end,
// sweeps jobs, and makes one attempt at each revocation that is due, until nothing is due.
func (w *World) Settle() {
	w.t.Helper()
	ctx := context.Background()
	for range 100_000 {
		busy, err := w.step(ctx)
		if err != nil {
			w.t.Errorf("the leader's duties: %v", err)
			return
		}
		if !busy {
			return
		}
	}
	w.t.Error("the leader's duties find no end")
}

// Lead carries out the leader's duties whenever something is due at once, until the test ends or
// the returned function is called. What comes due because the clock was moved waits for that.
func (w *World) Lead() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			for busy, err := true, error(nil); busy && err == nil && ctx.Err() == nil; {
				busy, err = w.step(ctx)
			}
			select {
			case <-ctx.Done():
				return
			case <-w.State.Attention():
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.t.Cleanup(stop)
	return stop
}

// step does a bounded part of the duties and reports whether it found any.
func (w *World) step(ctx context.Context) (busy bool, err error) {
	now, term := w.Clock.Now(), w.Proposer.Term()
	var expire []*command.Ref
	var claim []string
	var sweep []*lease.Job
	tick := false
	w.State.Read(func(v *fsm.View) {
		tick = v.Undrained(now)
		sweep = v.SweepingJobs(10)
		for _, mount := range v.DueMounts(now) {
			v.Due(mount, now, func(le *lease.Lease) bool {
				if le.Ending == nil {
					expire = append(expire, &command.Ref{Id: le.ID, Generation: le.Generation})
				} else {
					claim = append(claim, le.ID)
				}
				return len(expire)+len(claim) < 100
			})
		}
	})
	switch {
	case tick:
		_, err = w.Proposer.Propose(ctx, &command.Tick{})
	case len(sweep) > 0:
		_, err = w.Proposer.Propose(ctx, &command.Sweep{Epoch: term, Job: sweep[0].ID, Limit: 100})
	case len(expire) > 0:
		_, err = w.Proposer.Propose(ctx, &command.Expire{Epoch: term, Leases: expire})
	case len(claim) > 0:
		err = w.attempt(ctx, term, claim)
	default:
		return false, nil
	}
	return true, err
}

// attempt claims leases and destroys what is behind them, one by one.
func (w *World) attempt(ctx context.Context, term uint64, ids []string) error {
	res, err := w.Proposer.Propose(ctx, &command.Claim{Epoch: term, Ids: ids, Lapse: int64(time.Minute)})
	if err != nil {
		return err
	}
	for _, le := range res.Leases {
		if _, err := w.Proposer.Propose(ctx, w.outcome(ctx, le)); err != nil && !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return nil
}

// outcome makes one attempt and returns the command that records it.
func (w *World) outcome(ctx context.Context, le *lease.Lease) fsm.Command {
	err := w.destroy(ctx, le)
	if err == nil {
		return &command.Finish{Id: le.ID, Claim: le.Ending.Claim}
	}
	return &command.Fail{Id: le.ID, Claim: le.Ending.Claim, Error: err.Error(), RetryAfter: int64(retryAfter),
		Permanent: backend.IsPermanent(err)}
}

func (w *World) destroy(ctx context.Context, le *lease.Lease) error {
	var m *lease.Mount
	w.State.Read(func(v *fsm.View) { m = v.Mount(le.MountID) })
	if m == nil {
		return errors.New("the lease has no mount")
	}
	target, ok := w.Backends.Target(m.Type)
	if !ok {
		return errors.New("the mount has no target")
	}
	internal, err := w.Lessor.OpenInternal(le)
	if err != nil {
		return err
	}
	return target.Destroy(ctx, &backend.Destruction{
		LeaseID: le.ID, ExternalName: le.ExternalName, Role: le.Role, Mount: m, Generation: le.Generation,
		Fence: le.Ending.Claim, Attempt: le.Ending.Attempts + 1, ExpireTime: le.ExpireTime.Std(),
		Internal: internal, Store: w.Lessor.Store(m.ID),
	})
}
