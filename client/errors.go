package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Code classes an Error by what the caller can do about it.
type Code uint8

// The codes, in the order of the server's own table.
const (
	Invalid     Code = iota + 1 // the request is wrong: fix it
	Denied                      // no valid token, or not allowed
	NotFound                    // no such path, mount, policy, job
	Unsupported                 // the path exists, the verb does not
	Conflict                    // in use, or changed meanwhile
	TooLarge                    // over a size bound
	Limited                     // over a rate or quota: wait
	Internal                    // a bug, or an engine's own failure
	Upstream                    // what the engine talks to has failed
	Unavailable                 // nothing happened: retry
	Uncertain                   // it may have happened: look first
)

func (c Code) String() string {
	names := [...]string{
		"unknown", "invalid", "denied", "not found", "unsupported", "conflict", "too large",
		"limited", "internal", "upstream", "unavailable", "uncertain",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return names[0]
}

// Error is an answer with which the server refused or failed a request.
type Error struct {
	StatusCode int
	Code       Code
	Method     string
	URL        string
	Errors     []string      // the server's texts; empty where it sent none
	RetryAfter time.Duration // how long the server asks to wait, 0 when it does not say
	Body       string        // the start of the body where it was not in the server's form
}

// Error gives the server's own texts first, since they are what a reader looks for.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s %s: status %d)", e.Reason(), e.Method, e.URL, e.StatusCode)
}

// Reason is what the server said, or else what its status means.
func (e *Error) Reason() string {
	switch {
	case len(e.Errors) > 0:
		return strings.Join(e.Errors, "; ")
	case e.Body != "":
		return e.Body
	}
	if text := http.StatusText(e.StatusCode); text != "" {
		return strings.ToLower(text)
	}
	return "unknown error"
}

// CodeOf returns the code of the *Error in err's chain, or 0 when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// ErrPath means that nothing was sent, because the path could come to mean another on its way.
var ErrPath = errors.New("path not allowed")

// maxShownBody bounds, in bytes, how much of a body in a foreign form an Error keeps.
const maxShownBody = 512

// errorOf turns an answer of status 400 and above into an Error.
func errorOf(method, url string, status int, header http.Header, body []byte) *Error {
	e := &Error{
		StatusCode: status,
		Code:       codeOfStatus(status),
		Method:     method,
		URL:        url,
		RetryAfter: retryAfter(header),
	}
	var decoded ErrorBody
	if err := json.Unmarshal(body, &decoded); err == nil && decoded.Errors != nil {
		e.Errors = decoded.Errors
	} else {
		e.Body = strings.TrimSpace(string(body[:min(len(body), maxShownBody)]))
	}
	return e
}

// codeOfStatus is the inverse of the server's one table from codes to statuses.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Denied
	case http.StatusNotFound:
		return NotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return Unsupported
	case http.StatusConflict:
		return Conflict
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusTooManyRequests:
		return Limited
	case http.StatusBadGateway:
		return Upstream
	case http.StatusPreconditionFailed, http.StatusServiceUnavailable:
		return Unavailable
	case http.StatusGatewayTimeout:
		return Uncertain
	}
	if status >= http.StatusInternalServerError {
		return Internal
	}
	return Invalid
}
