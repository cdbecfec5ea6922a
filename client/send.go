package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds, in bytes, the answer that is read into memory. A list at the server's bound
// of 100,000 lease IDs is about a tenth of it.
const maxAnswer = 128 << 20

// request is one call, before it is sent.
type request struct {
	method string
	path   string // below /v1/; slashes at its ends do not matter
	query  url.Values
	body   any // encoded as JSON; nil for none
	header http.Header

	// any accepts every status as an answer; no status is then worth repeating either.
	any    bool
	stream io.Reader // a body that is sent as it comes, once; nil: body
}

// answer is a whole answer.
type answer struct {
	method, url string
	status      int
	header      http.Header
	body        []byte
}

// do sends r until it has an answer that is final, within the client's timeout.
func (c *Client) do(ctx context.Context, r request) (*answer, error) {
	target, err := c.locate(r)
	if err != nil {
		return nil, err
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for n := 0; ; n++ {
		a, err := c.attempt(ctx, r, target, body)
		if err == nil || n >= c.retries || !worthRetry(ctx, err) {
			return a, err
		}
		var wished time.Duration
		if refused, ok := errors.AsType[*Error](err); ok {
			wished = refused.RetryAfter
		}
		if sleep(ctx, backoff(n, wished)) != nil {
			return nil, fmt.Errorf("%w (gave up: %w)", err, ctx.Err())
		}
	}
}

// attempt sends r once and reads the whole answer; a status that is not success is an *Error.
func (c *Client) attempt(ctx context.Context, r request, target *url.URL, body []byte) (*answer, error) {
	response, err := c.send(ctx, r, target, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read answer: %w", r.method, target, err)
	}
	if len(read) > maxAnswer {
		return nil, fmt.Errorf("%s %s: the answer is longer than %d bytes: ask for pages of it", r.method, target, maxAnswer)
	}
	if isError(r, response.StatusCode, read) {
		return nil, errorOf(r.method, target.String(), response.StatusCode, response.Header, read)
	}
	return &answer{
		method: r.method, url: target.String(),
		status: response.StatusCode, header: response.Header, body: read,
	}, nil
}

// isError tells refusals from answers. Reading a place that holds nothing may still carry
// warnings with its 404: then it is an answer.
func isError(r request, status int, body []byte) bool {
	if r.any || status < http.StatusMultipleChoices {
		return false
	}
	if status == http.StatusNotFound && r.method == http.MethodGet {
		var told struct {
			Data     json.RawMessage `json:"data"`
			Warnings []string        `json:"warnings"`
		}
		if json.Unmarshal(body, &told) == nil {
			hasData := len(told.Data) > 0 && string(told.Data) != "null"
			return !hasData && len(told.Warnings) == 0
		}
	}
	return true
}

// send sends r once, and once more to where a first answer redirects it. A redirect keeps method,
// body and headers, the token with them: a node names its leader this way. What was asked over
// https is never repeated in the clear.
func (c *Client) send(ctx context.Context, r request, target *url.URL, body []byte) (*http.Response, error) {
	response, err := c.once(ctx, r, target, body)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect:
	default:
		return response, nil
	}
	response.Body.Close()
	next, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s %s: redirected nowhere: %w", r.method, target, err)
	}
	if target.Scheme == "https" && next.Scheme != "https" {
		return nil, fmt.Errorf("%s %s: redirected from https to %s, which would show the token: refused", r.method, target, next)
	}
	if r.stream != nil {
		return nil, fmt.Errorf("%s %s: redirected to %s, and what was sent cannot be sent again: ask there", r.method, target, next)
	}
	return c.once(ctx, r, next, body)
}

// once sends r to target and follows nothing.
func (c *Client) once(ctx context.Context, r request, target *url.URL, body []byte) (*http.Response, error) {
	content := io.Reader(bytes.NewReader(body))
	if r.stream != nil {
		content = io.NopCloser(r.stream)
	}
	outgoing, err := http.NewRequestWithContext(ctx, r.method, target.String(), content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, target, err)
	}
	for _, header := range [...]http.Header{c.header, r.header} {
		for name, values := range header {
			outgoing.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	outgoing.Header.Set("X-Vault-Request", "true")
	for name, value := range map[string]string{
		"X-Vault-Token":     c.token,
		"X-Vault-Namespace": c.namespace,
		"X-Vault-Wrap-TTL":  c.wrapTTL,
	} {
		if value != "" {
			outgoing.Header.Set(name, value)
		}
	}
	return c.http.Do(outgoing)
}

// locate makes the URL of r. A path that climbs is refused here: something on the way might
// resolve it, and the request would mean another path than the caller wrote.
func (c *Client) locate(r request) (*url.URL, error) {
	path := strings.Trim(r.path, "/")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return nil, fmt.Errorf("%w: %q has the segment %q", ErrPath, r.path, segment)
		}
	}
	target := *c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + "/v1/" + path
	target.RawPath = ""
	target.RawQuery = r.query.Encode()
	return &target, nil
}

// worthRetry reports whether the same call may go better a moment later.
func worthRetry(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return repeatable(refused.StatusCode)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return false
	}
	_, broken := errors.AsType[*url.Error](err)
	return broken || errors.Is(err, io.ErrUnexpectedEOF)
}
