package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/leasehold/leasehold/policy"
)

// What the property tests draw is small, so that patterns and paths meet.

// drawRequest draws a request, mostly one that a rule of ref matches.
func drawRequest(t *rapid.T, ref reference) policy.Request {
	segment := rapid.SampledFrom([]string{"a", "b", "ab", "", "+", "+a", "a*"})
	segments := rapid.SliceOfN(segment, 0, 5).Draw(t, "segments")
	if len(ref) > 0 && rapid.IntRange(0, 3).Draw(t, "matching") > 0 {
		segments = strings.Split(rapid.SampledFrom(ref).Draw(t, "rule").Path, "/")
		for i, s := range segments {
			if s == "+" || s == "*" {
				segments[i] = segment.Draw(t, "wildcard")
			}
		}
	}
	return policy.Request{
		Path: strings.Join(segments, "/"),
		Capability: rapid.SampledFrom([]policy.Capability{policy.Create, policy.Read, policy.Update, policy.Delete, policy.List,
			policy.Patch, policy.Create | policy.Update, 0}).Draw(t, "need"),
		Sudo:    rapid.IntRange(0, 3).Draw(t, "sudo") == 0,
		Params:  drawParams(t),
		WrapTTL: time.Duration(rapid.IntRange(0, 4).Draw(t, "wrap")) * time.Second,
	}
}

func drawParams(t *rapid.T) map[string]any {
	params := map[string]any{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "B", "c"}), 0, 3, rapid.ID).Draw(t, "names") {
		params[name] = rapid.SampledFrom([]any{"x", "xy", "zy", json.Number("1"), "1", true, nil, []any{}, []any{"x"},
			[]any{"x", "zy"}}).Draw(t, "value")
	}
	return params
}

// drawPolicies draws policies, writes them as text and has them parsed.
func drawPolicies(t *rapid.T) ([]*policy.Policy, reference) {
	var policies []*policy.Policy
	var ref reference
	segment := rapid.SampledFrom([]string{"a", "b", "ab", "", "+", "+", "+a", "a*"})
	pool := rapid.SliceOfN(rapid.SliceOfN(segment, 0, 5), 1, 8).Draw(t, "patterns")
	for range rapid.IntRange(1, 4).Draw(t, "policies") {
		var rules []policy.Rule
		for range rapid.IntRange(0, 8).Draw(t, "rules") {
			r := drawRule(t, strings.Join(rapid.SampledFrom(pool).Draw(t, "pattern"), "/"))
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

// drawRule draws what a rule says of a pattern, to which it may add a closing "*".
func drawRule(t *rapid.T, pattern string) policy.Rule {
	r := policy.Rule{Path: strings.TrimLeft(pattern, "/")}
	if rapid.Bool().Draw(t, "glob") && !strings.HasSuffix(r.Path, "+") {
		r.Path += "*"
	}
	r.Capabilities = policy.Capability(rapid.IntRange(0, 63).Draw(t, "capabilities"))
	if rapid.IntRange(0, 9).Draw(t, "deny") == 0 {
		r.Capabilities = policy.Deny
	}
	r.Own = rapid.Bool().Draw(t, "own")
	if rapid.Bool().Draw(t, "no restrictions") {
		return r
	}
	// One kind of restriction at a time, mostly: else nearly all requests fail for the first.
	switch rapid.IntRange(0, 6).Draw(t, "restriction") {
	case 0:
		r.Required = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 1, 2, rapid.ID).Draw(t, "required")
	case 1:
		bounds := rapid.SliceOfN(rapid.IntRange(0, 4), 2, 2).Draw(t, "wrapping")
		r.MinWrap, r.MaxWrap = time.Duration(bounds[0])*time.Second, time.Duration(bounds[1])*time.Second
		if r.MaxWrap < r.MinWrap {
			r.MaxWrap = 0
		}
	case 2:
		r.Denied = drawValues(t)
	case 3:
		r.Allowed, r.Denied = drawValues(t), drawValues(t)
	default:
		r.Allowed = drawValues(t)
	}
	return r
}

func drawValues(t *rapid.T) map[string][]any {
	values := map[string][]any{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "*"}), 0, 2, rapid.ID).Draw(t, "parameters") {
		if rapid.IntRange(0, 3).Draw(t, "any value") == 0 {
			values[name] = []any{}
			continue
		}
		values[name] = rapid.SliceOfN(rapid.SampledFrom([]any{"x", "x*", "*y", json.Number("1"), "true", nil, []any{}, []any{"x"}}),
			1, 2).Draw(t, "values")
	}
	return values
}

