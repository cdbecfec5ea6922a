package userpass

import (
	"context"

	"github.com/leasehold/leasehold/lease"
)

// maxWaiting is how many wait for their turn to compute a hash; at a cost of 10 and on one processor
// the last of them waits for a few seconds.
const maxWaiting = 64

// gate lets few compute hashes at once. It is safe for concurrent use.
type gate struct {
	busy   chan struct{} // one for each who computes
	inside chan struct{} // one for each who computes or waits
}

func newGate(parallel int) *gate {
	return &gate{busy: make(chan struct{}, parallel), inside: make(chan struct{}, parallel+maxWaiting)}
}

// enter waits for a turn, which ends when leave is called. It refuses if too many wait already.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.inside <- struct{}{}:
	default:
		return nil, lease.Errorf(lease.Limited, "too many logins at once: try again")
	}
	select {
	case g.busy <- struct{}{}:
		return func() { <-g.busy; <-g.inside }, nil
	case <-ctx.Done():
		<-g.inside
		return nil, &lease.Error{Code: lease.Unavailable, Message: "nothing was done before the request's time was up: try again", Err: ctx.Err()}
	}
}
