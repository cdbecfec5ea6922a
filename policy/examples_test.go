package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/policy"
)

// What Vault's documentation promises of each kind of rule, one policy for each of its examples.
func TestExamplesOfVaultsDocumentation(t *testing.T) {
	type params = map[string]any
	const create, read, update, list = policy.Create, policy.Read, policy.Update, policy.List
	type ask struct {
		path    string
		need    policy.Capability
		params  params
		wrap    time.Duration
		allowed bool
	}
	tests := map[string]struct {
		text string
		asks []ask
	}{
		"a broad rule and a closer one that denies": {`
			path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
			path "secret/super-secret" { capabilities = ["deny"] }
			path "secret/restricted" {
				capabilities = ["create"]
				allowed_parameters = { "foo" = [] "bar" = ["zip", "zap"] }
			}`, []ask{
			{path: "secret/x/y", need: policy.Delete, allowed: true},
			{path: "secret/super-secret", need: read},
			{path: "secret/super-secret/x", need: read, allowed: true},
			{path: "secret/restricted", need: create, params: params{"foo": json.Number("7"), "bar": "zap"}, allowed: true},
			{path: "secret/restricted", need: create, params: params{"bar": "zup"}},
			{path: "secret/restricted", need: create, params: params{"foo": "x", "other": "y"}},
			{path: "secret/restricted", need: read},
		}},
		"exact paths and prefixes": {`
			path "secret/foo" { capabilities = ["read"] }
			path "secret/bar/*" { capabilities = ["read"] }
			path "secret/zip-*" { capabilities = ["read"] }`, []ask{
			{path: "secret/foo", need: read, allowed: true}, {path: "secret/food", need: read}, {path: "secret/foo/bar", need: read},
			{path: "secret/bar/zip", need: read, allowed: true}, {path: "secret/bar/zip/zap", need: read, allowed: true},
			{path: "secret/bars/zip", need: read}, {path: "secret/zip-zap", need: read, allowed: true},
			{path: "secret/zip-zap/zong", need: read, allowed: true}, {path: "secret/zip/zap", need: read},
		}},
		"a + for one segment": {`
			path "secret/+/teamb" { capabilities = ["read"] }
			path "secret/+/+/teamb" { capabilities = ["read"] }`, []ask{
			{path: "secret/foo/teamb", need: read, allowed: true}, {path: "secret/foo/bar/teamb", need: read, allowed: true},
			{path: "secret/teamb", need: read}, {path: "secret/a/b/c/teamb", need: read}, {path: "secret/foo/teamb/x", need: read},
		}},
		"of equally wild patterns the one with fewer + counts": {`
			path "secret/*" { capabilities = ["read"] }
			path "secret/+/+/foo/*" { capabilities = ["update"] }`, []ask{
			{path: "secret/a/b/foo/c", need: read, allowed: true}, {path: "secret/a/b/foo/c", need: update},
		}},
		"listing works on a prefix": {`path "secret/foo/" { capabilities = ["list"] }`, []ask{
			{path: "secret/foo", need: list, allowed: true}, {path: "secret/foo/", need: list, allowed: true}, {path: "secret/foo", need: read},
		}},
		"required parameters": {`path "secret/profile" { capabilities = ["create"] required_parameters = ["name", "id"] }`, []ask{
			{path: "secret/profile", need: create, params: params{"name": "n", "id": "i", "more": "m"}, allowed: true},
			{path: "secret/profile", need: create, params: params{"name": "n"}}, {path: "secret/profile", need: create},
		}},
		"an allowed parameter of any value": {`path "auth/userpass/users/*" {
			capabilities = ["update"] allowed_parameters = { "password" = [] } }`, []ask{
			{path: "auth/userpass/users/ann", need: update, params: params{"password": "anything"}, allowed: true},
			{path: "auth/userpass/users/ann", need: update, params: params{"password": "p", "token_ttl": "1h"}},
		}},
		"an allowed parameter of few values": {`path "transit/keys/*" {
			capabilities = ["create", "update"] allowed_parameters = { "auto_rotate_period" = ["8h", "24h", "5d"] } }`, []ask{
			{path: "transit/keys/k", need: create, params: params{"auto_rotate_period": "24h"}, allowed: true},
			{path: "transit/keys/k", need: update, params: params{"auto_rotate_period": "25h"}},
		}},
		"all other parameters are allowed beside it": {`path "secret/foo" {
			capabilities = ["create"] allowed_parameters = { "bar" = ["zip", "zap"] "*" = [] } }`, []ask{
			{path: "secret/foo", need: create, params: params{"bar": "zip", "x": true, "y": []any{"z"}}, allowed: true},
			{path: "secret/foo", need: create, params: params{"bar": "zop"}},
		}},
		"denied parameters": {`path "auth/userpass/users/*" {
			capabilities = ["update"] denied_parameters = { "token_policies" = [] "policies" = [] } }`, []ask{
			{path: "auth/userpass/users/ann", need: update, params: params{"password": "p"}, allowed: true},
			{path: "auth/userpass/users/ann", need: update, params: params{"password": "p", "policies": "root"}},
			{path: "auth/userpass/users/ann", need: update, params: params{"Token_Policies": ""}},
		}},
		"a denied value": {`path "auth/token/roles/*" {
			capabilities = ["create", "update"] denied_parameters = { "allowed_policies" = ["admin"] } }`, []ask{
			{path: "auth/token/roles/r", need: update, params: params{"allowed_policies": "dev"}, allowed: true},
			{path: "auth/token/roles/r", need: update, params: params{"allowed_policies": "admin"}},
			{path: "auth/token/roles/r", need: update, params: params{"allowed_policies": []any{"dev", "admin"}}},
		}},
		"every parameter denied": {`path "transit/keys/*" { capabilities = ["create", "update"] denied_parameters = { "*" = [] } }`, []ask{
			{path: "transit/keys/k", need: create, allowed: true},
			{path: "transit/keys/k", need: create, params: params{"type": "aes256-gcm96"}},
		}},
		"a value that begins so": {`path "secret/foo" { capabilities = ["create"] allowed_parameters = { "bar" = ["foo-*"] } }`, []ask{
			{path: "secret/foo", need: create, params: params{"bar": "foo-1"}, allowed: true},
			{path: "secret/foo", need: create, params: params{"bar": "1-foo-1"}},
		}},
		"a default value is not seen, a required one is": {`
			path "secret/foo" { capabilities = ["create"] denied_parameters = { "no_store" = [false, "false"] } }
			path "secret/bar" { capabilities = ["create"] required_parameters = ["no_store"] denied_parameters = { "no_store" = [false, "false"] } }`, []ask{
			{path: "secret/foo", need: create, params: params{"value": "bar", "no_store": false}},
			{path: "secret/foo", need: create, params: params{"value": "bar", "no_store": "false"}},
			{path: "secret/foo", need: create, params: params{"value": "bar"}, allowed: true},
			{path: "secret/bar", need: create, params: params{"value": "bar"}},
			{path: "secret/bar", need: create, params: params{"value": "bar", "no_store": true}, allowed: true},
		}},
		"wrapping is made mandatory": {`path "auth/approle/role/my-role/secret-id" {
			capabilities = ["create", "update"] min_wrapping_ttl = "1s" max_wrapping_ttl = "90s" }`, []ask{
			{path: "auth/approle/role/my-role/secret-id", need: update},
			{path: "auth/approle/role/my-role/secret-id", need: update, wrap: time.Second, allowed: true},
			{path: "auth/approle/role/my-role/secret-id", need: update, wrap: 90 * time.Second, allowed: true},
			{path: "auth/approle/role/my-role/secret-id", need: update, wrap: 91 * time.Second},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := acl(t, tt.text)
			for _, q := range tt.asks {
				d := a.Check(policy.Request{Path: q.path, Capability: q.need, Params: q.params, WrapTTL: q.wrap})
				if d.Allowed != q.allowed {
					t.Errorf("%s %q with %v, wrapped %v: got %+v, want allowed %v", q.need, q.path, q.params, q.wrap, d, q.allowed)
				}
			}
		})
	}
}

