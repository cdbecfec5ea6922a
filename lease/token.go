package lease

import "time"

// Token is a bearer secret as the state knows it: only the keyed hash of the secret is kept.
// Its end is that of its lease.
type Token struct {
	Hash        string // hex HMAC-SHA-256 of the bearer secret under the token key
	Accessor    string // the safe handle
	Namespace   string // namespace ID
	Parent      string // hash of the parent, "" for an orphan
	LeaseID     string
	Path        string // the path that made it, such as "auth/token/create"
	DisplayName string
	Role        string
	Policies    []string
	Meta        map[string]string

	Created        Time
	TTL            time.Duration // as granted at creation
	ExplicitMaxTTL time.Duration
	Period         time.Duration
	Renewable      bool
	NumUses        int // uses left; 0: unlimited; SpentUses: none left
	// BoundCIDRs are the networks that the token may be used from; none: any.
	BoundCIDRs []string

	// Doomed is the job that revokes the token, 0 while it lives. A doomed token stays until what
	// is below it is gone, so that nothing below revives.
	Doomed uint64
	// SparesChildren, on a doomed token: its children live on as orphans (revoke-orphan).
	SparesChildren bool
}

// SpentUses marks a limited-use token whose last use has been taken.
const SpentUses = -1

// Orphan reports whether the token has no parent whose end would end it.
func (t *Token) Orphan() bool { return t.Parent == "" }

// Root reports whether the token carries the root policy.
func (t *Token) Root() bool {
	for _, p := range t.Policies {
		if p == "root" {
			return true
		}
	}
	return false
}

// WrappingPath is what makes wrapping tokens; nobody else can give a token this path.
const WrappingPath = "sys/wrapping/wrap"

// Wrapping reports whether the token wraps an answer: it can be used to open it and for nothing else.
func (t *Token) Wrapping() bool { return t.Path == WrappingPath }
