package lessor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of token roles, in bytes and pieces.
const (
	maxRoleName   = 128
	maxPathSuffix = 128
	// roleTries is how often a change of a role begins anew because another came first.
	roleTries = 8
)

// TokenRole is what tokens made at auth/token/create/<name> are like, whoever makes them. Of Params
// it has Period, ExplicitMaxTTL, NumUses, NoDefaultPolicy, BoundCIDRs and Type.
type TokenRole struct {
	Name string `json:"name"`

	// The policies that the tokens may, and may not, carry: names, and patterns with "*" for anything.
	// With one of the Allowed the caller need not have them itself.
	AllowedPolicies        []string `json:"allowed_policies,omitempty"`
	AllowedPoliciesGlob    []string `json:"allowed_policies_glob,omitempty"`
	DisallowedPolicies     []string `json:"disallowed_policies,omitempty"`
	DisallowedPoliciesGlob []string `json:"disallowed_policies_glob,omitempty"`

	Orphan     bool   `json:"orphan,omitempty"`
	Renewable  bool   `json:"renewable,omitempty"`
	PathSuffix string `json:"path_suffix,omitempty"` // ends the path of the tokens' leases

	tokenparams.Params
}

// roleName is what names a role: it is one segment of a path.
var roleName = regexp.MustCompile(`^\w([\w.-]*\w)?$`)

// RoleName reports whether a token role can have this name.
func RoleName(name string) bool { return len(name) <= maxRoleName && roleName.MatchString(name) }

// TokenRoles returns the names of a namespace's token roles, sorted: those after after, at most limit
// of them. more says that there are others.
func (l *Lessor) TokenRoles(ns, after string, limit int) (names []string, more bool, err error) {
	mount, prefix := l.roleStore(ns)
	return l.Store(mount).Level(prefix, after, limit)
}

// TokenRole returns a token role, nil if there is none of that name.
func (l *Lessor) TokenRole(ns, name string) (*TokenRole, error) {
	mount, prefix := l.roleStore(ns)
	text, ok, err := l.Store(mount).Get(prefix + name)
	if err != nil || !ok {
		return nil, err
	}
	return readRole(text)
}

// PutTokenRole makes or changes a token role: change gets what there is, or a new one, and may refuse.
// It is called again if another change came first.
func (l *Lessor) PutTokenRole(ctx context.Context, ns, name string, change func(*TokenRole) error) error {
	if !RoleName(name) {
		return refuse("role name %q is invalid: give at most %d letters, digits, '_', '-' and '.'", printable(name), maxRoleName)
	}
	mount, prefix := l.roleStore(ns)
	store := l.Store(mount)
	for range roleTries {
		text, seen, err := store.Look(prefix + name)
		if err != nil {
			return err
		}
		role := &TokenRole{Name: name, Renewable: true}
		if text != nil {
			if role, err = readRole(text); err != nil {
				return err
			}
		}
		if err := change(role); err != nil {
			return err
		}
		if err := role.check(); err != nil {
			return err
		}
		if text, err = json.Marshal(role); err != nil {
			return asError(err)
		}
		if err = store.Swap(ctx, prefix+name, seen, text, 0); !errors.Is(err, lease.ErrChanged) {
			return err
		}
	}
	return lease.Errorf(lease.Conflict, "role %q was changed by others all the time: try again", name)
}

// DeleteTokenRole removes a token role. An unknown one is no error. Tokens that were made by it live
// to their end, but are renewed no more.
func (l *Lessor) DeleteTokenRole(ctx context.Context, ns, name string) error {
	mount, prefix := l.roleStore(ns)
	return l.Store(mount).Delete(ctx, prefix+name)
}

// askedRole returns the role that a request names, nil if none.
func (l *Lessor) askedRole(req TokenRequest) (*TokenRole, error) {
	if req.Role == "" {
		return nil, nil
	}
	role, err := l.TokenRole(req.Namespace, req.Role)
	if err == nil && role == nil {
		err = refuse("unknown role %s", printable(req.Role))
	}
	return role, err
}

// roleStands refuses to renew a token whose role is gone: nobody answers for what it may do any more.
func (l *Lessor) roleStands(t *lease.Token) error {
	if t.Role == "" || !strings.HasPrefix(t.Path, tokenMountPath) {
		return nil
	}
	role, err := l.TokenRole(t.Namespace, t.Role)
	if err == nil && role == nil {
		err = refuse("original token role %q could not be found, not renewing", t.Role)
	}
	return err
}

// roleStore says where a namespace keeps its token roles: with its token mount, so that they go when
// it does. A namespace of before it had one keeps them with the cluster's, apart from those of others.
func (l *Lessor) roleStore(ns string) (mountID, prefix string) {
	l.state.Read(func(v *fsm.View) {
		if m := v.MountOf(ns, tokenMountPath); m != nil && m.Path == tokenMountPath {
			mountID, prefix = m.ID, "role/"
			return
		}
		mountID, prefix = v.Cluster().TokenMountID, "namespace/"+ns+"/role/"
	})
	return mountID, prefix
}

