package clustertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/leasehold/leasehold/cluster"
)

// Network is TCP on loopback with faults. A cut direction behaves as a cable does: nothing is
// lost, what was sent arrives when the cut heals, and a new connection does not come about.
type Network struct {
	mu      sync.Mutex // guards what follows
	cuts    map[link]bool
	delay   map[link]time.Duration
	conns   map[*conn]struct{}
	changed chan struct{} // closed when a fault is set or healed
}

// link is one direction between two nodes.
type link struct{ from, to string }

// NewNetwork returns a network without faults.
func NewNetwork() *Network {
	return &Network{
		cuts:    make(map[link]bool),
		delay:   make(map[link]time.Duration),
		conns:   make(map[*conn]struct{}),
		changed: make(chan struct{}),
	}
}

// Cut stops what from sends to to.
func (n *Network) Cut(from, to string) {
	n.set(func() { n.cuts[link{from, to}] = true })
}

// Open ends a Cut.
func (n *Network) Open(from, to string) {
	n.set(func() { delete(n.cuts, link{from, to}) })
}

// Delay makes everything that from sends to to arrive later by d.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.set(func() { n.delay[link{from, to}] = d })
}

// Break closes all connections between a and b, as a reset does.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	var broken []*conn
	for c := range n.conns {
		if c.own == a && c.peer == b || c.own == b && c.peer == a {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

// Heal ends all faults.
func (n *Network) Heal() {
	n.set(func() {
		clear(n.cuts)
		clear(n.delay)
	})
}

func (n *Network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

// state of a direction, and a channel that is closed when it may have changed.
func (n *Network) state(from, to string) (cut bool, delay time.Duration, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := link{from, to}
	return n.cuts[l], n.delay[l], n.changed
}

// Of returns the network as the given node has it.
func (n *Network) Of(id string) cluster.Network { return view{n, id} }

type view struct {
	net *Network
	id  string
}

// Listen implements cluster.Network.
func (v view) Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return listener{l, v}, nil
}

// Dial implements cluster.Network. The other side learns from the first bytes who calls.
func (v view) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	inner, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := v.net.wrap(inner, v.id)
	if err := c.introduce(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

type listener struct {
	net.Listener
	view view
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.view.net.wrap(inner, l.view.id), nil
}

// conn holds back what it reads while the direction towards it is cut.
type conn struct {
	net.Conn
	net  *Network
	own  string
	done chan struct{}
	once sync.Once

	reading sync.Mutex // one reader at a time; guards in, held
	in      *bufio.Reader
	greeted bool
	held    []byte // read, but not let through yet

	mu       sync.Mutex // guards peer and deadline
	peer     string
	deadline time.Time
}

func (n *Network) wrap(inner net.Conn, own string) *conn {
	c := &conn{Conn: inner, net: n, own: own, in: bufio.NewReader(inner), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
	return c
}

// introduce exchanges names, so that both sides know which link this is. It takes a way there and
// a way back, so it fails while either direction is cut.
func (c *conn) introduce(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		c.SetReadDeadline(deadline)
		defer c.SetReadDeadline(time.Time{})
	}
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(c.Conn, "%s\n", c.own); err != nil {
		return err
	}
	c.reading.Lock()
	name, err := c.in.ReadString('\n')
	c.greeted = true
	c.reading.Unlock()
	if err != nil {
		return err
	}
	c.name(name)
	return c.pass(false)
}

func (c *conn) name(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = line[:len(line)-1]
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.greeted {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		c.greeted = true
		c.name(line)
		if err := c.pass(false); err != nil {
			return 0, err
		}
		if _, err := fmt.Fprintf(c.Conn, "%s\n", c.own); err != nil {
			return 0, err
		}
	}
	if len(c.held) == 0 {
		n, err := c.in.Read(p)
		if n == 0 || err != nil {
			return n, err
		}
		c.held = append(c.held, p[:n]...)
	}
	if err := c.pass(true); err != nil {
		return 0, err
	}
	n := copy(p, c.held)
	c.held = append([]byte(nil), c.held[n:]...)
	return n, nil
}

// pass waits until the direction towards this side is open.
func (c *conn) pass(slow bool) error {
	waited := false
	for {
		c.mu.Lock()
		peer, deadline := c.peer, c.deadline
		c.mu.Unlock()
		cut, delay, changed := c.net.state(peer, c.own)
		var wake <-chan time.Time
		switch {
		case cut:
		case slow && delay > 0 && !waited:
			wake, waited = time.After(delay), true
		default:
			return nil
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-wake:
		case <-changed:
		case <-late:
			return os.ErrDeadlineExceeded
		case <-c.done:
			return net.ErrClosed
		}
	}
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := io.ErrClosedPipe
	c.once.Do(func() {
		close(c.done)
		err = c.Conn.Close()
		c.net.mu.Lock()
		delete(c.net.conns, c)
		c.net.mu.Unlock()
	})
	return err
}
