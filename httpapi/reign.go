package httpapi

import (
	"context"
	"sync"
	"time"
)

const (
	leaderLook  = 50 * time.Millisecond  // between looks at who leads
	leaderGrace = 500 * time.Millisecond // for a deposed leader to answer what it was sent
)

// reigns binds what is forwarded to the leader it was sent to. A leader that hangs, with its
// connections open, would else hold requests long after another has taken over.
type reigns struct {
	mu     sync.Mutex // guards the rest
	leader string
	ctx    context.Context // of the present leader; nil before the first
	cancel context.CancelFunc
}

// bind derives a context that also ends some time after leader was succeeded by another.
func (r *reigns) bind(ctx context.Context, leader string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.leader != leader {
		return ctx, cancel // the watcher has not seen it yet
	}
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// watchLeader ends what was forwarded to leaders that lead no more, and notes since when this node
// leads, until ctx ends.
func (s *Server) watchLeader(ctx context.Context) {
	tick := time.NewTicker(leaderLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.reigns.end()
			return
		case <-tick.C:
			if id := s.node.LeaderID(); id != "" {
				s.reigns.begin(id)
			}
			if s.node.Ready() {
				s.leading.in(s.node.Term(), s.now())
			}
		}
	}
}

// begin notes who leads.
func (r *reigns) begin(leader string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil && r.leader == leader {
		return
	}
	if r.cancel != nil {
		time.AfterFunc(leaderGrace, r.cancel)
	}
	r.leader = leader
	r.ctx, r.cancel = context.WithCancel(context.Background())
}

func (r *reigns) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
}
