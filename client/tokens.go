package client

import (
	"context"
	"net/http"
	"time"
)

// CreateToken makes a child of the calling token.
func (c *Client) CreateToken(ctx context.Context, ask TokenCreateRequest) (*Secret, error) {
	return c.createToken(ctx, "auth/token/create", ask)
}

// CreateOrphanToken makes a token that outlives the calling one.
func (c *Client) CreateOrphanToken(ctx context.Context, ask TokenCreateRequest) (*Secret, error) {
	return c.createToken(ctx, "auth/token/create-orphan", ask)
}

// CreateRoleToken makes a token as a role prescribes.
func (c *Client) CreateRoleToken(ctx context.Context, role string, ask TokenCreateRequest) (*Secret, error) {
	return c.createToken(ctx, "auth/token/create/"+role, ask)
}

func (c *Client) createToken(ctx context.Context, path string, ask TokenCreateRequest) (*Secret, error) {
	return call[map[string]any](ctx, c, request{method: http.MethodPost, path: path, body: ask})
}

// LookupSelf tells about the calling token.
func (c *Client) LookupSelf(ctx context.Context) (*Envelope[TokenLookup], error) {
	return call[TokenLookup](ctx, c, request{method: http.MethodGet, path: "auth/token/lookup-self"})
}

// LookupToken tells about a token.
func (c *Client) LookupToken(ctx context.Context, token string) (*Envelope[TokenLookup], error) {
	return call[TokenLookup](ctx, c, request{
		method: http.MethodPost, path: "auth/token/lookup", body: TokenRequest{Token: token},
	})
}

// LookupAccessor tells about the token with an accessor, without the token itself.
func (c *Client) LookupAccessor(ctx context.Context, accessor string) (*Envelope[TokenLookup], error) {
	return call[TokenLookup](ctx, c, request{
		method: http.MethodPost, path: "auth/token/lookup-accessor", body: TokenRequest{Accessor: accessor},
	})
}

// ListAccessors lists the accessors of all tokens of the namespace.
func (c *Client) ListAccessors(ctx context.Context, page Page) (*Envelope[KeyList], error) {
	return c.List(ctx, "auth/token/accessors", page)
}

// RenewSelf asks for the calling token to end increment from now; 0 asks for what it was made
// with.
func (c *Client) RenewSelf(ctx context.Context, increment time.Duration) (*Secret, error) {
	return call[map[string]any](ctx, c, request{
		method: http.MethodPut, path: "auth/token/renew-self",
		body: TokenRequest{Increment: wholeSeconds(increment)},
	})
}

// RenewToken is RenewSelf for another token.
func (c *Client) RenewToken(ctx context.Context, token string, increment time.Duration) (*Secret, error) {
	return call[map[string]any](ctx, c, request{
		method: http.MethodPut, path: "auth/token/renew",
		body: TokenRequest{Token: token, Increment: wholeSeconds(increment)},
	})
}

// RenewAccessor is RenewToken by accessor; the answer leaves the token itself out.
func (c *Client) RenewAccessor(ctx context.Context, accessor string, increment time.Duration) (*Secret, error) {
	return call[map[string]any](ctx, c, request{
		method: http.MethodPost, path: "auth/token/renew-accessor",
		body: TokenRequest{Accessor: accessor, Increment: wholeSeconds(increment)},
	})
}

// RevokeSelf ends the calling token, its children, and all that any of them leased.
func (c *Client) RevokeSelf(ctx context.Context) error {
	return c.revokeToken(ctx, http.MethodPut, "revoke-self", nil)
}

// RevokeToken ends a token, its children, and all that any of them leased. A token that does not
// exist is no error.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	return c.revokeToken(ctx, http.MethodPut, "revoke", TokenRequest{Token: token})
}

// RevokeOrphan ends a token and what it leased; its children live on without a parent.
func (c *Client) RevokeOrphan(ctx context.Context, token string) error {
	return c.revokeToken(ctx, http.MethodPut, "revoke-orphan", TokenRequest{Token: token})
}

// RevokeAccessor is RevokeToken by accessor.
func (c *Client) RevokeAccessor(ctx context.Context, accessor string) error {
	return c.revokeToken(ctx, http.MethodPost, "revoke-accessor", TokenRequest{Accessor: accessor})
}

// RevokeTokenPath ends all tokens that were made at a path, such as "auth/token/create". How is
// left to the server.
func (c *Client) RevokeTokenPath(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/leases/revoke-prefix/" + path})
	return err
}

func (c *Client) revokeToken(ctx context.Context, method, verb string, body any) error {
	_, err := c.do(ctx, request{method: method, path: "auth/token/" + verb, body: body})
	return err
}
