package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// verdict is what a status means; each action has its own consequence of it.
type verdict uint8

const (
	failed   verdict = iota // may pass: try again
	accepted                // done
	absent                  // no such thing
	refused                 // will not be done, however often it is asked
)

// verdictOf is the table of docs/webhook.md. A status that is not in it counts as failed: it
// proves nothing.
func verdictOf(status int) verdict {
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return accepted
	case http.StatusNotFound, http.StatusGone:
		return absent
	case http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity:
		return refused
	}
	return failed
}

// Create asks the service to make the thing. A role without an issue URL makes nothing.
func (b *Backend) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	k, err := decodeKept(in.Internal)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k.Role.IssueURL == "" {
		return &backend.Created{}, nil
	}
	cfg, err := loadConfig(in.Request.Store)
	if err != nil {
		return nil, err
	}
	c := &call{
		Action: issue, LeaseID: in.LeaseID, ExternalName: in.ExternalName, Role: in.Role,
		Attempt: 1, Fence: in.Fence, generation: in.Generation,
	}
	c.setEnd(in.TTL, in.ExpireTime)
	a, err := b.post(ctx, cfg, k, k.Role.IssueURL, c)
	if err != nil {
		return nil, unanswered(issue, err, k)
	}
	if v := verdictOf(a.status); v != accepted {
		return nil, a.fault(issue, v, k)
	}
	out, err := a.created(k, in.TTL)
	if err != nil {
		return nil, misunderstood(issue, err, k)
	}
	return out, nil
}

// Renew tells the service the lease's new end. A role without a renew URL has nobody to tell; a
// role that was deleted renews no more.
func (b *Backend) Renew(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
	k, err := decodeKept(r.Internal)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	current, err := loadRole(r.Store, r.Role)
	if err != nil {
		return 0, err
	}
	if current == nil {
		return 0, lease.Errorf(lease.Invalid, "role %q was deleted: its leases live to their end and renew no more", r.Role)
	}
	k.Role = *current
	if k.Role.RenewURL == "" {
		return 0, nil
	}
	cfg, err := loadConfig(r.Store)
	if err != nil {
		return 0, err
	}
	c := &call{
		Action: renew, LeaseID: r.LeaseID, ExternalName: r.ExternalName, Role: r.Role,
		Attempt: 1, Fence: r.Fence, Internal: k.Internal, generation: r.Generation,
	}
	c.setEnd(r.TTL, r.ExpireTime)
	a, err := b.post(ctx, cfg, k, k.Role.RenewURL, c)
	if err != nil {
		return 0, unanswered(renew, err, k)
	}
	if v := verdictOf(a.status); v != accepted {
		return 0, a.fault(renew, v, k)
	}
	ttl, err := a.renewed(r.TTL)
	if err != nil {
		return 0, misunderstood(renew, err, k)
	}
	return ttl, nil
}

// Destroy asks the service to destroy the thing. The role counts as it stands now, so that a
// service may move and its key may change; a deleted role as it stood last, or, when that is
// forgotten, when the lease was made.
func (b *Backend) Destroy(ctx context.Context, d *backend.Destruction) error {
	k, err := decodeKept(d.Internal)
	if err != nil {
		return err
	}
	latest, err := latestRole(d.Store, d.Role)
	if err != nil {
		return err
	}
	if latest != nil {
		k.Role = *latest
	}
	cfg, err := loadConfig(d.Store)
	if err != nil {
		return err
	}
	c := &call{
		Action: revoke, LeaseID: d.LeaseID, ExternalName: d.ExternalName, Role: d.Role,
		Attempt: d.Attempt, Fence: d.Fence, Internal: k.Internal, generation: d.Generation,
	}
	c.setEnd(0, d.ExpireTime)
	a, err := b.post(ctx, cfg, k, k.Role.RevokeURL, c)
	if err != nil {
		return undestroyed(err, k)
	}
	switch verdictOf(a.status) {
	case accepted, absent:
		return nil
	case refused:
		return backend.Permanent(a.explain(revoke, refused, k))
	}
	err = a.explain(revoke, failed, k)
	if pause := a.pause(b.now()); pause > 0 {
		return backend.RetryAfter(err, pause)
	}
	return err
}

// undestroyed sorts the errors of a revoke call that got no answer: what an operator must mend is
// permanent, all else is tried again soon.
func undestroyed(err error, k *kept) error {
	text := scrubbed{scrub(revoke+": "+err.Error(), secretsOf(k)), err}
	var badURL *refusedURL
	var badAddress *addressError
	if errors.As(err, &badURL) || errors.As(err, &badAddress) {
		return backend.Permanent(text)
	}
	return text
}

// unanswered is the error of an issue, renew or inventory call that got no answer.
func unanswered(action string, err error, k *kept) error {
	message := fmt.Sprintf("the service did not answer %s", action)
	var badURL *refusedURL
	var badAddress *addressError
	if errors.As(err, &badURL) || errors.As(err, &badAddress) {
		message = "the mount's config does not let the service be called"
	}
	return &lease.Error{Code: lease.Upstream, Message: message, Err: scrubbed{scrub(err.Error(), secretsOf(k)), err}}
}

// misunderstood is the error of a call whose answer claims success and is not what was agreed.
func misunderstood(action string, err error, k *kept) error {
	return &lease.Error{
		Code:    lease.Upstream,
		Message: fmt.Sprintf("the service's answer to %s is not what the webhook engine takes", action),
		Err:     scrubbed{scrub("the answer "+err.Error(), secretsOf(k)), err},
	}
}

// fault is the error of an issue, renew or inventory call that was answered with a failure. The
// caller of the API learns the status; the service's words are for the log.
func (a *answer) fault(action string, v verdict, k *kept) error {
	e := &lease.Error{
		Code:    lease.Upstream,
		Message: fmt.Sprintf("the service answered %s to %s", statusText(a.status), action),
		Err:     a.explain(action, v, k),
	}
	switch {
	case action == renew && v != failed:
		e.Code = lease.Invalid
		e.Err = scrubbed{e.Err.Error(), backend.ErrRefused}
	case v == refused && action != inventory:
		e.Code = lease.Invalid
	}
	return e
}

// explain is the failure in the service's own words, scrubbed. An issue that failed half-way may
// speak of a secret that nobody here knows yet, so its words are left out; those of a refusal,
// before anything was made, are kept.
func (a *answer) explain(action string, v verdict, k *kept) error {
	text := fmt.Sprintf("%s: %s answered %s", action, a.host, statusText(a.status))
	if len(a.body) > 0 && (action != issue || v == refused) {
		text += ": " + string(a.body)
	}
	return errors.New(scrub(text, secretsOf(k)))
}

// scrubbed shows a clean text and keeps the cause for errors.Is and errors.As.
type scrubbed struct {
	text  string
	cause error
}

func (e scrubbed) Error() string { return e.text }
func (e scrubbed) Unwrap() error { return e.cause }

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}

// pause is what the service asks for in Retry-After, in seconds or as a date. A lease that waits
// is a thing that lives, so the wait is bounded by that between slow retries.
func (a *answer) pause(now time.Time) time.Duration {
	value := a.header.Get("Retry-After")
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), lease.IrrevocableRetry)
}
