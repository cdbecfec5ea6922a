package client

import (
	"context"
	"net/http"
)

const tokenRoles = "auth/token/roles"

// TokenRoles lists the names of the roles that tokens are made by.
func (c *Client) TokenRoles(ctx context.Context) (*Envelope[KeyList], error) {
	return c.List(ctx, tokenRoles, Page{})
}

// TokenRole reads a role that tokens are made by. CreateRoleToken makes one by it.
func (c *Client) TokenRole(ctx context.Context, name string) (*Envelope[TokenRole], error) {
	path, err := below(tokenRoles, name)
	if err != nil {
		return nil, err
	}
	return call[TokenRole](ctx, c, request{method: http.MethodGet, path: path})
}

// PutTokenRole makes or changes a role that tokens are made by.
func (c *Client) PutTokenRole(ctx context.Context, name string, ask TokenRoleInput) error {
	path, err := below(tokenRoles, name)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, request{method: http.MethodPost, path: path, body: ask})
	return err
}

// DeleteTokenRole removes a role. One that does not exist is no error; tokens that were made by it
// live on, and are renewed no more.
func (c *Client) DeleteTokenRole(ctx context.Context, name string) error {
	path, err := below(tokenRoles, name)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, request{method: http.MethodDelete, path: path})
	return err
}
