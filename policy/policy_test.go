package policy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/policy"
)

func mustParse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test", text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return p
}

func acl(t testing.TB, texts ...string) *policy.ACL {
	t.Helper()
	var ps []*policy.Policy
	for _, text := range texts {
		ps = append(ps, mustParse(t, text))
	}
	return policy.NewACL(ps...)
}

func TestParseTakesEveryFormThatVaultTakes(t *testing.T) {
	const read, list = policy.Read, policy.List
	num := func(s string) any { return json.Number(s) }
	tests := map[string]struct {
		text string
		want []policy.Rule
	}{
		"nothing at all":        {"", nil},
		"comments alone":        {"# a\n// b\n/* c\n */", nil},
		"a name is passed over": {`name = "dev"`, nil},
		"a block":               {`path "a" { capabilities = ["read"] }`, []policy.Rule{{Path: "a", Line: 1, Capabilities: read}}},
		"a leading slash is cut": {`path "/a/b" { capabilities = ["read", "list"] }`,
			[]policy.Rule{{Path: "a/b", Line: 1, Capabilities: read | list}}},
		"a trailing comma, spread over lines": {"path \"a\"\n{\n capabilities = [\n  \"read\", # why\n  \"list\",\n ]\n}",
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read | list}}},
		"two blocks in one line": {`path "a" {capabilities=["read"]} path "b" {capabilities=["list"]}`,
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read}, {Path: "b", Line: 1, Capabilities: list}}},
		"a brace behind the last argument": {"path \"a\" {\n  capabilities = [\"read\"] }",
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read}}},
		"a brace on the next line": {"path \"a\" { capabilities = [\"read\"]\n}",
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read}}},
		"two arguments in one line": {`path "a" { policy = "read" lease_scope = "own" }`,
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read | list, Own: true}}},
		"quoted keys":     {`"path" "a" { "policy" = "read" }`, []policy.Rule{{Path: "a", Line: 1, Capabilities: read | list}}},
		"a heredoc":       {"path \"a\" {\n comment = <<EOT\n}\nEOT\n policy = \"deny\"\n}", []policy.Rule{{Path: "a", Line: 1, Capabilities: policy.Deny}}},
		"a cut heredoc":   {"name = <<-X\n  a\n  X\npath \"a\" { }", []policy.Rule{{Path: "a", Line: 4}}},
		"carriage return": {"path \"a\" {\r\n comment = <<EOT\r\nx\r\nEOT\r\n}\r\n", []policy.Rule{{Path: "a", Line: 1}}},
		"a byte order mark": {"\ufeffpath \"a\" { }",
			[]policy.Rule{{Path: "a", Line: 1}}},
		"deny beside others is deny alone": {`path "a" { capabilities = ["read", "deny", "sudo"] }`,
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: policy.Deny}}},
		"the old write": {`path "a" { policy = "write" }`, []policy.Rule{{Path: "a", Line: 1,
			Capabilities: policy.Create | read | policy.Update | policy.Delete | list}}},
		"the old sudo beside a capability": {`path "a" { policy = "sudo" capabilities = ["patch"] }`, []policy.Rule{{Path: "a",
			Line: 1, Capabilities: policy.Create | read | policy.Update | policy.Delete | list | policy.Sudo | policy.Patch}}},
		"JSON": {`{"path": {"a": {"capabilities": ["read"]},` + "\n" + ` "b": {"policy": "deny"}}}`,
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: read}, {Path: "b", Line: 2, Capabilities: policy.Deny}}},
		"JSON with a list of paths": {`{"path": [{"a": {"policy": "deny"}}, {"b": {"policy": "deny"}}]}`,
			[]policy.Rule{{Path: "a", Line: 1, Capabilities: policy.Deny}, {Path: "b", Line: 1, Capabilities: policy.Deny}}},
		"JSON escapes": {`{"path": {"\u0061\/\ud83d\ude00": {}}}`, []policy.Rule{{Path: "a/😀", Line: 1}}},
		"a dollar and a per cent sign are letters": {`path "a/${b}/%{c}" {}`,
			[]policy.Rule{{Path: "a/${b}/%{c}", Line: 1}}},
		"wrapping times": {`path "a" { min_wrapping_ttl = "1m" max_wrapping_ttl = 90 }`,
			[]policy.Rule{{Path: "a", Line: 1, MinWrap: time.Minute, MaxWrap: 90 * time.Second}}},
		"parameters": {`path "a" {
			allowed_parameters = { "Foo" = ["x", 1, 1.5e3, true, null, ["y"], {"z" = 2}], "*" = [] }
			denied_parameters { bar = [] }
			required_parameters = ["Foo"]
		}`, []policy.Rule{{Path: "a", Line: 1, Required: []string{"foo"},
			Denied: map[string][]any{"bar": {}}, Allowed: map[string][]any{"*": {}, "foo": {
				"x", num("1"), num("1.5e3"), true, nil, []any{"y"}, map[string]any{"z": num("2")}}}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := mustParse(t, tt.text)
			if !reflect.DeepEqual(got.Rules, tt.want) {
				t.Errorf("Parse(%s)\n got %+v\nwant %+v", tt.text, got.Rules, tt.want)
			}
		})
	}
}

