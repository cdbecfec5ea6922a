package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lessor"
)

func TestGoldenTokenRoles(t *testing.T) {
	s := newTranscript(t)
	s.say("there are none", "LIST", "auth/token/roles", "")
	s.say("read one that is not there", "GET", "auth/token/roles/ci", "")
	s.say("make one", "POST", "auth/token/roles/ci", `{"allowed_policies":"dev,ops","disallowed_policies":["root"],"allowed_policies_glob":["dev-*"],`+
		`"orphan":true,"path_suffix":"v1","token_period":"30m","token_num_uses":5,"token_bound_cidrs":["192.0.2.0/24","10.0.0.0/8"],"token_type":"service"}`)
	s.say("read it", "GET", "auth/token/roles/ci", "")
	s.say("change some of it", "PUT", "auth/token/roles/ci", `{"renewable":false,"token_num_uses":0,"token_no_default_policy":true,"token_explicit_max_ttl":7200}`)
	s.say("the rest stays", "GET", "auth/token/roles/ci", "")
	s.say("one of few words", "POST", "auth/token/roles/plain", `{}`)
	s.say("read it", "GET", "auth/token/roles/plain", "")
	s.say("old names", "POST", "auth/token/roles/old", `{"period":60,"explicit_max_ttl":"1h","bound_cidrs":"10.0.0.0/8"}`)
	s.say("are shown again", "GET", "auth/token/roles/old", "")
	s.say("old and new names, and what means nothing here", "POST", "auth/token/roles/old", `{"period":60,"token_period":120,"token_ttl":"1h"}`)
	s.say("the new one counts", "GET", "auth/token/roles/old", "")
	s.say("list", "LIST", "auth/token/roles", "")
	s.say("list as the Go client does", "GET", "auth/token/roles?list=true", "")
	s.say("a page", "GET", "auth/token/roles?list=true&limit=1&after=ci", "")
	s.say("make a token", "POST", "auth/token/create/ci", `{"policies":["dev"]}`)
	s.say("with all that is allowed", "POST", "auth/token/create/ci", `{"ttl":"10m","period":"1h","explicit_max_ttl":"3h"}`)
	s.say("with what is not allowed", "POST", "auth/token/create/ci", `{"policies":["admin"]}`)
	s.say("by a role that is not there", "POST", "auth/token/create/none", "")
	s.say("batch tokens", "POST", "auth/token/roles/batch", `{"token_type":"batch"}`)
	s.say("aliases of entities", "POST", "auth/token/roles/alias", `{"allowed_entity_aliases":["ann"]}`)
	s.say("no network", "POST", "auth/token/roles/net", `{"token_bound_cidrs":["10.0.0.0/99"]}`)
	s.say("a suffix that cannot be", "POST", "auth/token/roles/suffix", `{"path_suffix":"a b"}`)
	s.say("no name", "POST", "auth/token/roles/a/b", `{}`)
	s.say("the wrong verb", "GET", "auth/token/create/ci", "")
	s.say("delete", "DELETE", "auth/token/roles/ci", "")
	s.say("delete what is not there", "DELETE", "auth/token/roles/ci", "")
	s.say("it is gone", "GET", "auth/token/roles/ci", "")
}

// TestTokensByRole: what a role gives, its caller need not have; the tokens lie below its path.
func TestTokensByRole(t *testing.T) {
	r := newRig(t)
	r.Lead()
	want(t, "policy", r.root("PUT", "sys/policies/acl/dev", policyBody(`path "sys/mounts" { capabilities = ["read"] }`)), 204)
	want(t, "role", r.root("POST", "auth/token/roles/ci", `{"allowed_policies":["dev"],"orphan":true,"path_suffix":"v1","token_bound_cidrs":["192.0.2.0/24"]}`), 204)
	caller := r.policyToken("caller", `path "auth/token/create/ci" { capabilities = ["update"] }`)
	want(t, "without the role", r.call("POST", "auth/token/create", caller, `{"policies":["dev"]}`), 403)
	want(t, "by another role", r.call("POST", "auth/token/create/other", caller, `{"policies":["dev"]}`), 403)
	made := r.call("POST", "auth/token/create/ci", caller, "")
	want(t, "by the role", made, 200)
	auth, _ := made.body["auth"].(map[string]any)
	token := auth["client_token"].(string)
	if tok := r.Token(token); !slices.Equal(tok.Policies, []string{"default", "dev"}) || tok.Role != "ci" || !tok.Orphan() || auth["orphan"] != true {
		t.Errorf("got %+v, %s", tok, made.text)
	}
	want(t, "it is used", r.call("GET", "sys/mounts", token, "", from("192.0.2.9:1")), 200)
	want(t, "from another network", r.call("GET", "sys/mounts", token, "", from("198.51.100.9:1")), 403)
	look := r.call("GET", "auth/token/lookup-self", token, "", from("192.0.2.9:1"))
	if look.data()["role"] != "ci" || look.data()["path"] != "auth/token/create/ci/v1" {
		t.Errorf("got %s, want role and path of the role", look.text)
	}
	// An orphan of a role outlives its maker, and goes with the role's prefix.
	want(t, "the caller ends", r.root("POST", "auth/token/revoke", `{"token":"`+caller+`"}`), 204)
	want(t, "its token lives", r.call("GET", "sys/mounts", token, "", from("192.0.2.9:1")), 200)
	want(t, "another suffix", r.root("PUT", "sys/leases/revoke-prefix/auth/token/create/ci/v2", ""), 202)
	want(t, "is not meant", r.call("GET", "sys/mounts", token, "", from("192.0.2.9:1")), 200)
	want(t, "the prefix", r.root("PUT", "sys/leases/revoke-prefix/auth/token/create/ci/v1", ""), 202)
	want(t, "ends it", r.call("GET", "sys/mounts", token, "", from("192.0.2.9:1")), 403)
}

