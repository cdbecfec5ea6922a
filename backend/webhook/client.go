package webhook

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend/field"
)

// Bounds of what is kept open.
const (
	maxClients      = 32 // configs with clients of their own
	maxIdlePerHost  = 8
	idleTimeout     = time.Minute
	maxHeaderBytes  = 32 << 10
	handshakeLimit  = 10 * time.Second
	maxConnsPerHost = 256
)

// clients keeps one HTTP client per config, so that calls under the same config share
// connections and a changed one shares nothing with the past.
type clients struct {
	resolver *net.Resolver

	mu     sync.Mutex // guards recent
	recent []*cached  // most recently used first, at most maxClients
}

type cached struct {
	key    [sha256.Size]byte
	client *http.Client
}

// get returns the client for a config.
func (c *clients) get(cfg *config, dev bool) (*http.Client, error) {
	text, err := field.FormatJSON(struct {
		Config *config
		Dev    bool
	}{cfg, dev})
	if err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	key := sha256.Sum256(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.recent, func(e *cached) bool { return e.key == key })
	if at < 0 {
		client, err := newClient(&guard{config: *cfg, dev: dev, resolver: c.resolver})
		if err != nil {
			return nil, err
		}
		if len(c.recent) == maxClients {
			c.recent[maxClients-1].client.CloseIdleConnections()
			c.recent = c.recent[:maxClients-1]
		}
		c.recent = append(c.recent, &cached{key, client})
		at = len(c.recent) - 1
	}
	found := c.recent[at]
	copy(c.recent[1:at+1], c.recent[:at])
	c.recent[0] = found
	return found.client, nil
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.recent {
		e.client.CloseIdleConnections()
	}
	c.recent = nil
}

// newClient makes a client that reaches only what the guard lets it reach: no proxy, whatever the
// environment says, and no redirects.
func newClient(g *guard) (*http.Client, error) {
	roots, err := g.config.roots()
	if err != nil {
		return nil, fmt.Errorf("ca_cert: %w", err)
	}
	certificates, err := g.config.certificates()
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certificates, ServerName: g.config.ServerName,
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            g.dial,
			TLSClientConfig:        secure,
			TLSHandshakeTimeout:    handshakeLimit,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // or a small answer could grow past its bound
			MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost:    maxIdlePerHost,
			MaxConnsPerHost:        maxConnsPerHost,
			IdleConnTimeout:        idleTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
