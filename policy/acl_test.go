package policy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/policy"
)

// granted returns the pattern that counts for a request and whether it is allowed.
func granted(a *policy.ACL, path string, need policy.Capability) (string, bool) {
	d := a.Check(policy.Request{Path: path, Capability: need})
	return d.Rule, d.Allowed
}

// Each case lists patterns from the one that counts down; the losers deny, so that a wrong choice
// shows twice. The order in the text must not matter.
func TestTheMostSpecificPatternCounts(t *testing.T) {
	tests := []struct {
		path     string
		patterns []string
	}{
		{"secret/foo", []string{"secret/foo", "secret/fo*", "secret/+", "secret/*", "s*", "+/foo", "*"}},
		{"secret/foo/bar", []string{"secret/foo/b*", "secret/foo/*", "secret/fo*", "secret/+/bar", "secret/+/ba*", "*"}},
		// The first wildcard comes later.
		{"foo/bar/x/baz", []string{"foo/bar/+/baz", "foo/+/x/baz"}},
		{"foo/abc", []string{"foo/a*", "foo/+"}},
		// No * at the end.
		{"foo/bar", []string{"foo/+", "foo/*"}},
		{"foo/x/bar", []string{"foo/+/bar", "foo/+/ba*"}},
		{"foo/x/bar", []string{"foo/+/+", "foo/*"}},
		// Fewer +.
		{"foo/bar/x/baz", []string{"foo/bar/+/baz", "foo/bar/+/+"}},
		{"foo/x/y", []string{"foo/*", "foo/+/y*", "foo/+/*"}},
		{"foo/x/y", []string{"foo/+/y", "foo/+/+"}},
		// Longer.
		{"foo/x/bar/bazz", []string{"foo/+/bar/ba*", "foo/+/bar/b*", "foo/+/*"}},
		// Later in byte order.
		{"a/b/c/d", []string{"a/+/c/+", "a/+/+/d"}},
		// The edges.
		{"", []string{"", "+", "*"}},
		{"foo/", []string{"foo/", "foo/+", "foo/*", "foo*"}},
		{"foo//bar", []string{"foo//bar", "foo/+/bar"}},
		{"a+b/x", []string{"a+b/+", "+/x"}},
		{"a*b/x", []string{"a*b/+", "a*b/*", "a*"}},
	}
	for _, tt := range tests {
		for top := range tt.patterns {
			var text strings.Builder
			for i := len(tt.patterns) - 1; i >= top; i-- {
				capability := "deny"
				if i == top {
					capability = "read"
				}
				text.WriteString(`path "` + tt.patterns[i] + `" { capabilities = ["` + capability + `"] }`)
			}
			if got, ok := granted(acl(t, text.String()), tt.path, policy.Read); got != tt.patterns[top] || !ok {
				t.Errorf("%q among %q: got %q, allowed %v; want %q", tt.path, tt.patterns[top:], got, ok, tt.patterns[top])
			}
		}
	}
}

func TestPatternsThatDoNotMatch(t *testing.T) {
	tests := []struct{ pattern, path string }{
		{"foo", "foo/"}, {"foo", "fo"}, {"foo", "Foo"}, {"foo/", "foo"}, {"foo/*", "foo"}, {"foo/b*", "foo/"},
		{"foo/+", "foo"}, {"foo/+", "foo/a/b"}, {"foo/+", "foo/a/"}, {"+", "a/b"}, {"foo/+/b*", "foo/a"},
		{"foo/+/b*", "foo/a/c"}, {"foo/+/*", "foo/a"}, {"foo/+/bar", "foo/a/bar/x"}, {"foo/+x", "foo/ax"},
		{"foo/*/x", "foo/a/x"}, {"+/+", "a"}, {"foo/+/a/*", "foo/x/b/c"}, {"*x", "x"}, {"foo/%2a", "foo/*"},
	}
	for _, tt := range tests {
		a := acl(t, `path "`+tt.pattern+`" { capabilities = ["read"] }`)
		if d := a.Check(policy.Request{Path: tt.path, Capability: policy.Read}); d.Allowed || d.Refusal != policy.NoRule {
			t.Errorf("%q on %q: got %+v, want no rule", tt.pattern, tt.path, d)
		}
	}
}

