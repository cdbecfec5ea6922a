package lessor_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestUnwrapOpensOnce(t *testing.T) {
	w := lessortest.New(t)
	made, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, []byte(`{"data":{"password":"canary"}}`))
	if err != nil {
		t.Fatal(err)
	}
	look, err := w.Lessor.LookupWrapping("", made.Bearer, w.Clock.Now())
	if err != nil || look.CreationPath != "kv/a" || look.Token.TTL != time.Minute {
		t.Errorf("got %+v, %v", look, err)
	}
	got, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer)
	if err != nil || string(got) != `{"data":{"password":"canary"}}` {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); !errors.Is(err, lessor.ErrBadWrapping) {
		t.Errorf("again: got %v, want %v", err, lessor.ErrBadWrapping)
	}
	if w.Lease(made.Token.LeaseID) != nil {
		t.Error("the payload outlives its opening")
	}
}

// However many unwrap at once, one gets it.
func TestUnwrapRaces(t *testing.T) {
	w := lessortest.New(t)
	made, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%5 == 0 {
				if again, _, err := w.Lessor.Rewrap(t.Context(), "", made.Bearer); err == nil {
					if _, err := w.Lessor.Unwrap(t.Context(), "", again.Bearer); err == nil {
						won.Add(1)
					}
				}
				return
			}
			if _, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers opened it, want one", won.Load())
	}
}

func TestWrappingEnds(t *testing.T) {
	w := lessortest.New(t)
	made, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute + time.Second)
	if _, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); !errors.Is(err, lessor.ErrBadWrapping) {
		t.Errorf("past its end: got %v, want %v", err, lessor.ErrBadWrapping)
	}
	for what, bearer := range map[string]string{"unknown": "lhs.unknown", "empty": "", "another kind of token": lessortest.RootToken} {
		if _, err := w.Lessor.Unwrap(t.Context(), "", bearer); !errors.Is(err, lessor.ErrBadWrapping) {
			t.Errorf("%s: got %v, want %v", what, err, lessor.ErrBadWrapping)
		}
	}
	if _, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, make([]byte, lessor.MaxWrapped+1)); err == nil {
		t.Error("an answer of any size was wrapped")
	} else if e := new(lease.Error); !errors.As(err, &e) || e.Code != lease.TooLarge || !strings.Contains(e.Message, "at most") {
		t.Errorf("got %v, want that it is too large", err)
	}
}

// A rewrap that dies half-way loses nothing: the old token still opens.
func TestRewrapFailsSafely(t *testing.T) {
	w := lessortest.New(t)
	made, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	w.Proposer.Strike(&command.UseToken{}, lessortest.Refuse)
	if _, _, err := w.Lessor.Rewrap(t.Context(), "", made.Bearer); err == nil {
		t.Fatal("a rewrap whose second step failed was reported as done")
	}
	w.Proposer.Fault(nil)
	if got, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v; want the old token to open", got, err)
	}
	w.State.Read(func(v *fsm.View) {
		if n := v.TokenCount(); n != 1 {
			t.Errorf("%d tokens are left, want root's alone", n)
		}
	})
}

// It is the use in the log that opens a wrapping token once, not its removal afterwards.
func TestUnwrapOpensOnceThoughTheTokenStays(t *testing.T) {
	w := lessortest.New(t)
	made, err := w.Lessor.Wrap(t.Context(), "", "kv/a", time.Minute, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	w.Proposer.Strike(&command.RevokeToken{}, lessortest.Refuse)
	if got, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); err != nil || string(got) != "x" {
		t.Fatalf("got %q, %v", got, err)
	}
	if w.Token(made.Bearer) == nil {
		t.Fatal("the token was removed all the same: this test shows nothing")
	}
	if got, err := w.Lessor.Unwrap(t.Context(), "", made.Bearer); !errors.Is(err, lessor.ErrBadWrapping) {
		t.Errorf("again: got %q, %v; want %v", got, err, lessor.ErrBadWrapping)
	}
}
