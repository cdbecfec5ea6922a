// Package backend is the extension point: a Backend is the code of one type of mount. It turns
// requests into leases and, where something outside stands behind a lease, creates, renews and
// destroys it at its target.
//
// A backend keeps no state of its own and knows nothing of the replicated state: its configuration
// comes from the Store of the request, the lessor and the revoker write down what happened. Its
// methods are called from many goroutines at once.
//
// The order of durable steps around a Target (guarantees 9): the intent is committed before Create
// is called, and says under which external name; Destroy is called at least once, until it
// succeeds, by whichever node leads. So Create must be repeatable and Destroy must take "absent"
// for success.
package backend

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// Operation is what a request asks of a path.
type Operation uint8

// The operations. PUT and POST are both Write.
const (
	Read Operation = iota + 1
	List
	Write
	Delete
)

// Class says how a request must be served.
type Class uint8

const (
	// Query reads the mount's store: any node serves it.
	Query Class = iota + 1
	// Change writes the mount's store: the leader serves it.
	Change
	// Issue makes a lease, whatever the verb: the leader serves it.
	Issue
	// Login makes a token for a caller who has none: the leader serves it, policies are not asked.
	Login
)

// Backend is one type of mount. Implementations must be safe for concurrent use.
type Backend interface {
	// Type is the mount type, such as "webhook".
	Type() string
	// Route classes a request by operation and path within the mount ("creds/ci"; for List with
	// no slash at its end). It is pure. The error is a *lease.Error: NotFound for a path that the
	// engine does not have, Unsupported for a verb that the path does not take.
	Route(op Operation, path string) (Class, error)
	// Handle serves a Query or a Change. A nil Response means "done, nothing to say" (204) for a
	// Change and "no such thing" (404) for a Query.
	Handle(ctx context.Context, req *Request) (*Response, error)
	// Prepare reads and checks a request of class Issue, without touching anything outside.
	Prepare(ctx context.Context, req *Request) (*Plan, error)
}

// Authenticator is implemented by auth methods: backends that are mounted below auth/ and whose logins
// make tokens.
type Authenticator interface {
	Backend
	// Login checks what a request of class Login proves, and says what token it earns. Missing and
	// wrong proofs cost the same and get the same error.
	Login(ctx context.Context, req *Request) (*LoginPlan, error)
	// RenewLogin says what a token that Login made may be renewed to now. Any *lease.Error refuses.
	RenewLogin(ctx context.Context, r *LoginRenewal) (*LoginLimits, error)
}

// LoginPlan is the token that a login earns.
type LoginPlan struct {
	Role        string // role or user that it was made for; RenewLogin gets it back in Token.Role
	DisplayName string
	Policies    []string // "default" is added unless NoDefaultPolicy; "root" is refused
	Meta        map[string]string
	LoginLimits
	NoDefaultPolicy bool
	ExplicitMaxTTL  time.Duration
	NumUses         int // 0: unlimited
	BoundCIDRs      []string
	Warnings        []string
}

// LoginLimits are the times of a login's token. Zero means the mount's.
type LoginLimits struct {
	TTL    time.Duration
	MaxTTL time.Duration // from issue
	Period time.Duration // granted on each renewal in place of TTL, without a limit from issue
}

// LoginRenewal asks about the renewal of a login's token.
type LoginRenewal struct {
	Mount *lease.Mount
	Token *lease.Token
	Store Store
}

// Existing is implemented by backends whose writes tell creating from updating: policies then have to
// grant the one that is meant.
type Existing interface {
	// Exists reports whether what a request of the operation Write names is there.
	Exists(ctx context.Context, req *Request) (bool, error)
}

// Target is implemented by backends whose leases stand for something outside.
type Target interface {
	// Create makes the thing under exactly intent.ExternalName. If that exists, an earlier try of
	// the same intent made it: its secret is made anew and returned. Any error leads to Destroy.
	Create(ctx context.Context, intent *Intent) (*Created, error)
	// Renew moves the target's own limit, if it has one, to lease end r.ExpireTime. It returns the
	// TTL the target allows if that is shorter, else zero. A Refused error ends renewability.
	Renew(ctx context.Context, r *Renewal) (time.Duration, error)
	// Destroy ends the thing for good; absent is success. Errors are retried unless Permanent.
	Destroy(ctx context.Context, d *Destruction) error
}

// Store is a mount's configuration: values by key, sealed at rest. On a follower it is read-only.
type Store interface {
	// Get returns the value and whether there is one.
	Get(key string) ([]byte, bool, error)
	// List returns the keys below prefix (which ends in a slash), without it, sorted.
	List(prefix string) ([]string, error)
	// Level returns one level of the keys below prefix (which is empty or ends in a slash), without it:
	// a key with more below ends in a slash. Sorted, those after after, at most limit of them; more
	// says that there are others. The cost does not depend on how many keys there are.
	Level(prefix, after string, limit int) (keys []string, more bool, err error)
	// Put and Delete return when the change is committed.
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error

	// Look is Get with the version of the value, the zero Version if there is none.
	Look(key string) ([]byte, Version, error)
	// Swap puts value, or deletes the key if value is nil, if seen is still its version. Else it
	// changes nothing and the error is lease.ErrChanged. After ttl the value goes; 0: never.
	Swap(ctx context.Context, key string, seen Version, value []byte, ttl time.Duration) error
}

