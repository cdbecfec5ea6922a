package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls a cluster. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     string
	namespace string
	wrapTTL   string
	header    http.Header
	timeout   time.Duration
	retries   int
	http      *http.Client
}

// New makes a Client. It fails only on a Config that cannot work; nothing is sent yet.
func New(config Config) (*Client, error) {
	address := cmp.Or(config.Address, DefaultAddress)
	base, err := url.Parse(address)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("address %q: want http://host:port or https://host:port", address)
	}
	transport, err := config.transport()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		token:     config.Token,
		namespace: config.Namespace,
		wrapTTL:   config.WrapTTL,
		header:    config.Header,
		timeout:   cmp.Or(config.Timeout, DefaultTimeout),
		retries:   cmp.Or(config.MaxRetries, DefaultMaxRetries),
		http: &http.Client{
			Transport: transport,
			// Redirects are followed in send, with method, body and headers.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for name, value := range map[string]string{"token": c.token, "namespace": c.namespace} {
		if strings.ContainsFunc(value, notPrintable) {
			return nil, fmt.Errorf("the %s holds a character that cannot be sent, such as a line break", name)
		}
	}
	return c, nil
}

// notPrintable reports whether r must not stand in a header's value.
func notPrintable(r rune) bool { return r < ' ' || r == 0x7f }

// Address is where the Client sends its requests.
func (c *Client) Address() string { return c.base.String() }

// WithToken returns a Client that is like c but bears another token. Both share their connections.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = token
	return &other
}

// Read sends GET. A path that reads nothing is an *Error of code NotFound.
func (c *Client) Read(ctx context.Context, path string, query url.Values) (*Secret, error) {
	return call[map[string]any](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

// List sends GET with list=true. A place that holds no keys is an *Error of code NotFound.
func (c *Client) List(ctx context.Context, path string, page Page) (*Envelope[KeyList], error) {
	return call[KeyList](ctx, c, request{method: http.MethodGet, path: path, query: page.query()})
}

// Write sends PUT with body as JSON, null included. Where the server answers with nothing, so
// does the Secret: its Raw is empty. What is written to sys/wrapping/wrap is put aside for
// DefaultWrapTTL unless the Client says how long.
func (c *Client) Write(ctx context.Context, path string, body any) (*Secret, error) {
	if c.wrapTTL == "" && strings.Trim(path, "/") == wrapping+"wrap" {
		c = c.WithWrapTTL(DefaultWrapTTL)
	}
	r := request{method: http.MethodPut, path: path, body: body}
	if body == nil {
		r.body = json.RawMessage("null")
	}
	return call[map[string]any](ctx, c, r)
}

// Delete sends DELETE.
func (c *Client) Delete(ctx context.Context, path string, query url.Values) (*Secret, error) {
	return call[map[string]any](ctx, c, request{method: http.MethodDelete, path: path, query: query})
}

// Page asks for a part of a list. The zero value asks for all, up to the server's own bound.
type Page struct {
	After string // the last key of the page before
	Limit int    // how many keys at most
}

func (p Page) query() url.Values {
	query := url.Values{"list": {"true"}}
	if p.After != "" {
		query.Set("after", p.After)
	}
	if p.Limit > 0 {
		query.Set("limit", fmt.Sprint(p.Limit))
	}
	return query
}

// call sends r and decodes the envelope that answers it. It never returns a nil envelope without
// an error: an answer without a body is an empty one.
func call[T any](ctx context.Context, c *Client, r request) (*Envelope[T], error) {
	answer, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	envelope := &Envelope[T]{job: answer.header.Get(JobHeader)}
	if len(strings.TrimSpace(string(answer.body))) == 0 {
		return envelope, nil
	}
	if err := answer.decode(envelope); err != nil {
		return nil, err
	}
	envelope.raw = answer.body
	return envelope, nil
}

// below joins a place and a name in it. Without the name the request would mean the place itself.
func below(place, name string) (string, error) {
	if strings.Trim(name, "/") == "" {
		return "", fmt.Errorf("%w: nothing is named below %q", ErrPath, place)
	}
	return join(place, name), nil
}

// join joins two paths; slashes at the ends of the first do not matter, as they do not in locate.
func join(place, name string) string { return strings.Trim(place, "/") + "/" + name }

// bare sends r and decodes an answer that has no envelope.
func bare[T any](ctx context.Context, c *Client, r request) (*T, error) {
	answer, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	value := new(T)
	return value, answer.decode(value)
}

// decode reads the body as one JSON value. Numbers of unknown type stay json.Number, so that none
// loses digits.
func (a *answer) decode(into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(a.body)))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s %s: the answer is not what this client knows: %w", a.method, a.url, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("%s %s: the answer holds more than one JSON value", a.method, a.url)
	}
	return nil
}
