package conformance

import (
	"fmt"
	"strings"
	"testing"
)

const form = "application/x-www-form-urlencoded" // what curl's -d announces

func TestEnvelope(t *testing.T) {
	path := mount(t, "lease", nil)
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "POST", path: "/v1/" + path + "/a", body: map[string]any{"ttl": "1h"}}).want(200)
		at := 0
		for _, key := range []string{"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type"} {
			next := strings.Index(r.body, `"`+key+`":`)
			if next < at {
				t.Errorf("%s is at %d, before the key that comes before it: %s", key, next, r.body)
			}
			at = next
		}
		if !strings.HasSuffix(r.body, "}\n") || strings.Count(r.body, "\n") != 1 {
			t.Errorf("the body is %q, want one line", r.body)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains"} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if r.header.Get("X-Vault-Index") == "" {
			t.Error("no X-Vault-Index")
		}
		lookup(t, r.text("lease_id")).want(200).wantGet("lease_id", "").wantGet("lease_duration", 0)
	})
}

func TestLookupShowsFieldsTwice(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h", "labels": map[string]any{"team": "core"}})
	renew(t, id, 60).want(200)
	r := lookup(t, id).want(200)
	for _, field := range []string{"id", "issue_time", "expire_time", "last_renewal", "last_renewal_time", "ttl", "renewable", "path", "status"} {
		if r.get("data."+field) == nil {
			t.Errorf("data.%s is missing: %s", field, r.body)
		}
		r.wantGet(field, r.get("data."+field))
	}
	r.wantGet("data.labels.team", "core")
}

