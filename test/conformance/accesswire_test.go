package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// TestAccessErrors holds the answers about tokens, auth methods, namespaces and wrapping that clients look at.
func TestAccessErrors(t *testing.T) {
	people := authMethod(t, "userpass", nil)
	person(t, people, "ann", nil)
	plain := newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}}).text("auth.client_token")
	batch := map[string]any{"type": "batch"}
	for _, c := range []struct {
		says         string
		method, path string
		body         any
		token        string
		header       map[string]string
		status       int
		text         string // the one error; "~x": errors that hold x; "": none
	}{
		{"an auth method on a used path", "POST", "sys/auth/" + people, `{"type":"approle"}`, "", nil, 400, "path is already in use at auth/" + people + "/"},
		{"an unknown auth method", "POST", "sys/auth/new", `{"type":"ldap"}`, "", nil, 400, "plugin not found in the catalog: ldap"},
		{"an engine as an auth method", "POST", "sys/auth/new", `{"type":"lease"}`, "", nil, 400, "~plugin not found in the catalog: lease"},
		{"an auth method as an engine", "POST", "sys/mounts/new", `{"type":"userpass"}`, "", nil, 400, "~plugin not found in the catalog: userpass"},
		{"tune of an unknown auth method", "POST", "sys/auth/none/tune", `{"max_lease_ttl":"1h"}`, "", nil, 400, `tune of path "auth/none/" failed: no mount entry found`},
		{"a method's default above its maximum", "POST", "sys/auth/" + people + "/tune", `{"default_lease_ttl":36000,"max_lease_ttl":3600}`, "", nil, 400,
			"backend max lease TTL of 3600 would be less than backend default lease TTL of 36000"},
		{"the token method", "DELETE", "sys/auth/token", nil, "", nil, 400, "~token"},
		{"auth methods without sudo", "POST", "sys/auth/new", `{"type":"userpass"}`, plain, nil, 403, "~permission denied"},
		{"a login at no method", "PUT", "auth/no-such/login/ann", `{"password":"x"}`, anonymous, nil, 403, "permission denied"},
		{"a login without a password", "PUT", "auth/" + people + "/login/ann", nil, anonymous, nil, 400, "invalid username or password"},
		{"a login by GET", "GET", "auth/" + people + "/login/ann", nil, "", nil, 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"users without a token", "GET", "auth/" + people + "/users/ann", nil, anonymous, nil, 403, "permission denied"},
		{"no such user", "GET", "auth/" + people + "/users/bob", nil, "", nil, 404, ""},
		{"batch tokens", "POST", "auth/token/create", batch, "", nil, 400, "~batch"},
		{"root by who is not", "POST", "auth/token/create", `{"policies":["root"]}`, plain, nil, 403, "~permission denied"},
		{"a role that is not there", "POST", "auth/token/create/none", nil, "", nil, 400, "unknown role none"},
		{"no such token role", "GET", "auth/token/roles/none", nil, "", nil, 404, ""},
		{"lookup by an unknown accessor", "POST", "auth/token/lookup-accessor", `{"accessor":"none"}`, "", nil, 403, "~invalid accessor"},
		{"accessors without sudo", "LIST", "auth/token/accessors", nil, plain, nil, 403, "~permission denied"},
		{"capabilities without a path", "POST", "sys/capabilities-self", `{}`, "", nil, 400, "~path"},
		{"preflight of no mount", "GET", "sys/internal/ui/mounts/nope/x", nil, "", nil, 403,
			`preflight capability check returned 403, please ensure client's policies grant access to path "nope/x/"`},
		{"a wrapping time that is none", "GET", "sys/mounts", nil, "", map[string]string{"X-Vault-Wrap-TTL": "zz"}, 400,
			`error parsing X-Vault-Wrap-TTL header: time: invalid duration "zz"`},
		{"unwrap of nothing", "PUT", "sys/wrapping/unwrap", `{"token":"none"}`, "", nil, 400, "wrapping token is not valid or does not exist"},
		{"unwrap by nobody", "PUT", "sys/wrapping/unwrap", `{"token":"none"}`, anonymous, nil, 403, "permission denied"},
		{"rewrap of nothing", "PUT", "sys/wrapping/rewrap", `{"token":"none"}`, "", nil, 400, "wrapping token is not valid or does not exist"},
		{"lookup of no wrapping token", "PUT", "sys/wrapping/lookup", `{"token":"none"}`, anonymous, nil, 400, "wrapping token is not valid or does not exist"},
		{"wrap without a time", "PUT", "sys/wrapping/wrap", `{"a":1}`, "", nil, 400, "~X-Vault-Wrap-TTL"},
		{"no such namespace", "GET", "sys/namespaces/none", nil, "", nil, 404, ""},
		{"in no such namespace", "GET", "sys/mounts", nil, "", map[string]string{"X-Vault-Namespace": "a/b"}, 404, "namespace not found"},
		{"the same for a tenant's own eyes", "GET", "sys/mounts", nil, anonymous, map[string]string{"X-Vault-Namespace": "a/b"}, 403, "permission denied"},
		{"a namespace of two segments", "POST", "sys/namespaces/a/b", nil, "", nil, 400, "~segments"},
		{"a namespace with a name of the system's", "POST", "sys/namespaces/sys", nil, "", nil, 400, "~reserved"},
	} {
		t.Run(strings.ReplaceAll(c.says, " ", "-"), func(t *testing.T) {
			onEachNode(t, func(t *testing.T, node int) {
				r := send(t, request{node: node, method: c.method, path: "/v1/" + c.path, body: c.body, token: c.token, header: c.header})
				if part, ok := strings.CutPrefix(c.text, "~"); ok {
					r.wantErrorWith(c.status, part)
				} else {
					r.wantError(c.status, c.text)
				}
			})
		})
	}
}

