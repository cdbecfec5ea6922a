package sim

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// network is a network in memory, in virtual time. A connection is a stream in order, as TCP is: what
// is lost comes later and holds up what is behind it, and what was sent into a cut link arrives when the
// link heals. Messages overtake each other on different connections, and are said twice when a
// connection breaks before the answer. Writes never block, so nobody holds a lock over one.
type network struct {
	mu        sync.Mutex // guards all below
	rng       *rand.Rand
	links     map[link]*weather
	listeners map[string]*listener // by address
	silent    map[string]bool      // nodes without power: nobody refuses on their behalf
	conns     map[*conn]struct{}
}

// link is one direction between two nodes.
type link struct{ from, to string }

// weather is how a link is.
type weather struct {
	cut    bool
	delay  time.Duration // added to each message
	jitter time.Duration // at most so much more, drawn for each message
	loss   float64       // share of messages that are sent again, after retransmit
}

const (
	baseDelay  = 200 * time.Microsecond
	retransmit = 200 * time.Millisecond
)

func newNetwork(rng *rand.Rand) *network {
	return &network{
		rng: rng, links: make(map[link]*weather), listeners: make(map[string]*listener),
		silent: make(map[string]bool), conns: make(map[*conn]struct{}),
	}
}

func addrOf(id string) string { return id + ".sim:8300" }
func idOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host[:len(host)-len(".sim")]
}

// set changes links and wakes whoever waits for one.
func (n *network) set(change func(at func(from, to string) *weather)) {
	n.mu.Lock()
	change(func(from, to string) *weather {
		w := n.links[link{from, to}]
		if w == nil {
			w = new(weather)
			n.links[link{from, to}] = w
		}
		return w
	})
	conns := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, c := range conns {
		c.in.signal()
	}
}

// heal ends all faults of links.
func (n *network) heal() {
	n.set(func(at func(string, string) *weather) { clear(n.links) })
}

// cut reports whether nothing goes from one node to another.
func (n *network) cut(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.links[link{from, to}]
	return w != nil && w.cut
}

// draw is how long one message takes.
func (n *network) draw(from, to string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := baseDelay
	w := n.links[link{from, to}]
	if w == nil {
		return d
	}
	d += w.delay
	if w.jitter > 0 {
		d += time.Duration(n.rng.Int64N(int64(w.jitter)))
	}
	for w.loss > 0 && n.rng.Float64() < w.loss && d < 10*retransmit {
		d += retransmit
	}
	return d
}

// sever resets the connections that pick says; silently, the other side learns nothing of it.
func (n *network) sever(pick func(a, b string) bool, silently bool) {
	n.mu.Lock()
	var broken []*conn
	for c := range n.conns {
		if pick(c.own, c.peer) {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.reset()
		if !silently {
			c.other.reset()
		}
	}
}

// port is the network as one life of a node has it. A dead one reaches nobody.
type port struct {
	net  *network
	id   string
	mu   sync.Mutex // guards dead
	dead bool
}

func (p *port) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// die ends everything that this life of the node has on the network. Silently, nobody is told, as when
// the power goes.
func (p *port) die(silently bool) {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.net.mu.Lock()
	p.net.silent[p.id] = silently
	l := p.net.listeners[addrOf(p.id)]
	p.net.mu.Unlock()
	if l != nil {
		l.Close()
	}
	p.net.sever(func(own, peer string) bool { return own == p.id }, silently)
	p.net.sever(func(own, peer string) bool { return peer == p.id && !silently }, silently)
}

// Listen implements cluster.Network.
func (p *port) Listen(addr string) (net.Listener, error) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.net.listeners[addr] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &listener{net: p.net, addr: addr, conns: make(chan *conn, 64), done: make(chan struct{})}
	p.net.listeners[addr] = l
	p.net.silent[p.id] = false
	return l, nil
}

// Dial implements cluster.Network. It takes a way there and a way back.
func (p *port) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to := idOf(addr)
	for {
		if p.isDead() {
			return nil, syscall.ENETDOWN
		}
		wait := p.net.draw(p.id, to) + p.net.draw(to, p.id)
		p.net.mu.Lock()
		gone := p.net.silent[to]
		l := p.net.listeners[addr]
		p.net.mu.Unlock()
		closed := gone || p.net.cut(p.id, to) || p.net.cut(to, p.id)
		if closed {
			wait = retransmit
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		switch {
		case closed:
			continue
		case l == nil:
			return nil, syscall.ECONNREFUSED
		}
		return p.connect(l, to)
	}
}

