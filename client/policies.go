package client

import (
	"context"
	"net/http"
)

// Policies lists the names of the policies.
func (c *Client) Policies(ctx context.Context) (*Envelope[KeyList], error) {
	return c.List(ctx, "sys/policies/acl", Page{})
}

// Policy reads a policy's text.
func (c *Client) Policy(ctx context.Context, name string) (*Envelope[Policy], error) {
	return call[Policy](ctx, c, request{method: http.MethodGet, path: "sys/policies/acl/" + name})
}

// PutPolicy makes or replaces a policy; the text is HCL or JSON.
func (c *Client) PutPolicy(ctx context.Context, name, text string) error {
	body := struct {
		Policy string `json:"policy"`
	}{text}
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/policies/acl/" + name, body: body})
	return err
}

// DeletePolicy removes a policy. One that does not exist is no error.
func (c *Client) DeletePolicy(ctx context.Context, name string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "sys/policies/acl/" + name})
	return err
}