// TestErrors walks the table of errors, on every node.
func TestErrors(t *testing.T) {
	path := mount(t, "lease", nil)
	token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}}).text("auth.client_token")
	cases := []struct {
		says         string
		method, path string
		body         any
		token        string
		status       int
		text         string // the one error; "~x": errors that hold x; "": none
	}{
		{"no token", "PUT", "sys/leases/lookup", `{"lease_id":"a/b"}`, anonymous, 403, "permission denied"},
		{"a wrong token", "PUT", "sys/leases/lookup", `{"lease_id":"a/b"}`, "no-such-token", 403, "permission denied"},
		{"a policy is missing", "PUT", "sys/leases/revoke", `{"lease_id":"a/b"}`, token, 403, "~permission denied"},
		{"sudo is missing", "GET", "sys/leases?type=irrevocable", nil, token, 403, "~permission denied"},
		{"an unknown path", "GET", "sys/no-such", nil, "", 404, "1 error occurred:\n\t* unsupported path\n\n"},
		{"a prefix in the body", "PUT", "sys/leases/revoke-prefix", `{"prefix":"a"}`, "", 404, "1 error occurred:\n\t* unsupported path\n\n"},
		{"another verb", "GET", "sys/leases/lookup", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"POST to count", "POST", "sys/leases/count", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"GET of renew", "GET", "sys/leases/renew", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"DELETE of revoke", "DELETE", "sys/leases/revoke", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"lookup by path", "POST", "sys/leases/lookup/a/b", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"tidy by GET", "GET", "sys/leases/tidy", nil, "", 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"an unknown verb", "BREW", "sys/leases/lookup", nil, "", 405, ""},
		{"PATCH without its content type", "PATCH", "sys/leases/lookup", `{}`, "", 415, ""},
		{"an unknown mount", "POST", "no-such-mount/x", nil, "", 404, `no handler for route "no-such-mount/x". route entry not found.`},
		{"a list of nothing", "LIST", "sys/leases/lookup/no/such", nil, "", 404, ""},
		{"a prefix that is no directory", "LIST", "sys/leases/lookup/" + path[:3], nil, "", 404, ""},
		{"no such policy", "GET", "sys/policies/acl/no-such", nil, "", 404, ""},
		{"lookup without an ID", "PUT", "sys/leases/lookup", nil, "", 400, "lease_id must be specified"},
		{"renew without an ID", "PUT", "sys/leases/renew", `{}`, "", 400, "lease_id must be specified"},
		{"revoke without an ID", "PUT", "sys/leases/revoke", `null`, "", 400, "lease_id must be specified"},
		{"an ID that is a number", "PUT", "sys/leases/lookup", `{"lease_id":42}`, "", 400, "invalid lease ID"},
		{"an ID that is a list", "PUT", "sys/leases/renew", `{"lease_id":["a"]}`, "", 400, "invalid lease ID"},
		{"a relative ID", "PUT", "sys/leases/lookup", `{"lease_id":"../x"}`, "", 400, "failed to read lease entry ../x: relative paths not supported"},
		{"renewal of a token's lease", "PUT", "sys/leases/renew", nil, "TOKENLEASE", 400, "tokens cannot be renewed through this endpoint"},
		{"a write that ends in a slash", "PUT", "sys/leases/renew/", nil, anonymous, 400, "cannot write to a path ending in '/'"},
		{"an array", "PUT", "sys/leases/lookup", `["a"]`, "", 400, "~failed to decode JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		{"cut JSON", "PUT", "sys/leases/lookup", `{"lease_id":`, "", 400, "failed to decode JSON input: unexpected EOF"},
		{"a second value", "PUT", "sys/leases/lookup", `{"lease_id":"a/b"} {}`, "", 400, "~failed to decode JSON input"},
		{"no bool", "PUT", "sys/leases/revoke", `{"lease_id":"a/b","sync":"maybe"}`, "", 400, `Field validation failed: error converting input for field "sync": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax`},
		{"no duration", "PUT", "sys/leases/renew", `{"lease_id":"a/b","increment":"abc"}`, "", 400, `Field validation failed: error converting input for field "increment": time: invalid duration "abc"`},
		{"half a second without a unit", "PUT", "sys/leases/renew", `{"lease_id":"a/b","increment":1.5}`, "", 400, `~time: missing unit in duration "1.5"`},
		{"a negative duration", "PUT", "sys/leases/renew", `{"lease_id":"a/b","increment":-5}`, "", 400, "~cannot provide negative value '-5'"},
		{"count of no type", "GET", "sys/leases/count", nil, "", 404, ""},
		{"list of another type", "GET", "sys/leases?type=other", nil, "", 404, ""},
		{"a limit of zero", "GET", "sys/leases?type=irrevocable&limit=0", nil, "", 400, "~limit must be 'none' or a positive integer"},
		{"a limit of letters", "GET", "sys/leases?type=irrevocable&limit=abc", nil, "", 400, "~limit"},
		{"a list parameter that is no bool", "GET", "sys/leases/lookup/a?list=xyz", nil, "", 400, ""},
		{"list and scan", "GET", "sys/leases/lookup/a?list=true&scan=true", nil, "", 400, ""},
		{"renewal of an unknown token", "PUT", "auth/token/renew", `{"token":"no-such"}`, "", 400, "token not found"},
		{"lookup of an unknown token", "POST", "auth/token/lookup", `{"token":"no-such"}`, "", 403, "bad token"},
		{"enable on a used path", "POST", "sys/mounts/" + path, `{"type":"lease"}`, "", 400, "path is already in use at " + path + "/"},
		{"an unknown engine", "POST", "sys/mounts/new", `{"type":"azure"}`, "", 400, "plugin not found in the catalog: azure"},
		{"tune of an unknown mount", "POST", "sys/mounts/a/tune", `{"max_lease_ttl":"1h"}`, "", 400, `tune of path "a/" failed: no mount entry found`},
		{"a default above the maximum", "POST", "sys/mounts/" + path + "/tune", `{"default_lease_ttl":36000,"max_lease_ttl":3600}`, "", 400, "backend max lease TTL of 3600 would be less than backend default lease TTL of 36000"},
		{"root's policy", "DELETE", "sys/policies/acl/root", nil, "", 400, `cannot delete "root" policy`},
		{"an empty policy", "PUT", "sys/policies/acl/x", `{}`, "", 400, "'policy' parameter not supplied or empty"},
		{"a policy that is none", "PUT", "sys/policies/acl/x", `{"policy":"path {{{"}`, "", 400, "~failed to parse policy"},
		{"init again", "PUT", "sys/init", `{"secret_shares":1}`, anonymous, 400, "Vault is already initialized"},
		{"OPTIONS", "OPTIONS", "sys/leases/lookup", nil, "", 400, "cannot handle internal-only request operation"},
	}
	ofToken := tokenLease(t, map[string]any{"ttl": "1h", "policies": []string{"default"}})
	for _, c := range cases {
		if c.token == "TOKENLEASE" {
			c.token, c.body = "", fmt.Sprintf(`{"lease_id":%q}`, ofToken)
		}
		t.Run(c.says, func(t *testing.T) {
			onEachNode(t, func(t *testing.T, node int) {
				r := send(t, request{node: node, method: c.method, path: "/v1/" + c.path, body: c.body, token: c.token})
				if part, ok := strings.CutPrefix(c.text, "~"); ok {
					r.wantErrorWith(c.status, part)
				} else {
					r.wantError(c.status, c.text)
				}
			})
		})
	}
}

