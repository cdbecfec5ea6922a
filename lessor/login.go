package lessor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// authPrefix is where auth methods are mounted.
const authPrefix = "auth/"

// authenticator returns the auth method behind a mount.
func (l *Lessor) authenticator(mount *lease.Mount, path string) (backend.Authenticator, error) {
	b, err := l.backend(mount, path)
	if err != nil {
		return nil, err
	}
	a, ok := b.(backend.Authenticator)
	if !ok {
		return nil, noRoute(mount.Path + path)
	}
	return a, nil
}

// Login makes the token that a request of class Login earns. The token's lease is one of the auth
// method's mount: disabling the mount, or revoking the prefix of the login path, ends it.
func (l *Lessor) Login(ctx context.Context, r Request) (*NewToken, error) {
	method, err := l.authenticator(r.Mount, r.Path)
	if err != nil {
		return nil, err
	}
	req := l.backendRequest(r)
	noted := &notingStore{Store: req.Store}
	req.Store = noted
	plan, err := method.Login(ctx, req)
	if err != nil {
		return nil, noted.halfDone(backendError(err))
	}
	t, err := loginToken(r, plan)
	if err != nil {
		return nil, err
	}
	made, err := l.makeToken(ctx, t, "", &command.CreateToken{
		Ttl: int64(plan.TTL), MountId: r.Mount.ID, MaxTtl: int64(plan.MaxTTL),
	})
	if err != nil {
		return nil, noted.halfDone(err)
	}
	made.Warnings = append(slices.Clone(plan.Warnings), made.Warnings...)
	return made, nil
}

// loginToken is the token of a plan, still without names.
func loginToken(r Request, plan *backend.LoginPlan) (*lease.Token, error) {
	policies := cleanPolicies(plan.Policies, !plan.NoDefaultPolicy)
	if slices.Contains(policies, policyRoot) {
		return nil, refuse("auth methods cannot create root tokens")
	}
	if len(policies) > maxPolicies {
		return nil, refuse("the login would carry %d policies, at most %d are allowed", len(policies), maxPolicies)
	}
	if err := checkMeta(plan.Meta); err != nil {
		return nil, err
	}
	return &lease.Token{
		Namespace: r.Mount.Namespace, Path: r.Mount.Path + r.Path, DisplayName: printable(plan.DisplayName), Role: plan.Role,
		Policies: policies, Meta: plan.Meta, ExplicitMaxTTL: plan.ExplicitMaxTTL, Period: plan.Period,
		Renewable: true, NumUses: plan.NumUses, BoundCIDRs: plan.BoundCIDRs,
	}, nil
}

// makeToken gives t its names and proposes the command that makes it.
func (l *Lessor) makeToken(ctx context.Context, t *lease.Token, bearer string, cmd *command.CreateToken) (*NewToken, error) {
	ring, err := l.Keyring()
	if err != nil {
		return nil, err
	}
	if bearer, err = nameToken(l.rand, ring, t, bearer); err != nil {
		return nil, err
	}
	if err := lease.CheckPath(t.LeaseID); err != nil {
		return nil, refuse("no lease ID can be made of this path: %v", err)
	}
	cmd.Token = fsm.TokenRecord(t)
	res, err := l.propose(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &NewToken{Bearer: bearer, Token: res.Token, Lease: res.Lease,
		Warnings: append(capWarnings(res.Cap), l.missingPolicies(res.Token)...)}, nil
}

// loginIncrement asks the auth method that made t what it may be renewed to. It returns the increment
// to be proposed: what is asked for, or what the method grants now, within what is left of its limit.
func (l *Lessor) loginIncrement(ctx context.Context, t *lease.Token, increment time.Duration) (time.Duration, error) {
	if !strings.HasPrefix(t.Path, authPrefix) || strings.HasPrefix(t.Path, tokenMountPath) {
		return increment, nil
	}
	var le *lease.Lease
	var mount *lease.Mount
	l.state.Read(func(v *fsm.View) {
		if le = v.Lease(t.LeaseID); le != nil {
			mount = v.Mount(le.MountID)
		}
	})
	if mount == nil {
		return 0, lease.ErrTokenNotFound
	}
	method, err := l.authenticator(mount, "")
	if err != nil {
		return 0, err
	}
	lim, err := method.RenewLogin(ctx, &backend.LoginRenewal{Mount: mount, Token: t, Store: l.Store(mount.ID)})
	if err != nil {
		return 0, backendError(err)
	}
	if increment <= 0 {
		increment = lim.TTL
	}
	if lim.MaxTTL <= 0 || t.Period > 0 {
		return increment, nil
	}
	left := le.IssueTime.Add(lim.MaxTTL).Sub(l.now())
	if left <= 0 {
		return 0, lease.ErrPastMaxTTL
	}
	if increment <= 0 {
		return min(left, mount.Config.WithDefaults().DefaultTTL), nil
	}
	return min(left, increment), nil
}
