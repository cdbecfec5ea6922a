package lease

import "time"

// System-wide limits where a mount sets none (32 days, as in Vault).
const (
	DefaultTTL = 768 * time.Hour
	DefaultMax = 768 * time.Hour
)

// Defaults of a mount's revocation policy.
const (
	DefaultRevokeAttempts    = 6
	DefaultRevokeBackoff     = 10 * time.Second
	DefaultRevokeBackoffMax  = 5 * time.Minute
	DefaultRevokeTimeout     = 30 * time.Second
	DefaultRevokeConcurrency = 16
	// IrrevocableRetry is how often an irrevocable lease is still tried.
	IrrevocableRetry = time.Hour
)

// Mount is a backend configured at a path, with limits and an accessor. Stored values are
// immutable.
type Mount struct {
	ID          string // UUID; selectors name it, so a path enabled again is another mount
	Accessor    string
	Namespace   string // namespace ID
	Path        string // with a slash at its end
	Type        string
	Description string
	Options     map[string]string
	Config      MountConfig
	Seq         uint64
	Tainted     uint64 // the job that empties it, 0 while it serves
	// MovingTo, on a tainted mount: the path it takes when it is empty; "" if it goes.
	MovingTo string
	Frozen   *Frozen // nil: what has ended is destroyed as usual
	Down     *Down   // nil: its target answers, as far as the leader knows
}

// MaxFreezeReason bounds, in characters, the reason of a freeze.
const MaxFreezeReason = 240

// Frozen says why and until when nothing that a mount leased is destroyed. What has ended stays dead to
// its holders.
type Frozen struct {
	Reason string
	Since  Time
	Until  Time // zero: until it is thawed
}

// Down says since when a mount's target has not answered: the leader's circuit breaker is open.
type Down struct {
	Since Time
	Error string
}

// IsFrozen reports whether nothing of the mount may be destroyed at now.
func (m *Mount) IsFrozen(now Time) bool {
	return m.Frozen != nil && (m.Frozen.Until == 0 || now < m.Frozen.Until)
}

// MountConfig is what can be tuned. Zero values mean the defaults.
type MountConfig struct {
	DefaultTTL        time.Duration
	MaxTTL            time.Duration
	RevokeAttempts    int           // quick attempts before a lease is irrevocable
	RevokeBackoff     time.Duration // before the first retry
	RevokeBackoffMax  time.Duration
	RevokeTimeout     time.Duration // per call
	RevokeConcurrency int           // calls at once
	RevokeRate        int           // calls a second; 0: no limit
	ReconcileInterval time.Duration // between comparisons with the target's inventory; 0: only when asked
}

// WithDefaults returns c with every zero field set.
func (c MountConfig) WithDefaults() MountConfig {
	or := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	or(&c.MaxTTL, DefaultMax)
	or(&c.DefaultTTL, min(DefaultTTL, c.MaxTTL))
	or(&c.RevokeBackoff, DefaultRevokeBackoff)
	or(&c.RevokeBackoffMax, DefaultRevokeBackoffMax)
	or(&c.RevokeTimeout, DefaultRevokeTimeout)
	if c.RevokeAttempts == 0 {
		c.RevokeAttempts = DefaultRevokeAttempts
	}
	if c.RevokeConcurrency == 0 {
		c.RevokeConcurrency = DefaultRevokeConcurrency
	}
	return c
}