func TestPathsOutsideV1(t *testing.T) {
	send(t, request{method: "GET", path: "/v2/sys/health"}).wantError(404, "")
	r := send(t, request{method: "GET", path: "/v1/sys//health"}).want(307)
	if got := r.header.Get("Location"); !strings.HasSuffix(got, "/v1/sys/health") {
		t.Errorf("a double slash leads to %q, want /v1/sys/health", got)
	}
}

// TestLeniency: what is accepted in place of the plain form.
func TestLeniency(t *testing.T) {
	path := mount(t, "lease", nil)
	id := issue(t, path+"/a", map[string]any{"ttl": "48h"})
	increments := []struct {
		given any
		want  string
	}{
		{600, "600"}, {"600", "600"}, {"30m", "1800"}, {"1h30m", "5400"}, {"2500ms", "2"}, {"1d", "86400"},
		{"", "172800"}, {nil, "172800"}, {0, "172800"},
	}
	for _, c := range increments {
		t.Run(fmt.Sprintf("increment %v", c.given), func(t *testing.T) { renew(t, id, c.given).want(200).wantGet("lease_duration", c.want) })
	}
	for _, sync := range []any{true, "true", "1", "t", 1} {
		t.Run(fmt.Sprintf("sync %v (%T)", sync, sync), func(t *testing.T) {
			call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": "no/such", "sync": sync}).want(204)
		})
	}
	for _, sync := range []any{false, "false", "0", "f", 0} {
		t.Run(fmt.Sprintf("sync %v (%T)", sync, sync), func(t *testing.T) {
			call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": "no/such", "sync": sync}).want(202)
		})
	}
}

func TestForms(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	header := map[string]string{"Content-Type": form}
	onEachNode(t, func(t *testing.T, node int) {
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: "lease_id=" + id, header: header}).want(200).wantGet("data.id", id)
		send(t, request{node: node, method: "POST", path: "/v1/sys/leases/renew", body: "lease_id=" + id + "&increment=90", header: header}).want(200).wantGet("lease_duration", 90)
		send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/lookup", body: fmt.Sprintf(`  {"lease_id":%q}`, id), header: header}).want(200).wantGet("data.id", id)
		send(t, request{node: node, method: "GET", path: "/v1/sys/leases/count", body: "type=irrevocable", header: header}).want(200).wantGet("data.lease_count", 0)
	})
	header["Content-Type"] = "text/plain" // JSON whatever is announced
	send(t, request{method: "PUT", path: "/v1/sys/leases/lookup", body: fmt.Sprintf(`{"lease_id":%q}`, id), header: header}).want(200)
}

func TestUnknownParametersAreNamed(t *testing.T) {
	id := issue(t, mount(t, "lease", nil)+"/a", map[string]any{"ttl": "1h"})
	r := call(t, "PUT", "sys/leases/lookup", map[string]any{"lease_id": id, "zeta": 1, "alpha": 2}).want(200)
	if w := r.strings("warnings"); len(w) != 1 || w[0] != "Endpoint ignored these unrecognized parameters: [alpha zeta]" {
		t.Errorf("warnings are %q", w)
	}
	call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true, "zeta": 1}).want(204)
}

