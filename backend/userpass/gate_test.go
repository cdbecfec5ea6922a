package userpass_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/userpass"
	"github.com/leasehold/leasehold/lease"
)

// TestFewComparisonsRunAtOnce: new hashes are made in the same queue.
func TestFewComparisonsRunAtOnce(t *testing.T) {
	w := newWorld(t)
	w.b = userpass.NewCheap(bcrypt.MinCost, 2)
	w.write("users/alice", `{"password": "p"}`)
	_, most := userpass.CountWork(w.b)
	req := w.request(backend.Write, "login/alice", `{"password": "p"}`)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := w.b.Login(context.Background(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n < 1 || n > 2 {
		t.Errorf("%d comparisons ran at once, want 1 or 2", n)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.b = userpass.NewCheap(bcrypt.MinCost, 1)
		w.write("users/alice", `{"password": "p"}`)
		w.want("locking", "nobody", "q", invalid, 5)
		release := make(chan struct{})
		userpass.BeforeCompare(w.b, func() { <-release })
		req := w.request(backend.Write, "login/alice", `{"password": "p"}`)

		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		answers := make(chan error, 1+userpass.MaxWaiting)
		for range cap(answers) {
			go func() {
				_, err := w.b.Login(ctx, req)
				answers <- err
			}()
		}
		synctest.Wait() // one compares, all others wait
		_, err := w.login("alice", "p")
		wantError(t, "one too many", err, lease.Limited, "too many logins at once: try again")
		_, err = w.handle(backend.Write, "users/bob", `{"password": "p"}`)
		wantError(t, "a new password in the same queue", err, lease.Limited, "too many logins at once: try again")
		w.want("who is locked out needs no place", "nobody", "q", denied, 1)

		stop()
		for range userpass.MaxWaiting {
			err := <-answers
			wantError(t, "one who gave up waiting", err, lease.Unavailable, "nothing was done before the request's time was up")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want one that wraps the context's", err)
			}
		}
		close(release)
		<-answers // whoever compared
		for range cap(answers) {
			go func() {
				_, err := w.b.Login(context.Background(), req)
				answers <- err
			}()
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("afterwards there is room for as many again: %v", err)
			}
		}
	})
}

// TestWhoWaitsForALockedNameIsNotServed: the lock came while they waited.
func TestWhoWaitsForALockedNameIsNotServed(t *testing.T) {
	w := newWorld(t)
	w.b = userpass.NewCheap(bcrypt.MinCost, 1)
	rounds, _ := userpass.CountWork(w.b)
	req := w.request(backend.Write, "login/nobody", `{"password": "q"}`)
	var wg sync.WaitGroup
	for range userpass.MaxWaiting {
		wg.Go(func() {
			if _, err := w.b.Login(context.Background(), req); outcome(err) != invalid && outcome(err) != denied {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A turn ends before its failure is counted, so a few more may be served; not all.
	if n := rounds.Load() >> bcrypt.MinCost; n < 5 || n > userpass.MaxWaiting/2 {
		t.Errorf("%d comparisons, want 5, or a few more", n)
	}
}
