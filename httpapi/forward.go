package httpapi

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// Headers between nodes. Those that begin with internalPrefix are believed on peer connections
// alone.
const (
	internalPrefix   = "X-Leasehold-"
	headerClientAddr = "X-Leasehold-Client-Addr"
	headerRequestID  = "X-Leasehold-Request-Id"
	// headerNotLeader marks a refusal by a node that does not lead: nothing was done.
	headerNotLeader = "X-Leasehold-Not-Leader"
)

// Bounds of forwarding.
const (
	dialTimeout  = 400 * time.Millisecond // to a leader; a dead one is soon replaced
	holdPause    = 20 * time.Millisecond  // between looks for a leader, plus as much jitter
	maxIdlePeers = 256                    // connections to the leader kept open
	maxPeers     = 512                    // connections to the leader at once
	idlePeer     = 90 * time.Second       // less than the other side's idleTimeout
	copyBuffer   = 32 << 10
)

// newTransport makes the connections to other nodes' peer listeners. Hosts are members' IDs, so
// that a connection is never taken for one to another leader.
func (s *Server) newTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			id, err := hex.DecodeString(host)
			if err != nil {
				return nil, err
			}
			conn, err := s.node.DialPeer(ctx, string(id))
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn}, nil
		},
		MaxIdleConns:          maxIdlePeers,
		MaxIdleConnsPerHost:   maxIdlePeers,
		MaxConnsPerHost:       maxPeers,
		IdleConnTimeout:       idlePeer,
		ResponseHeaderTimeout: slowTimeout + 5*time.Second,
		DisableCompression:    true,
	}
}

// countingConn knows whether anything was written to it, which decides whether a request may be
// sent once more.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

// Write implements net.Conn.
func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// toLeader returns nil on the leader. Elsewhere it has the request answered by the leader, one hop
// away, or redirects to it, and returns errAnswered or why it could not.
func (s *Server) toLeader(c *call) error {
	s.limitTime(c)
	if s.lead(c) {
		return nil
	}
	if c.peer {
		c.w.Header()[headerNotLeader] = valueRetry
		return &lease.Error{Code: lease.Unavailable, Message: "this node does not lead: nothing was done, try again"}
	}
	begin := s.now()
	for {
		switch leader := s.node.LeaderID(); {
		case s.lead(c):
			return nil
		case leader == "" || leader == s.node.ID():
		case c.r.Header.Get(headerNoForward) != "":
			if addr := s.node.LeaderAPIAddr(); addr != "" {
				return &redirect{addr + c.r.URL.RequestURI()}
			}
		default:
			if err := s.sendTo(c, leader); !errors.Is(err, errNotSent) {
				return err
			}
		}
		pause := holdPause + rand.N(holdPause)
		if s.now().Sub(begin)+pause > s.wait {
			return errNoLeader
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return errNoLeader
		}
	}
}

// lead notes, if this node may serve as the leader, in which term it does.
func (s *Server) lead(c *call) bool {
	term := s.node.Term()
	if !s.node.Ready() {
		return false
	}
	c.term, c.now = term, s.node.Now()
	return true
}

// errNotSent says that nothing was done elsewhere, so that the request may be sent again.
var errNotSent = errors.New("not sent")

// sendTo has a node answer the request. It never sends again what may have arrived (S25): the
// transport would do so by itself for a GET or with an Idempotency-Key, but not with a body that it
// cannot rewind.
func (s *Server) sendTo(c *call, leader string) error {
	ctx, cancel := s.reigns.bind(c.ctx, leader)
	defer cancel()
	var conn *countingConn
	var before int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if conn, _ = got.Conn.(*countingConn); conn != nil {
			before = conn.written.Load()
		}
	}})
	resp, err := s.transport.RoundTrip(c.outgoing(ctx, leader))
	if err != nil {
		if conn == nil || conn.written.Load() == before {
			return errNotSent
		}
		return &lease.Error{Code: lease.Uncertain, Err: err,
			Message: "the leader was lost while it served the request: it may have happened, look first"}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get(headerNotLeader) != "" {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
		return errNotSent
	}
	s.relay(c, resp)
	return errAnswered
}

// outgoing is the request as another node gets it.
func (c *call) outgoing(ctx context.Context, leader string) *http.Request {
	target := *c.r.URL
	target.Scheme, target.Host = "http", hex.EncodeToString([]byte(leader))
	out := &http.Request{
		Method: c.r.Method, URL: &target, Host: c.r.Host, Header: c.r.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)),
	}
	if c.route != nil && c.route.stream && c.op == opWrite {
		out.Body, out.ContentLength = io.NopCloser(c.r.Body), c.r.ContentLength
	}
	for _, hop := range [...]string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Connection", "Accept-Encoding", "Content-Length", "Expect", headerNoForward} {
		delete(out.Header, hop)
	}
	out.Header[headerClientAddr] = []string{c.addr}
	out.Header[headerRequestID] = []string{c.id}
	return out.WithContext(ctx)
}

// relay copies an answer to the client.
func (s *Server) relay(c *call, resp *http.Response) {
	h := c.w.Header()
	delete(h, "Content-Type")
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Date", headerNotLeader:
		default:
			h[name] = values
		}
	}
	c.w.WriteHeader(resp.StatusCode)
	if _, err := io.CopyBuffer(c.w, resp.Body, make([]byte, copyBuffer)); err != nil {
		s.log.Debug("forwarded answer not taken", "request_id", c.id, "err", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}
