package lease

import "fmt"

// Code classes an Error by what the caller can do about it. httpapi has the one table from codes
// to HTTP statuses.
type Code uint8

// The codes.
const (
	Invalid     Code = iota + 1 // the request is wrong: fix it
	Denied                      // no valid token, or not allowed
	NotFound                    // no such path, mount, policy, job
	Unsupported                 // the path exists, the verb does not
	Conflict                    // in use, or changed meanwhile
	TooLarge                    // over a size bound
	Limited                     // over a rate or quota: wait
	Internal                    // a bug, or an engine's own failure
	Upstream                    // the backend's target failed
	Unavailable                 // nothing happened: retry
	Uncertain                   // it may have happened: look first
)

func (c Code) String() string {
	names := [...]string{"", "invalid", "denied", "not found", "unsupported", "conflict", "too large",
		"limited", "internal", "upstream", "unavailable", "uncertain"}
	if int(c) < len(names) && c > 0 {
		return names[c]
	}
	return "unknown"
}

// Error is the one error type that crosses packages.
type Error struct {
	Code    Code
	Message string   // for the caller; names the field, the reason, the remedy
	Details []string // further entries of the answer's "errors", may be nil
	Err     error    // the cause, for the log only
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Is matches by code and message, so that the sentinels below work with errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == e.Message
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Texts that clients match; never reworded (vault-api-facts 1).
var (
	ErrLeaseNotFound = &Error{Code: Invalid, Message: "lease not found"}
	ErrInvalidLease  = &Error{Code: Invalid, Message: "invalid lease"}
	ErrNotRenewable  = &Error{Code: Invalid, Message: "lease is not renewable"}
	ErrLeaseExpired  = &Error{Code: Invalid, Message: "lease expired"}
	ErrPastMaxTTL    = &Error{Code: Invalid, Message: "past the max TTL, cannot renew"}
	ErrIrrevocable   = &Error{Code: Invalid, Message: "lease is expired and has failed previous revocation attempts"}
	ErrRenewToken    = &Error{Code: Invalid, Message: "tokens cannot be renewed through this endpoint"}
	ErrDenied        = &Error{Code: Denied, Message: "permission denied"}
	ErrTokenNotFound = &Error{Code: Invalid, Message: "token not found"}
	ErrBadToken      = &Error{Code: Denied, Message: "bad token"}
	ErrNoTTL         = &Error{Code: Invalid, Message: "refusing to register a lease for a non-root token with no TTL"}
	ErrStaleEpoch    = &Error{Code: Conflict, Message: "a newer leader has taken over"}
	ErrChanged       = &Error{Code: Conflict, Message: "the lease changed meanwhile"}
	ErrHeld          = &Error{Code: Conflict, Message: "a snapshot was restored and nothing is destroyed until an operator releases the hold " +
		"(leasehold operator raft snapshot release): what has ended is dead to its holders meanwhile"}
	ErrInitialized    = &Error{Code: Invalid, Message: "Vault is already initialized"}
	ErrNotLeader      = &Error{Code: Unavailable, Message: "this node is not the leader"}
	ErrNotInitialized = &Error{Code: Unavailable, Message: "the cluster is not initialized: run 'leasehold operator init'"}
)
