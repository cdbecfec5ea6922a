package lessor

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/leasehold/leasehold/lease"
)

// asError makes an *lease.Error of err; what is not one is a bug of ours.
func asError(err error) error {
	var own *lease.Error
	if errors.As(err, &own) {
		return own
	}
	return &lease.Error{Code: lease.Internal, Message: "internal error", Err: err}
}

// asInvalid makes a refusal of err, which is about what the caller gave.
func asInvalid(err error) error {
	var own *lease.Error
	if errors.As(err, &own) {
		return own
	}
	return refuse("%s", errorText(err))
}

// backendError is what a backend's failure means to the caller: its own *lease.Error, or the text
// of the failure.
func backendError(err error) error {
	var own *lease.Error
	if errors.As(err, &own) {
		return own
	}
	return &lease.Error{Code: lease.Upstream, Message: errorText(err), Err: err}
}

// errorText is the text of a backend's failure as clients may see it: on one line, without control
// characters, and cut.
func errorText(err error) string {
	text := err.Error()
	var own *lease.Error
	if errors.As(err, &own) {
		text = own.Message
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return lease.CutError(strings.TrimSpace(text))
}

// causeText is errorText for logs: with the cause, in the target's own words, from which the backend has taken
// secrets.
func causeText(err error) string {
	return errorText(errors.New(err.Error()))
}

// uncertain reports whether err leaves open what happened.
func uncertain(err error) bool {
	var own *lease.Error
	return errors.As(err, &own) && own.Code == lease.Uncertain
}

// denied reports whether err is the refusal of a token.
func denied(err error) bool {
	var own *lease.Error
	return errors.As(err, &own) && own.Code == lease.Denied
}

// goesOn is the answer to a caller that did not wait for the end of a revocation.
func goesOn(ctx context.Context, what string) *lease.Error {
	return &lease.Error{Code: lease.Uncertain, Err: context.Cause(ctx),
		Message: "the revocation of " + what + " was accepted and goes on: it was not complete in time"}
}

// revokeFailure is Vault's text for a failed revocation, which clients match.
func revokeFailure(text string) string {
	return "failed to revoke entry: resp: (*logical.Response)(nil) err: " + text
}
