package client

import (
	"context"
	"net/http"
)

// WithNamespace returns a Client that is like c but works in another namespace, given by its whole
// path from the root ("teams/blue"); "" is the root. Both share their connections.
func (c *Client) WithNamespace(path string) *Client {
	other := *c
	other.namespace = path
	return &other
}

const namespaces = "sys/namespaces"

// Namespaces lists the namespaces directly below the Client's own.
func (c *Client) Namespaces(ctx context.Context, page Page) (*Envelope[NamespaceList], error) {
	return call[NamespaceList](ctx, c, request{method: http.MethodGet, path: namespaces, query: page.query()})
}

// Namespace describes a namespace below the Client's own.
func (c *Client) Namespace(ctx context.Context, path string) (*Envelope[Namespace], error) {
	at, err := below(namespaces, path)
	if err != nil {
		return nil, err
	}
	return call[Namespace](ctx, c, request{method: http.MethodGet, path: at})
}

// PutNamespace makes a namespace directly below the Client's own, or replaces the metadata of the
// one that is there.
func (c *Client) PutNamespace(ctx context.Context, name string, metadata map[string]string) (*Envelope[Namespace], error) {
	at, err := below(namespaces, name)
	if err != nil {
		return nil, err
	}
	if metadata == nil {
		metadata = map[string]string{}
	}
	body := struct {
		CustomMetadata map[string]string `json:"custom_metadata"`
	}{metadata}
	return call[Namespace](ctx, c, request{method: http.MethodPost, path: at, body: body})
}

// DeleteNamespace ends a namespace directly below the Client's own. One that has others below it is
// an *Error of code Conflict. All that it holds is dead when this returns; the answer's Job destroys
// what that stands for and then takes the namespace away. Where there was none the answer has no Job and
// no Data, and a warning that says so.
func (c *Client) DeleteNamespace(ctx context.Context, name string) (*Secret, error) {
	at, err := below(namespaces, name)
	if err != nil {
		return nil, err
	}
	return call[map[string]any](ctx, c, request{method: http.MethodDelete, path: at})
}
