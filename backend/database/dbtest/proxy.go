package dbtest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Fault is what a Proxy does to its connections. The zero Fault lets everything pass.
type Fault struct {
	// At are texts in what clients send, of which any one triggers the fault. Empty: whatever they send.
	At []string
	// After lets the server do what was asked, and withholds its answer. Otherwise it is never asked.
	After bool
	// Hang leaves the connection open until Heal. Otherwise it is cut.
	Hang bool
}

// Proxy stands between clients and a server, and plants faults. It is safe for concurrent use.
type Proxy struct {
	Addr string // where it listens

	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex // guards all below
	fault  *Fault
	healed chan struct{} // closed by Heal
	open   map[net.Conn]bool
	closed bool
	hits   int
	peak   int // most connections of clients at once
}

// StartProxy starts a proxy before the server at target that ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, healed: make(chan struct{}), open: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Plant lets connections, those that are open as well, meet the fault until Heal is called.
func (p *Proxy) Plant(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = &f
}

// Heal ends the fault. What hangs is cut and never reaches the other side.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
	close(p.healed)
	p.healed = make(chan struct{})
}

// Hits is how often a fault was met so far.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

// Cut cuts all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Heal()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// keep remembers a connection, unless the proxy is closed.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	p.peak = max(p.peak, (len(p.open)+1)/2) // each has one on the other side
	return !p.closed
}

// Peak is how many clients were connected at most at once.
func (p *Proxy) Peak() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

func (p *Proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// serve passes on what comes from either side until one of them ends.
func (p *Proxy) serve(client net.Conn) {
	defer p.forget(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.forget(server)
	if !p.keep(client) || !p.keep(server) {
		return
	}
	withhold := make(chan Fault, 1) // from the one direction to the other
	var wg sync.WaitGroup
	wg.Go(func() {
		defer server.Close()
		p.forward(client, server, withhold)
	})
	wg.Go(func() {
		defer client.Close()
		p.back(server, client, withhold)
	})
	wg.Wait()
}

// met is the fault that data meets, and how to learn that it is healed.
func (p *Proxy) met(data []byte) (f Fault, healed chan struct{}, met bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		return Fault{}, nil, false
	}
	met = len(p.fault.At) == 0
	for _, text := range p.fault.At {
		met = met || bytes.Contains(data, []byte(text))
	}
	if met {
		p.hits++
	}
	return *p.fault, p.healed, met
}

func (p *Proxy) forward(client, server net.Conn, withhold chan<- Fault) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		f, healed, met := p.met(buf[:n])
		switch {
		case met && f.After:
			select {
			case withhold <- f:
			default:
			}
		case met && f.Hang:
			<-healed
			return
		case met:
			client.Close() // the server learns of it as forward returns
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// back passes answers on. The first that comes after the server was asked what the fault is about
// tells that the work is done.
func (p *Proxy) back(server, client net.Conn, withhold <-chan Fault) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case f := <-withhold:
			if f.Hang {
				p.mu.Lock()
				healed := p.healed
				p.mu.Unlock()
				<-healed
			}
			return
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