func TestLeadingSlashesDoNotMatter(t *testing.T) {
	a := acl(t, `path "/foo" { capabilities = ["read"] }`)
	for _, path := range []string{"foo", "/foo", "//foo"} {
		if _, ok := granted(a, path, policy.Read); !ok {
			t.Errorf("%q: got refused, want allowed", path)
		}
	}
}

func TestListCountsRulesWithoutTheSlash(t *testing.T) {
	tests := map[string]struct {
		text, path, rule string
		allowed          bool
	}{
		"exact, with its slash": {`path "a/" { capabilities = ["list"] } path "a" { capabilities = ["deny"] }`, "a/", "a/", true},
		"exact, without":        {`path "a" { capabilities = ["list"] } path "*" { capabilities = ["read"] }`, "a/", "a", true},
		"asked without":         {`path "a/" { capabilities = ["list"] }`, "a", "a/", true},
		"a deny without holds":  {`path "a" { capabilities = ["deny"] } path "a/*" { capabilities = ["list"] }`, "a/", "a", false},
		"what says nothing of listing hides nothing": {`path "a" { capabilities = ["update"] } path "a/*" { capabilities = ["list"] }`,
			"a/", "a/*", true},
		"nor does it hide a + that does": {`path "a/+" { capabilities = ["read"] } path "+/b" { capabilities = ["list"] }
			path "*" { capabilities = ["read"] }`, "a/b/", "+/b", true},
		"a + for the folder":             {`path "a/+" { capabilities = ["list"] } path "a/*" { capabilities = ["read"] }`, "a/b/", "a/+", true},
		"a + that denies":                {`path "a/+" { capabilities = ["deny"] } path "a/*" { capabilities = ["list"] }`, "a/b/", "a/+", false},
		"the more specific * counts":     {`path "*" { capabilities = ["list"] } path "a/*" { capabilities = ["deny"] }`, "a/", "a/*", false},
		"and the other way round":        {`path "*" { capabilities = ["deny"] } path "a/*" { capabilities = ["list"] }`, "a/", "a/*", true},
		"a + for the empty last segment": {`path "a/+" { capabilities = ["list"] }`, "a/", "a/+", true},
		"no rule":                        {`path "b" { capabilities = ["list"] }`, "a/", "", false},
		"the top":                        {`path "" { capabilities = ["list"] }`, "", "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := granted(acl(t, tt.text), tt.path, policy.List); got != tt.rule || ok != tt.allowed {
				t.Errorf("LIST %q under %s: got %q, allowed %v; want %q, %v", tt.path, tt.text, got, ok, tt.rule, tt.allowed)
			}
		})
	}
}

// With Vault, an admin who also has the default policy cannot list the top of the leases.
func TestDefaultDoesNotHideAnOperatorsListOfLeases(t *testing.T) {
	a := acl(t, policy.Default, `path "sys/leases/*" { capabilities = ["list", "sudo"] }`)
	d := a.Check(policy.Request{Path: "sys/leases/lookup/", Capability: policy.List, Sudo: true})
	if !d.Allowed || d.OwnOnly {
		t.Errorf("got %+v, want allowed for all leases", d)
	}
	if d := a.Check(policy.Request{Path: "sys/leases/lookup", Capability: policy.Update}); !d.Allowed || !d.OwnOnly {
		t.Errorf("update: got %+v, want allowed for own leases", d)
	}
}

