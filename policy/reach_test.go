package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasehold/leasehold/policy"
)

func TestReaches(t *testing.T) {
	tests := map[string]struct {
		text    string
		reached []string
		not     []string
	}{
		"nothing granted":             {`path "a/b" {} path "b/*" { policy = "deny" }`, nil, []string{"", "a", "a/b", "b", "b/c"}},
		"the folder itself":           {`path "a" { policy = "read" }`, []string{"", "a", "a/"}, []string{"b", "a/b", "ab"}},
		"a listing of it":             {`path "a/b/" { capabilities = ["list"] }`, []string{"a", "a/b", "a/b/"}, []string{"a/bc"}},
		"far below":                   {`path "a/b/c/d" { policy = "read" }`, []string{"", "a", "a/b/", "a/b/c/d"}, []string{"a/c", "a/b/d"}},
		"a star below":                {`path "a/b/c*" { policy = "read" }`, []string{"", "a", "a/b/cd/e"}, []string{"a/c", "a/b/d"}},
		"a star above":                {`path "a*" { policy = "read" }`, []string{"", "a", "ab/c"}, []string{"b"}},
		"a plus within":               {`path "+/b/c" { policy = "read" }`, []string{"", "x", "x/b", "x/b/c"}, []string{"x/c", "x/b/d"}},
		"a plus and a star":           {`path "x/+/b*" { policy = "read" }`, []string{"x", "x/y", "x/y/bz/q"}, []string{"y", "x/y/c"}},
		"overruled everywhere":        {`path "+/b" { policy = "read" } path "a/*" { policy = "deny" }`, []string{"", "c"}, []string{"a", "a/b"}},
		"not overruled in one place":  {`path "+/b" { policy = "read" } path "a/+/*" { policy = "deny" }`, []string{"a", "a/b"}, []string{"a/b/c"}},
		"overruled but for a depth":   {`path "*" { policy = "read" } path "a" {} path "a/+" { policy = "deny" } path "a/+/+" {}`, []string{"a", "a/b"}, nil},
		"all depths are overruled":    {`path "*" { policy = "read" } path "a/*" { policy = "deny" } path "a" {}`, []string{"", "b"}, []string{"a", "a/b"}},
		"what only a listing reaches": {`path "a/b" {} path "+/b" { capabilities = ["list"] }`, []string{"a", "a/b"}, []string{"a/b/c"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := acl(t, tt.text)
			for _, folder := range tt.reached {
				if !a.Reaches(folder) {
					t.Errorf("%q: got not reached, want reached by %s", folder, tt.text)
				}
			}
			for _, folder := range tt.not {
				if a.Reaches(folder) {
					t.Errorf("%q: got reached, want not by %s", folder, tt.text)
				}
			}
		})
	}
	if root := policy.NewACL(policy.Root()); !root.Reaches("x") || root.Rules() != nil {
		t.Error("root: got not everything, or rules")
	}
	if none := policy.NewACL(); none.Reaches("") || (*policy.ACL)(nil).Reaches("x") || (*policy.ACL)(nil).Rules() != nil {
		t.Error("no policy: got something")
	}
}

// TestReachesIsThatSomePathIsGranted asks about every path that could differ: below a folder, up to
// more segments than any pattern has, of all that patterns spell out and of what they do not.
func TestReachesIsThatSomePathIsGranted(t *testing.T) {
	segments := []string{"a", "b", "ab", "", "z", "az"}
	level, tails := segments, slices.Clone(segments)
	for range 3 {
		var next []string
		for _, head := range level {
			for _, s := range segments {
				next = append(next, head+"/"+s)
			}
		}
		level, tails = next, append(tails, next...)
	}
	rapid.Check(t, func(t *rapid.T) {
		var rules []policy.Rule
		for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
			pattern := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "+", "+"}), 0, 3).Draw(t, "pattern")
			r := drawRule(t, strings.Join(pattern, "/"))
			if r.Line = i + 1; rapid.Bool().Draw(t, "nothing") {
				r.Capabilities = rapid.SampledFrom([]policy.Capability{policy.Deny, 0, policy.List}).Draw(t, "little")
			}
			rules = append(rules, r)
		}
		a := policy.NewACL(&policy.Policy{Rules: rules})
		folder := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "z"}), 0, 2).Draw(t, "folder"), "/")
		want := ""
		for _, tail := range tails {
			for _, path := range []string{folder, folder + "/" + tail, folder + "/" + tail + "/"} {
				if caps := a.Capabilities(path); caps[0] != "deny" {
					want = fmt.Sprintf("%v on %q", caps, path)
				}
			}
		}
		if got := a.Reaches(folder); got != (want != "") {
			t.Fatalf("%q: got %v, but granted is %q\nrules %+v", folder, got, want, rules)
		}
	})
}

// What mounts a token may see is asked for each mount: it must not walk all rules.
func BenchmarkReaches(b *testing.B) {
	a := policy.NewACL(thousandPolicies(b)...)
	a.Reaches("warm") // sorts the patterns once
	for name, folder := range map[string]string{"literal": "team-999", "plus": "team-500/x/svc-95", "none": "elsewhere/x/y/z"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Reaches(folder)
			}
		})
	}
}

// Whoever writes policies must not be able to make the question expensive: a thousand patterns of a
// thousand segments, all overruled.
func TestReachesIsBounded(t *testing.T) {
	rules := []policy.Rule{{Path: "a/*", Capabilities: policy.Deny}, {Path: "a", Capabilities: policy.Deny}}
	for i := range 1000 {
		rules = append(rules, policy.Rule{Path: strings.Repeat("+/", 1000) + fmt.Sprint(i) + "*", Capabilities: policy.Read})
	}
	a := policy.NewACL(&policy.Policy{Rules: rules})
	begin := time.Now()
	if a.Reaches("a") {
		t.Error("got reached, want not: all of it is denied")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
