package failover

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// balancer is what stands in front of a cluster in production: it leads each connection to the next node
// that takes it.
type balancer struct {
	listen net.Listener
	nodes  []string
	next   atomic.Int64
	wg     sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

func startBalancer(c Cluster) (*balancer, error) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the balancer: %w", err)
	}
	b := &balancer{listen: listen, conns: map[net.Conn]bool{}}
	for node := 1; node <= c.Size(); node++ {
		u, err := url.Parse(c.API(node))
		if err != nil {
			return nil, err
		}
		b.nodes = append(b.nodes, u.Host)
	}
	b.wg.Go(b.accept)
	return b, nil
}

func (b *balancer) accept() {
	for {
		conn, err := b.listen.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.serve(conn) })
	}
}

func (b *balancer) serve(client net.Conn) {
	defer b.drop(client)
	b.keep(client)
	for range b.nodes {
		node, err := net.DialTimeout("tcp", b.nodes[int(b.next.Add(1))%len(b.nodes)], time.Second)
		if err != nil {
			continue
		}
		defer b.drop(node)
		b.keep(node)
		done := make(chan struct{}, 2)
		for _, pair := range [][2]net.Conn{{node, client}, {client, node}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1]) // ends when either side does
				done <- struct{}{}
			}()
		}
		<-done
		client.Close()
		node.Close()
		<-done
		return
	}
}

func (b *balancer) keep(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = true
}

func (b *balancer) drop(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	c.Close()
}

func (b *balancer) close() {
	b.listen.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

// stockCalls is what stock clients saw.
type stockCalls struct {
	calls, failed   int // with the retries that the client makes unasked
	bareCalls, bare int // without
	first           error
}

func (s *stockCalls) add(o stockCalls) {
	s.calls, s.failed, s.bareCalls, s.bare = s.calls+o.calls, s.failed+o.failed, s.bareCalls+o.bareCalls, s.bare+o.bare
	if s.first == nil {
		s.first = o.first
	}
}

// stock is Vault's own Go client, a few of them, which issue, renew, look up and revoke by way of a
// balancer.
type stock struct {
	balancer *balancer
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu   sync.Mutex // guards seen
	seen stockCalls
}

// stockClients with retries, and as many without.
const stockClients = 3

func startStock(c Cluster) (*stock, error) {
	b, err := startBalancer(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &stock{balancer: b, stop: stop}
	for i := range 2 * stockClients {
		conf := api.DefaultConfig()
		conf.Address = "http://" + b.listen.Addr().String()
		if c.Roots() != nil {
			conf.Address = "https://" + b.listen.Addr().String()
			conf.HttpClient.Transport.(*http.Transport).TLSClientConfig.RootCAs = c.Roots()
		}
		client, err := api.NewClient(conf)
		if err != nil {
			s.end()
			return nil, fmt.Errorf("a stock client: %w", err)
		}
		client.SetToken(c.Token())
		bare := i%2 == 1
		if bare {
			client.SetMaxRetries(0)
		}
		s.wg.Go(func() { s.client(ctx, client, bare) })
	}
	return s, nil
}

// client goes through a lease's life again and again.
func (s *stock) client(ctx context.Context, c *api.Client, bare bool) {
	try := func(what string, call func() (*api.Secret, error)) *api.Secret {
		secret, err := call()
		s.note(bare, what, err)
		pause(ctx, 10*time.Millisecond)
		return secret
	}
	for ctx.Err() == nil {
		got := try("issue", func() (*api.Secret, error) {
			return c.Logical().WriteWithContext(context.Background(), "slots/stock", map[string]any{"ttl": "10m"})
		})
		if got == nil {
			continue
		}
		try("renew", func() (*api.Secret, error) { return c.Sys().RenewWithContext(context.Background(), got.LeaseID, 1200) })
		try("lookup", func() (*api.Secret, error) { return c.Sys().LookupWithContext(context.Background(), got.LeaseID) })
		try("revoke", func() (*api.Secret, error) { return nil, c.Sys().RevokeWithContext(context.Background(), got.LeaseID) })
	}
}

func (s *stock) note(bare bool, what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bare {
		s.seen.bareCalls++
		if err != nil {
			s.seen.bare++
		}
		return
	}
	s.seen.calls++
	if err != nil {
		s.seen.failed++
		if s.seen.first == nil {
			s.seen.first = fmt.Errorf("%s: %w", what, err)
		}
	}
}

// end stops the clients and says what they saw.
func (s *stock) end() stockCalls {
	s.stop()
	s.wg.Wait()
	s.balancer.close()
	return s.seen
}
