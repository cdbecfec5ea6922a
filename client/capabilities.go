package client

import (
	"context"
	"net/http"
)

// capabilitiesRequest is the body of the three ways to ask. One path goes as a string, as the
// tools of old send it.
type capabilitiesRequest struct {
	Accessor string   `json:"accessor,omitempty"`
	Path     string   `json:"path,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Token    string   `json:"token,omitempty"`
}

// CapabilitiesSelf tells what the calling token may do at each of some paths: capabilities such as
// "read" by path, "root" for everything, "deny" for nothing.
func (c *Client) CapabilitiesSelf(ctx context.Context, paths ...string) (*Envelope[map[string][]string], error) {
	return c.capabilities(ctx, "sys/capabilities-self", capabilitiesRequest{Token: c.token}, paths)
}

// Capabilities is CapabilitiesSelf for another token.
func (c *Client) Capabilities(ctx context.Context, token string, paths ...string) (*Envelope[map[string][]string], error) {
	return c.capabilities(ctx, "sys/capabilities", capabilitiesRequest{Token: token}, paths)
}

// CapabilitiesAccessor is Capabilities by accessor, without the token itself.
func (c *Client) CapabilitiesAccessor(ctx context.Context, accessor string, paths ...string) (*Envelope[map[string][]string], error) {
	return c.capabilities(ctx, "sys/capabilities-accessor", capabilitiesRequest{Accessor: accessor}, paths)
}

func (c *Client) capabilities(ctx context.Context, at string, ask capabilitiesRequest, paths []string) (*Envelope[map[string][]string], error) {
	ask.Paths = paths
	if len(paths) == 1 {
		ask.Path, ask.Paths = paths[0], nil
	}
	return call[map[string][]string](ctx, c, request{method: http.MethodPost, path: at, body: ask})
}