// Version tells one value of a key from any other that it ever had.
type Version string

// Request is one call to a path of a mount.
type Request struct {
	Mount     *lease.Mount
	Operation Operation
	Path      string         // within the mount, no slash at either end
	Params    map[string]any // decoded JSON body or query; numbers are json.Number
	Store     Store
	Token     *lease.Token // who asks; nil for Login
	Cluster   string       // the cluster's short ID, for external names
	DevMode   bool         // the -dev server: loopback targets are allowed
	// Now is the log time of the request, by which what expires is judged.
	Now lease.Time
	// ClientAddr is where the client's connection comes from; invalid if that is not known.
	ClientAddr netip.Addr
	Random     io.Reader // for what has to be unpredictable; safe for concurrent use
	// Live is how many leases of a role of this mount have something at the target, ending ones
	// included; of all roles if role is "". May be nil in tests.
	Live func(role string) int
}

// Response is the answer of Handle.
type Response struct {
	Data     map[string]any
	Warnings []string
	// Duration is shown as lease_duration though there is no lease: how often to read again.
	Duration time.Duration
}

// Plan is what a request of class Issue comes to.
type Plan struct {
	Path       string // path within the mount that the lease ID begins with (req.Path as a rule)
	Role       string
	TTL        time.Duration // asked for by the caller; 0: DefaultTTL
	DefaultTTL time.Duration // the role's; 0: the mount's
	MaxTTL     time.Duration // the role's; 0: the mount's
	Renewable  bool
	Labels     map[string]string
	Answer     map[string]any // data of the answer where nothing is created outside
	Keep       []byte         // to be kept sealed with the lease and shown to its owner; may be nil
	// Target says that something is created outside: the lessor commits an intent and calls
	// Create. Internal is kept sealed from the intent on, so that Destroy can do its work even if
	// role and configuration are gone by then.
	Target   bool
	Internal []byte
	// ExternalName makes the name of what is created from the cluster's mark, which it must hold, and
	// the lease's random part, which makes it unlike any other; nil: DefaultName.
	ExternalName func(mark, random string) string
	Warnings     []string
}

// Intent is a committed intent. Internal is that of the Plan, unsealed.
type Intent struct {
	LeaseID      string
	ExternalName string
	Role         string
	Generation   uint64
	Fence        uint64 // fencing index: never decreases for one lease
	TTL          time.Duration
	ExpireTime   time.Time // wall time at which the lease will end if it is activated now
	Internal     []byte
	Request      *Request
}

// Created is what Create made.
type Created struct {
	Data     map[string]any // goes to the client and is not kept
	Internal []byte         // replaces the intent's, kept sealed; nil: unchanged
	TTL      time.Duration  // the target's own, shorter limit; 0: none
	Warnings []string
}

// Renewal asks a target to let a lease live on.
type Renewal struct {
	LeaseID      string
	ExternalName string
	Role         string
	Mount        *lease.Mount
	Generation   uint64 // of the lease after this renewal
	Fence        uint64
	TTL          time.Duration
	ExpireTime   time.Time
	Internal     []byte
	Store        Store
}

// Destruction asks a target to end what a lease stood for.
type Destruction struct {
	LeaseID      string
	ExternalName string
	Role         string
	Mount        *lease.Mount
	Generation   uint64
	Fence        uint64 // index of the claim
	Attempt      int    // from 1
	ExpireTime   time.Time
	Internal     []byte
	Store        Store
}

type permanentError struct{ err error }

func (e permanentError) Error() string { return e.err.Error() }
func (e permanentError) Unwrap() error { return e.err }

// Permanent marks an error of Destroy that more quick attempts would not mend: the lease is
// irrevocable at once and retried slowly.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent reports whether err is marked by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

type retryAfterError struct {
	err   error
	after time.Duration
}

func (e retryAfterError) Error() string { return e.err.Error() }
func (e retryAfterError) Unwrap() error { return e.err }

// RetryAfter marks an error of Destroy with the pause that the target asked for.
func RetryAfter(err error, after time.Duration) error { return retryAfterError{err, after} }

// AskedPause returns the pause that the target asked for, 0 if none.
func AskedPause(err error) time.Duration {
	var r retryAfterError
	if errors.As(err, &r) {
		return r.after
	}
	return 0
}

// ErrRefused is wrapped by errors of Renew that end the lease's renewability; the lease itself
// lives to its end.
var ErrRefused = errors.New("the target refuses further renewals")

// Registry finds backends by mount type.
type Registry map[string]Backend

// NewRegistry makes a Registry of list.
func NewRegistry(list ...Backend) Registry {
	r := make(Registry, len(list))
	for _, b := range list {
		r[b.Type()] = b
	}
	return r
}

// Target returns the target side of a mount type, and whether it has one.
func (r Registry) Target(mountType string) (Target, bool) {
	t, ok := r[mountType].(Target)
	return t, ok
}