// printRules writes one rule to a line.
func printRules(rules []policy.Rule, asJSON bool) string {
	rule, field, before, between, after := "path %q {%s }", " %s = %s", "", "\n", "\n"
	if asJSON {
		rule, field, before, between, after = `{%q: {%s}}`, ", %q: %s", `{"path": [`, ",\n", "]}"
	}
	var lines []string
	for _, r := range rules {
		var fields strings.Builder
		for _, f := range []struct {
			name  string
			value any
			empty bool
		}{
			{"capabilities", r.Capabilities.Names(), false}, {"lease_scope", "own", !r.Own},
			{"allowed_parameters", r.Allowed, len(r.Allowed) == 0}, {"denied_parameters", r.Denied, len(r.Denied) == 0},
			{"required_parameters", r.Required, len(r.Required) == 0},
			{"min_wrapping_ttl", r.MinWrap.Seconds(), r.MinWrap == 0}, {"max_wrapping_ttl", r.MaxWrap.Seconds(), r.MaxWrap == 0},
		} {
			if !f.empty {
				fmt.Fprintf(&fields, field, f.name, printValue(f.value))
			}
		}
		lines = append(lines, fmt.Sprintf(rule, r.Path, strings.TrimPrefix(fields.String(), ",")))
	}
	return before + strings.Join(lines, between) + after
}

func printValue(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// wrapsWithin: the shortest time that any rule of the pattern names counts.
func (ref reference) wrapsWithin(pattern string, ttl time.Duration) bool {
	var least, most []time.Duration
	for _, r := range ref {
		if r.Path == pattern && r.MinWrap > 0 {
			least = append(least, r.MinWrap)
		}
		if r.Path == pattern && r.MaxWrap > 0 {
			most = append(most, r.MaxWrap)
		}
	}
	return (len(least) == 0 || ttl >= slices.Min(least)) && (len(most) == 0 || ttl > 0 && ttl <= slices.Min(most))
}

// badParameter is the name of the parameter for which a request is refused, "" if none.
func (ref reference) badParameter(pattern string, params map[string]any) string {
	allowed, denied := map[string][]any{}, map[string][]any{}
	for _, r := range ref {
		if r.Path != pattern {
			continue
		}
		for _, name := range r.Required {
			if _, given := params[name]; !given {
				return name
			}
		}
		gather(allowed, r.Allowed)
		gather(denied, r.Denied)
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value, key := params[name], strings.ToLower(name)
		_, all := denied["*"]
		_, rest := allowed["*"]
		no, isDenied := denied[key]
		yes, isAllowed := allowed[key]
		switch {
		case all, isDenied && among(no, value, false):
			return name
		case len(allowed) == 0:
		case isAllowed && !among(yes, value, true), !isAllowed && !rest:
			return name
		}
	}
	return ""
}

// anything stands for "any value" among a parameter's values.
type anything struct{}

func gather(into, from map[string][]any) {
	for name, values := range from {
		if len(values) == 0 {
			values = []any{anything{}}
		}
		into[name] = append(into[name], values...)
	}
}

// among reports whether a value is among values, or is a list of which one element, or all of them
// and at least one, are.
func among(values []any, got any, all bool) bool {
	is := func(got any) bool {
		return slices.ContainsFunc(values, func(v any) bool { return v == anything{} || same(v, got) })
	}
	list, isList := got.([]any)
	if is(got) || !isList || len(list) == 0 {
		return is(got)
	}
	count := 0
	for _, e := range list {
		if is(e) {
			count++
		}
	}
	return all && count == len(list) || !all && count > 0
}

// same compares a rule's value with one of a request, both as JSON without the quotes of a string.
func same(rule, got any) bool {
	r, g := strings.Trim(printValue(rule), `"`), strings.Trim(printValue(got), `"`)
	if _, isText := rule.(string); isText && got != nil && g[0] != '[' {
		return strings.HasPrefix(r, "*") && strings.HasSuffix(g, r[1:]) || strings.HasSuffix(r, "*") && strings.HasPrefix(g, r[:len(r)-1]) || r == g
	}
	if (rule == nil) != (got == nil) || (r[0] == '[') != (g[0] == '[') {
		return false
	}
	return r == g
}