func (p *port) connect(l *listener, to string) (net.Conn, error) {
	a, b := newConn(p.net, p.id, to), newConn(p.net, to, p.id)
	a.other, b.other = b, a
	p.net.mu.Lock()
	p.net.conns[a], p.net.conns[b] = struct{}{}, struct{}{}
	p.net.mu.Unlock()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
	default: // its backlog is full
	}
	a.reset()
	b.reset()
	return nil, syscall.ECONNREFUSED
}

type listener struct {
	net   *network
	addr  string
	conns chan *conn
	done  chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		if l.net.listeners[l.addr] == l {
			delete(l.net.listeners, l.addr)
		}
		l.net.mu.Unlock()
		for {
			select {
			case c := <-l.conns:
				c.Close()
				continue
			default:
			}
			return
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return simAddr(l.addr) }

type simAddr string

func (simAddr) Network() string  { return "sim" }
func (a simAddr) String() string { return string(a) }

// conn is one end of a connection.
type conn struct {
	net       *network
	own, peer string
	other     *conn
	in        inbox
	sent      struct {
		mu sync.Mutex
		at time.Time // when the last message sent arrives
	}
}

// inbox is what arrives at a conn.
type inbox struct {
	wake chan struct{} // holds a token when something changed

	mu       sync.Mutex // guards what follows
	chunks   []chunk
	ended    bool // the other side sends no more
	err      error
	deadline time.Time
}

type chunk struct {
	at   time.Time
	data []byte
}

func newConn(n *network, own, peer string) *conn {
	return &conn{net: n, own: own, peer: peer, in: inbox{wake: make(chan struct{}, 1)}}
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// fail makes this end useless.
func (b *inbox) fail(err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.mu.Unlock()
	b.signal()
}

// take reads what has arrived. Without data or an error, wait says when to look again; 0: when woken.
func (b *inbox) take(p []byte, cut bool) (n int, wait time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.err != nil:
		return 0, 0, b.err
	case !b.deadline.IsZero() && !now.Before(b.deadline):
		return 0, 0, os.ErrDeadlineExceeded
	case len(b.chunks) > 0 && !cut && !b.chunks[0].at.After(now):
		n = copy(p, b.chunks[0].data)
		if b.chunks[0].data = b.chunks[0].data[n:]; len(b.chunks[0].data) == 0 {
			b.chunks = b.chunks[1:]
		}
		return n, 0, nil
	case len(b.chunks) == 0 && b.ended && !cut:
		return 0, 0, io.EOF
	}
	if len(b.chunks) > 0 && !cut {
		wait = b.chunks[0].at.Sub(now)
	}
	if !b.deadline.IsZero() && (wait == 0 || b.deadline.Sub(now) < wait) {
		wait = b.deadline.Sub(now)
	}
	return 0, wait, nil
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, wait, err := c.in.take(p, c.net.cut(c.peer, c.own))
		if n > 0 || err != nil {
			return n, err
		}
		if wait == 0 {
			<-c.in.wake
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.in.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.in.mu.Lock()
	err := c.in.err
	c.in.mu.Unlock()
	if err != nil {
		return 0, err
	}
	c.sent.mu.Lock()
	defer c.sent.mu.Unlock()
	at := time.Now().Add(c.net.draw(c.own, c.peer))
	if at.Before(c.sent.at) {
		at = c.sent.at
	}
	c.sent.at = at
	b := &c.other.in
	b.mu.Lock()
	b.chunks = append(b.chunks, chunk{at, append([]byte(nil), p...)})
	b.mu.Unlock()
	b.signal()
	return len(p), nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.leave()
	c.in.fail(net.ErrClosed)
	b := &c.other.in
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.signal()
	return nil
}

// reset breaks this end.
func (c *conn) reset() {
	c.leave()
	c.in.fail(errReset)
}

var errReset = errors.New("connection reset")

func (c *conn) leave() {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return simAddr(addrOf(c.own)) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return simAddr(addrOf(c.peer)) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	c.in.deadline = t
	c.in.mu.Unlock()
	c.in.signal()
	return nil
}

// SetWriteDeadline implements net.Conn. Writes do not block.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
