package httpapi

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/leasehold/leasehold/lease"
)

// Bounds of failed proofs of identity per client address: who stays below them notices nothing. They
// are far above what a misconfigured client does and far below what guessing takes (T2).
const (
	guardRate      = 200.0 // failures a second
	guardBurst     = 2000
	guardAddresses = 8192 // that are remembered
	guardNetwork   = 64   // bits of an IPv6 address that count: whoever has one has the rest
)

var errTooManyFailures = lease.Errorf(lease.Limited, "too many failed requests from this address: wait a second")

// guard counts failed proofs of identity by client address, and by network where that is what one client
// has. When too many are remembered all are forgotten: who has as many is not held up by counting.
type guard struct {
	now func() time.Time

	mu    sync.Mutex // guards fails
	fails map[netip.Addr]*rate.Limiter
}

// deny returns err, or that there were too many failures before it.
func (g *guard) deny(c *call, err error) error {
	if g.over(c.clientAddr(), 1) {
		return errTooManyFailures
	}
	return err
}

// over takes n failures of an address and reports whether that is too many.
func (g *guard) over(addr netip.Addr, n int) bool {
	if addr.Is6() {
		network, _ := addr.Prefix(guardNetwork) // never fails for as many bits
		addr = network.Addr()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.fails[addr]
	if l == nil {
		if g.fails == nil || len(g.fails) >= guardAddresses {
			g.fails = make(map[netip.Addr]*rate.Limiter)
		}
		l = rate.NewLimiter(guardRate, guardBurst)
		g.fails[addr] = l
	}
	return !l.AllowN(g.now(), n)
}