// Nobody can be told apart here, so what Vault would fill in is refused, wherever it stands in a path.
func TestTemplatesAreRefused(t *testing.T) {
	for _, path := range []string{"secret/data/{{identity.entity.id}}/*", "{{identity.entity.name}}",
		"secret/data/groups/{{identity.groups.ids.fb036ebc.name}}/*", "secret/{{ identity.entity.metadata.team }}/x",
		"secret/{{identity.entity.aliases.auth_kubernetes_xxxx.metadata.service_account_namespace}}/*"} {
		for _, text := range []string{`path "` + path + `" { capabilities = ["read"] }`, `{"path": {"` + path + `": {"policy": "read"}}}`} {
			p, err := policy.Parse("p", text)
			if p != nil || err == nil || !strings.Contains(err.Error(), "templates such as {{identity.entity.id}} on line 1 are not supported") {
				t.Errorf("%s: got %v, %v; want it refused with the reason", text, p, err)
			}
		}
	}
}

func TestTheWrappingPolicyOpensAndNothingElse(t *testing.T) {
	a := acl(t, policy.ResponseWrapping)
	for path, want := range map[string]string{
		"sys/wrapping/unwrap": "update", "sys/wrapping/lookup": "update", "sys/wrapping/rewrap": "deny", "sys/wrapping/wrap": "deny",
		"auth/token/lookup-self": "deny", "sys/capabilities-self": "deny", "": "deny",
	} {
		if got := strings.Join(a.Capabilities(path), ","); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	if n := len(a.Rules()); n != 2 {
		t.Errorf("got %d rules, want 2", n)
	}
}

func TestRulesShowWhatIsRestricted(t *testing.T) {
	a := acl(t, `path "a/+/b*" { policy = "deny" } path "a/*" { capabilities = ["list"] lease_scope = "own" } path "n" {}`,
		`path "a/c" { capabilities = ["update"] min_wrapping_ttl = 5 max_wrapping_ttl = "1m" required_parameters = ["R"]
			allowed_parameters = { "x" = ["y"] } denied_parameters = { "z" = [] } }`)
	got, err := json.Marshal(a.Rules())
	if err != nil {
		t.Fatal(err)
	}
	const rest = `"MinWrap":0,"MaxWrap":0,"Allowed":null,"Denied":null,"Required":null}`
	want := `[{"Pattern":"a/*","Exact":false,"Prefix":true,"Capabilities":["list"],"OwnOnly":true,` + rest +
		`,{"Pattern":"a/+/b*","Exact":false,"Prefix":false,"Capabilities":["deny"],"OwnOnly":false,` + rest +
		`,{"Pattern":"a/c","Exact":true,"Prefix":false,"Capabilities":["update"],"OwnOnly":false,"MinWrap":5000000000,` +
		`"MaxWrap":60000000000,"Allowed":{"x":["y"]},"Denied":{"z":[]},"Required":["r"]}` +
		`,{"Pattern":"n","Exact":true,"Prefix":false,"Capabilities":["deny"],"OwnOnly":false,` + rest + `]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
