package lessor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// Shape of what is made here.
const (
	bearerPrefix = "lhs."
	bearerLen    = 43 // base62 characters: 256 bits
	accessorLen  = 24
	hashMark     = "h" // before the hash in the ID of a token's lease
)

// TokenRequest asks for a token.
type TokenRequest struct {
	Namespace string
	Path      string // that is asked, such as "auth/token/create": the lease is named after it
	Role      string // of Namespace, by which the token is made; "": none
	// Sudo says that the caller has sudo on Path. A root caller needs none.
	Sudo bool
	// Orphan says that Path makes orphans; NoParent asks for one, which takes sudo.
	Orphan, NoParent bool

	ID              string // custom bearer secret, which takes sudo; "": made here
	Type            string // "" or "service"
	Policies        []string
	NoDefaultPolicy bool
	TTL             time.Duration
	ExplicitMaxTTL  time.Duration
	Period          time.Duration
	NumUses         int
	Renewable       *bool // nil: true
	DisplayName     string
	Meta            map[string]string
	EntityAlias     string
}

// NewToken is a token with its bearer secret, which is not to be had again.
type NewToken struct {
	Bearer   string
	Token    *lease.Token
	Lease    *lease.Lease
	Warnings []string
}

// CreateToken makes a service token as a child of caller, or as an orphan.
func (l *Lessor) CreateToken(ctx context.Context, caller *lease.Token, req TokenRequest) (*NewToken, error) {
	if caller == nil {
		return nil, lease.ErrDenied
	}
	role, err := l.askedRole(req)
	if err != nil {
		return nil, err
	}
	expiring := false
	l.state.Read(func(v *fsm.View) {
		if le := v.Lease(caller.LeaseID); le != nil {
			expiring = le.ExpireTime != 0
		}
	})
	d, err := decideToken(caller, req, role, expiring)
	if err != nil {
		return nil, err
	}
	made, err := l.makeToken(ctx, d.token, req.ID, &command.CreateToken{Ttl: int64(req.TTL), NeverExpires: d.never})
	if err != nil {
		return nil, err
	}
	made.Warnings = append(d.warnings, made.Warnings...)
	return made, nil
}

// nameToken gives t its accessor, its hash and the ID of its lease, and returns the bearer secret:
// the one given, or one made here.
func nameToken(rand io.Reader, ring *seal.Keyring, t *lease.Token, bearer string) (string, error) {
	if bearer == "" {
		text, err := randomText(rand, bearerLen)
		if err != nil {
			return "", err
		}
		bearer = bearerPrefix + text
	}
	accessor, err := randomText(rand, accessorLen)
	if err != nil {
		return "", err
	}
	t.Hash, t.Accessor = ring.HashToken(bearer), accessor
	t.LeaseID = lease.NewID(t.Path, hashMark+t.Hash, t.Namespace)
	return bearer, nil
}

// missingPolicies warns of names behind which there is no policy: they allow nothing.
func (l *Lessor) missingPolicies(t *lease.Token) []string {
	var warnings []string
	l.state.Read(func(v *fsm.View) {
		for _, name := range t.Policies {
			if name != policyRoot && name != policyDefault && name != policyWrapping && v.Policy(t.Namespace, name) == nil {
				warnings = append(warnings, fmt.Sprintf("Policy %q does not exist", name))
			}
		}
	})
	return warnings
}

// RenewToken extends or shortens a token to increment from now, zero meaning the TTL it was made
// with, and returns it with its lease and warnings.
func (l *Lessor) RenewToken(ctx context.Context, t *lease.Token, increment time.Duration) (*lease.Token, *lease.Lease, []string, error) {
	increment, err := l.loginIncrement(ctx, t, increment)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := l.roleStands(t); err != nil {
		return nil, nil, nil, err
	}
	res, err := l.propose(ctx, &command.RenewToken{Hash: t.Hash, Increment: int64(max(increment, 0))})
	if err != nil {
		return nil, nil, nil, err
	}
	return res.Token, res.Lease, capWarnings(res.Cap), nil
}

// RevokeToken ends a token with all that descends from it and all they leased, or, with
// spareChildren, alone: its children live on as orphans. All are dead when it returns; the job, zero
// if nothing hung on the token, removes them. An unknown token is no error.
func (l *Lessor) RevokeToken(ctx context.Context, hash string, spareChildren bool) (jobID uint64, err error) {
	return l.endToken(ctx, hash, lease.CauseTokenRevoked, spareChildren)
}

// EndSpentToken ends a limited-use token once the request that took its last use is done.
func (l *Lessor) EndSpentToken(ctx context.Context, hash string) error {
	_, err := l.endToken(ctx, hash, lease.CauseTokenSpent, false)
	return err
}

func (l *Lessor) endToken(ctx context.Context, hash string, cause lease.Cause, spareChildren bool) (uint64, error) {
	res, err := l.propose(ctx, &command.RevokeToken{Hash: hash, Cause: string(cause), SpareChildren: spareChildren})
	if err != nil || res.Job == nil {
		return 0, err
	}
	return res.Job.ID, nil
}

// UseToken takes one use of a limited-use token and returns the token after that; when its NumUses
// is lease.SpentUses the caller ends it with EndSpentToken after the request. A token without a
// limit is returned as it is.
func (l *Lessor) UseToken(ctx context.Context, t *lease.Token) (*lease.Token, error) {
	if t.NumUses == 0 {
		return t, nil
	}
	res, err := l.propose(ctx, &command.UseToken{Hash: t.Hash})
	if err != nil {
		return nil, err
	}
	return res.Token, nil
}
