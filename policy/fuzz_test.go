package policy_test

import (
	"strings"
	"testing"

	"github.com/leasehold/leasehold/policy"
)

// Any text either parses, and then all its patterns hold what the matcher relies on, or gives an
// error of one line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", policy.Default, `{"path":{"a/+/b*":{"capabilities":["read","deny"]}}}`,
		`path "a" { allowed_parameters = { "x" = ["*y", 1e3, [null, {"k": false}]] } max_wrapping_ttl = "1h" }`,
		"path \"a\" {\n comment = <<-E\n  x\n E\n}", `path "\ud83d\ude00\U0001F600" {}`, "name=-0.5e-3", "/**/#\n//",
		`path "a" { policy = "write" } }`, strings.Repeat("{", 40), `path "x/{{identity.entity.id}}" {}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse("fuzz", text)
		if err != nil {
			if p != nil || err.Error() == "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("Parse(%q): got %v, %q; want no policy and one line", text, p, err)
			}
			return
		}
		a := policy.NewACL(p)
		for _, r := range p.Rules {
			if strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path, "{{") || r.Capabilities.Has(policy.Deny) && r.Capabilities != policy.Deny {
				t.Errorf("Parse(%q): got rule %+v", text, r)
			}
			if d := a.Check(policy.Request{Path: r.Path, Capability: policy.Read}); d.Refusal == policy.NoRule {
				t.Errorf("%q: its own pattern %q as a path matches no rule", text, r.Path)
			}
		}
	})
}

// Whatever the path, the decision is the reference's.
func FuzzCheck(f *testing.F) {
	const text = `
path "" { capabilities = ["list"] }
path "a" { capabilities = ["read"] }
path "a/" { capabilities = ["list"] }
path "a/*" { capabilities = ["update"] lease_scope = "own" }
path "a/+/c" { capabilities = ["read", "list"] }
path "a/+/+/d*" { policy = "deny" }
path "a/b/+/d/*" { policy = "sudo" }
path "+/b" { capabilities = ["list"] }
path "x*" { policy = "write" }
`
	p, err := policy.Parse("fuzz", text)
	if err != nil {
		f.Fatal(err)
	}
	a, ref := policy.NewACL(p), reference(p.Rules)
	for _, seed := range []string{"", "/", "//", "a", "a/", "a/b", "a/b/c", "a/b/c/d/e", "a//c", "x/\x00", "+/+", "*", "a/%2e/c",
		"b/b/", strings.Repeat("a/", 300), "\xff/b"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, path string, sudo bool) {
		for _, need := range []policy.Capability{policy.Read, policy.Update, policy.List} {
			req := policy.Request{Path: path, Capability: need, Sudo: sudo}
			got := a.Check(req)
			if want := ref.check(req); got != want {
				t.Errorf("%s %q, sudo %v:\n got %+v\nwant %+v", need, path, sudo, got, want)
			}
		}
		if caps := a.Capabilities(path); len(caps) == 0 {
			t.Errorf("Capabilities(%q): got none, want at least deny", path)
		}
	})
}

// Whatever the policy and the path, the decision is the reference's: both are given as text.
func FuzzPolicyAndPath(f *testing.F) {
	for _, text := range []string{policy.Default, policy.ResponseWrapping, `path "a/+/b*" { policy = "deny" } path "a/*" { policy = "sudo" }`,
		`path "+/+" { capabilities = ["list"] lease_scope = "own" } path "a/" { policy = "read" }`, `{"path": {"*": {"policy": "write"}}}`,
		`path "p" { capabilities = ["update"] required_parameters = ["x"] } path "p" { capabilities = ["create"] max_wrapping_ttl = 9 }`} {
		f.Add(text, "a/x/b/")
		f.Add(text, "sys/wrapping/lookup")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		if len(text) > 4096 || len(path) > 512 {
			return // the reference is slow
		}
		p, err := policy.Parse("fuzz", text)
		if err != nil {
			return
		}
		a, ref := policy.NewACL(p), reference(p.Rules)
		for _, req := range []policy.Request{
			{Path: path, Capability: policy.Read}, {Path: path, Capability: policy.List, Sudo: true},
			{Path: path, Capability: policy.Create | policy.Update, Params: map[string]any{"x": "y"}},
		} {
			if got, want := a.Check(req), ref.check(req); got != want {
				t.Errorf("%+v under %s:\n got %+v\nwant %+v", req, text, got, want)
			}
		}
		if caps := a.Capabilities(path); caps[0] != "deny" && !a.Reaches(path) {
			t.Errorf("%q under %s: got %v, but not reached", path, text, caps)
		}
	})
}
