package policy_test

import (
	"fmt"
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

func (ref reference) check(path string, need policy.Capability, sudo bool) policy.Decision {
	pattern, found := ref.pattern(strings.TrimLeft(path, "/"), need == policy.List)
	d := policy.Decision{Rule: pattern}
	if sudo {
		d.Missing = policy.Sudo
	}
	if !found {
		d.Refusal, d.Missing = policy.NoRule, d.Missing|need
		return d
	}
	all, unscoped := ref.merged(pattern)
	if all&policy.Deny != 0 {
		d.Refusal, d.Missing = policy.DeniedByRule, d.Missing|need
		return d
	}
	asked := d.Missing | need
	d.Sudo = all&policy.Sudo != 0
	d.Missing = asked &^ all
	d.Allowed = d.Missing == 0
	if !d.Allowed {
		d.Refusal = policy.NotGranted
		return d
	}
	d.OwnOnly = asked&^unscoped != 0
	return d
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
		for range 8 {
			path := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "", "+", "+a", "a*"}), 0, 5).
				Draw(t, "segments"), "/")
			need := rapid.SampledFrom([]policy.Capability{policy.Read, policy.Update, policy.List}).Draw(t, "need")
			sudo := rapid.Bool().Draw(t, "sudo")
			got := a.Check(policy.Request{Path: path, Capability: need, Sudo: sudo})
			if want := ref.check(path, need, sudo); got != want {
				t.Fatalf("%s %q, sudo %v:\n got %+v\nwant %+v\nrules %v", need, path, sudo, got, want, []policy.Rule(ref))
			}
		}
	})
}

// drawPolicies draws policies, writes them as text and has them parsed.
func drawPolicies(t *rapid.T) ([]*policy.Policy, reference) {
	var policies []*policy.Policy
	var ref reference
	segment := rapid.SampledFrom([]string{"a", "b", "ab", "", "+", "+", "+a", "a*"})
	for range rapid.IntRange(1, 4).Draw(t, "policies") {
		var rules []policy.Rule
		for range rapid.IntRange(0, 8).Draw(t, "rules") {
			r := policy.Rule{Path: strings.TrimLeft(strings.Join(rapid.SliceOfN(segment, 0, 5).Draw(t, "pattern"), "/"), "/")}
			if rapid.Bool().Draw(t, "glob") && !strings.HasSuffix(r.Path, "+") {
				r.Path += "*"
			}
			r.Capabilities = policy.Capability(rapid.IntRange(0, 63).Draw(t, "capabilities"))
			if rapid.IntRange(0, 9).Draw(t, "deny") == 0 {
				r.Capabilities = policy.Deny
			}
			r.Own = rapid.Bool().Draw(t, "own")
			r.Line = 1 + len(rules)
			rules = append(rules, r)
		}
		text := printRules(rules, rapid.Bool().Draw(t, "json"))
		p, err := policy.Parse("drawn", text)
		if err != nil {
			t.Fatalf("Parse(%s): %v", text, err)
		}
		if !slices.EqualFunc(p.Rules, rules, func(a, b policy.Rule) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Fatalf("Parse(%s)\n got %+v\nwant %+v", text, p.Rules, rules)
		}
		policies = append(policies, p)
		ref = append(ref, rules...)
	}
	return policies, ref
}

// printRules writes one rule to a line.
func printRules(rules []policy.Rule, asJSON bool) string {
	rule, scope, before, between, after := "path %q { capabilities = [%s] %s }", `lease_scope = "own"`, "", "\n", "\n"
	if asJSON {
		rule, scope, before, between, after = `{%q: {"capabilities": [%s]%s}}`, `, "lease_scope": "own"`, `{"path": [`, ",\n", "]}"
	}
	var lines []string
	for _, r := range rules {
		var names []string
		for _, n := range r.Capabilities.Names() {
			names = append(names, fmt.Sprintf("%q", n))
		}
		own := ""
		if r.Own {
			own = scope
		}
		lines = append(lines, fmt.Sprintf(rule, r.Path, strings.Join(names, ", "), own))
	}
	return before + strings.Join(lines, between) + after
}
