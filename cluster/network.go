package cluster

import (
	"context"
	"net"
	"time"
)

// Network is what the peer port runs on. Everything that nodes say to each other over TCP goes
// through it, so mutual TLS or a faulty network of a test wraps one place.
type Network interface {
	// Listen announces on addr.
	Listen(addr string) (net.Listener, error)
	// Dial connects to addr, resolving a name each time, and gives up when ctx ends.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the plain Network.
type TCP struct{}

// Listen implements Network.
func (TCP) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Dial implements Network. The keep-alive is short, since a peer whose machine vanished sends no
// FIN, and a call to it would otherwise hang until its own time-out.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 5 * time.Second}
	return d.DialContext(ctx, "tcp", addr)
}