func TestParseErrorsNameLineAndRemedy(t *testing.T) {
	path := func(fields string) string { return "\npath \"x/*\" {\n" + fields + "\n}" }
	tests := []struct{ text, want string }{
		// The language.
		{`path "a" {`, `the '{' on line 1 is not closed`},
		{"path \"a\" {\n capabilities = [\"read\"", `the '[' on line 2 is not closed`},
		{"path \"a\" {\n capabilities = [", `the '[' on line 2 is not closed`},
		{`{"path": {}`, `the '{' on line 1 is not closed`},
		{"{}\n}", `unexpected '}' after the closing '}' on line 2`},
		{`}`, `expected a name, not '}', on line 1`},
		{`= 3`, `expected a name, not '=', on line 1`},
		{`path`, `expected '=' or '{' after "path", not the end of the text, on line 1`},
		{`path "a" = {}`, `expected '{' after path "a", not '=', on line 1`},
		{`path a`, `expected '{' after path "a", not the end of the text, on line 1`},
		{`name = yes`, `expected a value, not 'yes', on line 1`},
		{`name = `, `expected a value, not the end of the text, on line 1`},
		{path(`capabilities = ["read" "list"]`), `expected ',' or ']', not "list", on line 3`},
		{`path "a`, `the string that begins on line 1 is not closed`},
		{"path \"a\n\" {}", `the string that begins on line 1 is not closed`},
		{`path "a\q" {}`, `invalid escape in the string on line 1`},
		{`path "a\u00g0" {}`, `invalid escape in the string on line 1`},
		{`path "a\ud83dx" {}`, `invalid escape in the string on line 1`},
		{`path "a\ud83d\u0041" {}`, `invalid escape in the string on line 1`},
		{`path "a\UFFFFFFFF" {}`, `invalid escape in the string on line 1`},
		{`path "a\`, `invalid escape in the string on line 1`},
		{"\n/* a\n", `the comment that begins on line 2 is not closed`},
		{"name = <<EOT\na\n", `the heredoc that begins on line 1 is not closed by 'EOT'`},
		{"name = <<\n", `invalid heredoc on line 1`},
		{`name = <<EOT`, `invalid heredoc on line 1`},
		{"name = 1.2.3", `invalid number '1.2.3' on line 1`},
		{"name = 007", `invalid number '007' on line 1`},
		{"name = -", `invalid number '-' on line 1`},
		{"name = 1e", `invalid number '1e' on line 1`},
		{"path ! {}", `unexpected character '!' on line 1`},
		{"path \"\xff\" {}", `the policy is not valid UTF-8`},
		{strings.Repeat("#", policy.MaxText+1), `the policy has 262145 bytes; at most 262144 are allowed`},
		{`name = ` + strings.Repeat("[", 17), `nested more than 16 deep on line 1`},
		{`name = ` + strings.Repeat("[", 100_000), `nested more than 16 deep on line 1`},
		// The first level.
		{`paths "a" {}`, `invalid key "paths" on line 1 (did you mean "path"?)`},
		{`{"rules": {}}`, `invalid key "rules" on line 1`},
		{`name = 3`, `expected a string, not the number 3, on line 1`},
		{`name "x" {}`, `expected a string, not an object, on line 1`},
		{`path = "a"`, `expected a path, as in path "secret/*" { ... }, on line 1`},
		{`path "a" "b" {}`, `expected one path, as in path "secret/*" { ... }, on line 1`},
		{`{"path": {"a": ["read"]}}`, `path "a": expected { ... }, not a list, on line 1`},
		{`{"path": {"a" "b" {}}}`, `path "a": expected one path on line 1`},
		{`{"path": ["a"]}`, `expected { ... } in the list of paths, not "a", on line 1`},
		// A rule.
		{path(`capabilites = ["read"]`), `path "x/*": invalid key "capabilites" on line 3 (did you mean "capabilities"?)`},
		{path(`colour = "red"`), `path "x/*": invalid key "colour" on line 3`},
		{path(`capabilities = ["raed"]`), `path "x/*": invalid capability "raed" on line 3 (did you mean "read"?)`},
		{path(`capabilities = ["write"]`), `path "x/*": invalid capability "write" on line 3`},
		{path(`capabilities = "read"`), `path "x/*": capabilities: expected a list of strings, not "read", on line 3`},
		{path(`capabilities = [true]`), `path "x/*": capabilities: expected a string, not true, on line 3`},
		{path(`capabilities = null`), `path "x/*": capabilities: expected a list of strings, not null, on line 3`},
		{path("policy = \"read\"\npolicy = \"write\""), `path "x/*": policy is given twice, again on line 4`},
		{path(`policy = "reed"`), `path "x/*": invalid policy "reed" on line 3 (did you mean "read"?)`},
		{path(`policy = []`), `path "x/*": policy: expected a string, not a list, on line 3`},
		{path(`lease_scope = "all"`), `path "x/*": invalid lease_scope "all" on line 3: the one scope is "own"; leave it out for every lease`},
		{path(`lease_scope = true`), `path "x/*": lease_scope: expected a string, not true, on line 3`},
		{path(`comment = 1`), `path "x/*": expected a string, not the number 1, on line 3`},
		{path(`comment "a" {}`), `path "x/*": expected comment = ..., not a block with a label, on line 3`},
		{path(`mfa_methods = ["a"]`), `path "x/*": mfa_methods on line 3 is not supported; a policy with a restriction that would not be enforced is refused`},
		{path(`min_wrapping_ttl = "soon"`), `path "x/*": min_wrapping_ttl: invalid duration "soon" on line 3: write seconds, or as in 90s, 15m, 24h`},
		{path(`max_wrapping_ttl = -1`), `path "x/*": max_wrapping_ttl: invalid duration "-1" on line 3: write seconds, or as in 90s, 15m, 24h`},
		{path(`max_wrapping_ttl = 10000000000000`), `path "x/*": max_wrapping_ttl: invalid duration "10000000000000" on line 3: write seconds, or as in 90s, 15m, 24h`},
		{path(`max_wrapping_ttl = []`), `path "x/*": max_wrapping_ttl: expected a duration, not a list, on line 3`},
		{path("min_wrapping_ttl = 60\nmax_wrapping_ttl = 30"), `path "x/*": max_wrapping_ttl cannot be less than min_wrapping_ttl on line 2`},
		{path(`allowed_parameters = ["a"]`), `path "x/*": allowed_parameters: expected { "name" = [...] }, not a list, on line 3`},
		{path(`denied_parameters = { "a" = "b" }`), `path "x/*": denied_parameters: expected "a" = [...] on line 3; an empty list means any value`},
		{path(`denied_parameters = { "a" = [], "A" = [] }`), `path "x/*": denied_parameters: "A" is given twice, again on line 3`},
		{path(`required_parameters = "a"`), `path "x/*": required_parameters: expected a list of strings, not "a", on line 3`},
		{`path "` + strings.Repeat("x", policy.MaxPattern+1) + `" {}`, `path "` + strings.Repeat("x", 40) + `...": the pattern on line 1 has 2049 bytes; at most 2048 are allowed`},
		{`path "x/+*" {}`, `path "x/+*": invalid use of wildcards ('+*' is forbidden) on line 1`},
		{`path "x/{{identity.entity.id}}/*" {}`, `path "x/{{identity.entity.id}}/*": templates such as {{identity.entity.id}} on line 1 are not supported, since there are no identities to fill them in: write the path out, or put + for one segment`},
		{`path "` + strings.Repeat("x", 50) + `" { policy = "" }`, `path "` + strings.Repeat("x", 40) + `...": invalid policy "" on line 1`},
	}
	for _, tt := range tests {
		p, err := policy.Parse("test", tt.text)
		if err == nil || p != nil || err.Error() != tt.want {
			text := tt.text[:min(len(tt.text), 80)]
			t.Errorf("Parse(%q)\n got error %v\nwant       %s", text, err, tt.want)
		}
	}
}

func TestWildcardsThatAreOnlyLettersAreWarnedOf(t *testing.T) {
	p := mustParse(t, "path \"a/*/b\" {}\npath \"a/+b\" {}\npath \"+/a/*\" {}\npath \"+\" {}\npath \"a/**\" {}")
	want := []string{
		`path "a/*/b" on line 1: a * before the end stands only for itself; put + for one segment`,
		`path "a/+b" on line 2: a + that is not a whole segment stands only for itself`,
		`path "a/**" on line 5: a * before the end stands only for itself; put + for one segment`,
	}
	if !reflect.DeepEqual(p.Warnings, want) {
		t.Errorf("got  %q\nwant %q", p.Warnings, want)
	}
}

func TestTheDefaultPolicyReachesOwnLeasesOnly(t *testing.T) {
	a := acl(t, policy.Default)
	tests := []struct {
		path          string
		need          policy.Capability
		allowed, owns bool
	}{
		{"auth/token/lookup-self", policy.Read, true, false},
		{"auth/token/renew-self", policy.Update, true, false},
		{"auth/token/revoke-self", policy.Update, true, false},
		{"sys/capabilities-self", policy.Update, true, false},
		{"sys/internal/ui/resultant-acl", policy.Read, true, false},
		{"sys/wrapping/wrap", policy.Update, true, false},
		{"sys/wrapping/lookup", policy.Update, true, false},
		{"sys/wrapping/unwrap", policy.Update, true, false},
		{"sys/leases/lookup", policy.Update, true, true},
		{"sys/leases/renew", policy.Update, true, true},
		{"sys/renew", policy.Update, true, true},
		{"sys/leases/renew/aws/creds/x/1", policy.Update, false, false},
		{"sys/leases/revoke", policy.Update, false, false},
		{"sys/leases/lookup", policy.List, false, false},
		{"sys/leases", policy.Read, false, false},
		{"auth/token/lookup", policy.Update, false, false},
	}
	for _, tt := range tests {
		d := a.Check(policy.Request{Path: tt.path, Capability: tt.need})
		if d.Allowed != tt.allowed || d.OwnOnly != tt.owns {
			t.Errorf("%s %s: got allowed %v, own only %v; want %v, %v", tt.need, tt.path, d.Allowed, d.OwnOnly,
				tt.allowed, tt.owns)
		}
	}
	if w := mustParse(t, policy.Default).Warnings; w != nil {
		t.Errorf("got warnings %q, want none", w)
	}
}

func TestRootAllowsAllAndNoTextMakesIt(t *testing.T) {
	root := policy.NewACL(mustParse(t, `path "*" { capabilities = ["deny"] }`), policy.Root())
	d := root.Check(policy.Request{Path: "x", Capability: policy.Delete, Sudo: true})
	if !d.Allowed || !d.Sudo || d.OwnOnly || !root.Root() {
		t.Errorf("root: got %+v, want all allowed", d)
	}
	if got := root.Capabilities("x"); !reflect.DeepEqual(got, []string{"root"}) {
		t.Errorf("root: got %v, want [root]", got)
	}
	p, err := policy.Parse(policy.RootName, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]*policy.ACL{"a text called root": policy.NewACL(p), "no policy": policy.NewACL(),
		"a nil policy": policy.NewACL(nil), "a nil ACL": nil} {
		if d := a.Check(policy.Request{Path: "x", Capability: policy.Read}); d.Allowed || d.Refusal != policy.NoRule || a.Root() {
			t.Errorf("%s: got %+v, want no rule", name, d)
		}
		if got := a.Capabilities("x"); !reflect.DeepEqual(got, []string{"deny"}) {
			t.Errorf("%s: got %v, want [deny]", name, got)
		}
	}
}
