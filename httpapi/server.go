package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lessor"
)

// Bounds of what a connection may take (T22).
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 30 * time.Second
	writeTimeout   = 60 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 32 << 10
	maxConns       = 16384 // of clients; of peers the peer port has its own bound
)

// Bounds of what a request may take. A slow one waits for targets to be destroyed.
const (
	requestTimeout = 55 * time.Second
	slowTimeout    = 90 * time.Second
	slowWrite      = 10 * time.Minute // for the answer of a slow one, which may be a snapshot
)

// DefaultForwardHold is how long a request waits for a leader before it is refused.
const DefaultForwardHold = 1500 * time.Millisecond

// Config is what a Server needs. All but TLS and ForwardHold must be set.
type Config struct {
	Node    Node
	State   *fsm.State
	Lessor  *lessor.Lessor
	Now     func() time.Time // wall time, for deadlines and for what answers call the time of day
	Log     *slog.Logger
	Version string
	// TLS protects the connections of clients, not those of peers, which are protected already; nil:
	// plain text.
	TLS *tls.Config
	// ForwardHold: zero means DefaultForwardHold.
	ForwardHold time.Duration
	// MaxSnapshot bounds what may be restored, in bytes; zero means DefaultMaxSnapshot.
	MaxSnapshot int64
}

// Server serves the API. Its methods are safe for concurrent use.
type Server struct {
	node    Node
	state   *fsm.State
	lessor  *lessor.Lessor
	now     func() time.Time
	log     *slog.Logger
	version string
	tls     *tls.Config   // nil: plain text
	wait    time.Duration // for a leader

	maxSnapshot int64 // bytes

	router    *router
	acls      aclCache
	transport *http.Transport // to the leader's peer listener
	reigns    reigns
	leading   leadingSince
	guard     guard
	ofClients http.Handler
	ofPeers   http.Handler

	joining sync.Mutex // held while this node asks for a cluster that it was told of

	mu      sync.Mutex // guards servers
	servers []*http.Server
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

func init() {
	// Request IDs are drawn from a pool of random bytes: one system call for many.
	uuid.EnableRandPool()
}

// New makes a Server that serves nothing yet.
func New(cfg Config) *Server {
	s := &Server{
		node: cfg.Node, state: cfg.State, lessor: cfg.Lessor, now: cfg.Now, log: cfg.Log, version: cfg.Version,
		wait: cfg.ForwardHold, maxSnapshot: cfg.MaxSnapshot, tls: cfg.TLS, router: newRouter(routes), guard: guard{now: cfg.Now},
	}
	if s.wait == 0 {
		s.wait = DefaultForwardHold
	}
	if s.maxSnapshot == 0 {
		s.maxSnapshot = DefaultMaxSnapshot
	}
	s.transport = s.newTransport()
	s.ofClients = s.newEcho(false)
	s.ofPeers = s.newEcho(true)
	return s
}

// newEcho makes the handler of one kind of connection. The table has its own router, because echo
// matches the undecoded path where there is one.
func (s *Server) newEcho(peer bool) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.RouteNotFound("/*", func(ec echo.Context) error {
		s.serve(ec.Response(), ec.Request(), peer)
		return nil
	})
	return e
}

// Handler serves clients.
func (s *Server) Handler() http.Handler { return s.ofClients }

// PeerHandler serves the requests that other nodes forward. Whoever reaches it is believed to be a
// node of the cluster.
func (s *Server) PeerHandler() http.Handler { return s.ofPeers }

// Open serves clients on api and other nodes on peers (nil: none) until Close.
func (s *Server) Open(api, peers net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	s.start(func() { s.watchLeader(ctx) })
	api = limitListener(api, maxConns)
	if s.tls != nil {
		api = tls.NewListener(api, s.tls)
	}
	s.listen(api, s.ofClients)
	if peers != nil {
		s.listen(peers, s.ofPeers)
	}
}

func (s *Server) start(work func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		work()
	}()
}

func (s *Server) listen(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	s.servers = append(s.servers, server)
	s.mu.Unlock()
	s.start(func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("listener ended", "addr", l.Addr().String(), "err", err)
		}
	})
}

// Close stops accepting, lets running requests finish until ctx ends, then cuts them off, and
// waits for everything that Open started.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	servers, stop := s.servers, s.stop
	s.mu.Unlock()
	var errs []error
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, err, server.Close())
		}
	}
	if stop != nil {
		stop()
	}
	s.wg.Wait()
	s.transport.CloseIdleConnections()
	return errors.Join(errs...)
}
