package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/policy"
)

// thousandPolicies has 1,000 policies of 100 rules: half exact, three tenths prefixes that nest,
// two tenths with a "+".
func thousandPolicies(t testing.TB) []*policy.Policy {
	var policies []*policy.Policy
	for i := range 1000 {
		var b strings.Builder
		for j := range 100 {
			var pattern string
			switch {
			case j < 50:
				pattern = fmt.Sprintf("team-%d/app-%d/creds/role", i, j)
			case j < 80:
				pattern = fmt.Sprintf("team-%d/%s*", i, strings.Repeat("deep/", j%10))
			case j < 90:
				pattern = fmt.Sprintf("+/app-%d/team-%d/+", j, i)
			default:
				pattern = fmt.Sprintf("team-%d/+/svc-%d/*", i, j)
			}
			fmt.Fprintf(&b, "path %q { capabilities = [\"read\", \"update\"] }\n", pattern)
		}
		policies = append(policies, mustParse(t, b.String()))
	}
	return policies
}

var checkPaths = map[string]string{
	"exact":      "team-500/app-25/creds/role",
	"prefix":     "team-500/deep/deep/deep/x/y/z",
	"plus":       "team-500/x/svc-95/creds/role",
	"plus first": "mount/app-85/team-500/role",
	"none":       "elsewhere/app-1/creds/role/xyz",
	"long":       "team-500/" + strings.Repeat("deep/", 200),
}

func BenchmarkCheck(b *testing.B) {
	a := policy.NewACL(thousandPolicies(b)...)
	for name, path := range checkPaths {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Check(policy.Request{Path: path, Capability: policy.Read})
			}
		})
	}
}

// Twelve segments that are each "a" or "+", in every combination: every rule matches.
func BenchmarkCheckWhereAllMatch(b *testing.B) {
	var text strings.Builder
	for i := range 1 << 12 {
		segments := make([]string, 12)
		for j := range segments {
			segments[j] = "a"
			if i>>j&1 == 1 {
				segments[j] = "+"
			}
		}
		fmt.Fprintf(&text, "path %q { policy = \"read\" }\n", strings.Join(segments, "/"))
	}
	a := acl(b, text.String())
	path := "b" + strings.Repeat("/a", 11)
	b.ReportAllocs()
	for b.Loop() {
		a.Check(policy.Request{Path: path, Capability: policy.Read})
	}
}

func BenchmarkNewACL(b *testing.B) {
	policies := thousandPolicies(b)
	for b.Loop() {
		policy.NewACL(policies...)
	}
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(policy.Default)))
	for b.Loop() {
		if _, err := policy.Parse("default", policy.Default); err != nil {
			b.Fatal(err)
		}
	}
}

// The check is on the path of each request: it must not allocate.
func TestCheckDoesNotAllocate(t *testing.T) {
	a := policy.NewACL(thousandPolicies(t)...)
	for name, path := range checkPaths {
		if n := testing.AllocsPerRun(100, func() {
			a.Check(policy.Request{Path: path, Capability: policy.Read})
		}); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}
