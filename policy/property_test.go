package policy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leasehold/leasehold/policy"
)

// The reference is the package comment turned into the plainest code: every pattern a regular
// expression, all matches collected and sorted, equal patterns merged on the way.
type reference []policy.Rule

func (ref reference) check(req policy.Request) policy.Decision {
	pattern, found := ref.pattern(strings.TrimLeft(req.Path, "/"), req.Capability&policy.List != 0)
	d := policy.Decision{Rule: pattern}
	if req.Sudo {
		d.Missing = policy.Sudo
	}
	if !found {
		d.Refusal, d.Missing = policy.NoRule, d.Missing|req.Capability
		return d
	}
	all, unscoped := ref.merged(pattern)
	if all&policy.Deny != 0 {
		d.Refusal, d.Missing = policy.DeniedByRule, d.Missing|req.Capability
		return d
	}
	sudo := d.Missing
	d.Sudo = all&policy.Sudo != 0
	d.Missing &^= all
	if all&req.Capability == 0 {
		d.Missing |= req.Capability
	}
	switch {
	case d.Missing != 0 || req.Capability == 0:
		d.Refusal = policy.NotGranted
	case !ref.wrapsWithin(pattern, req.WrapTTL):
		d.Refusal = policy.BadWrapping
	case req.Capability&(policy.Create|policy.Read|policy.Update|policy.Patch) != 0:
		if d.Parameter = ref.badParameter(pattern, req.Params); d.Parameter != "" {
			d.Refusal = policy.BadParameter
		}
	}
	if d.Refusal == policy.NotRefused {
		d.Allowed = true
		d.OwnOnly = unscoped&req.Capability == 0 || sudo&^unscoped != 0
	}
	return d
}

// capabilities is what sys/capabilities answers.
func (ref reference) capabilities(path string) []string {
	pattern, found := ref.pattern(strings.TrimLeft(path, "/"), strings.HasSuffix(path, "/"))
	all, _ := ref.merged(pattern)
	if !found || all == 0 || all&policy.Deny != 0 {
		return []string{"deny"}
	}
	return all.Names()
}

func (ref reference) merged(pattern string) (all, unscoped policy.Capability) {
	for _, r := range ref {
		if r.Path == pattern {
			all |= r.Capabilities
			if !r.Own {
				unscoped |= r.Capabilities
			}
		}
	}
	return all, unscoped
}

func (ref reference) pattern(path string, list bool) (string, bool) {
	if list && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	var exact, bareExact, others []string
	for _, r := range ref {
		all, _ := ref.merged(r.Path)
		bare := list && all&(policy.List|policy.Deny) != 0 && expression(r.Path).MatchString(path[:len(path)-1])
		switch literal := !isGlob(r.Path) && pluses(r.Path) == 0; {
		case literal && r.Path == path:
			exact = append(exact, r.Path)
		case literal && bare:
			bareExact = append(bareExact, r.Path)
		case literal:
		case bare || expression(r.Path).MatchString(path):
			others = append(others, r.Path)
		}
	}
	slices.SortFunc(others, func(a, b string) int {
		if a == b {
			return 0
		}
		if better(a, b) {
			return -1
		}
		return 1
	})
	for _, candidates := range [][]string{exact, bareExact, others} {
		if len(candidates) > 0 {
			return candidates[0], true
		}
	}
	return "", false
}

func expression(pattern string) *regexp.Regexp {
	segments := strings.Split(strings.TrimSuffix(pattern, "*"), "/")
	for i, s := range segments {
		if s == "+" {
			segments[i] = "[^/]*"
		} else {
			segments[i] = regexp.QuoteMeta(s)
		}
	}
	text := "^" + strings.Join(segments, "/")
	if !isGlob(pattern) {
		text += "$"
	}
	return regexp.MustCompile("(?s)" + text)
}

func isGlob(pattern string) bool { return strings.HasSuffix(pattern, "*") }

var plusSegment = regexp.MustCompile(`(^|/)\+($|/)`)

func pluses(pattern string) int {
	n := 0
	for _, s := range strings.Split(pattern, "/") {
		if s == "+" {
			n++
		}
	}
	return n
}

func better(a, b string) bool {
	first := func(p string) int {
		if m := plusSegment.FindStringIndex(p); m != nil {
			return m[0] + strings.IndexByte(p[m[0]:], '+')
		}
		return len(p) - 1 // its closing "*"
	}
	switch {
	case first(a) != first(b):
		return first(a) > first(b)
	case isGlob(a) != isGlob(b):
		return isGlob(b)
	case pluses(a) != pluses(b):
		return pluses(a) < pluses(b)
	case len(a) != len(b):
		return len(a) > len(b)
	default:
		return a > b
	}
}

func TestDecisionsAreThoseOfANaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policies, ref := drawPolicies(t)
		a := policy.NewACL(policies...)
		other := policy.NewACL(rapid.Permutation(policies).Draw(t, "another order")...)
		for range 8 {
			req := drawRequest(t, ref)
			got := a.Check(req)
			if want := ref.check(req); got != want {
				t.Fatalf("%+v:\n got %+v\nwant %+v\nrules %+v", req, got, want, []policy.Rule(ref))
			}
			// Of several required parameters that are absent another one may be named.
			turned := other.Check(req)
			if turned.Parameter = got.Parameter; turned != got {
				t.Fatalf("%+v: got %+v, with the policies in another order %+v\nrules %+v", req, got, turned, []policy.Rule(ref))
			}
			if got, want := a.Capabilities(req.Path), ref.capabilities(req.Path); !slices.Equal(got, want) {
				t.Fatalf("capabilities on %q: got %v, want %v\nrules %+v", req.Path, got, want, []policy.Rule(ref))
			}
		}
		checkRules(t, a.Rules(), ref)
	})
}

// The same on one path, where all rules meet, so that merging and parameters are tried hard.
func TestRestrictionsAreThoseOfANaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ref reference
		var policies []*policy.Policy
		for range rapid.IntRange(1, 3).Draw(t, "rules") {
			r := drawRule(t, "p")
			r.Path = "p"
			r.Capabilities |= policy.Update
			ref = append(ref, r)
			policies = append(policies, &policy.Policy{Rules: []policy.Rule{r}})
		}
		a := policy.NewACL(policies...)
		for range 16 {
			req := drawRequest(t, ref)
			req.Path = "p"
			if got, want := a.Check(req), ref.check(req); got != want {
				t.Fatalf("%+v:\n got %+v\nwant %+v\nrules %+v", req, got, want, []policy.Rule(ref))
			}
		}
	})
}

// checkRules compares what an ACL says of itself with the reference.
func checkRules(t *rapid.T, got []policy.Merged, ref reference) {
	var patterns []string
	for _, r := range ref {
		patterns = append(patterns, r.Path)
	}
	slices.Sort(patterns)
	if patterns = slices.Compact(patterns); len(got) != len(patterns) {
		t.Fatalf("got %d rules, want those of %q", len(got), patterns)
	}
	for i, r := range got {
		all, unscoped := ref.merged(patterns[i])
		names := []string{"deny"}
		if all != 0 && all&policy.Deny == 0 {
			names = all.Names()
		}
		plain := pluses(r.Pattern) == 0
		own := names[0] != "deny" && unscoped == 0
		if r.Pattern != patterns[i] || !slices.Equal(r.Capabilities, names) || r.OwnOnly != own ||
			r.Exact != (plain && !isGlob(r.Pattern)) || r.Prefix != (plain && isGlob(r.Pattern)) {
			t.Fatalf("got %+v, want pattern %q with %v, own only %v", r, patterns[i], names, own)
		}
	}
}