// TestAccessAnswers holds the rest: what is no error though nothing was there, and the forms of headers.
func TestAccessAnswers(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		ask := func(method, path string, body any, header map[string]string) *reply {
			return send(t, request{node: node, method: method, path: "/v1/" + path, body: body, header: header})
		}
		ask("DELETE", "sys/auth/none", nil, nil).want(204)
		ask("DELETE", "auth/token/roles/none", nil, nil).want(204)
		ask("PUT", "auth/token/revoke", `{"token":"none"}`, nil).want(204)
		r := ask("POST", "auth/token/revoke-accessor", `{"accessor":"none"}`, nil).want(200)
		if w := r.strings("warnings"); len(w) != 1 || w[0] != "No token found with this accessor" {
			t.Errorf("%s: warnings are %q", r.asked, w)
		}
		for _, header := range []string{"X-Vault-MFA", "X-Vault-Policy-Override"} {
			ask("GET", "sys/mounts", nil, map[string]string{header: "true"}).want(200)
		}
		for form, seconds := range map[string]int{"60": 60, "60s": 60, "5m": 300} {
			r := ask("GET", "sys/leases/count?type=irrevocable", nil, map[string]string{"X-Vault-Wrap-TTL": form}).want(200)
			r.wantGet("wrap_info.ttl", seconds).wantGet("wrap_info.creation_path", "sys/leases/count").wantGet("data", nil).wantGet("request_id", "")
		}
		name := unique("echo")
		ask("POST", "sys/namespaces/"+name, nil, nil).want(200)
		r = ask("GET", "sys/mounts", nil, map[string]string{"X-Vault-Namespace": name}).want(200)
		if got := strings.Trim(r.header.Get("X-Vault-Namespace"), "/"); got != name {
			t.Errorf("%s: the namespace comes back as %q, want %s", r.asked, got, name)
		}
		lease := ask("POST", name+"/auth/token/create", `{"ttl":"1h"}`, nil).want(200)
		id := ask("LIST", name+"/sys/leases/lookup/auth/token/create", nil, nil).want(200).strings("data.keys")
		nsID := ask("GET", "sys/namespaces/"+name, nil, nil).want(200).text("data.id")
		if len(id) != 1 || len(id[0]) != 1+64+1+len(nsID) || id[0][0] != 'h' || !strings.HasSuffix(id[0], "."+nsID) {
			t.Errorf("the lease of %s in %s has the key %q, want h, 64 digits and .%s", lease.text("auth.accessor"), name, id, nsID)
		}
		ask("DELETE", "sys/namespaces/"+name, nil, nil).want(202)
	})
}

// TestTheDefaultPolicy: what a token may do that has no other.
func TestTheDefaultPolicy(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}}).text("auth.client_token")
		ask := func(method, path string, body any) *reply {
			return send(t, request{node: node, method: method, path: "/v1/" + path, body: body, token: token})
		}
		ask("GET", "auth/token/lookup-self", nil).want(200)
		ask("PUT", "auth/token/renew-self", nil).want(200)
		ask("POST", "sys/capabilities-self", `{"path":"sys/mounts"}`).want(200).wantGet("data.capabilities", "[deny]")
		ask("GET", "sys/internal/ui/resultant-acl", nil).want(200).wantGet("data.root", false)
		wrapped := send(t, request{node: node, method: "PUT", path: "/v1/sys/wrapping/wrap", body: `{"a":1}`, token: token,
			header: map[string]string{"X-Vault-Wrap-TTL": "60"}}).want(200).text("wrap_info.token")
		body := fmt.Sprintf(`{"token":%q}`, wrapped)
		ask("PUT", "sys/wrapping/lookup", body).want(200)
		ask("PUT", "sys/wrapping/unwrap", body).want(200).wantGet("data.a", 1)
		for _, denied := range [][2]string{
			{"GET", "sys/mounts"}, {"GET", "sys/auth"}, {"LIST", "sys/namespaces"}, {"LIST", "sys/policies/acl"}, {"POST", "sys/capabilities"},
			{"POST", "auth/token/create"}, {"POST", "auth/token/lookup"}, {"POST", "auth/token/lookup-accessor"}, {"LIST", "auth/token/accessors"},
			{"LIST", "sys/leases/lookup"}, {"PUT", "sys/leases/tidy"}, {"PUT", "sys/leases/revoke"}, {"GET", "sys/leases/jobs"},
		} {
			ask(denied[0], denied[1], nil).wantErrorWith(403, "permission denied")
		}
		ask("PUT", "auth/token/revoke-self", nil).want(204)
		ask("GET", "auth/token/lookup-self", nil).wantError(403, "permission denied")
	})
}
