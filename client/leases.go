package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// IssueRequest asks a mount of type "lease" for a lease. Durations are in Go's form ("10m").
type IssueRequest struct {
	TTL       string            `json:"ttl,omitempty"`
	MaxTTL    string            `json:"max_ttl,omitempty"`
	Renewable *bool             `json:"renewable,omitempty"` // nil: renewable
	Data      map[string]any    `json:"data,omitempty"`      // answered, and kept only with KeepData
	KeepData  bool              `json:"keep_data,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Issue takes a lease at a path of a mount of type "lease". It is safe to repeat within the call:
// a retry after an answer that was lost gets the lease that the first attempt made.
func (c *Client) Issue(ctx context.Context, path string, ask IssueRequest) (*Secret, error) {
	return call[map[string]any](ctx, c, request{
		method: http.MethodPost, path: path, body: ask,
		header: http.Header{"Idempotency-Key": {rand.Text()}},
	})
}

// LookupLease tells where a lease stands.
func (c *Client) LookupLease(ctx context.Context, id string) (*Envelope[LeaseLookup], error) {
	return call[LeaseLookup](ctx, c, request{
		method: http.MethodPut, path: "sys/leases/lookup", body: LeaseRequest{LeaseID: id},
	})
}

// ListLeases lists one level of lease IDs below a prefix; names that end in a slash go deeper.
func (c *Client) ListLeases(ctx context.Context, prefix string, page Page) (*Envelope[KeyList], error) {
	return c.List(ctx, "sys/leases/lookup/"+prefix, page)
}

// RenewLease asks for a lease to end increment from now. With an increment of 0 it gets what it
// was first given. The answer says what was granted, which may be less.
func (c *Client) RenewLease(ctx context.Context, id string, increment time.Duration) (*Secret, error) {
	return call[map[string]any](ctx, c, request{
		method: http.MethodPut, path: "sys/leases/renew",
		body: LeaseRequest{LeaseID: id, Increment: wholeSeconds(increment)},
	})
}

// wholeSeconds is d on the wire. What is less than a second counts as one, so that it is not
// taken for "no increment".
func wholeSeconds(d time.Duration) *int64 {
	seconds := int64(d / time.Second)
	if d > 0 && seconds == 0 {
		seconds = 1
	}
	return &seconds
}

// Revocation is how a lease or a set of leases is to be revoked.
type Revocation bool

const (
	// Queued returns when the leases are dead; what they stand for is destroyed soon after.
	Queued Revocation = false
	// Waiting returns when what the leases stand for is destroyed.
	Waiting Revocation = true
)

func (r Revocation) body() LeaseRequest {
	sync := bool(r)
	return LeaseRequest{Sync: &sync}
}

// RevokeLease ends a lease. One that does not exist is no error.
func (c *Client) RevokeLease(ctx context.Context, id string, how Revocation) error {
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/leases/revoke/" + id, body: how.body()})
	return err
}

// RevokePrefix ends every lease below a prefix, or the one lease of that very ID. It returns the
// ID of the job that does it, "" when nothing was left to queue.
func (c *Client) RevokePrefix(ctx context.Context, prefix string, how Revocation) (job string, err error) {
	answer, err := c.do(ctx, request{
		method: http.MethodPut, path: "sys/leases/revoke-prefix/" + prefix, body: how.body(),
	})
	if err != nil {
		return "", err
	}
	return answer.header.Get(JobHeader), nil
}

// RevokeForce ends every lease below a prefix whether or not what it stands for could be
// destroyed. What could not be is left behind: somebody must clean it up by hand.
func (c *Client) RevokeForce(ctx context.Context, prefix string) error {
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/leases/revoke-force/" + prefix})
	return err
}

// TidyLeases starts the revocation of leases whose token is gone. The answer's Job does it; while
// such a job is marking leases no other is started, and the answer names that one.
func (c *Client) TidyLeases(ctx context.Context) (*Secret, error) {
	return call[map[string]any](ctx, c, request{method: http.MethodPut, path: "sys/leases/tidy"})
}

// CountIrrevocable counts the leases that could not be revoked.
func (c *Client) CountIrrevocable(ctx context.Context) (*Envelope[LeaseCount], error) {
	return call[LeaseCount](ctx, c, request{
		method: http.MethodGet, path: "sys/leases/count", query: url.Values{"type": {StatusIrrevocable}},
	})
}

// ListIrrevocable lists the leases that could not be revoked, at most limit of them; a limit of 0
// is the server's own, a negative one means all.
func (c *Client) ListIrrevocable(ctx context.Context, limit int) (*Envelope[IrrevocableList], error) {
	query := url.Values{"type": {StatusIrrevocable}}
	switch {
	case limit > 0:
		query.Set("limit", strconv.Itoa(limit))
	case limit < 0:
		query.Set("limit", "none")
	}
	return call[IrrevocableList](ctx, c, request{method: http.MethodGet, path: "sys/leases", query: query})
}

// RetryRevocations makes revocations that have failed so far due at once, and counts them. It does
// not wait for what comes of it. What a frozen mount leased waits for the thaw all the same.
func (c *Client) RetryRevocations(ctx context.Context, which RetryRequest) (*Envelope[RetryCount], error) {
	if which == (RetryRequest{}) {
		return nil, fmt.Errorf("a lease, a prefix, a mount or an error says what to try again: none is given")
	}
	return call[RetryCount](ctx, c, request{method: http.MethodPost, path: "sys/leases/retry", body: which})
}

// Reconcile compares the leases of a mount with what is at its target. A mount whose engine cannot
// list that is an *Error of code Unsupported.
func (c *Client) Reconcile(ctx context.Context, ask ReconcileRequest) (*Envelope[Reconciliation], error) {
	return call[Reconciliation](ctx, c, request{method: http.MethodPost, path: "sys/leases/reconcile", body: ask})
}

// Jobs lists the revocations of many leases, newest first.
func (c *Client) Jobs(ctx context.Context) (*Envelope[JobList], error) {
	return call[JobList](ctx, c, request{method: http.MethodGet, path: "sys/leases/jobs"})
}

// Job tells how far one revocation has come.
func (c *Client) Job(ctx context.Context, id string) (*Envelope[Job], error) {
	if id == "" {
		return nil, fmt.Errorf("a job has an ID: none is given")
	}
	return call[Job](ctx, c, request{method: http.MethodGet, path: "sys/leases/jobs/" + id})
}

// How often WaitJob and WaitMigration ask: often at first, since most jobs are short.
const (
	firstJobWait   = 100 * time.Millisecond
	longestJobWait = 2 * time.Second
)

// WaitJob waits until a revocation job is finished, or until ctx ends, and returns it as it was
// last seen. progress, unless it is nil, is called each time that the job was looked at.
func (c *Client) WaitJob(ctx context.Context, id string, progress func(*Job)) (*Job, error) {
	for wait := firstJobWait; ; wait = min(2*wait, longestJobWait) {
		found, err := c.Job(ctx, id)
		if err != nil {
			return nil, err
		}
		job := &found.Data
		if progress != nil {
			progress(job)
		}
		if job.State == JobFinished {
			return job, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return job, fmt.Errorf("job %s is not finished: %w", id, err)
		}
	}
}