// TestT5_RolesAreNoWayToRoot: neither the name of a role nor what it allows makes more of a caller.
func TestT5_RolesAreNoWayToRoot(t *testing.T) {
	r := newRig(t)
	r.Lead()
	const name = "create-orphan" // the end of a path that makes orphans
	want(t, "role", r.root("POST", "auth/token/roles/"+name, `{"allowed_policies":["root"]}`), 204)
	want(t, "role", r.root("POST", "auth/token/roles/any", `{"disallowed_policies":["x"]}`), 204)
	caller := r.policyToken("caller", `path "auth/token/create/*" { capabilities = ["update"] }`)
	sudo := r.policyToken("sudoer", `path "auth/token/create/*" { capabilities = ["update", "sudo"] }`)
	for _, token := range []string{caller, sudo} {
		for path, body := range map[string]string{name: "", "any": `{"policies":["root"]}`} {
			got := r.call("POST", "auth/token/create/"+path, token, body)
			want(t, path, got, 400, "root tokens may not be created without parent token being root")
		}
	}
	got := r.call("POST", "auth/token/create/any", caller, `{"policies":["default"],"no_parent":true}`)
	want(t, "a child", got, 200)
	if auth, _ := got.body["auth"].(map[string]any); auth["orphan"] != false {
		t.Errorf("no_parent made an orphan by a role that makes none: %s", got.text)
	}
	for _, body := range []string{`{"id":"mine"}`, `{"period":"1h"}`} {
		want(t, body, r.call("POST", "auth/token/create/any", caller, body), 400)
		want(t, body+" with sudo", r.call("POST", "auth/token/create/any", sudo, body), 200)
	}
	// What a rule says of parameters holds for roles as well.
	checked := r.policyToken("checked", `path "auth/token/roles/*" { capabilities = ["update"] denied_parameters = { "allowed_policies" = ["admin*"] } }`)
	want(t, "allowed", r.call("POST", "auth/token/roles/x", checked, `{"allowed_policies":["dev"]}`), 204)
	want(t, "denied", r.call("POST", "auth/token/roles/x", checked, `{"allowed_policies":["dev","admin-1"]}`), 403)
}

// TestTokenRolesOfTenants: a tenant sees and changes its own roles, and makes tokens of its own.
func TestTokenRolesOfTenants(t *testing.T) {
	r, tenants := tenancy(t)
	r.Lead()
	for path, n := range tenants {
		in := inNamespace(path)
		want(t, "write in "+path, r.call("POST", "auth/token/roles/of-all", n.admin, fmt.Sprintf(`{"allowed_policies":[%q]}`, n.policy), in), 204)
		want(t, "write in "+path, r.call("POST", "auth/token/roles/of-"+n.policy, n.admin, `{}`, in), 204)
	}
	for path, n := range tenants {
		in := inNamespace(path)
		got := r.call("LIST", "auth/token/roles", n.admin, "", in)
		if want := fmt.Sprintf(`"keys":["of-all","of-%s"]`, n.policy); !strings.Contains(got.text, want) {
			t.Errorf("in %q: got %s, want %s", path, got.text, want)
		}
		made := r.call("POST", "auth/token/create/of-all", n.admin, `{"no_default_policy":true}`, in)
		want(t, "create in "+path, made, 200)
		auth, _ := made.body["auth"].(map[string]any)
		if tok := r.Token(auth["client_token"].(string)); tok.Namespace != n.id || !slices.Equal(tok.Policies, []string{n.policy}) {
			t.Errorf("in %q: got %+v", path, tok)
		}
		for other, o := range tenants {
			if other == path {
				continue
			}
			for _, verb := range []string{"GET", "DELETE"} {
				got := r.call(verb, "auth/token/roles/of-"+o.policy, n.admin, "", in)
				if got.status != map[string]int{"GET": 404, "DELETE": 204}[verb] {
					t.Errorf("%s in %q of a role of %q: got %d %s", verb, path, other, got.status, got.text)
				}
			}
			want(t, "create", r.call("POST", "auth/token/create/of-"+o.policy, n.admin, "", in), 400, "unknown role of-"+o.policy)
		}
	}
	for path, n := range tenants {
		want(t, "its own in "+path, r.call("GET", "auth/token/roles/of-"+n.policy, n.admin, "", inNamespace(path)), 200)
	}
	// The administrator of a parent needs sudo in the child, and is the parent of what it makes there.
	admin := r.NewToken(r.Root(), lessor.TokenRequest{Policies: []string{"above"}, NoDefaultPolicy: true, TTL: time.Hour})
	for caps, status := range map[string]int{`"update"`: 400, `"update", "sudo"`: 200} {
		r.policyToken("above", `path "a/auth/token/create/of-all" { capabilities = [`+caps+`] }`)
		got := r.call("POST", "auth/token/create/of-all", admin.Bearer, "", inNamespace("a"))
		want(t, "from above with "+caps, got, status)
		if status == 400 {
			want(t, "from above", got, 400, "root or sudo privileges required to directly generate a token in a child namespace")
			continue
		}
		auth, _ := got.body["auth"].(map[string]any)
		tok := r.Token(auth["client_token"].(string))
		if tok.Parent != admin.Token.Hash || tok.Namespace != tenants["a/"].id || !slices.Equal(tok.Policies, []string{"default", tenants["a/"].policy}) {
			t.Errorf("from above: got %+v, want a child of the caller with the role's policies", tok)
		}
	}
}
