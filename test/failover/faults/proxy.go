package faults

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// relay carries what goes from one node to another, both ways of each connection, later than it came. Its
// datagrams overtake each other, and every tenth comes twice.
type relay struct {
	delay time.Duration // each way
	ends  []io.Closer

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	closed bool
	done   sync.WaitGroup
}

// maxHeld bounds the pieces that wait in one direction of a connection.
const maxHeld = 4096

// newRelay listens on a port and the one after it, for connections to two addresses of a node, and on the
// first for the datagrams to the second address.
func newRelay(delay time.Duration, peer, gossip string) (*relay, int, error) {
	for range 50 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			first.Close()
			continue
		}
		datagrams, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			first.Close()
			second.Close()
			continue
		}
		target, err := net.ResolveUDPAddr("udp", gossip)
		if err != nil {
			return nil, 0, errors.Join(err, first.Close(), second.Close(), datagrams.Close())
		}
		r := &relay{delay: delay, ends: []io.Closer{first, second, datagrams}, conns: map[net.Conn]bool{}}
		r.done.Go(func() { r.accept(first, peer) })
		r.done.Go(func() { r.accept(second, gossip) })
		r.done.Go(func() { r.pass(datagrams, target) })
		return r, port, nil
	}
	return nil, 0, fmt.Errorf("no two free ports in a row for a proxy")
}

// close ends the proxy and every connection through it.
func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	for _, e := range r.ends {
		e.Close()
	}
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.done.Wait()
}

// keep notes a connection, unless the proxy is closed.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) accept(l net.Listener, target string) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		if !r.keep(near) {
			return
		}
		r.done.Go(func() {
			far, err := net.DialTimeout("tcp", target, 5*time.Second)
			if err != nil || !r.keep(far) {
				near.Close()
				return
			}
			var both sync.WaitGroup
			both.Go(func() { r.carry(far, near) })
			both.Go(func() { r.carry(near, far) })
			both.Wait()
			r.mu.Lock()
			delete(r.conns, near)
			delete(r.conns, far)
			r.mu.Unlock()
		})
	}
}

// piece is what was read at once, and when it may go on.
type piece struct {
	data []byte
	due  time.Time
}

// carry moves one direction of a connection. Its end closes both sides, when all has been delivered.
func (r *relay) carry(to, from net.Conn) {
	held := make(chan piece, maxHeld)
	var writer sync.WaitGroup
	writer.Go(func() {
		for p := range held {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close() // ends the reader
			}
		}
		to.Close()
		from.Close()
	})
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			held <- piece{buf[:n], time.Now().Add(r.delay)}
		}
		if err != nil {
			break
		}
	}
	close(held)
	writer.Wait()
}

// pass moves datagrams, each after half to one and a half of the delay.
func (r *relay) pass(c net.PacketConn, target net.Addr) {
	for buf, count := make([]byte, 64<<10), 0; ; count++ {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		data := append([]byte(nil), buf[:n]...)
		copies := 1
		if count%10 == 9 {
			copies = 2
		}
		for range copies {
			wait := r.delay/2 + time.Duration(rand.Int64N(int64(r.delay)+1))
			time.AfterFunc(wait, func() { _, _ = c.WriteTo(data, target) })
		}
	}
}
