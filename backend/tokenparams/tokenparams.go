// Package tokenparams is what the roles and users of all auth methods say about the tokens that
// their logins make: the fields token_ttl, token_policies, token_bound_cidrs and so on, with Vault's
// names, texts and shapes. A method embeds Params in what it stores:
//
//	type user struct {
//		Hash []byte `json:"hash"`
//		tokenparams.Params
//	}
//
//	u.Read(in, "policies", "ttl") // only what was sent changes
//	data := u.Data()              // for a read's answer
//	plan := u.Plan()              // for a login; the method adds Role, DisplayName and Meta
//
// Nothing here reads a clock or does I/O.
package tokenparams

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
)

// Bounds of what is kept.
const (
	MaxPolicies   = 256
	MaxPolicyName = 128 // bytes
	MaxCIDRs      = 128
	MaxNumUses    = 1 << 30
)

// Params are the fields. The zero value is "nothing said": the mount decides. It is not safe for
// concurrent use while Read changes it.
type Params struct {
	TTL             time.Duration `json:"token_ttl,omitempty"`
	MaxTTL          time.Duration `json:"token_max_ttl,omitempty"` // from issue
	ExplicitMaxTTL  time.Duration `json:"token_explicit_max_ttl,omitempty"`
	Period          time.Duration `json:"token_period,omitempty"`
	NumUses         int           `json:"token_num_uses,omitempty"` // 0: unlimited
	Policies        []string      `json:"token_policies,omitempty"` // lower case, sorted, each once
	NoDefaultPolicy bool          `json:"token_no_default_policy,omitempty"`
	BoundCIDRs      []string      `json:"token_bound_cidrs,omitempty"` // addresses and networks in their shortest form
	Type            string        `json:"token_type,omitempty"`        // service, default-service; "": default
	// Old are the fields, by their old names, that were last sent under those names: answers show
	// them under both.
	Old []string `json:"old_names,omitempty"`
}

const prefix = "token_"

// Read takes over the fields that were sent and leaves the others as they are; null and the empty
// value clear one. Faults go to in, and then p must not be kept. old lists the fields that the method
// still takes under their names of before ("policies" for token_policies, "ttl" for token_ttl, and so
// on); where both names are sent, the new one counts.
func (p *Params) Read(in *field.Reader, old ...string) {
	r := &reader{Reader: in, old: old, params: p}
	if name, ok := r.sent("token_bound_cidrs"); ok {
		p.BoundCIDRs = readCIDRs(in, name)
	}
	for _, d := range []struct {
		name string
		to   *time.Duration
	}{
		{"token_ttl", &p.TTL}, {"token_max_ttl", &p.MaxTTL},
		{"token_explicit_max_ttl", &p.ExplicitMaxTTL}, {"token_period", &p.Period},
	} {
		if name, ok := r.sent(d.name); ok {
			*d.to = in.Duration(name)
		}
	}
	if name, ok := r.sent("token_num_uses"); ok {
		p.NumUses = in.Int(name, 0)
	}
	if name, ok := r.sent("token_policies"); ok {
		p.Policies = readPolicies(in, name)
	}
	if name, ok := r.sent("token_no_default_policy"); ok {
		p.NoDefaultPolicy = in.Bool(name, false)
	}
	if name, ok := r.sent("token_type"); ok {
		p.Type = readType(in, name)
	}
	p.check(in)
}

func (p *Params) check(in *field.Reader) {
	switch {
	case p.NumUses < 0:
		in.Failf("'token_num_uses' cannot be negative")
	case p.NumUses > MaxNumUses:
		in.Failf("'token_num_uses' is too large: give at most %d, or 0 for no limit", MaxNumUses)
	case p.MaxTTL > 0 && p.TTL > p.MaxTTL:
		in.Failf("'token_ttl' cannot be greater than 'token_max_ttl'")
	}
}

// reader knows under which name a field was sent.
type reader struct {
	*field.Reader
	old    []string
	params *Params
}

// sent returns the name under which a field was sent, and whether it was.
func (r *reader) sent(name string) (string, bool) {
	short := strings.TrimPrefix(name, prefix)
	under := slices.Contains(r.old, short) && r.Has(short)
	if !r.Has(name) && !under {
		return "", false
	}
	var shown []string // a new slice: the one there may belong to a value that somebody else reads
	for _, name := range r.params.Old {
		if name != short {
			shown = append(shown, name)
		}
	}
	if under {
		shown = append(shown, short)
		slices.Sort(shown)
	}
	r.params.Old = shown
	if r.Has(name) {
		return name, true
	}
	return short, true
}

func readPolicies(in *field.Reader, name string) []string {
	var clean []string
	for _, policy := range in.Strings(name) {
		policy = strings.ToLower(policy)
		if len(policy) > MaxPolicyName {
			in.Failf("%s: a name is %d bytes long, at most %d are allowed: shorten it", name, len(policy), MaxPolicyName)
		}
		if err := field.CheckText(policy); err != nil {
			in.Failf("%s: %q %s: use plain text", name, field.CleanText(policy), err)
		}
		clean = append(clean, policy)
	}
	slices.Sort(clean)
	if clean = slices.Compact(clean); len(clean) > MaxPolicies {
		in.Failf("%s: %d policies given, at most %d are allowed: put their rules together", name, len(clean), MaxPolicies)
	}
	return clean
}

const (
	typeDefault        = "default"
	typeService        = "service"
	typeDefaultService = "default-service"
)

func readType(in *field.Reader, name string) string {
	switch t := in.String(name); t {
	case "", typeDefault:
	case typeService, typeDefaultService:
		return t
	case "batch", "default-batch":
		in.Failf("%s: batch tokens are not supported: ask for %q", name, typeService)
	default:
		in.Failf("invalid '%s' value %q: ask for %q", name, field.CleanText(t), typeService)
	}
	return ""
}

// Data is the fields as answers show them: durations in whole seconds, lists never null. The map and
// its lists are the caller's.
func (p *Params) Data() map[string]any {
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	list := func(l []string) []string { return append([]string{}, l...) }
	data := map[string]any{
		"token_ttl":               seconds(p.TTL),
		"token_max_ttl":           seconds(p.MaxTTL),
		"token_explicit_max_ttl":  seconds(p.ExplicitMaxTTL),
		"token_period":            seconds(p.Period),
		"token_num_uses":          p.NumUses,
		"token_policies":          list(p.Policies),
		"token_no_default_policy": p.NoDefaultPolicy,
		"token_bound_cidrs":       list(p.BoundCIDRs),
		"token_type":              p.Type,
	}
	if p.Type == "" {
		data["token_type"] = typeDefault
	}
	both := map[string]any{}
	for _, name := range p.Old {
		both[name] = data[prefix+name]
	}
	maps.Copy(data, both)
	return data
}

// Plan is the token that a login earns, without Role, DisplayName and Meta. Its lists are the
// caller's.
func (p *Params) Plan() backend.LoginPlan {
	return backend.LoginPlan{
		Policies:        slices.Clone(p.Policies),
		LoginLimits:     p.Limits(),
		NoDefaultPolicy: p.NoDefaultPolicy,
		ExplicitMaxTTL:  p.ExplicitMaxTTL,
		NumUses:         p.NumUses,
		BoundCIDRs:      slices.Clone(p.BoundCIDRs),
	}
}

// Limits are what a renewal of the token goes by.
func (p *Params) Limits() backend.LoginLimits {
	return backend.LoginLimits{TTL: p.TTL, MaxTTL: p.MaxTTL, Period: p.Period}
}