func TestEqualPatternsAreMerged(t *testing.T) {
	rule := func(fields string) string { return `path "a/*" { ` + fields + ` }` }
	update := policy.Request{Path: "a/b", Capability: policy.Update}
	sudo := policy.Request{Path: "a/b", Capability: policy.Update, Sudo: true}
	tests := map[string]struct {
		policies []string
		req      policy.Request
		want     policy.Decision
	}{
		"capabilities add up": {[]string{rule(`capabilities = ["update"]`), rule(`capabilities = ["sudo"]`)}, sudo,
			policy.Decision{Allowed: true, Sudo: true, Rule: "a/*"}},
		"deny first": {[]string{rule(`policy = "deny"`), rule(`capabilities = ["update"]`)}, update,
			policy.Decision{Refusal: policy.DeniedByRule, Missing: policy.Update, Rule: "a/*"}},
		"deny last": {[]string{rule(`capabilities = ["update"]`), rule(`policy = "deny"`)}, sudo,
			policy.Decision{Refusal: policy.DeniedByRule, Missing: policy.Update | policy.Sudo, Rule: "a/*"}},
		"twice in one policy": {[]string{rule(`capabilities = ["update"]`) + rule(`capabilities = ["deny"]`)}, update,
			policy.Decision{Refusal: policy.DeniedByRule, Missing: policy.Update, Rule: "a/*"}},
		"sudo is lacking": {[]string{rule(`capabilities = ["update"]`)}, sudo,
			policy.Decision{Refusal: policy.NotGranted, Missing: policy.Sudo, Rule: "a/*"}},
		"sudo alone": {[]string{rule(`capabilities = ["sudo"]`)}, sudo,
			policy.Decision{Refusal: policy.NotGranted, Missing: policy.Update, Sudo: true, Rule: "a/*"}},
		"no capabilities": {[]string{rule(``)}, sudo,
			policy.Decision{Refusal: policy.NotGranted, Missing: policy.Update | policy.Sudo, Rule: "a/*"}},
		"any of several": {[]string{rule(`capabilities = ["create"]`)},
			policy.Request{Path: "a/b", Capability: policy.Create | policy.Update}, policy.Decision{Allowed: true, Rule: "a/*"}},
		"nothing asked is nothing granted": {[]string{rule(`capabilities = ["update"]`)}, policy.Request{Path: "a/b"},
			policy.Decision{Refusal: policy.NotGranted, Rule: "a/*"}},
		"own": {[]string{rule(`capabilities = ["update"] lease_scope = "own"`)}, update,
			policy.Decision{Allowed: true, OwnOnly: true, Rule: "a/*"}},
		"own and unscoped": {[]string{rule(`capabilities = ["update"] lease_scope = "own"`), rule(`capabilities = ["update"]`)}, update,
			policy.Decision{Allowed: true, Rule: "a/*"}},
		"unscoped and own": {[]string{rule(`capabilities = ["update"]`), rule(`capabilities = ["update"] lease_scope = "own"`)}, update,
			policy.Decision{Allowed: true, Rule: "a/*"}},
		"own, unscoped for another capability": {[]string{rule(`capabilities = ["update"] lease_scope = "own"`), rule(`capabilities = ["read"]`)}, update,
			policy.Decision{Allowed: true, OwnOnly: true, Rule: "a/*"}},
		"own sudo": {[]string{rule(`capabilities = ["sudo"] lease_scope = "own"`), rule(`capabilities = ["update"]`)}, sudo,
			policy.Decision{Allowed: true, Sudo: true, OwnOnly: true, Rule: "a/*"}},
		"own sudo that is not asked": {[]string{rule(`capabilities = ["sudo"] lease_scope = "own"`), rule(`capabilities = ["update"]`)}, update,
			policy.Decision{Allowed: true, Sudo: true, Rule: "a/*"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := acl(t, tt.policies...).Check(tt.req); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParametersAreEnforced(t *testing.T) {
	type params = map[string]any
	tests := []struct {
		fields string
		params params
		bad    string // the refused parameter, "" if allowed
	}{
		{`allowed_parameters = { "a" = [] }`, nil, ""},
		{`allowed_parameters = { "a" = [] }`, params{"a": 1}, ""},
		{`allowed_parameters = { "a" = [] }`, params{"A": 1}, ""},
		{`allowed_parameters = { "a" = [] }`, params{"a": 1, "b": 2}, "b"},
		{`allowed_parameters = { "*" = [] }`, params{"a": 1, "b": 2}, ""},
		{`allowed_parameters = { "*" = [] "a" = ["x"] }`, params{"a": "x", "b": 2}, ""},
		{`allowed_parameters = { "*" = [] "a" = ["x"] }`, params{"a": "y"}, "a"},
		{`allowed_parameters = { "a" = ["x*", "*y", "*z*"] }`, params{"a": "xx"}, ""},
		{`allowed_parameters = { "a" = ["x*", "*y", "*z*"] }`, params{"a": "ay"}, ""},
		{`allowed_parameters = { "a" = ["x*", "*y", "*z*"] }`, params{"a": "aza"}, ""},
		{`allowed_parameters = { "a" = ["x*", "*y", "*z*"] }`, params{"a": "ax"}, "a"},
		{`allowed_parameters = { "a" = ["x"] }`, params{"a": []any{"x", "x"}}, ""},
		{`allowed_parameters = { "a" = ["x"] }`, params{"a": []any{"x", "y"}}, "a"},
		{`allowed_parameters = { "a" = ["x"] }`, params{"a": []any{}}, "a"},
		{`allowed_parameters = { "a" = [[]] }`, params{"a": []any{}}, ""},
		{`allowed_parameters = { "a" = [["x", {"k" = 1}]] }`, params{"a": []any{"x", params{"k": 1}}}, ""},
		{`allowed_parameters = { "a" = [["x", {"k" = 1}]] }`, params{"a": []any{"x", params{"k": 2}}}, "a"},
		{`allowed_parameters = { "a" = [null] }`, params{"a": nil}, ""},
		{`allowed_parameters = { "a" = ["null"] }`, params{"a": nil}, "a"},
		{`allowed_parameters = { "a" = [60] }`, params{"a": json.Number("60")}, ""},
		{`allowed_parameters = { "a" = [60] }`, params{"a": json.Number("6e1")}, ""},
		{`allowed_parameters = { "a" = [60] }`, params{"a": 60.0}, ""},
		{`allowed_parameters = { "a" = [60] }`, params{"a": "60"}, ""},
		{`allowed_parameters = { "a" = [60] }`, params{"a": "61"}, "a"},
		{`allowed_parameters = { "a" = [9007199254740993] }`, params{"a": json.Number("9007199254740992")}, "a"},
		{`allowed_parameters = { "a" = [1.5] }`, params{"a": json.Number("15e-1")}, ""},
		{`denied_parameters = { "a" = [] }`, params{"b": 1}, ""},
		{`denied_parameters = { "a" = [] }`, params{"b": 1, "A": 1}, "A"},
		{`denied_parameters = { "*" = [] }`, nil, ""},
		{`denied_parameters = { "*" = [] }`, params{"b": 1}, "b"},
		{`denied_parameters = { "a" = ["x", "60"] }`, params{"a": "y"}, ""},
		{`denied_parameters = { "a" = ["x", "60"] }`, params{"a": "x"}, "a"},
		{`denied_parameters = { "a" = ["x", "60"] }`, params{"a": json.Number("60")}, "a"},
		{`denied_parameters = { "a" = ["x", "60"] }`, params{"a": []any{"y", "x"}}, "a"},
		{`denied_parameters = { "a" = ["x"] } allowed_parameters = { "a" = [] }`, params{"a": "x"}, "a"},
		{`denied_parameters = { "a" = ["true"] }`, params{"a": true}, "a"},
		{`required_parameters = ["A", "b"]`, params{"a": 1, "b": nil}, ""},
		{`required_parameters = ["A", "b"]`, params{"a": 1}, "b"},
		{`required_parameters = ["a"]`, nil, "a"},
		// The first refused in order of name is named.
		{`allowed_parameters = { "m" = [] }`, params{"z": 1, "m": 1, "c": 1, "y": 1}, "c"},
	}
	for _, tt := range tests {
		a := acl(t, `path "p" { capabilities = ["create", "update", "delete", "list"] `+tt.fields+` }`)
		for _, c := range []policy.Capability{policy.Update, policy.Create} {
			d := a.Check(policy.Request{Path: "p", Capability: c, Params: tt.params})
			if d.Allowed != (tt.bad == "") || d.Parameter != tt.bad || d.Allowed == (d.Refusal == policy.BadParameter) {
				t.Errorf("%s with %v: got %+v, want bad parameter %q", tt.fields, tt.params, d, tt.bad)
			}
		}
		for _, c := range []policy.Capability{policy.Delete, policy.List} {
			if d := a.Check(policy.Request{Path: "p", Capability: c, Params: tt.params}); !d.Allowed {
				t.Errorf("%s %s with %v: got %+v, want allowed, since it takes no parameters", c, tt.fields, tt.params, d)
			}
		}
	}
}

func TestRestrictionsOfMergedRulesAllStay(t *testing.T) {
	const head = `path "p" { capabilities = ["update"] `
	a := acl(t,
		head+`allowed_parameters = { "a" = ["x"], "b" = ["x"] } required_parameters = ["a"] max_wrapping_ttl = 60 }`,
		head+`allowed_parameters = { "a" = ["y"], "b" = [] } denied_parameters = { "c" = ["x"] } max_wrapping_ttl = 120 }`,
		head+`denied_parameters = { "c" = [] } required_parameters = ["b"] min_wrapping_ttl = 10 }`)
	tests := []struct {
		a, b, c any
		wrap    time.Duration
		want    policy.Refusal
	}{
		{"x", "q", nil, time.Minute, policy.NotRefused},
		{"y", "x", nil, 10 * time.Second, policy.NotRefused},
		{"z", "x", nil, time.Minute, policy.BadParameter},
		{nil, "x", nil, time.Minute, policy.BadParameter},
		{"x", nil, nil, time.Minute, policy.BadParameter},
		{"x", "x", "q", time.Minute, policy.BadParameter},
		{"x", "x", nil, 0, policy.BadWrapping},
		{"x", "x", nil, 9 * time.Second, policy.BadWrapping},
		{"x", "x", nil, 61 * time.Second, policy.BadWrapping},
	}
	for _, tt := range tests {
		params := map[string]any{}
		for k, v := range map[string]any{"a": tt.a, "b": tt.b, "c": tt.c} {
			if v != nil {
				params[k] = v
			}
		}
		d := a.Check(policy.Request{Path: "p", Capability: policy.Update, Params: params, WrapTTL: tt.wrap})
		if d.Refusal != tt.want || d.Allowed != (tt.want == policy.NotRefused) {
			t.Errorf("%v, wrapped %v: got %+v, want refusal %d", params, tt.wrap, d, tt.want)
		}
	}
}

// Compiling must not change the policies, which are shared by many ACLs.
func TestCompilingLeavesPoliciesAlone(t *testing.T) {
	const text = `path "p" { capabilities = ["update"] allowed_parameters = { "a" = ["x"] } required_parameters = ["a"] }`
	p, q := mustParse(t, text), mustParse(t, `path "p" { capabilities = ["read"] allowed_parameters = { "a" = [], "b" = [] }
		required_parameters = ["b"] }`)
	policy.NewACL(p, q)
	policy.NewACL(q, p)
	if want := mustParse(t, text); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestCapabilities(t *testing.T) {
	a := acl(t, `path "a" { capabilities = ["update", "create", "sudo", "list"] } path "a/" { policy = "read" }
		path "d/*" { policy = "deny" } path "n" {}`)
	for path, want := range map[string][]string{
		"a": {"create", "list", "sudo", "update"}, "a/": {"list", "read"}, "d/x": {"deny"}, "n": {"deny"}, "x": {"deny"},
	} {
		if got := a.Capabilities(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
	all := policy.Capability(1<<11 - 1)
	want := "create,delete,deny,list,patch,read,recover,scan,subscribe,sudo,update"
	if got := all.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExplainNamesPathAndCapability(t *testing.T) {
	a := acl(t, `path "a/*" { capabilities = ["update"] required_parameters = ["x"] } path "b" { policy = "deny" }
		path "c" { capabilities = ["update"] max_wrapping_ttl = 60 }`)
	tests := []struct {
		req  policy.Request
		want string
	}{
		{policy.Request{Path: "/z", Capability: policy.Read, Sudo: true}, `no policy has a rule for "z", which needs read,sudo`},
		{policy.Request{Path: "b", Capability: policy.Read}, `the policy rule for "b" denies "b"`},
		{policy.Request{Path: "a/b", Capability: policy.Read}, `the policy rule for "a/*" does not grant read on "a/b"`},
		{policy.Request{Path: "a/b", Capability: policy.Update, Sudo: true}, `the policy rule for "a/*" does not grant sudo on "a/b"`},
		{policy.Request{Path: "a/b", Capability: policy.Update}, `the policy rule for "a/*" does not allow this request: parameter "x"`},
		{policy.Request{Path: "c", Capability: policy.Update}, `the policy rule for "c" does not allow this wrapping TTL`},
		{policy.Request{Path: "c", Capability: policy.Update, WrapTTL: 1}, ``},
	}
	for _, tt := range tests {
		if got := a.Check(tt.req).Explain(tt.req.Path); got != tt.want {
			t.Errorf("%+v:\n got %s\nwant %s", tt.req, got, tt.want)
		}
	}
}