func readRole(text []byte) (*TokenRole, error) {
	role := new(TokenRole)
	if err := json.Unmarshal(text, role); err != nil {
		return nil, &lease.Error{Code: lease.Internal, Message: "a stored token role cannot be read", Err: err}
	}
	return role, nil
}

// check brings a role that was just written into its final form, or refuses it.
func (r *TokenRole) check() error {
	for _, list := range []struct {
		name  string
		names *[]string
	}{
		{"allowed_policies", &r.AllowedPolicies}, {"allowed_policies_glob", &r.AllowedPoliciesGlob},
		{"disallowed_policies", &r.DisallowedPolicies}, {"disallowed_policies_glob", &r.DisallowedPoliciesGlob},
	} {
		*list.names = cleanNames(*list.names)
		if len(*list.names) > maxPolicies {
			return refuse("%s: %d names given, at most %d are allowed", list.name, len(*list.names), maxPolicies)
		}
		for _, name := range *list.names {
			if len(name) > maxPolicyName || printable(name) != name {
				return refuse("%s: %q is too long or cannot be printed", list.name, printable(name[:min(len(name), maxPolicyName)]))
			}
		}
	}
	if r.PathSuffix == "" {
		return nil
	}
	if err := lease.CheckPath(r.PathSuffix); err != nil {
		return refuse("given role path suffix contains invalid characters: %v", err)
	}
	if len(r.PathSuffix) > maxPathSuffix {
		return refuse("given role path suffix is %d bytes long, at most %d are allowed", len(r.PathSuffix), maxPathSuffix)
	}
	return nil
}

// cleanNames lower-cases, sorts and uniques names.
func cleanNames(names []string) []string {
	var clean []string
	for _, name := range names {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			clean = append(clean, name)
		}
	}
	slices.Sort(clean)
	return slices.Compact(clean)
}

// restricts reports whether the role says which policies its tokens may carry.
func (r *TokenRole) restricts() bool { return r != nil && (r.allows() || r.disallows()) }

func (r *TokenRole) allows() bool { return len(r.AllowedPolicies)+len(r.AllowedPoliciesGlob) > 0 }

func (r *TokenRole) disallows() bool {
	return len(r.DisallowedPolicies)+len(r.DisallowedPoliciesGlob) > 0
}

// apply puts into a request what the role says of the tokens it makes. The request has been checked:
// what the caller may not ask for, the role does not make good.
func (r *TokenRole) apply(req *TokenRequest) (warnings []string) {
	if r == nil {
		return nil
	}
	req.Orphan, req.NoParent = r.Orphan, false
	if r.PathSuffix != "" {
		req.Path += "/" + r.PathSuffix
	}
	if !r.Renewable {
		req.Renewable = new(bool)
	}
	if req.NumUses == 0 || r.NumUses > 0 && r.NumUses < req.NumUses {
		req.NumUses = r.NumUses
	}
	return append(lesser(&req.ExplicitMaxTTL, r.ExplicitMaxTTL, "Explicit max TTL"), lesser(&req.Period, r.Period, "Period")...)
}

// lesser sets what is asked for to what the role has, if that is less or nothing was asked for.
func lesser(asked *time.Duration, has time.Duration, what string) []string {
	switch {
	case has == 0:
		return nil
	case *asked == 0:
		*asked = has
		return nil
	}
	*asked = min(*asked, has)
	return []string{fmt.Sprintf("%s specified both during creation call and in role; using the lesser value of %d seconds", what,
		int64(*asked/time.Second))}
}

// decidePolicies computes what a token made by the role may do. own are the policies of the caller,
// for a role that allows none in particular. Order and texts are Vault's.
func (r *TokenRole) decidePolicies(asked, own []string, noDefault bool) ([]string, error) {
	addDefault := !noDefault && !r.NoDefaultPolicy && !r.refuses(policyDefault)
	var policies []string
	if len(asked) > 0 {
		policies = cleanPolicies(asked, addDefault)
	}
	switch {
	case !r.allows() && len(policies) == 0:
		policies = cleanPolicies(own, addDefault)
	case r.allows():
		allowed := cleanPolicies(r.AllowedPolicies, addDefault)
		if len(policies) == 0 {
			policies = allowed
		}
		for _, name := range policies {
			if !slices.Contains(allowed, name) && !globbed(r.AllowedPoliciesGlob, name) {
				return nil, refuse("token policies (%q) must be subset of the role's allowed policies (%q) or glob policies (%q)",
					policies, allowed, r.AllowedPoliciesGlob)
			}
		}
	}
	for _, name := range policies {
		if r.refuses(name) {
			return nil, refuse("token policy %q is disallowed by this role", name)
		}
	}
	return policies, nil
}

func (r *TokenRole) refuses(name string) bool {
	return slices.Contains(r.DisallowedPolicies, name) || globbed(r.DisallowedPoliciesGlob, name)
}

// globbed reports whether one of the patterns matches a name.
func globbed(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, name) })
}

// glob matches a name with a pattern in which every "*" stands for any text, the empty one included.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return true
}
