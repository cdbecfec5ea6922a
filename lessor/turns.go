package lessor

import (
	"context"
	"sync"

	"github.com/leasehold/leasehold/lease"
)

// turns lets one caller at a time work on a thing: a target must not be told two ends of one lease
// at once. How many may wait or work is bounded in all.
type turns struct {
	limit int

	mu    sync.Mutex // guards the fields below
	count int        // callers that wait or work
	lines map[string]*line
}

type line struct {
	busy    chan struct{} // holds one element while somebody works
	callers int
}

func newTurns(limit int) *turns {
	return &turns{limit: limit, lines: make(map[string]*line)}
}

// take waits for the turn at key. The error is Unavailable: nothing happened.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	if t.count >= t.limit {
		t.mu.Unlock()
		return nil, lease.Errorf(lease.Unavailable, "too many requests wait for their targets")
	}
	ln := t.lines[key]
	if ln == nil {
		ln = &line{busy: make(chan struct{}, 1)}
		t.lines[key] = ln
	}
	ln.callers++
	t.count++
	t.mu.Unlock()

	select {
	case ln.busy <- struct{}{}:
		return func() {
			<-ln.busy
			t.leave(key, ln)
		}, nil
	case <-ctx.Done():
		t.leave(key, ln)
		return nil, &lease.Error{Code: lease.Unavailable, Err: ctx.Err(),
			Message: "the request was given up while another one about the same thing was at work"}
	}
}

func (t *turns) leave(key string, ln *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if ln.callers--; ln.callers == 0 {
		delete(t.lines, key)
	}
}
