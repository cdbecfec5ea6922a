package httpapi

import (
	"math/rand/v2"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// act calls the handler. While leadership is being handed over the old leader takes no writes any
// more; what it refused without having done anything is served once there is a leader, here or there,
// so that callers do not notice a node that is stopped in order.
func (s *Server) act(c *call) (answer, error) {
	begin := s.now()
	for {
		a, err := c.route.handler(s, c)
		limited := c.token != nil && c.token.NumUses != 0 // a use has been taken here
		if c.term == 0 || limited || !untouched(err) {
			return a, err
		}
		if c.peer {
			c.w.Header()[headerNotLeader] = valueRetry // the node that sent it waits and repeats
			return a, err
		}
		pause := holdPause + rand.N(holdPause)
		if s.now().Sub(begin)+pause > s.wait {
			return a, err
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return a, err
		}
		if err := s.toLeader(c); err != nil {
			return answer{}, err
		}
	}
}

// untouched reports whether the first thing that the handler wrote was refused. An error that merely
// has such a one as its cause comes from a later step.
func untouched(err error) bool {
	e, ok := err.(*lease.Error)
	return ok && e.Is(lease.ErrNotLeader)
}
