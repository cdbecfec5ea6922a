package lessor

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/leasehold/leasehold/lease"
)

// Names that mean something to tokens.
const (
	policyRoot    = "root"
	policyDefault = "default"
)

// Bounds of what a token carries, in bytes and pieces.
const (
	maxPolicies    = 1024
	maxPolicyName  = 128
	maxMeta        = 64
	maxMetaText    = 512
	maxDisplayName = 128
	maxCustomID    = 256
)

func refuse(format string, args ...any) error { return lease.Errorf(lease.Invalid, format, args...) }

// decision is a token that may be made, still without names.
type decision struct {
	token    *lease.Token
	never    bool // it never expires
	warnings []string
}

// decideToken applies the rules by which one token makes another, by a role or by none. callerExpires
// says whether the caller's own life has an end. Order and texts are Vault's.
func decideToken(caller *lease.Token, req TokenRequest, role *TokenRole, callerExpires bool) (*decision, error) {
	if role != nil && role.Type == "service" {
		req.Type = role.Type // whatever was asked for
	}
	if err := checkTokenRequest(caller, req, role); err != nil {
		return nil, err
	}
	sudo := req.Sudo || caller.Root()
	if err := checkSudo(caller, req, role, sudo); err != nil {
		return nil, err
	}
	policies, err := decidePolicies(caller, req, role, sudo)
	if err != nil {
		return nil, err
	}
	d := &decision{warnings: role.apply(&req)}
	d.token = &lease.Token{
		Namespace: req.Namespace, Parent: caller.Hash, Path: req.Path, DisplayName: displayName(req.DisplayName),
		Policies: policies, Meta: req.Meta, ExplicitMaxTTL: req.ExplicitMaxTTL, Period: req.Period,
		Renewable: req.Renewable == nil || *req.Renewable, NumUses: req.NumUses,
	}
	if req.Orphan || req.NoParent {
		d.token.Parent = ""
	}
	switch {
	case role != nil:
		d.token.Role, d.token.BoundCIDRs = role.Name, role.BoundCIDRs
	case d.token.Parent != "":
		d.token.BoundCIDRs = caller.BoundCIDRs
	}
	d.never = d.token.Root() && req.TTL == 0 && req.Period == 0 && req.ExplicitMaxTTL == 0
	if d.never && callerExpires {
		return nil, refuse("expiring root tokens cannot create non-expiring root tokens")
	}
	if d.never {
		d.token.BoundCIDRs = nil
	}
	return d, nil
}

// checkTokenRequest refuses what nobody may ask for.
func checkTokenRequest(caller *lease.Token, req TokenRequest, role *TokenRole) error {
	switch {
	case caller.NumUses != 0:
		return refuse("restricted use token cannot generate child tokens")
	case req.Type == "batch":
		return refuse("batch tokens are not supported: ask for type \"service\"")
	case req.Type != "" && req.Type != "service":
		return refuse("invalid 'type' value %q: ask for \"service\"", printable(req.Type))
	case req.EntityAlias != "" && role != nil:
		return refuse("invalid 'entity_alias' value") // no role allows one: there are no entities
	case req.EntityAlias != "":
		return refuse("'entity_alias' is only allowed in combination with token role")
	case req.NumUses < 0:
		return refuse("number of uses cannot be negative")
	case req.NumUses > 1<<30:
		return refuse("number of uses is too large: give at most %d, or 0 for no limit", 1<<30)
	case req.ExplicitMaxTTL < 0:
		return refuse("explicit_max_ttl must be positive")
	case req.Period < 0:
		return refuse("period must be positive")
	case req.TTL < 0:
		return refuse("ttl must be positive")
	case len(req.DisplayName) > maxDisplayName:
		return refuse("display_name is %d bytes long, at most %d are allowed", len(req.DisplayName), maxDisplayName)
	case len(req.Policies) > maxPolicies:
		return refuse("%d policies given, at most %d are allowed", len(req.Policies), maxPolicies)
	}
	return checkMeta(req.Meta)
}

