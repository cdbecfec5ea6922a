package approle

import (
	"net/netip"
	"slices"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
)

// readCIDRs reads addresses and networks. They are kept as they were written, which is how Vault shows
// them, and each once.
func readCIDRs(in *field.Reader, name string) []string {
	var list []string
	for _, text := range in.Strings(name) {
		if _, err := tokenparams.ParseCIDR(text); err != nil {
			in.Failf("%s: %q %s", name, field.CleanText(text), err)
			return nil
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
		if len(list) > tokenparams.MaxCIDRs {
			in.Failf("%s: more than the %d entries that are allowed: give larger networks", name, tokenparams.MaxCIDRs)
			return nil
		}
	}
	return list
}

// checkWithin makes sure that a list lies within the role's of another name. A role without one has
// room for all.
func checkWithin(in *field.Reader, name string, list []string, roleName string, role []string) {
	if len(role) == 0 {
		return
	}
	for _, text := range list {
		network, err := tokenparams.ParseCIDR(text)
		if err != nil || !slices.ContainsFunc(role, func(r string) bool { return covers(r, network) }) {
			in.Failf("%s: %q is not within the role's %s: give a part of those", name, field.CleanText(text), roleName)
		}
	}
}

// covers reports whether a network lies within another, given as text.
func covers(text string, network netip.Prefix) bool {
	outer, err := tokenparams.ParseCIDR(text)
	return err == nil && outer.Bits() <= network.Bits() && outer.Contains(network.Addr())
}

// overlap is what two lists of networks have in common, where the empty list is everything. ok is false
// if that is nothing.
func overlap(a, b []string) (common []string, ok bool) {
	switch {
	case len(a) == 0:
		return slices.Clone(b), true
	case len(b) == 0:
		return slices.Clone(a), true
	}
	// Two networks overlap only if one lies within the other.
	for _, pair := range [][2][]string{{a, b}, {b, a}} {
		for _, text := range pair[0] {
			network, err := tokenparams.ParseCIDR(text)
			if err == nil && !slices.Contains(common, text) &&
				slices.ContainsFunc(pair[1], func(outer string) bool { return covers(outer, network) }) {
				common = append(common, text)
			}
		}
	}
	return common, len(common) > 0
}
