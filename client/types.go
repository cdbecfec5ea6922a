package client

import (
	"encoding/json"
	"time"
)

// This file holds the shapes of the wire, declared once: the server encodes them, the client
// decodes them. Field order is the order on the wire. Durations are whole seconds where the field
// is a number.

// Envelope is what every answer under /v1/ is wrapped in, but for the bare ones that say so. A
// server with nothing in Data uses Envelope[any]; a client decodes into the type it expects.
type Envelope[T any] struct {
	RequestID     string    `json:"request_id"`
	LeaseID       string    `json:"lease_id"`
	Renewable     bool      `json:"renewable"`
	LeaseDuration int64     `json:"lease_duration"` // seconds
	Data          T         `json:"data"`
	WrapInfo      *WrapInfo `json:"wrap_info"`
	Warnings      []string  `json:"warnings"`
	Auth          *Auth     `json:"auth"`
	MountType     string    `json:"mount_type"`

	raw []byte // the answer as it came, kept by the client
	job string // of the header that came with it
}

// Raw is the answer as the server sent it, for what this type does not know.
func (e *Envelope[T]) Raw() []byte { return e.raw }

// Job is the ID of the revocation job that the call has started, "" if it started none.
func (e *Envelope[T]) Job() string { return e.job }

// Secret is an answer whose data has no fixed shape: an issued secret, a read, a list.
type Secret = Envelope[map[string]any]

// WrapInfo stands for an answer that was put aside under a single-use token.
type WrapInfo struct {
	Token           string    `json:"token"`
	Accessor        string    `json:"accessor"`
	TTL             int64     `json:"ttl"` // seconds
	CreationTime    time.Time `json:"creation_time"`
	CreationPath    string    `json:"creation_path"`
	WrappedAccessor string    `json:"wrapped_accessor,omitempty"`
}

// Auth describes a token that was created or renewed.
type Auth struct {
	ClientToken      string            `json:"client_token"`
	Accessor         string            `json:"accessor"`
	Policies         []string          `json:"policies"`
	TokenPolicies    []string          `json:"token_policies"`
	IdentityPolicies []string          `json:"identity_policies,omitempty"`
	Metadata         map[string]string `json:"metadata"`
	LeaseDuration    int64             `json:"lease_duration"` // seconds
	Renewable        bool              `json:"renewable"`
	EntityID         string            `json:"entity_id"`
	TokenType        string            `json:"token_type"`
	Orphan           bool              `json:"orphan"`
	MFARequirement   json.RawMessage   `json:"mfa_requirement"` // always null here
	NumUses          int               `json:"num_uses"`
}

// ErrorBody is the body of every answer with a status of 400 and above. Errors is never null.
type ErrorBody struct {
	Errors []string `json:"errors"`
}

// LeaseRequest is the body of lookup, renew and revoke. The server takes durations and numbers
// more leniently than this type shows; it is what this client sends.
type LeaseRequest struct {
	Increment *int64 `json:"increment,omitempty"` // seconds; renew only
	LeaseID   string `json:"lease_id,omitempty"`
	Sync      *bool  `json:"sync,omitempty"` // revoke and revoke-prefix only
}

// Standing of a lease, as LeaseLookup.Status has it.
const (
	StatusActive      = "active"
	StatusRevoking    = "revoking"
	StatusIrrevocable = "irrevocable"
)

