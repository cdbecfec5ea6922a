package policy

import (
	"cmp"
	"slices"
	"time"
)

// Merged is all that the policies of an ACL say of one pattern.
type Merged struct {
	Pattern string // as written
	// Exact: the pattern has no wildcard. Prefix: its one wildcard is the "*" at its end.
	Exact, Prefix bool
	Capabilities  []string // sorted names; deny alone if the rules deny or grant nothing
	// OwnOnly: every capability reaches only leases of the calling token and its descendants.
	OwnOnly bool

	// The restrictions, as in Rule. Maps and lists belong to the ACL: they must not be changed.
	MinWrap, MaxWrap time.Duration
	Allowed, Denied  map[string][]any
	Required         []string
}

// Rules returns what the policies say, merged, in order of patterns. It is nil for root, which no
// list of rules describes.
func (a *ACL) Rules() []Merged {
	if a.Len() == 0 {
		return nil
	}
	list := make([]Merged, 0, len(a.rules))
	for _, r := range a.rules {
		list = append(list, r.merged())
	}
	slices.SortFunc(list, func(a, b Merged) int { return cmp.Compare(a.Pattern, b.Pattern) })
	return list
}

func (r *rule) merged() Merged {
	m := Merged{
		Pattern: r.pattern, Exact: r.exact(), Prefix: r.glob && r.plus == 0, Capabilities: r.names(),
		OwnOnly: r.grants() && r.unscoped == 0,
	}
	if c := r.constraints; c != nil {
		m.MinWrap, m.MaxWrap, m.Allowed, m.Denied, m.Required = c.minWrap, c.maxWrap, c.allowed, c.denied, c.required
	}
	return m
}

// exact reports whether the pattern stands for one path alone.
func (r *rule) exact() bool { return !r.glob && r.plus == 0 }

// grants reports whether the rule allows anything at all. It is nil-safe: no rule grants nothing.
func (r *rule) grants() bool { return r != nil && r.granted != 0 && !r.granted.Has(Deny) }

// names are the sorted names of what the rule grants, "deny" if that is nothing.
func (r *rule) names() []string {
	if !r.grants() {
		return []string{"deny"}
	}
	return r.granted.Names()
}