func checkMeta(meta map[string]string) error {
	if len(meta) > maxMeta {
		return refuse("meta has %d entries, at most %d are allowed", len(meta), maxMeta)
	}
	for key, value := range meta {
		for _, text := range []string{key, value} {
			if len(text) > maxMetaText {
				return refuse("meta holds a text of %d bytes, at most %d are allowed", len(text), maxMetaText)
			}
			if printable(text) != text {
				return refuse("meta %q holds characters that cannot be printed", printable(key))
			}
		}
	}
	return nil
}

// checkSudo refuses what takes sudo.
func checkSudo(caller *lease.Token, req TokenRequest, role *TokenRole, sudo bool) error {
	if req.ID != "" {
		if !sudo {
			return refuse("root or sudo privileges required to specify token id")
		}
		if req.Namespace != "" {
			return refuse("token IDs can only be manually specified in the root namespace")
		}
		if err := checkCustomID(req.ID); err != nil {
			return err
		}
	}
	switch {
	case req.Namespace != caller.Namespace && !sudo:
		// The same names stand for other policies there, which the caller does not have.
		return refuse("root or sudo privileges required to directly generate a token in a child namespace")
	case req.NoParent && role == nil && !sudo:
		return refuse("root or sudo privileges required to create orphan token")
	case req.Period > 0 && !sudo:
		return refuse("root or sudo privileges required to create periodic token")
	}
	return nil
}

// checkCustomID keeps secrets that people choose apart from those made here, and out of headers
// what does not belong there.
func checkCustomID(id string) error {
	switch {
	case len(id) > maxCustomID:
		return refuse("custom token ID is %d bytes long, at most %d are allowed", len(id), maxCustomID)
	case strings.HasPrefix(id, bearerPrefix):
		return refuse("custom token ID cannot have the %q prefix", bearerPrefix)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return refuse("custom token ID must be made of printable ASCII characters without spaces")
	}
	return nil
}

// decidePolicies computes what the new token may do: nobody without sudo gives what they have not.
func decidePolicies(caller *lease.Token, req TokenRequest, role *TokenRole, sudo bool) ([]string, error) {
	asked, own, addDefault := req.Policies, caller.Policies, false
	away := req.Namespace != caller.Namespace
	if away {
		own = nil // their names stand for other policies there
	}
	switch {
	case role.restricts():
		var err error
		if asked, err = role.decidePolicies(asked, own, req.NoDefaultPolicy); err != nil {
			return nil, err
		}
	case away:
		addDefault = !req.NoDefaultPolicy
	case len(asked) == 0:
		asked = own
	case sudo:
		addDefault = !req.NoDefaultPolicy
	default:
		for _, name := range cleanPolicies(asked, false) {
			if !slices.Contains(caller.Policies, name) {
				return nil, refuse("child policies must be subset of parent")
			}
		}
		addDefault = !req.NoDefaultPolicy && slices.Contains(caller.Policies, policyDefault)
	}
	policies := cleanPolicies(asked, addDefault)
	if req.NoDefaultPolicy {
		policies = slices.DeleteFunc(policies, func(name string) bool { return name == policyDefault })
	}
	if slices.Contains(policies, policyWrapping) {
		return nil, refuse("policy %q belongs to wrapping tokens", policyWrapping)
	}
	for _, name := range policies {
		if len(name) > maxPolicyName || printable(name) != name {
			return nil, refuse("policy name %q is too long or cannot be printed", printable(name[:min(len(name), maxPolicyName)]))
		}
	}
	if slices.Contains(policies, policyRoot) && !caller.Root() {
		return nil, refuse("root tokens may not be created without parent token being root")
	}
	return policies, nil
}

// cleanPolicies lower-cases, sorts and uniques names. Root makes all others pointless.
func cleanPolicies(names []string, addDefault bool) []string {
	var clean []string
	for _, name := range names {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "":
		case policyRoot:
			return []string{policyRoot}
		default:
			clean = append(clean, name)
		}
	}
	if addDefault {
		clean = append(clean, policyDefault)
	}
	slices.Sort(clean)
	return slices.Compact(clean)
}

var notInDisplayName = regexp.MustCompile("[^a-zA-Z0-9-]")

func displayName(asked string) string {
	if asked == "" {
		return "token"
	}
	return strings.TrimSuffix("token-"+notInDisplayName.ReplaceAllString(asked, "-"), "-")
}

// printable is s without what would spoil a log line or a header.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
