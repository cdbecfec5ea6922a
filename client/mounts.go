package client

import (
	"context"
	"net/http"
)

// Mounts lists the secrets engines by path; paths end in a slash.
func (c *Client) Mounts(ctx context.Context) (*Envelope[map[string]Mount], error) {
	return call[map[string]Mount](ctx, c, request{method: http.MethodGet, path: "sys/mounts"})
}

// EnableMount puts a secrets engine at a path.
func (c *Client) EnableMount(ctx context.Context, path string, ask MountInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/mounts/" + path, body: ask})
	return err
}

// MountTuning reads how the engine at a path is tuned, defaults filled in.
func (c *Client) MountTuning(ctx context.Context, path string) (*Envelope[MountConfig], error) {
	return call[MountConfig](ctx, c, request{method: http.MethodGet, path: tuning(path)})
}

func tuning(path string) string { return "sys/mounts/" + join(path, "tune") }

// TuneMount changes how the engine at a path is tuned.
func (c *Client) TuneMount(ctx context.Context, path string, ask MountConfigInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: tuning(path), body: ask})
	return err
}

// DisableMount revokes all that was leased at a path and takes the engine away. It returns when
// both are done; if destroying fails, the mount stays, serves no more, and can be disabled again.
func (c *Client) DisableMount(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "sys/mounts/" + path})
	return err
}

// MountAt tells which mount serves a path. A path that no mount serves, and one that the token may
// not use, is an *Error of code Denied.
func (c *Client) MountAt(ctx context.Context, path string) (*Envelope[MountAt], error) {
	return call[MountAt](ctx, c, request{method: http.MethodGet, path: "sys/internal/ui/mounts/" + path})
}
