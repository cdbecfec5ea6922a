package aws

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leasehold/leasehold/backend/field"
)

// Bounds of calls and of what is kept open.
const (
	callTimeout    = 30 * time.Second // of a call with its retries
	attemptTimeout = 10 * time.Second // of one try
	dialTimeout    = 5 * time.Second
	idleTimeout    = time.Minute
	maxRetryPause  = 3 * time.Second
	maxAnswer      = 1 << 20 // bytes
	maxConnections = 64      // to one host
	maxClients     = 32      // configs with clients of their own
)

// client is AWS as one version of a mount's config reaches it.
type client struct {
	iam *iam.Client
	sts *sts.Client
}

// clients keeps a client for each config, so that calls under one config share connections, credentials
// and the count of retries that may still be made.
type clients struct {
	http      *http.Client
	transport *http.Transport

	mu     sync.Mutex // guards recent
	recent []*cached  // most recently used first, at most maxClients
}

type cached struct {
	key    [sha256.Size]byte
	client *client
}

// newClients makes an HTTP client that follows no redirects. As with every AWS client, a proxy that the
// environment names is used.
func newClients() *clients {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: attemptTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   maxConnections / 4,
		MaxConnsPerHost:       maxConnections,
		IdleConnTimeout:       idleTimeout,
	}
	return &clients{transport: transport, http: &http.Client{
		Transport:     bounded{transport},
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *clients) close() { c.transport.CloseIdleConnections() }

// bounded lets no answer be longer than maxAnswer.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// get returns the client for a config. It connects to nothing.
func (c *clients) get(ctx context.Context, r *root) (*client, error) {
	own := *r
	own.Rotation, own.NameTemplate, own.KeySince = nil, "", time.Time{} // which make no difference here
	text, err := field.FormatJSON(&own)
	if err != nil {
		return nil, fmt.Errorf("encode config/root: %w", err)
	}
	key := sha256.Sum256(text)
	if found := c.find(key); found != nil {
		return found, nil
	}
	made, err := newClient(ctx, r, c.http)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = slices.Insert(c.recent, 0, &cached{key, made})
	c.recent = c.recent[:min(len(c.recent), maxClients)]
	return made, nil
}

func (c *clients) find(key [sha256.Size]byte) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.recent, func(e *cached) bool { return e.key == key })
	if at < 0 {
		return nil
	}
	found := c.recent[at]
	copy(c.recent[1:at+1], c.recent[:at])
	c.recent[0] = found
	return found.client
}

// newClient makes a client with the config's own key, or with what the node's surroundings offer: the
// environment, the shared files, the role of the container or of the machine.
func newClient(ctx context.Context, r *root, doer *http.Client) (*client, error) {
	retryer := newRetryer(r.MaxRetries)
	conf := awssdk.Config{
		Region: r.Region, HTTPClient: doer, Retryer: func() awssdk.Retryer { return retryer },
		Credentials: credentials.NewStaticCredentialsProvider(r.AccessKey, r.SecretKey, ""),
	}
	if r.AccessKey == "" {
		options := []func(*config.LoadOptions) error{config.WithRetryer(conf.Retryer)}
		if r.Region != "" {
			options = append(options, config.WithRegion(r.Region))
		}
		var err error
		if conf, err = config.LoadDefaultConfig(ctx, options...); err != nil {
			return nil, fmt.Errorf("find the credentials of the node: %w", err)
		}
		conf.HTTPClient = doer
	} else {
		conf.Credentials = awssdk.NewCredentialsCache(conf.Credentials)
	}
	if conf.Region == "" {
		conf.Region = DefaultRegion
	}
	return &client{
		iam: iam.NewFromConfig(conf, func(o *iam.Options) { o.BaseEndpoint = orNil(r.IAMEndpoint, o.BaseEndpoint) }),
		sts: sts.NewFromConfig(conf, func(o *sts.Options) { o.BaseEndpoint = orNil(r.STSEndpoint, o.BaseEndpoint) }),
	}, nil
}

func orNil(text string, other *string) *string {
	if text == "" {
		return other
	}
	return &text
}

// newRetryer tries again what may succeed then, with growing pauses, as often as max_retries says.
func newRetryer(maxRetries int) awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		if maxRetries >= 0 {
			o.MaxAttempts = maxRetries + 1
		}
		o.MaxBackoff = maxRetryPause
	})
}

// onceMade lets the SDK try a call again only if AWS says that it did nothing: what makes a secret must
// not be made twice because an answer was lost.
func onceMade(o *iam.Options) {
	attempts := o.Retryer.MaxAttempts()
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = attempts, maxRetryPause
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
	})
}

// errNotSent ends a call whose context is over before it begins.
var errNotSent = errors.New("the call was given up before it was sent")
