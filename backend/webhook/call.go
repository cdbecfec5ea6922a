package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/field"
)

// The headers of a call.
const (
	signatureHeader   = "X-Leasehold-Signature"
	fencingHeader     = "X-Leasehold-Fencing"
	idempotencyHeader = "Idempotency-Key"
)

// The actions.
const (
	issue     = "issue"
	renew     = "renew"
	revoke    = "revoke"
	inventory = "inventory"
)

// maxErrorBody bounds what is read of an answer that only explains a failure.
const maxErrorBody = 4 << 10

// call is the body of a call about one lease.
type call struct {
	Action       string          `json:"action"`
	LeaseID      string          `json:"lease_id"`
	ExternalName string          `json:"external_name"`
	Role         string          `json:"role"`
	Params       map[string]any  `json:"params"`
	TTL          int64           `json:"ttl,omitempty"` // seconds; absent in revoke
	ExpireTime   string          `json:"expire_time,omitempty"`
	Attempt      int             `json:"attempt"`
	Fence        uint64          `json:"fencing_index"`
	Internal     json.RawMessage `json:"internal,omitempty"`

	generation uint64
}

// setEnd fills in the end of the lease. A part of a second counts as a whole one, so that the
// service's limit is never the shorter.
func (c *call) setEnd(ttl time.Duration, expire time.Time) {
	c.TTL = int64((ttl + time.Second - 1) / time.Second)
	if !expire.IsZero() {
		c.ExpireTime = expire.UTC().Format(time.RFC3339Nano)
	}
}

// idempotencyKey is the same for every attempt of one action on one generation of the lease.
func (c *call) idempotencyKey() string {
	return fmt.Sprintf("%s-%s-%d", c.Action, c.ExternalName, c.generation)
}

// sign is the value of the signature header for a body sent at unix seconds.
func sign(secret string, unix int64, body []byte) string {
	t := strconv.FormatInt(unix, 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// answer is what came back.
type answer struct {
	host   string
	status int
	header http.Header
	body   []byte // at most max_answer bytes
	cut    bool   // there was more
	err    error  // the body ended early
}

// post makes one call about a lease.
func (b *Backend) post(ctx context.Context, cfg *config, k *kept, rawURL string, c *call) (*answer, error) {
	c.Params = k.params()
	headers := map[string]string{
		fencingHeader: strconv.FormatUint(c.Fence, 10), idempotencyHeader: c.idempotencyKey(),
	}
	return b.send(ctx, cfg, k, rawURL, c.Action, c, headers)
}

// send makes one call, signed under the role's secret, and reads the answer, within the config's time
// and size.
func (b *Backend) send(
	ctx context.Context, cfg *config, k *kept, rawURL, action string, message any, headers map[string]string,
) (*answer, error) {
	u, err := cfg.permit(rawURL, k.Dev)
	if err != nil {
		return nil, &refusedURL{action + "_url", err}
	}
	client, err := b.clients.get(cfg, k.Dev)
	if err != nil {
		return nil, err
	}
	body, err := field.FormatJSON(message)
	if err != nil {
		return nil, fmt.Errorf("encode the call: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the call: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "leasehold")
	req.Header.Set(signatureHeader, sign(k.Role.Secret, b.now().Unix(), body))
	req.Header[idempotencyHeader] = nil // not sent, and yet the client may repeat a call whose connection was stale
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("%s gave no answer in time: %w", u.Host, context.DeadlineExceeded)
		}
		return nil, fmt.Errorf("call %s: %w", u.Host, withoutURL(err))
	}
	defer resp.Body.Close()
	a := &answer{host: u.Host, status: resp.StatusCode, header: resp.Header}
	a.read(resp, action, cfg.maxAnswer())
	return a, nil
}

// read takes as much of the body as the answer's meaning needs. A revoke's success needs nothing
// of it; a short one is read all the same, since then the connection can serve the next call.
func (a *answer) read(resp *http.Response, action string, limit int) {
	switch {
	case verdictOf(a.status) != accepted:
		limit = min(limit, maxErrorBody)
	case action == revoke && (resp.ContentLength < 0 || resp.ContentLength > maxErrorBody):
		return
	}
	a.body, a.err = io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if len(a.body) > limit {
		a.body, a.cut = a.body[:limit], true
	}
}

// refusedURL says that a URL may not be called as the mount's config stands.
type refusedURL struct {
	field string
	err   error
}

func (e *refusedURL) Error() string { return e.field + ": " + e.err.Error() }
func (e *refusedURL) Unwrap() error { return e.err }

// withoutURL takes the URL, whose path or query may be confidential, out of a client's error.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// secretsOf lists what must not appear in an error: the signing key and its product, and what the
// service asked to be kept.
func secretsOf(k *kept) []string {
	var secrets []string
	if k.Role.Secret != "" {
		secrets = append(secrets, k.Role.Secret)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) >= minInternalSecret {
				secrets = append(secrets, v)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	if obj, err := field.ParseObject(k.Internal); err == nil {
		walk(obj)
	}
	return secrets
}

// minInternalSecret keeps short words such as a region's name out of the list of secrets.
const minInternalSecret = 8

// MaxErrorText bounds, in bytes, the text of an error (T12).
const MaxErrorText = 256

// scrub makes a text that may hold a service's words fit for a log and for a lease's error:
// secrets out, one line, bounded.
func scrub(text string, secrets []string) string {
	text = strings.ToValidUTF8(text, "?")
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = strings.Join(strings.Fields(field.CleanText(text)), " ")
	if len(text) > MaxErrorText {
		text = strings.ToValidUTF8(text[:MaxErrorText], "")
	}
	return text
}
