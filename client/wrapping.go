package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// DefaultWrapTTL is how long what is given to sys/wrapping/wrap can be fetched, where nobody says.
const DefaultWrapTTL = 5 * time.Minute

const wrapping = "sys/wrapping/"

// WithWrapTTL returns a Client that is like c but has its answers put aside for as long as ttl,
// each under a token that fetches it once: an answer's WrapInfo is then all that comes back. With 0
// answers come back themselves. Both Clients share their connections.
func (c *Client) WithWrapTTL(ttl time.Duration) *Client {
	other := *c
	other.wrapTTL = ""
	if ttl > 0 {
		other.wrapTTL = ttl.String()
	}
	return &other
}

// Wrap puts data aside for as long as ttl. What it returns has the token that fetches it, once.
func (c *Client) Wrap(ctx context.Context, data map[string]any, ttl time.Duration) (*WrapInfo, error) {
	if ttl <= 0 {
		ttl = DefaultWrapTTL
	}
	return c.WithWrapTTL(ttl).wrapInfo(ctx, "wrap", data)
}

// Unwrap fetches what was put aside under a wrapping token, which opens nothing any more after
// that. With "" the Client's own token is the wrapping one.
func (c *Client) Unwrap(ctx context.Context, token string) (*Secret, error) {
	c = c.WithWrapTTL(0)
	// The wrapping token has one use: it must not be the caller's token and a parameter at once.
	var body any = json.RawMessage("null")
	switch token = strings.TrimSpace(token); {
	case c.token == "":
		c = c.WithToken(token)
	case token != "" && token != c.token:
		body = TokenRequest{Token: token}
	}
	return call[map[string]any](ctx, c, request{method: http.MethodPut, path: wrapping + "unwrap", body: body})
}

// LookupWrapping tells when a wrapping token was made and whose answer it stands for, without
// using it up.
func (c *Client) LookupWrapping(ctx context.Context, token string) (*Envelope[WrapLookup], error) {
	return call[WrapLookup](ctx, c.WithWrapTTL(0), request{
		method: http.MethodPost, path: wrapping + "lookup", body: TokenRequest{Token: token},
	})
}

// Rewrap moves what was put aside under a wrapping token to a new one, with the time it was first
// given.
func (c *Client) Rewrap(ctx context.Context, token string) (*WrapInfo, error) {
	return c.WithWrapTTL(0).wrapInfo(ctx, "rewrap", TokenRequest{Token: token})
}

func (c *Client) wrapInfo(ctx context.Context, verb string, body any) (*WrapInfo, error) {
	secret, err := call[map[string]any](ctx, c, request{method: http.MethodPost, path: wrapping + verb, body: body})
	if err != nil {
		return nil, err
	}
	if secret.WrapInfo == nil {
		return nil, fmt.Errorf("%s: the answer holds no wrapping token", verb)
	}
	return secret.WrapInfo, nil
}
