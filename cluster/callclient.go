package cluster

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// callClient keeps one connection to each node that was called.
type callClient struct {
	dial func(ctx context.Context, to nodeAddr, proto byte) (net.Conn, error)
	now  func() time.Time
	wg   sync.WaitGroup

	mu    sync.Mutex // guards peers and shut
	peers map[nodeAddr]*callPeer
	shut  bool
}

func newCallClient(dial func(context.Context, nodeAddr, byte) (net.Conn, error), now func() time.Time) *callClient {
	return &callClient{dial: dial, now: now, peers: make(map[nodeAddr]*callPeer)}
}

// call asks a node. An error with lease.Unavailable says that there was no answer.
func (c *callClient) call(ctx context.Context, to nodeAddr, v verb, body []byte) ([]byte, error) {
	p, err := c.peer(ctx, to)
	if err != nil {
		return nil, &lease.Error{Code: lease.Unavailable, Message: "cannot reach node", Err: err}
	}
	return p.call(ctx, v, body)
}

// peer returns the connection to a node, making it if there is none.
func (c *callClient) peer(ctx context.Context, to nodeAddr) (*callPeer, error) {
	c.mu.Lock()
	if c.shut {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	p := c.peers[to]
	if p == nil || p.broken() {
		p = &callPeer{client: c, pending: make(map[uint64]chan callAnswer), up: make(chan struct{}), down: make(chan struct{})}
		c.peers[to] = p
		c.wg.Add(1)
		go p.run(to)
	}
	c.mu.Unlock()
	select {
	case <-p.up:
		return p, nil
	case <-p.down:
		return nil, p.reason()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close cuts all connections and waits for their readers.
func (c *callClient) close() {
	c.mu.Lock()
	c.shut = true
	peers := c.peers
	c.peers = nil
	c.mu.Unlock()
	for _, p := range peers {
		p.fail(net.ErrClosed)
	}
	c.wg.Wait()
}

type callAnswer struct {
	outcome byte
	body    []byte
}

// callPeer is one connection with the calls that wait on it.
type callPeer struct {
	client *callClient
	up     chan struct{} // closed when connected
	down   chan struct{} // closed when broken

	write sync.Mutex // one frame at a time; guards the writing side of conn

	mu      sync.Mutex // guards what follows
	conn    net.Conn
	number  uint64
	heard   uint64 // answers so far
	pending map[uint64]chan callAnswer
	err     error
}

func (p *callPeer) broken() bool {
	select {
	case <-p.down:
		return true
	default:
		return false
	}
}

func (p *callPeer) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// fail breaks the connection, once.
func (p *callPeer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	if p.conn != nil {
		p.conn.Close()
	}
	close(p.down)
}

// run connects and reads answers until the connection breaks.
func (p *callPeer) run(to nodeAddr) {
	defer p.client.wg.Done()
	ctx, cancel := context.WithTimeout(context.Background(), callDialWait)
	go func() { // a close of the client must not wait for the dial
		select {
		case <-p.down:
			cancel()
		case <-ctx.Done():
		}
	}()
	conn, err := p.client.dial(ctx, to, protoCall)
	cancel()
	if err != nil {
		p.fail(err)
		return
	}
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		conn.Close()
		return
	}
	p.conn = conn
	p.mu.Unlock()
	close(p.up)
	in := bufio.NewReader(conn)
	for {
		number, outcome, body, err := readFrame(in)
		if err != nil {
			p.fail(err)
			return
		}
		p.mu.Lock()
		answer := p.pending[number]
		delete(p.pending, number)
		p.heard++
		p.mu.Unlock()
		if answer != nil {
			answer <- callAnswer{outcome, body}
		}
	}
}

func (p *callPeer) call(ctx context.Context, v verb, body []byte) ([]byte, error) {
	answer := make(chan callAnswer, 1)
	p.mu.Lock()
	p.number++
	number, heard := p.number, p.heard
	p.pending[number] = answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pending, number)
		p.mu.Unlock()
	}()

	p.write.Lock()
	p.conn.SetWriteDeadline(p.client.now().Add(callWriteWait))
	_, err := p.conn.Write(appendFrame(nil, number, byte(v), body))
	p.write.Unlock()
	if err != nil {
		p.fail(err)
		return nil, noAnswer(err)
	}
	select {
	case a := <-answer:
		if a.outcome != outcomeOK {
			return nil, &lease.Error{Code: lease.Code(a.outcome), Message: string(a.body)}
		}
		return a.body, nil
	case <-p.down:
		return nil, noAnswer(p.reason())
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.giveUpIfSilent(heard)
		}
		return nil, noAnswer(ctx.Err())
	}
}

// giveUpIfSilent breaks a connection on which nothing came back since a call that timed out was
// sent: the other machine may be gone, and TCP would go on for a quarter of an hour.
func (p *callPeer) giveUpIfSilent(heard uint64) {
	p.mu.Lock()
	silent := p.heard == heard
	p.mu.Unlock()
	if silent {
		p.fail(errors.New("the node does not answer"))
	}
}

func noAnswer(err error) error {
	return &lease.Error{Code: lease.Unavailable, Message: "no answer from node", Err: err}
}
