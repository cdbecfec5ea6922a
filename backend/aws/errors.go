package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const (
	// MaxErrorText bounds, in bytes, the text of an error (T12).
	MaxErrorText = 256
	maxCode      = 64
	// throttlePause is how long a throttled destruction waits where AWS names no time.
	throttlePause = 10 * time.Second
)

// The error codes of IAM and STS that mean something here.
const (
	codeAbsent   = "NoSuchEntity"
	codeExists   = "EntityAlreadyExists"
	codeConflict = "DeleteConflict"
	codeLimit    = "LimitExceeded"
)

// keyCodes say that AWS does not take the key that a call was signed with. One that was made or deleted
// a moment ago may be taken by one of its servers and not by the next.
var keyCodes = []string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure"}

// signatureCodes come with texts that quote the request.
var signatureCodes = []string{"SignatureDoesNotMatch", "IncompleteSignature"}

// requestCodes say that what a role asks for cannot be had: asking again does not help.
var requestCodes = []string{codeAbsent, codeLimit, "MalformedPolicyDocument", "PackedPolicyTooLarge", "PolicyNotAttachable",
	"InvalidInput", "InvalidParameterValue", "ValidationError", "InvalidUserType", "RegionDisabledException"}

// failure is a call to AWS that did not succeed. Its text holds no secret, is one line and bounded.
type failure struct {
	action string // "iam:CreateUser"
	code   string // AWS's; "" if there was no answer, or none that is understood
	denied bool   // AWS says that it did nothing
	text   string
	why    string        // for the caller of the API
	words  string        // AWS's own, or those of the connection: they are for the log (T24)
	pause  time.Duration // that AWS asked for, 0: none
	cause  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// newFailure makes a failure of an error of the SDK, whose own texts are long and may quote secrets.
func newFailure(action string, err error, secrets []string) *failure {
	f := &failure{action: action, cause: err}
	var api smithy.APIError
	var send *smithyhttp.RequestSendError
	var garbled *smithy.DeserializationError
	message := ""
	switch {
	case errors.As(err, &api):
		f.code = strings.ToValidUTF8(cut(scrub(api.ErrorCode(), secrets), maxCode), "")
		f.why = fmt.Sprintf("AWS answered %s to %s", f.code, action)
		var answer *smithyhttp.ResponseError
		f.denied = errors.As(err, &answer) && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500
		if message = api.ErrorMessage(); slices.Contains(signatureCodes, f.code) {
			message = ""
		}
		if f.pause = askedPause(err); f.pause == 0 && throttled(f.code) {
			f.pause = throttlePause
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.why = "AWS did not answer " + action + " in time"
	case errors.As(err, &send):
		f.why, message = "no connection to AWS for "+action, withoutURL(send.Err).Error()
	case errors.As(err, &garbled):
		f.why = "AWS's answer to " + action + " is not understood"
	default:
		f.why, message = action+" was not sent to AWS", err.Error()
	}
	f.words = scrub(message, secrets)
	if f.text = f.why; f.words != "" {
		f.text += ": " + f.words
	}
	f.text = strings.ToValidUTF8(cut(f.text, MaxErrorText), "")
	return f
}

// explanation is what a failure adds to its reason.
type explanation struct{ *failure }

func (e explanation) Error() string {
	if e.words == "" {
		return "without a word of explanation"
	}
	return e.words
}

func (e explanation) Unwrap() error { return e.failure }

// withoutURL takes a client's error out of the one that quotes the URL.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// scrub makes a text fit for a log and for a lease's error: secrets out, one line, bounded.
func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	if text = oneLine(text); len(text) > MaxErrorText {
		text = strings.ToValidUTF8(text[:MaxErrorText], "")
	}
	return text
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(field.CleanText(strings.ToValidUTF8(text, "?"))), " ")
}

// askedPause is what the answer asks for, in seconds or milliseconds. A lease that waits is a user that
// lives, so it is bounded.
func askedPause(err error) time.Duration {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.Response.Response == nil {
		return 0
	}
	read := func(header http.Header, name string, unit time.Duration) time.Duration {
		n, err := strconv.ParseUint(header.Get(name), 10, 31)
		if err != nil {
			return 0
		}
		return min(time.Duration(n)*unit, lease.IrrevocableRetry)
	}
	header := answer.Response.Header
	return max(read(header, "Retry-After", time.Second), read(header, "X-Amz-Retry-After", time.Millisecond))
}

func throttled(code string) bool {
	_, ok := retry.DefaultThrottleErrorCodes[code]
	return ok
}

// codeOf is AWS's code for an error of call, "" if it has none.
func codeOf(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return ""
}

// denied reports whether AWS has said that it did not do what was asked.
func denied(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.denied
}

func absent(err error) bool { return codeOf(err) == codeAbsent }

// unlessAbsent takes "no such thing" for done.
func unlessAbsent(err error) error {
	if absent(err) {
		return nil
	}
	return err
}

// refused is the error of a call that a caller of the API waits for.
func refused(err error) error {
	var own *lease.Error
	var f *failure
	if errors.As(err, &own) || !errors.As(err, &f) {
		return err
	}
	e := &lease.Error{Code: lease.Upstream, Message: f.why, Err: explanation{f}}
	if slices.Contains(requestCodes, f.code) {
		e.Code = lease.Invalid
	}
	switch {
	case f.code == codeLimit && f.action == "iam:CreateAccessKey":
		e.Message += ": the user has two access keys already: delete the one that is not in use"
	case slices.Contains(keyCodes, f.code):
		e.Message += ": it does not know the access key of config/root"
	case strings.HasPrefix(f.code, "AccessDenied"):
		e.Message += ": the credentials of config/root may not do this"
	}
	return e
}

// undestroyed is the error of a destruction. Nothing that AWS answers is final: permissions are given
// back, limits are raised, keys are written anew.
func undestroyed(err error) error {
	var f *failure
	if errors.As(err, &f) && f.pause > 0 {
		return backend.RetryAfter(f, f.pause)
	}
	return err
}
