package fsm_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Readers, snapshots, hashes and watchers run beside Apply; the race detector looks on, and each
// view must be consistent in itself.
func TestReadersBesideApply(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var readers sync.WaitGroup
	beside := func(fn func()) {
		readers.Go(func() {
			for ctx.Err() == nil {
				fn()
			}
		})
	}
	beside(func() {
		w.s.Read(func(v *fsm.View) {
			n := 0
			v.Ascend("", "", func(l *lease.Lease) bool {
				n++
				_ = v.Standing(l, v.Now())
				return true
			})
			if n != v.Counts().Total() {
				t.Errorf("a view with %d leases counts %d", n, v.Counts().Total())
			}
			for _, m := range v.DueMounts(v.Now()) {
				v.Due(m, v.Now(), func(*lease.Lease) bool { return true })
				v.Attempts(m, v.Now(), "", func(*lease.Lease) bool { return true })
				v.LatestAttempts(m, v.Now(), func(*lease.Lease) bool { return true })
			}
			v.OwnedBy(rootHash, func(*lease.Lease) bool { return true })
		})
	})
	beside(func() { _ = w.s.Snapshot().Write(io.Discard) })
	beside(func() { w.s.Hash() })
	beside(func() { w.s.TakeAsked() })
	beside(func() {
		changed, cancel := w.s.WatchLease("locks/7/1")
		defer cancel()
		select {
		case <-changed:
		case <-time.After(time.Millisecond):
		}
	})
	beside(func() {
		next, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = w.s.WaitApplied(next, w.s.Applied()+3)
	})
	for i := range 1500 {
		id := fmt.Sprintf("locks/%d/1", i%50)
		w.do(&command.Issue{Grant: grant(id, rootHash, time.Minute)}, &command.Renew{Id: id, Increment: int64(time.Hour)},
			reserve(fmt.Sprintf("db/creds/%d/1", i), rootHash, time.Hour))
		switch i % 10 {
		case 3:
			w.do(&command.Revoke{Ids: []string{id, fmt.Sprintf("db/creds/%d/1", i)}, Cause: "revoked"})
		case 7:
			job := w.must(openPrefix("locks"))[0].Job.ID
			w.sweep(job, 100)
		}
		w.advance(time.Second)
	}
	stop()
	readers.Wait()
	w.check()
}

// Waiters are woken by what they wait for, and by nothing they have cancelled.
func TestWaiters(t *testing.T) {
	w := newWorld(t)
	w.issue("locks/a/1", rootHash, time.Minute)
	changed, cancel := w.s.WatchLease("locks/a/1")
	defer cancel()
	other, cancelOther := w.s.WatchLease("locks/a/2")
	cancelOther()
	w.must(&command.Renew{Id: "locks/a/1"})
	w.issue("locks/a/2", rootHash, time.Minute)
	w.must(&command.Revoke{Ids: []string{"locks/a/2"}})
	if !closed(changed) || closed(other) {
		t.Errorf("watched: %v, cancelled: %v; want true, false", closed(changed), closed(other))
	}
	job := w.must(openPrefix("locks"))[0].Job.ID
	swept, cancelJob := w.s.WatchJob(job)
	defer cancelJob()
	w.sweep(job, 10)
	if !closed(swept) {
		t.Error("who watched the job was not woken")
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := w.s.WaitApplied(ctx, w.s.Applied()+1); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := w.s.WaitApplied(ctx, w.s.Applied()); err != nil {
		t.Errorf("an index that is there: %v", err)
	}
	w.s.Advance(w.s.Applied() + 5)
	if err := w.s.WaitApplied(context.Background(), w.s.Applied()); err != nil {
		t.Errorf("after Advance: %v", err)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
