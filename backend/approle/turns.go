package approle

import (
	"context"
	"sync"

	"github.com/leasehold/leasehold/lease"
)

// turns lets one request at a time write a thing. The conditional writes are what keeps it right, also
// when the leader changes; turns keep a hundred racing requests from spoiling each other's tries.
type turns struct {
	limit int

	mu    sync.Mutex // guards the fields below
	count int        // requests that wait or work
	lines map[string]*line
}

type line struct {
	busy    chan struct{} // holds one element while somebody works
	members int
}

func newTurns(limit int) *turns {
	return &turns{limit: limit, lines: make(map[string]*line)}
}

// take waits for the turn at key, a thing of a mount. The error is Unavailable: nothing happened.
func (t *turns) take(ctx context.Context, mountID, key string) (done func(), err error) {
	key = mountID + "/" + key
	l := t.join(key)
	if l == nil {
		return nil, lease.Errorf(lease.Unavailable, "%d requests wait for their turn already: try again", t.limit)
	}
	select {
	case l.busy <- struct{}{}:
		return func() {
			<-l.busy
			t.leave(key, l)
		}, nil
	case <-ctx.Done():
		t.leave(key, l)
		return nil, &lease.Error{Code: lease.Unavailable, Err: ctx.Err(),
			Message: "the request was given up while others about the same thing were at work"}
	}
}

func (t *turns) join(key string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= t.limit {
		return nil
	}
	l := t.lines[key]
	if l == nil {
		l = &line{busy: make(chan struct{}, 1)}
		t.lines[key] = l
	}
	l.members++
	t.count++
	return l
}

func (t *turns) leave(key string, l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if l.members--; l.members == 0 {
		delete(t.lines, key)
	}
}
