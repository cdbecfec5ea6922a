package lease

import "time"

// Status is where a lease stands in its life (see the package comment).
type Status uint8

// The statuses. There is no way back from a later one to an earlier one.
const (
	Pending Status = iota + 1
	Active
	Revoking
	Irrevocable
)

func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case Active:
		return "active"
	case Revoking:
		return "revoking"
	case Irrevocable:
		return "irrevocable"
	}
	return "unknown"
}

// Kind says what ending a lease takes.
type Kind uint8

const (
	// Plain has nothing outside: it ends in the entry that ends it.
	Plain Kind = iota + 1
	// Target stands for something at a backend that must be destroyed first.
	Target
	// OfToken is the lease of a service token: its end revokes the token with all it made.
	OfToken
)

// Cause tells why a lease or job ends: what a person asked for, or what the clock did.
type Cause string

// The causes, as they stand in jobs, logs and metrics.
const (
	CauseExpired      Cause = "expired"
	CauseRevoked      Cause = "revoked"
	CausePrefix       Cause = "revoke-prefix"
	CauseForce        Cause = "revoke-force"
	CauseTokenRevoked Cause = "token-revoked"
	CauseTokenExpired Cause = "token-expired"
	CauseTokenSpent   Cause = "token-spent"
	CauseDisabled     Cause = "mount-disabled"
	CauseAbandoned    Cause = "abandoned"
	CauseTidy         Cause = "tidy"
	CauseMoved        Cause = "mount-moved"
	CauseOrphan       Cause = "orphan"
	CauseNamespace    Cause = "namespace-deleted"
	CauseUnwrapped    Cause = "unwrapped"
)

// Lease is a promise with an end. Stored values are immutable.
type Lease struct {
	ID        string // "<mount><path>/<random>"; in a child namespace it ends in ".<namespace id>"
	Namespace string // namespace ID; "" is the root namespace
	Path      string // where the secret was asked for, mount included
	MountID   string // UUID of the mount
	Role      string
	// Owner is the hash of the token that asked. For Kind OfToken it is the token's own hash.
	Owner     string
	Kind      Kind
	Status    Status // as stored; a covering job may already have ended it (fsm.View.Standing)
	Renewable bool

	IssueTime   Time
	ExpireTime  Time // zero: never. For a Pending lease, the deadline of the intent.
	LastRenewal Time // zero: never renewed

	TTL    time.Duration // what a renewal without an increment asks for; 0: the mount's default
	MaxTTL time.Duration // the role's or token's own limit from IssueTime; 0: only the mount's
	Period time.Duration // periodic tokens: each renewal grants this, without a limit from issue

	Generation uint64 // grows by one with every renewal; conditional commands name it
	Seq        uint64 // sequence number of the command that made it; jobs cover what is older
	Fence      uint64 // sequence number of the last command about it; never decreases

	ExternalName string            // what the credential is called at its target; Kind Target only
	Internal     []byte            // sealed: what destroying it needs
	Data         []byte            // sealed: the issuer's own data, where keeping it was asked for
	Labels       map[string]string // plain, shown in lookup

	Ending *Ending // nil while nothing has ended it
}

// Ending is the part of a lease that exists once it is being revoked.
type Ending struct {
	Cause       Cause
	Since       Time
	Force       bool   // one attempt, then gone whatever the backend says
	Job         uint64 // the revocation job that counts it, 0: none
	Attempts    int    // failed attempts so far
	NextAttempt Time
	Claim       uint64 // fencing index of the running attempt, 0: none runs
	Error       string // of the last failed attempt, at most MaxErrorText characters
}

// MaxErrorText bounds, in characters, the error text that a lease keeps.
const MaxErrorText = 240

// CutError shortens text to MaxErrorText characters and names the nameless error "unknown".
func CutError(text string) string {
	if text == "" {
		return "unknown"
	}
	if r := []rune(text); len(r) > MaxErrorText {
		return string(r[:MaxErrorText])
	}
	return text
}

// Due is when the lease next needs the leader: its end, or its next attempt. Zero means never.
func (l *Lease) Due() Time {
	if l.Ending != nil {
		return l.Ending.NextAttempt
	}
	return l.ExpireTime
}

// Expired reports whether the lease's end has come at now.
func (l *Lease) Expired(now Time) bool { return l.ExpireTime != 0 && l.ExpireTime <= now }

// Remaining is the time to expiry at now; negative when past, zero when it never expires.
func (l *Lease) Remaining(now Time) time.Duration {
	if l.ExpireTime == 0 {
		return 0
	}
	return l.ExpireTime.Sub(now)
}
