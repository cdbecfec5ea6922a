package failover

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// impatient is how long a client waits for an answer.
const impatient = 4 * time.Second

// caller sends requests to any node, once each.
type caller struct {
	c     Cluster
	http  *http.Client
	begin time.Time // of the run
}

func newCaller(c Cluster, begin time.Time) *caller {
	return &caller{c: c, begin: begin, http: &http.Client{
		Timeout: impatient,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{RootCAs: c.Roots()},
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// now is the time since the run began.
func (c *caller) now() time.Duration { return time.Since(c.begin) }

// at is a time as a node tells it, since the run began; 0 if there is none.
func (c *caller) at(text string) time.Duration {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	return t.Sub(c.begin.Round(0))
}

// answer is what came back. Its status is 0 if nothing came; idle says that then nothing was sent either.
type answer struct {
	call, back time.Duration
	status     int
	body       []byte
	idle       bool
	err        error
}

// send sends one request with the root token.
func (c *caller) send(ctx context.Context, node int, method, path, body string, headers ...string) (a answer) {
	a.call = c.now()
	defer func() { a.back = c.now() }()
	req, err := http.NewRequestWithContext(ctx, method, c.c.API(node)+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err, idle: true}
	}
	req.GetBody = nil // or the transport may send it a second time by itself
	req.Header.Set("X-Vault-Token", c.c.Token())
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		a.err, a.idle = err, errors.As(err, &op) && op.Op == "dial"
		return a
	}
	defer resp.Body.Close()
	if a.body, a.err = io.ReadAll(resp.Body); a.err == nil {
		a.status = resp.StatusCode
	}
	return a
}

// nothing reports whether the call certainly did nothing: it was not sent, or the node says so.
func (a answer) nothing() bool {
	return a.idle || a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests ||
		a.status == http.StatusPreconditionFailed
}

// open reports whether the call may have been done, or may not.
func (a answer) open() bool { return !a.nothing() && (a.status == 0 || a.status >= 500) }

func (a answer) good() bool { return a.status >= 200 && a.status < 300 }

// decode reads the body into v, which stays as it is if it does not fit.
func (a answer) decode(v any) error { return json.Unmarshal(a.body, v) }

// says reports whether the body holds one of the texts.
func (a answer) says(texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(string(a.body), text) {
			return true
		}
	}
	return false
}
