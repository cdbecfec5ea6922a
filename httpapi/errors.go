package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/leasehold/leasehold/lease"
)

// statusOf is the one table from codes to statuses.
var statusOf = [...]int{
	lease.Invalid:     http.StatusBadRequest,
	lease.Denied:      http.StatusForbidden,
	lease.NotFound:    http.StatusNotFound,
	lease.Unsupported: http.StatusMethodNotAllowed,
	lease.Conflict:    http.StatusConflict,
	lease.TooLarge:    http.StatusRequestEntityTooLarge,
	lease.Limited:     http.StatusTooManyRequests,
	lease.Internal:    http.StatusInternalServerError,
	lease.Upstream:    http.StatusBadGateway,
	lease.Unavailable: http.StatusServiceUnavailable,
	lease.Uncertain:   http.StatusGatewayTimeout,
}

// Errors of the surface itself.
var (
	errUnsupportedPath = &lease.Error{Code: lease.NotFound, Message: "unsupported path"}
	errUnsupportedVerb = &lease.Error{Code: lease.Unsupported, Message: "unsupported operation"}
	errNothing         = &lease.Error{Code: lease.NotFound} // a list without keys, a read of nothing
	errNoNamespace     = &lease.Error{Code: lease.NotFound, Message: "namespace not found"}
	errNoLeader        = &lease.Error{Code: lease.Unavailable,
		Message: "the cluster has no leader: nothing was done, try again"}
	errTooStale = &lease.Error{Code: lease.Unavailable,
		Message: "this node has not heard from a leader for more than 10s: its state is too old even for consistency=stale"}
	errLostLeadership = &lease.Error{Code: lease.Unavailable,
		Message: "this node stopped leading while it served the request: nothing was done, try again"}
	errInternal = &lease.Error{Code: lease.Internal, Message: "internal error"}
)

// statusError answers with a status that no code stands for, because Vault's clients expect it.
// An empty text is the empty list of errors.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string {
	if e.text == "" {
		return http.StatusText(e.status)
	}
	return e.text
}

var (
	errBadQuery  = &statusError{http.StatusBadRequest, ""}
	errNotFound  = &statusError{http.StatusNotFound, ""}
	errNoVerb    = &statusError{http.StatusMethodNotAllowed, ""}
	errPatchType = &statusError{http.StatusUnsupportedMediaType, ""}
	errTooNew    = &statusError{http.StatusPreconditionFailed,
		"the state asked for in X-Vault-Index is not here yet: try again"}
)

// failure is an error as it goes on the wire.
type failure struct {
	status int
	texts  []string
	retry  bool // nothing happened, or too much did: a pause and a repetition may help
}

// describe turns any error into its answer.
func describe(err error) failure {
	var status *statusError
	if errors.As(err, &status) {
		f := failure{status: status.status}
		if status.text != "" {
			f.texts = []string{status.text}
		}
		return f
	}
	var e *lease.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e = &lease.Error{Code: lease.Uncertain, Message: "the request took too long: it may have happened, look first"}
	default:
		e = errInternal
	}
	f := failure{status: http.StatusInternalServerError}
	if int(e.Code) < len(statusOf) && e.Code > 0 {
		f.status = statusOf[e.Code]
	}
	f.retry = e.Code == lease.Unavailable || e.Code == lease.Limited
	if text := e.Message; text != "" {
		if multiForm(e) {
			text = "1 error occurred:\n\t* " + text + "\n\n"
		}
		f.texts = append(f.texts, text)
	}
	f.texts = append(f.texts, e.Details...)
	return f
}

// multiForm reports whether Vault prints this error as a list of one.
func multiForm(e *lease.Error) bool {
	switch e.Code {
	case lease.Unsupported, lease.Internal:
		return true
	case lease.NotFound:
		return e.Message == errUnsupportedPath.Message
	case lease.Denied:
		return len(e.Details) > 0 // a valid token that may know what it lacks
	}
	return false
}

// ours reports whether an error is a fault of the server, to be logged with its cause.
func ours(err error) bool {
	var e *lease.Error
	if errors.As(err, &e) {
		return e.Code == lease.Internal
	}
	var status *statusError
	return !errors.As(err, &status) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// maxWords bounds, in bytes, what is logged of a target's failure (T12).
const maxWords = 256

// targetWords is what the log says of a failure at a target, with the target's own words, which the answer does
// not show (T24): on one line and cut. The engines have taken secrets out. "" if no target has failed.
func targetWords(err error) string {
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != lease.Upstream && (e.Code != lease.Invalid || e.Err == nil) {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(e.Error(), "?"))
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "")
	}
	return text
}