func TestBearerTokens(t *testing.T) {
	get := func(header map[string]string) *reply {
		return send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", token: anonymous, header: header})
	}
	get(map[string]string{"Authorization": "Bearer " + cluster.Token}).want(200)
	get(map[string]string{"Authorization": "bearer " + cluster.Token}).want(403)
	get(map[string]string{"Authorization": "Bearer nonsense", "X-Vault-Token": cluster.Token}).want(200)
}

func TestNamespaceHeader(t *testing.T) {
	for _, ns := range []string{"", "/"} {
		send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", header: map[string]string{"X-Vault-Namespace": ns}}).want(200)
	}
	send(t, request{method: "GET", path: "/v1/auth/token/lookup-self", header: map[string]string{"X-Vault-Namespace": "no/such"}}).wantError(404, "namespace not found")
}

// TestOldPaths: the spellings of old clients go through the same handlers.
func TestOldPaths(t *testing.T) {
	path := mount(t, "lease", nil)
	onEachNode(t, func(t *testing.T, node int) {
		put := func(path string, body any) *reply {
			return send(t, request{node: node, method: "PUT", path: "/v1/sys/" + path, body: body})
		}
		id := issue(t, path+"/a", map[string]any{"ttl": "1h"})
		put("renew", map[string]any{"lease_id": id, "increment": 60}).want(200).wantGet("lease_duration", 60)
		put("renew/"+id, nil).want(200).wantGet("lease_duration", 3600)
		put("revoke/"+id, map[string]any{"sync": true}).want(204)
		put("revoke", map[string]any{"lease_id": "no/such"}).want(202)
		prefixed := issue(t, path+"/b", nil)
		put("revoke-prefix/"+path+"/b", map[string]any{"sync": true}).want(204)
		forced := issue(t, path+"/c", nil)
		put("revoke-force/"+path+"/c", nil).want(204)
		for _, id := range []string{id, prefixed, forced} {
			if !gone(t, id) {
				t.Errorf("%s is still there", id)
			}
		}
	})
}

// TestNoForwarding: a follower that may not forward names the leader.
func TestNoForwarding(t *testing.T) {
	lead := leader(t)
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "PUT", path: "/v1/sys/leases/renew?x=1", body: `{"lease_id":"no/such"}`, header: map[string]string{"X-Vault-No-Request-Forwarding": "true"}})
		if node == lead {
			r.wantError(400, "lease not found")
			return
		}
		r.want(307)
		if got, want := r.header.Get("Location"), cluster.Nodes[lead-1]+"/v1/sys/leases/renew?x=1"; got != want || r.body != "" {
			t.Errorf("leads to %q with the body %q, want %q and none", got, r.body, want)
		}
	})
}

func TestHealthCodes(t *testing.T) {
	lead := leader(t)
	onEachNode(t, func(t *testing.T, node int) {
		get := func(method, query string, status int) *reply {
			return send(t, request{node: node, method: method, path: "/v1/sys/health" + query, token: anonymous}).want(status)
		}
		own, code := 429, "standbycode"
		if node == lead {
			own, code = 200, "activecode"
		}
		get("GET", "", own).wantGet("standby", node != lead).wantGet("sealed", false).wantGet("initialized", true)
		if r := get("HEAD", "", own); r.body != "" {
			t.Errorf("HEAD has the body %q", r.body)
		}
		get("GET", "?"+code+"=299&haunhealhty=1&perfstandbyok=true", 299)
		get("GET", "?standbyok=true", 200)
		get("GET", "?standbycode=abc", 400)
	})
}

func TestLargeBodies(t *testing.T) {
	r := send(t, request{method: "PUT", path: "/v1/sys/leases/lookup", body: `{"lease_id":"` + strings.Repeat("a", 33<<20) + `"}`})
	if r.status != 413 {
		t.Errorf("33 MiB: got %d, want 413", r.status)
	}
	deep := strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64)
	if r := call(t, "PUT", "sys/leases/lookup", deep); r.status != 400 && r.status != 413 {
		t.Errorf("64 levels: got %d, want it refused", r.status)
	}
}
