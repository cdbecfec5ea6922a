package lessor

import (
	"context"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// policyWrapping is the policy that wrapping tokens carry: it cannot be written.
const policyWrapping = "response-wrapping"

// metaCreationPath is where a wrapping token notes whose answer it wraps.
const metaCreationPath = "creation_path"

// MaxWrapped bounds, in bytes, what one wrapping token can hold: it travels in one command.
const MaxWrapped = 192 << 10

// ErrBadWrapping is the answer for a wrapping token that is missing, wrong, used, expired or of another
// namespace alike.
var ErrBadWrapping = lease.Errorf(lease.Invalid, "wrapping token is not valid or does not exist")

// Wrap keeps an answer sealed behind a token that opens it once, within ttl. The payload lives as the
// data of the token's lease and goes with it. path is whose answer it is.
func (l *Lessor) Wrap(ctx context.Context, ns, path string, ttl time.Duration, payload []byte) (*NewToken, error) {
	if len(payload) > MaxWrapped {
		return nil, lease.Errorf(lease.TooLarge, "the answer has %d bytes, at most %d can be wrapped: ask without wrapping", len(payload), MaxWrapped)
	}
	ring, err := l.Keyring()
	if err != nil {
		return nil, err
	}
	t := &lease.Token{
		Namespace: ns, Path: lease.WrappingPath, DisplayName: "wrapping", Policies: []string{policyWrapping},
		Meta: map[string]string{metaCreationPath: path}, ExplicitMaxTTL: ttl, NumUses: 1,
	}
	bearer, err := nameToken(l.rand, ring, t, "")
	if err != nil {
		return nil, err
	}
	blob, err := l.seal(seal.LeasePlace(t.LeaseID, fieldData), payload)
	if err != nil {
		return nil, err
	}
	res, err := l.propose(ctx, &command.CreateToken{Token: fsm.TokenRecord(t), Ttl: int64(ttl), Data: blob})
	if err != nil {
		return nil, err
	}
	return &NewToken{Bearer: bearer, Token: res.Token, Lease: res.Lease}, nil
}

// Wrapped is what a wrapping token tells of itself.
type Wrapped struct {
	Token        *lease.Token
	CreationPath string
}

// LookupWrapping returns the wrapping token with this bearer secret, alive at now. The error is
// ErrBadWrapping.
func (l *Lessor) LookupWrapping(ns, bearer string, now lease.Time) (*Wrapped, error) {
	hash, err := l.HashToken(bearer)
	if err != nil {
		return nil, err
	}
	var t *lease.Token
	l.state.Read(func(v *fsm.View) {
		if t = v.Token(hash); t != nil && (t.Namespace != ns || !t.Wrapping() || t.NumUses != 1 || !v.TokenAlive(t, now)) {
			t = nil
		}
	})
	if t == nil {
		return nil, ErrBadWrapping
	}
	return &Wrapped{Token: t, CreationPath: t.Meta[metaCreationPath]}, nil
}

// Unwrap opens what a wrapping token wraps, once: of many callers on many nodes, the one whose entry
// is first in the log gets it.
func (l *Lessor) Unwrap(ctx context.Context, ns, bearer string) ([]byte, error) {
	w, err := l.LookupWrapping(ns, bearer, l.now())
	if err != nil {
		return nil, err
	}
	return l.openOnce(ctx, w.Token)
}

// openOnce takes the one use of a wrapping token and returns the payload.
func (l *Lessor) openOnce(ctx context.Context, t *lease.Token) ([]byte, error) {
	res, err := l.propose(ctx, &command.UseToken{Hash: t.Hash})
	if err != nil {
		if denied(err) {
			return nil, ErrBadWrapping
		}
		return nil, err
	}
	payload, err := l.open(seal.LeasePlace(t.LeaseID, fieldData), res.Lease.Data)
	if _, end := l.endToken(ctx, t.Hash, lease.CauseUnwrapped, false); end != nil {
		// It opens nothing any more; its lease's end takes it away.
		l.log.Warn("a used wrapping token was not revoked", "accessor", t.Accessor, "error", end)
	}
	return payload, err
}

// Rewrap moves what a wrapping token wraps behind a new one with the same time to live. The new token
// is made first and taken back if the old one was opened meanwhile: nothing is lost if this node dies
// between the two, and nobody was told the new one's secret.
func (l *Lessor) Rewrap(ctx context.Context, ns, bearer string) (made *NewToken, creationPath string, err error) {
	w, err := l.LookupWrapping(ns, bearer, l.now())
	if err != nil {
		return nil, "", err
	}
	var le *lease.Lease
	l.state.Read(func(v *fsm.View) { le = v.Lease(w.Token.LeaseID) })
	if le == nil {
		return nil, "", ErrBadWrapping
	}
	payload, err := l.open(seal.LeasePlace(le.ID, fieldData), le.Data)
	if err != nil {
		return nil, "", err
	}
	made, err = l.Wrap(ctx, ns, w.CreationPath, w.Token.TTL, payload)
	if err != nil {
		return nil, "", err
	}
	if _, err := l.openOnce(ctx, w.Token); err != nil {
		l.takeBack(ctx, made.Token)
		return nil, "", err
	}
	return made, w.CreationPath, nil
}

// takeBack revokes a token whose secret nobody was told, whoever is still waiting. If that fails its
// lease's end takes it away.
func (l *Lessor) takeBack(ctx context.Context, t *lease.Token) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if _, err := l.endToken(ctx, t.Hash, lease.CauseAbandoned, false); err != nil {
		l.log.Warn("a token that nobody knows was left to its end", "accessor", t.Accessor, "error", err)
	}
}

// TakeBack revokes what an answer would have handed out that nobody will see: the token with this
// accessor and the lease with this ID, each if it is not "". If that fails, their ends take them away.
func (l *Lessor) TakeBack(ctx context.Context, ns, accessor, leaseID string) {
	if accessor != "" {
		var t *lease.Token
		l.state.Read(func(v *fsm.View) { t = v.TokenByAccessor(accessor) })
		if t != nil {
			l.takeBack(ctx, t)
		}
	}
	if leaseID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_, err := l.propose(ctx, &command.Revoke{Ids: []string{leaseID}, Namespace: ns, Cause: string(lease.CauseAbandoned)})
	if err != nil {
		l.log.Warn("a lease whose answer was lost was left to its end", "lease_id", leaseID, "error", err)
	}
}
