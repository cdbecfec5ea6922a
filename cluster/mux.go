package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// The first byte of a connection to the peer port.
const (
	protoRaft byte = 'R'
	protoCall byte = 'C'
	protoHTTP byte = 'H'
)

const (
	// firstByteLimit is how long a connection may take to say who it is and its protocol.
	firstByteLimit = 5 * time.Second
	// maxPeerConns bounds the connections accepted on the peer port, so that a flood of them
	// cannot take the process's last file descriptor.
	maxPeerConns = 1024
	// acceptBacklog is how many sorted connections wait for their protocol's server.
	acceptBacklog = 32
)

// mux sorts the connections of the peer port by their first byte. It keeps track of each, and of
// those made to other nodes, so that close leaves no reader behind: raft would otherwise wait for
// the rest of a snapshot, or for an answer from a node that cannot be reached.
type mux struct {
	listener net.Listener
	now      func() time.Time
	log      *slog.Logger
	raft     *branch
	http     *branch
	call     func(net.Conn)
	secure   *secure // nil: plain text
	member   func(id string) bool

	done chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex // guards conns and shut
	conns map[net.Conn]struct{}
	shut  bool
}

func newMux(l net.Listener, advertise string, cfg Config, call func(net.Conn)) *mux {
	m := &mux{
		listener: l,
		now:      cfg.Now,
		log:      cfg.Log,
		call:     call,
		done:     make(chan struct{}),
		conns:    make(map[net.Conn]struct{}),
	}
	m.raft = newBranch(m, advertise)
	m.http = newBranch(m, advertise)
	return m
}

// serve accepts until close.
func (m *mux) serve() {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		for {
			conn, err := m.listener.Accept()
			if err == nil {
				m.admit(conn)
				continue
			}
			select {
			case <-m.done:
				return
			case <-time.After(10 * time.Millisecond): // out of descriptors, as a rule: it passes
				m.log.Warn("accept on the peer port", "error", err)
			}
		}
	}()
}

// admit starts serving conn unless the mux is closed or full.
func (m *mux) admit(conn net.Conn) {
	m.mu.Lock()
	full := len(m.conns) >= maxPeerConns
	if m.shut || full {
		m.mu.Unlock()
		conn.Close()
		if full {
			m.log.Warn("peer port is full", "connections", maxPeerConns)
		}
		return
	}
	c := m.enter(conn)
	m.wg.Add(1)
	m.mu.Unlock()
	go func() {
		defer m.wg.Done()
		m.sort(c)
	}()
}

// track has close cut a connection that this node made.
func (m *mux) track(conn net.Conn) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shut {
		conn.Close()
		return nil, net.ErrClosed
	}
	return m.enter(conn), nil
}

// enter puts conn in the books. The caller holds the lock.
func (m *mux) enter(conn net.Conn) *trackedConn {
	c := &trackedConn{Conn: conn, mux: m}
	m.conns[c] = struct{}{}
	return c
}

// sort finds out who calls and in which protocol, and hands the connection to who speaks it.
func (m *mux) sort(raw net.Conn) {
	raw.SetDeadline(m.now().Add(firstByteLimit))
	conn := raw
	if m.secure != nil {
		var err error
		if conn, err = m.secure.accept(raw); err != nil {
			raw.Close()
			return
		}
	}
	var first [1]byte
	if _, err := conn.Read(first[:]); err != nil {
		conn.Close()
		return
	}
	raw.SetDeadline(time.Time{})
	switch first[0] {
	case protoRaft:
		m.raft.offer(conn)
	case protoHTTP:
		if id := PeerID(conn); id != "" && !m.member(id) {
			m.secure.refused.stranger(id, conn.RemoteAddr())
			conn.Close()
			return
		}
		m.http.offer(conn)
	case protoCall:
		m.call(conn)
	default:
		m.log.Warn("unknown protocol on the peer port", "byte", first[0], "from", conn.RemoteAddr())
		conn.Close()
	}
}

// close stops accepting, cuts every connection and waits for those who served them.
func (m *mux) close() {
	m.mu.Lock()
	if m.shut {
		m.mu.Unlock()
		return
	}
	m.shut = true
	conns := make([]net.Conn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	m.mu.Unlock()
	close(m.done)
	m.listener.Close()
	for _, c := range conns {
		c.Close()
	}
	m.wg.Wait()
}

// trackedConn leaves the mux's books when it is closed.
type trackedConn struct {
	net.Conn
	mux  *mux
	once sync.Once
	err  error
}

// Read implements net.Conn. A connection that the mux cut at shutdown ends as if the other side had
// gone, which nobody reports as a fault.
func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		select {
		case <-c.mux.done:
			err = io.EOF
		default:
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.mux.mu.Lock()
		delete(c.mux.conns, c)
		c.mux.mu.Unlock()
	})
	return c.err
}

// branch is a listener of the connections that speak one protocol.
type branch struct {
	mux   *mux
	addr  advertised
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newBranch(m *mux, advertise string) *branch {
	return &branch{
		mux: m, addr: advertised(advertise),
		conns: make(chan net.Conn, acceptBacklog), done: make(chan struct{}),
	}
}

// offer hands conn over, or closes it when nobody takes it in time.
func (b *branch) offer(conn net.Conn) {
	wait := time.NewTimer(firstByteLimit)
	defer wait.Stop()
	select {
	case b.conns <- conn:
	case <-b.done:
		conn.Close()
	case <-b.mux.done:
		conn.Close()
	case <-wait.C:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.done:
	case <-b.mux.done:
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener. The peer port stays open for the other protocols.
func (b *branch) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}

// Addr implements net.Listener. It is the advertised name: raft tells it to others as ours.
func (b *branch) Addr() net.Addr { return b.addr }

// advertised is a host and port by name.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// dialRaw connects to another node's peer port.
func dialRaw(ctx context.Context, n Network, addr string) (net.Conn, error) {
	if addr == "" {
		return nil, errors.New("dial: the address is not known")
	}
	conn, err := n.Dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return conn, nil
}

// greet names the protocol of a connection that this node made.
func greet(ctx context.Context, conn net.Conn, now func() time.Time, proto byte) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now().Add(firstByteLimit)
	}
	conn.SetWriteDeadline(deadline)
	_, err := conn.Write([]byte{proto})
	conn.SetWriteDeadline(time.Time{})
	return err
}
