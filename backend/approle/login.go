package approle

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/lease"
)

// The answers to those who prove nothing; the texts are Vault's.
var (
	errNoRoleID   = lease.Errorf(lease.Invalid, "missing role_id")
	errNoSecretID = lease.Errorf(lease.Invalid, "missing secret_id")
	errRefused    = lease.Errorf(lease.Invalid, "invalid role or secret ID")
)

// proof is what a login sends.
type proof struct {
	roleID, secretID string
	refusal          *lease.Error // for everything that is wrong with it
}

func readProof(req *backend.Request) (*proof, error) {
	in := field.Read(req.Params)
	p := &proof{
		roleID:   strings.TrimSpace(in.String("role_id")),
		secretID: strings.TrimSpace(in.String("secret_id")),
		refusal:  errRefused,
	}
	switch err := in.Err(); {
	case err != nil:
		return nil, err
	case p.roleID == "":
		return nil, errNoRoleID
	case p.secretID == "":
		// Some roles need none. What is wrong with such a login is told in these words whether or not
		// there is a role, so that they do not tell that there is one.
		p.refusal = errNoSecretID
	}
	if len(p.roleID) > MaxID || len(p.secretID) > MaxID {
		return nil, p.refusal
	}
	return p, nil
}

// Login checks a role_id and, unless the role does without, a secret_id, and takes a use of that. The
// address that the client comes from must suit both.
func (b *Backend) Login(ctx context.Context, req *backend.Request) (*backend.LoginPlan, error) {
	if req.Path != "login" {
		return nil, lease.Errorf(lease.NotFound, "unsupported path")
	}
	p, err := readProof(req)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(req.Store)
	if err != nil {
		return nil, err
	}
	name, ro, err := findRole(req.Store, key, p.roleID)
	if err != nil {
		return nil, err
	}
	known := ro != nil
	if !known {
		ro = &role{BindSecretID: true} // the same steps are taken for nobody
	}
	place := secretIDKey(ro.Generation, key.accessor(ro.Generation, p.secretID))
	digest := key.digest(ro.Generation, p.secretID)
	s, _, err := lookSecretID(req.Store, place, req.Now)
	if err != nil {
		return nil, err
	}
	if !known || !tokenparams.Permits(ro.BoundCIDRs, req.ClientAddr) {
		return nil, p.refusal
	}
	if !ro.BindSecretID {
		return plan(req, name, ro, &secretID{}, p.refusal)
	}
	if s == nil || !s.is(digest) || !tokenparams.Permits(s.CIDRs, req.ClientAddr) {
		return nil, p.refusal
	}
	earned, err := plan(req, name, ro, s, p.refusal)
	if err != nil || s.NumUses == 0 {
		return earned, err
	}
	taken, err := b.use(ctx, req, place, s)
	switch {
	case err != nil:
		return nil, err
	case !taken:
		return nil, p.refusal
	}
	return earned, nil
}

// findRole returns the role that has a role_id, with its name; nil if none has.
func findRole(store backend.Store, key macKey, roleID string) (string, *role, error) {
	o, _, err := lookOwner(store, key.roleIDKey(roleID))
	if err != nil {
		return "", nil, err
	}
	if o == nil {
		o = &owner{} // a role is looked for all the same
	}
	ro, err := loadRole(store, o.Role)
	if ro == nil || err != nil || subtle.ConstantTimeCompare([]byte(ro.RoleID), []byte(roleID)) != 1 {
		return "", nil, err
	}
	return o.Role, ro, nil
}

// plan is the token that a role's secret_id earns.
func plan(req *backend.Request, name string, ro *role, s *secretID, refusal error) (*backend.LoginPlan, error) {
	p := ro.Token.Plan()
	p.Role = name
	p.DisplayName = displayName(req.Mount)
	p.Meta = maps.Clone(s.Metadata)
	if p.Meta == nil {
		p.Meta = make(map[string]string, 1)
	}
	p.Meta["role_name"] = name
	// The role's networks may have become fewer since the secret_id was made.
	var some bool
	if p.BoundCIDRs, some = overlap(s.TokenCIDRs, ro.Token.BoundCIDRs); !some {
		return nil, refusal
	}
	return &p, nil
}

// displayName is made of the mount's path, as Vault does it: "approle" at auth/approle/.
func displayName(mount *lease.Mount) string {
	path := strings.Trim(strings.TrimPrefix(mount.Path, "auth/"), "/")
	return strings.ReplaceAll(path, "/", "-")
}

// use takes one of the uses of the secret_id that was checked, and reports whether there was one left. The
// last one removes it.
func (b *Backend) use(ctx context.Context, req *backend.Request, place string, checked *secretID) (bool, error) {
	done, err := b.turns.take(ctx, req.Mount.ID, place)
	if err != nil {
		return false, err
	}
	defer done()
	for range maxTries {
		s, seen, err := lookSecretID(req.Store, place, req.Now)
		if s == nil || err != nil || s.Created != checked.Created { // another one was registered in its place
			return false, err
		}
		if s.NumUses <= 1 {
			err = req.Store.Swap(ctx, place, seen, nil, 0)
		} else {
			s.NumUses--
			s.Updated = req.Now
			err = s.put(ctx, req, place, seen)
		}
		if !errors.Is(err, lease.ErrChanged) {
			return err == nil, err
		}
	}
	return false, errBusy
}

// RenewLogin answers what the role says now. A token whose role is gone is not renewed.
func (*Backend) RenewLogin(_ context.Context, r *backend.LoginRenewal) (*backend.LoginLimits, error) {
	ro, err := loadRole(r.Store, r.Token.Role)
	if err != nil {
		return nil, fmt.Errorf("renew a login: %w", err)
	}
	if ro == nil {
		return nil, lease.Errorf(lease.Invalid, "role %q does not exist any more: log in with another one", r.Token.Role)
	}
	limits := ro.Token.Limits()
	return &limits, nil
}
