package userpass

import (
	"context"
	"slices"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/lease"
)

// errLogin is the one answer to whoever does not prove to be a user.
func errLogin() error { return lease.Errorf(lease.Invalid, "invalid username or password") }

// Login compares a password with that of a user. While the name is locked it is lease.ErrDenied, whatever
// the password is.
func (b *Backend) Login(ctx context.Context, req *backend.Request) (*backend.LoginPlan, error) {
	if err := b.checkFolded(req.Path); err != nil {
		return nil, err
	}
	_, name := split(req.Path) // that nobody can have it makes no difference here
	in := reader(req)
	password := in.String("password")
	if err := in.Err(); err != nil {
		return nil, err
	}
	count, err := openTally(ctx, req, name)
	if err != nil {
		return nil, err
	}
	u, err := b.prove(ctx, req, count, name, password)
	if err != nil {
		return nil, err
	}
	plan := u.Plan()
	plan.Role = name
	plan.DisplayName = displayName(req.Mount.Path, name)
	plan.Meta = map[string]string{"username": name}
	plan.Warnings = in.Warnings()
	return &plan, nil
}

// prove returns the user whose password it is, if the name is not locked and the client may log in
// from where it is.
func (b *Backend) prove(ctx context.Context, req *backend.Request, count *tally, name, password string) (*user, error) {
	if err := count.check(); err != nil {
		return nil, err // before it waits, so that who is locked out takes no room in the queue
	}
	u, version, matched, err := b.compareWithUser(ctx, req, count, name, password)
	if err != nil {
		return nil, err
	}
	if matched && !tokenparams.Permits(u.BoundCIDRs, req.ClientAddr) {
		// No wrong guess, so it is not counted; but while the name is locked it looks the same.
		return nil, lease.ErrDenied
	}
	if err := count.settle(ctx, matched); err != nil {
		return nil, err
	}
	if !matched {
		return nil, errLogin()
	}
	// Once a change of the password is acknowledged the old one lets nobody in.
	if _, now, err := loadUser(req.Store, name); err != nil || now != version {
		return nil, &lease.Error{Code: lease.Unavailable, Message: "the user was changed during the login: try again", Err: err}
	}
	return u, nil
}

// compareWithUser is the expensive part of a login, for which it waits for its turn.
func (b *Backend) compareWithUser(ctx context.Context, req *backend.Request, count *tally, name, password string) (*user, backend.Version, bool, error) {
	leave, err := b.gate.enter(ctx)
	if err != nil {
		return nil, "", false, err
	}
	defer leave()
	if err := count.check(); err != nil { // others may have failed while this one waited
		return nil, "", false, err
	}
	u, version, err := loadUser(req.Store, name)
	if err != nil {
		return nil, "", false, err
	}
	highest, _, err := highestCost(req.Store)
	if err != nil {
		return nil, "", false, err
	}
	hash := ""
	if u != nil {
		hash = u.Hash
	}
	return u, version, b.matches(hash, password, highest), nil
}

// displayName is the mount's path and the name.
func displayName(mountPath, name string) string {
	method := strings.Trim(strings.TrimPrefix(mountPath, "auth/"), "/")
	return strings.ReplaceAll(method, "/", "-") + "-" + name
}

// RenewLogin refuses when the user is gone or has other policies than the token; else the user's times
// of now count.
func (b *Backend) RenewLogin(_ context.Context, r *backend.LoginRenewal) (*backend.LoginLimits, error) {
	u, _, err := loadUser(r.Store, r.Token.Role)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, lease.Errorf(lease.Invalid, "user %q does not exist any more, not renewing", field.CleanText(r.Token.Role))
	}
	if !slices.Equal(compared(u.Policies), compared(r.Token.Policies)) {
		return nil, lease.Errorf(lease.Invalid, "policies have changed, not renewing")
	}
	limits := u.Limits()
	return &limits, nil
}

// compared is policies without the one that every token has unless it is told not to.
func compared(policies []string) []string {
	list := slices.DeleteFunc(slices.Clone(policies), func(name string) bool { return name == "default" })
	slices.Sort(list)
	return slices.Compact(list)
}