// LeaseLookup is what is known of one lease. A nil ExpireTime means that it never expires.
type LeaseLookup struct {
	ID              string            `json:"id"`
	IssueTime       time.Time         `json:"issue_time"`
	ExpireTime      *time.Time        `json:"expire_time"`
	LastRenewal     *time.Time        `json:"last_renewal"`
	LastRenewalTime *time.Time        `json:"last_renewal_time"` // the same, under its documented name
	TTL             int64             `json:"ttl"`               // whole seconds left; 0 or less once it is over
	Renewable       bool              `json:"renewable"`
	Path            string            `json:"path"`
	Status          string            `json:"status"`
	NamespacePath   string            `json:"namespace_path,omitempty"`
	Role            string            `json:"role,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Data            map[string]any    `json:"data,omitempty"` // only to the owner, and only if it was kept
	Cause           string            `json:"cause,omitempty"`
	Attempts        int               `json:"attempts,omitempty"` // failed attempts to revoke it
	NextAttempt     *time.Time        `json:"next_attempt,omitempty"`
	RevokeError     string            `json:"revoke_error,omitempty"`
	Frozen          *Frozen           `json:"frozen,omitempty"`      // of the mount, while the lease is being revoked
	TargetDown      *TargetDown       `json:"target_down,omitempty"` // likewise
}

// KeyList is one page of a list; Next is where to go on (as "after"), empty on the last page.
type KeyList struct {
	Keys []string `json:"keys"`
	Next string   `json:"next,omitempty"`
}

// LeaseCount counts irrevocable leases, by the accessor of their mount.
type LeaseCount struct {
	LeaseCount int            `json:"lease_count"`
	TotalCount int            `json:"total_count"`
	Counts     map[string]int `json:"counts"`
}

// IrrevocableList lists leases that could not be revoked, by expiry, then by ID. LeaseCount is how
// many are listed, TotalCount how many there are.
type IrrevocableList struct {
	LeaseCount int                `json:"lease_count"`
	TotalCount int                `json:"total_count"`
	Leases     []IrrevocableLease `json:"leases"`
	Next       string             `json:"next,omitempty"`
	// Mounts tells of those mounts of the list that are frozen or whose targets do not answer, by accessor.
	Mounts map[string]MountHealth `json:"mounts,omitempty"`
}

// MountHealth is why leases of a mount are not destroyed now.
type MountHealth struct {
	Path       string      `json:"path"`
	Frozen     *Frozen     `json:"frozen,omitempty"`
	TargetDown *TargetDown `json:"target_down,omitempty"`
}

// IrrevocableLease is one entry of an IrrevocableList. MountID is the accessor of the mount.
type IrrevocableLease struct {
	LeaseID string `json:"lease_id"`
	MountID string `json:"mount_id"`
	Error   string `json:"error"`
}

// How far a Job has come, as Job.State has it.
const (
	JobSweeping = "sweeping" // leases are being found and marked; Total grows
	JobRevoking = "revoking" // what they stand for is being destroyed
	JobFinished = "finished" // nothing is left of them
)

// Job is a revocation of many leases and how far it has come.
type Job struct {
	ID       string     `json:"id"`
	Selector string     `json:"selector"`
	Cause    string     `json:"cause"`
	State    string     `json:"state"` // JobSweeping and so on
	Total    int        `json:"total"`
	Done     int        `json:"done"`
	Failed   int        `json:"failed"`
	Left     int        `json:"left"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished"`
}

// JobList lists revocation jobs, newest first.
type JobList struct {
	Jobs []Job `json:"jobs"`
}

// JobHeader names the job that a queued revocation has become.
const JobHeader = "X-Leasehold-Job"

// TokenCreateRequest asks for a token. Durations are in Go's form ("1h0m0s").
type TokenCreateRequest struct {
	ID              string            `json:"id,omitempty"`
	Policies        []string          `json:"policies,omitempty"`
	Metadata        map[string]string `json:"meta,omitempty"`
	TTL             string            `json:"ttl,omitempty"`
	ExplicitMaxTTL  string            `json:"explicit_max_ttl,omitempty"`
	Period          string            `json:"period,omitempty"`
	NoParent        bool              `json:"no_parent,omitempty"`
	NoDefaultPolicy bool              `json:"no_default_policy,omitempty"`
	DisplayName     string            `json:"display_name"`
	NumUses         int               `json:"num_uses"`
	Renewable       *bool             `json:"renewable,omitempty"`
	Type            string            `json:"type,omitempty"`
	EntityAlias     string            `json:"entity_alias"`
}

// TokenRequest is the body of token lookup, renew and revoke.
type TokenRequest struct {
	Accessor  string `json:"accessor,omitempty"`
	Increment *int64 `json:"increment,omitempty"` // seconds
	Token     string `json:"token,omitempty"`
}

// TokenLookup is what is known of one token.
type TokenLookup struct {
	Accessor        string            `json:"accessor"`
	CreationTime    int64             `json:"creation_time"` // Unix seconds
	CreationTTL     int64             `json:"creation_ttl"`  // seconds
	DisplayName     string            `json:"display_name"`
	EntityID        string            `json:"entity_id"`
	ExpireTime      *time.Time        `json:"expire_time"`
	ExplicitMaxTTL  int64             `json:"explicit_max_ttl"` // seconds
	ID              string            `json:"id"`
	IssueTime       time.Time         `json:"issue_time"`
	LastRenewal     *time.Time        `json:"last_renewal,omitempty"`
	LastRenewalTime int64             `json:"last_renewal_time,omitempty"` // Unix seconds
	Meta            map[string]string `json:"meta"`
	NamespacePath   string            `json:"namespace_path,omitempty"`
	NumUses         int               `json:"num_uses"`
	Orphan          bool              `json:"orphan"`
	Path            string            `json:"path"`
	Period          int64             `json:"period,omitempty"` // seconds
	Policies        []string          `json:"policies"`
	Renewable       bool              `json:"renewable"`
	Role            string            `json:"role,omitempty"`
	TTL             int64             `json:"ttl"` // seconds left; 0 for a token without an end
	Type            string            `json:"type"`
}

// Policy is one policy's text. Rules is the same under the name of the older path sys/policy.
type Policy struct {
	Name   string `json:"name"`
	Policy string `json:"policy,omitempty"`
	Rules  string `json:"rules,omitempty"`
}
