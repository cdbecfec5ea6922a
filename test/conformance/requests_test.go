package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// row is a command of the stock command line with the requests that it was seen to send, byte for
// byte but for the names in capitals, and what it needs in the reply.
type row struct {
	command  string
	requests []sent
	nobody   bool   // sends no token
	wrapTTL  string // asks to have the answers wrapped
	issue    string // the capability that brings this row; nothing is sent then
}

// sent is a request: method, path below /v1/ and body; and the status and fields that must come back.
// A field is a dotted path with a type: s string, n number, b bool, l list, m map, 0 null.
type sent struct {
	method, path, body string
	status             int
	needs              string
}

const (
	authFields = "auth.client_token:s auth.accessor:s auth.policies:l auth.token_policies:l auth.metadata:* auth.lease_duration:n " +
		"auth.renewable:b auth.entity_id:s auth.token_type:s auth.orphan:b auth.mfa_requirement:0 auth.num_uses:n"
	tokenFields = "data.accessor:s data.creation_time:n data.creation_ttl:n data.display_name:s data.entity_id:s data.expire_time:* " +
		"data.explicit_max_ttl:n data.id:s data.issue_time:s data.meta:* data.num_uses:n data.orphan:b data.path:s data.policies:l " +
		"data.renewable:b data.ttl:n data.type:s"
	leaseFields = "data.id:s data.issue_time:s data.expire_time:s data.last_renewal:* data.ttl:n data.renewable:b"
	renewFields = "lease_id:s lease_duration:n renewable:b"
	mountFields = "type:s description:s accessor:s uuid:s config.default_lease_ttl:n config.max_lease_ttl:n config.force_no_cache:b " +
		"options:* local:b seal_wrap:b external_entropy_access:b plugin_version:s running_plugin_version:s running_sha256:s deprecation_status:s"
	wrapFields = "wrap_info.token:s wrap_info.accessor:s wrap_info.ttl:n wrap_info.creation_time:s wrap_info.creation_path:s data:0 lease_id:s request_id:s"
	sealFields = "type:s initialized:b sealed:b t:n n:n progress:n nonce:s version:s storage_type:s cluster_name:s cluster_id:s"
	leadFields = "ha_enabled:b leader_address:s leader_cluster_address:s raft_committed_index:n raft_applied_index:n"
)

// stock is the table. LEASE, TOKEN, ACCESSOR, WRAPPED and NEW are made afresh for each row and node.
var stock = []row{
	{command: "status", requests: []sent{{"GET", "sys/seal-status", "", 200, sealFields}, {"GET", "sys/leader", "", 200, leadFields}}},
	{command: "login TOKEN", requests: []sent{{"GET", "auth/token/lookup-self", "", 200, tokenFields}}},
	{command: "token create -ttl=1h", requests: []sent{{"POST", "auth/token/create", `{"ttl":"1h0m0s","explicit_max_ttl":"0s","period":"0s","display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}`, 200, authFields}}},
	{command: "token create -orphan", requests: []sent{{"POST", "auth/token/create-orphan", `{"ttl":"0s","explicit_max_ttl":"0s","period":"0s","display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}`, 200, authFields}}},
	{command: "token lookup", requests: []sent{{"GET", "auth/token/lookup-self", "", 200, tokenFields}}},
	{command: "token lookup TOKEN", requests: []sent{{"POST", "auth/token/lookup", `{"token":"TOKEN"}`, 200, tokenFields}}},
	{command: "token lookup -accessor", requests: []sent{{"POST", "auth/token/lookup-accessor", `{"accessor":"ACCESSOR"}`, 200, tokenFields}}},
	{command: "token renew TOKEN", requests: []sent{{"PUT", "auth/token/renew", `{"increment":0,"token":"TOKEN"}`, 200, authFields}}},
	{command: "token renew -accessor", requests: []sent{{"POST", "auth/token/renew-accessor", `{"accessor":"ACCESSOR","increment":0}`, 200, strings.Replace(authFields, "auth.client_token:s ", "", 1)}}},
	{command: "token revoke TOKEN", requests: []sent{{"PUT", "auth/token/revoke", `{"token":"TOKEN"}`, 204, ""}}},
	{command: "token revoke -mode=orphan", requests: []sent{{"PUT", "auth/token/revoke-orphan", `{"token":"TOKEN"}`, 204, ""}}},
	{command: "token revoke -accessor", requests: []sent{{"POST", "auth/token/revoke-accessor", `{"accessor":"ACCESSOR"}`, 204, ""}}},
	{command: "token revoke -mode=path", requests: []sent{{"PUT", "sys/leases/revoke-prefix/no/such", "", 202, ""}}},
	{command: "token capabilities P", requests: []sent{{"POST", "sys/capabilities-self", `{"path":"sys/mounts","token":"ROOT"}`, 200, "capabilities:l sys/mounts:l data.capabilities:l"}}},
	{command: "lease lookup ID", requests: []sent{{"PUT", "sys/leases/lookup", `{"lease_id":"LEASE"}`, 200, leaseFields}}},
	{command: "lease renew -increment=30m ID", requests: []sent{{"PUT", "sys/leases/renew", `{"increment":1800,"lease_id":"LEASE"}`, 200, renewFields}}},
	{command: "lease renew ID", requests: []sent{{"PUT", "sys/leases/renew", `{"increment":0,"lease_id":"LEASE"}`, 200, renewFields}}},
	{command: "lease revoke ID", requests: []sent{{"PUT", "sys/leases/revoke/LEASE", `{"sync":false}`, 202, ""}}},
	{command: "lease revoke -sync ID", requests: []sent{{"PUT", "sys/leases/revoke/LEASE", `{"sync":true}`, 204, ""}}},
	{command: "lease revoke -prefix P", requests: []sent{{"PUT", "sys/leases/revoke-prefix/MOUNT/a", `{"sync":false}`, 202, ""}}},
	{command: "lease revoke -prefix -sync P", requests: []sent{{"PUT", "sys/leases/revoke-prefix/MOUNT/a", `{"sync":true}`, 204, ""}}},
	{command: "lease revoke -force -prefix P", requests: []sent{{"PUT", "sys/leases/revoke-force/MOUNT/a", "", 204, ""}}},
	{command: "list sys/leases/lookup/P", requests: []sent{
		{"GET", "sys/leases/lookup/MOUNT?list=true", "", 200, "data.keys:l"}, {"GET", "sys/leases/lookup/no/such?list=true", "", 404, "errors:l"}}},
	{command: "read sys/leases type=irrevocable", requests: []sent{{"GET", "sys/leases?type=irrevocable", "", 200, "data.lease_count:n data.leases:l"}}},
	{command: "write P k=v", requests: []sent{{"PUT", "MOUNT/job", `{"ttl":"1h"}`, 200, renewFields}}},
	{command: "write -f P", requests: []sent{{"PUT", "MOUNT/job", "null", 200, renewFields}}},
	{command: "read P, delete P", requests: []sent{
		{"PUT", "HOOKS/roles/NEW", `{"revoke_url":"SERVICE/revoke","secret":"SECRET"}`, 204, ""},
		{"GET", "HOOKS/roles/NEW", "", 200, "data.revoke_url:s"}, {"DELETE", "HOOKS/roles/NEW", "", 204, ""}, {"GET", "HOOKS/roles/NEW", "", 404, "errors:l"}}},
	{command: "read aws/creds/deploy", requests: []sent{
		{"PUT", "HOOKS/roles/deploy", `{"revoke_url":"SERVICE/revoke","secret":"SECRET"}`, 204, ""},
		{"GET", "HOOKS/creds/deploy", "", 200, renewFields + " data:*"}}},
	{command: "secrets enable -path=NEW lease", requests: []sent{
		{"POST", "sys/mounts/NEW", `{"type":"lease","description":"","config":{"options":null,"default_lease_ttl":"0s","max_lease_ttl":"0s","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`, 204, ""},
		{"DELETE", "sys/mounts/NEW", "", 204, ""}}},
	{command: "secrets list", requests: []sent{{"GET", "sys/mounts", "", 200, "data.MOUNT/:m MOUNT/:m " + prefixed("data.MOUNT/.", mountFields)}}},
	{command: "secrets tune", requests: []sent{{"POST", "sys/mounts/MOUNT/tune", `{"options":null,"default_lease_ttl":"10m0s","max_lease_ttl":"1h0m0s","force_no_cache":false}`, 204, ""}}},
	{command: "auth list", requests: []sent{{"GET", "sys/auth", "", 200, prefixed("data.token/.", "type:s accessor:s uuid:s config.default_lease_ttl:n")}}},
	{command: "policy write, read, delete", requests: []sent{
		{"PUT", "sys/policies/acl/NEW", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`, 204, ""},
		{"GET", "sys/policies/acl/NEW", "", 200, "data.policy:s"}, {"GET", "sys/policy/NEW", "", 200, "data.rules:s"},
		{"DELETE", "sys/policies/acl/NEW", "", 204, ""}, {"GET", "sys/policies/acl/NEW", "", 404, "errors:l"}}},
	{command: "policy list", requests: []sent{{"GET", "sys/policies/acl?list=true", "", 200, "data.keys:l"}}},
	{command: "operator raft list-peers", requests: []sent{{"GET", "sys/storage/raft/configuration", "", 200, "data.config.servers:l data.config.index:n"}}},
	// TestRemovePeer removes one that is there.
	{command: "operator raft remove-peer X", requests: []sent{{"PUT", "sys/storage/raft/remove-peer", `{"server_id":"no-such-node"}`, 404, "errors:l"}}},
	{command: "operator raft snapshot save", requests: []sent{{"GET", "sys/storage/raft/snapshot", "", 200, ""}}},
	{command: "operator raft join", nobody: true, requests: []sent{{"POST", "sys/storage/raft/join", `{"auto_join":"","auto_join_scheme":"","auto_join_port":0,"leader_api_addr":"http://127.0.0.1:1","leader_ca_cert":"","leader_client_cert":"","leader_client_key":"","leader_tls_servername":"","retry":false,"non_voter":false}`, 200, "joined:b"}}},
	{command: "operator raft autopilot", requests: []sent{
		{"GET", "sys/storage/raft/autopilot/configuration", "", 200, "data.cleanup_dead_servers:b data.dead_server_last_contact_threshold:s data.last_contact_threshold:s data.max_trailing_logs:n data.min_quorum:n data.server_stabilization_time:s"},
		{"POST", "sys/storage/raft/autopilot/configuration", `{"cleanup_dead_servers":false,"max_trailing_logs":250}`, 204, ""},
		{"GET", "sys/storage/raft/autopilot/state", "", 200, "data.healthy:b data.failure_tolerance:n data.leader:s data.voters:l data.servers:m"}}},
	{command: "operator members", requests: []sent{{"GET", "sys/ha-status", "", 200, "nodes:l data.nodes:l"}}},
	// "operator step-down" is in TestStepDown.
	{command: "operator init -status", requests: []sent{{"GET", "sys/init", "", 200, "initialized:b"}}},
	{command: "kv get, its first request", requests: []sent{{"GET", "sys/internal/ui/mounts/MOUNT/a", "", 200, "data.path:s data.type:s"}, {"GET", "sys/internal/ui/mounts/no/such", "", 403, "errors:l"}}},
	{command: "path-help P", requests: []sent{{"GET", "sys/leases/renew?help=1", "", 200, "help:s"}}},

	{command: "login -method=userpass", nobody: true, requests: []sent{{"PUT", "auth/PEOPLE/login/ann", `{"password":"open sesame"}`, 200, authFields}}},
	{command: "token create -role=R", requests: []sent{
		{"PUT", "auth/token/roles/NEW", `{"allowed_policies":"a,b"}`, 204, ""}, {"GET", "auth/token/roles/NEW", "", 200, "data.allowed_policies:l data.orphan:b data.renewable:b"},
		{"GET", "auth/token/roles?list=true", "", 200, "data.keys:l"},
		{"POST", "auth/token/create/NEW", `{"ttl":"0s","explicit_max_ttl":"0s","period":"0s","display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}`, 200, authFields},
		{"DELETE", "auth/token/roles/NEW", "", 204, ""}, {"GET", "auth/token/roles/NEW", "", 404, "errors:l"}}},
	{command: "list auth/token/accessors", requests: []sent{{"GET", "auth/token/accessors?list=true", "", 200, "data.keys:l"}}},
	{command: "token capabilities T P", requests: []sent{{"POST", "sys/capabilities", `{"path":"sys/mounts","token":"TOKEN"}`, 200, "capabilities:l sys/mounts:l data.capabilities:l data.sys/mounts:l"}}},
	{command: "token capabilities -accessor", requests: []sent{{"POST", "sys/capabilities-accessor", `{"accessor":"ACCESSOR","path":"sys/mounts"}`, 200, "capabilities:l sys/mounts:l data.capabilities:l"}}},
	{command: "auth enable, tune, disable", requests: []sent{
		{"POST", "sys/auth/NEW", `{"type":"userpass","description":"","config":{"options":null,"default_lease_ttl":"0s","max_lease_ttl":"0s","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`, 204, ""},
		{"POST", "sys/mounts/auth/NEW/tune", `{"options":null,"default_lease_ttl":"10m0s","max_lease_ttl":"1h0m0s","force_no_cache":false}`, 204, ""},
		{"GET", "sys/auth", "", 200, "data.NEW/:m NEW/:m " + prefixed("data.NEW/.", mountFields)},
		{"DELETE", "sys/auth/NEW", "", 204, ""}, {"DELETE", "sys/auth/NEW", "", 204, ""}}},
	{command: "namespace create, list, lookup, delete", requests: []sent{
		{"POST", "sys/namespaces/NEW", `{"custom_metadata":{}}`, 200, "data.path:s data.id:s data.custom_metadata:m"},
		{"GET", "sys/namespaces?list=true", "", 200, "data.keys:l data.key_info:m data.key_info.NEW/:m"}, {"GET", "sys/namespaces/NEW", "", 200, "data.path:s data.id:s"},
		{"DELETE", "sys/namespaces/NEW", "", 202, "data.status:s"}}},
	{command: "kv put, get, list, delete", requests: []sent{
		{"GET", "sys/internal/ui/mounts/VALUES/NEW", "", 200, "data.path:s data.type:s data.options:*"}, {"PUT", "VALUES/NEW", `{"k":"v"}`, 204, ""},
		{"GET", "VALUES/NEW", "", 200, "data.k:s lease_id:s lease_duration:n renewable:b"}, {"GET", "VALUES?list=true", "", 200, "data.keys:l"},
		{"DELETE", "VALUES/NEW", "", 204, ""}, {"GET", "VALUES/NEW", "", 404, "errors:l"}}},
	{command: "write -wrap-ttl=60s P k=v", wrapTTL: "1m0s", requests: []sent{{"PUT", "MOUNT/job", `{"ttl":"1h"}`, 200, wrapFields}}},
	{command: "token create -wrap-ttl=60s", wrapTTL: "1m0s", requests: []sent{{"POST", "auth/token/create", `{"ttl":"0s","explicit_max_ttl":"0s","period":"0s","display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}`, 200, wrapFields + " wrap_info.wrapped_accessor:s auth:0"}}},
	{command: "login -method=userpass -wrap-ttl=60s", nobody: true, wrapTTL: "1m0s", requests: []sent{{"PUT", "auth/PEOPLE/login/ann", `{"password":"open sesame"}`, 200, wrapFields + " auth:0"}}},
	{command: "list -wrap-ttl=60s of nothing", wrapTTL: "1m0s", requests: []sent{{"GET", "sys/leases/lookup/no/such?list=true", "", 200, wrapFields}}},
	{command: "write -wrap-ttl=zz", wrapTTL: "zz", requests: []sent{{"PUT", "MOUNT/job", "null", 400, "errors:l"}}},
	{command: "unwrap TOKEN", requests: []sent{
		{"PUT", "sys/wrapping/lookup", `{"token":"WRAPPED"}`, 200, "data.creation_path:s data.creation_time:s data.creation_ttl:n"},
		{"PUT", "sys/wrapping/unwrap", `{"token":"WRAPPED"}`, 200, "data.a:n"}, {"PUT", "sys/wrapping/unwrap", `{"token":"WRAPPED"}`, 400, "errors:l"}}},

	{command: "secrets move", issue: "remount"},
	{command: "audit list, enable, disable", issue: "audit"},
	{command: "operator raft snapshot restore", issue: "restore"},
	{command: "operator seal, unseal", issue: "nothing: there is no unsealing, a node has its key or does not start"},
	{command: "operator key-status", issue: "rotation of keys"},
}

func prefixed(prefix, fields string) string {
	return prefix + strings.Join(strings.Fields(fields), " "+prefix)
}

func TestStockRequests(t *testing.T) {
	s := newService(t, healthy)
	path, engine, people := mount(t, "lease", nil), hooks(t, s, nil), authMethod(t, "userpass", nil)
	person(t, people, "ann", nil)
	fill := strings.NewReplacer("SERVICE", s.server.URL, "SECRET", hookSecret, "PEOPLE", people, "VALUES", mount(t, "kv", nil))
	for _, r := range stock {
		if len(r.requests) == 0 == (r.issue == "") {
			t.Errorf("row %q needs requests, or else says what brings it", r.command)
		}
		if r.issue != "" {
			continue
		}
		t.Run(r.command, func(t *testing.T) {
			onEachNode(t, func(t *testing.T, node int) { replay(t, node, r, path, engine, fill) })
		})
	}
}

// replay sends the requests of a row to a node as the command line does: with X-Vault-Request, and
// without a Content-Type.
func replay(t *testing.T, node int, r row, path, engine string, service *strings.Replacer) {
	token := newToken(t, map[string]any{"ttl": "1h", "policies": []string{"default"}})
	fill := strings.NewReplacer("LEASE", issue(t, path+"/a", map[string]any{"ttl": "1h"}), "TOKEN", token.text("auth.client_token"),
		"ACCESSOR", token.text("auth.accessor"), "MOUNT", path, "HOOKS", engine, "NEW", unique("new"), "ROOT", cluster.Token,
		"WRAPPED", send(t, request{method: "PUT", path: "/v1/sys/wrapping/wrap", body: `{"a":1}`, header: map[string]string{"X-Vault-Wrap-TTL": "5m"}}).want(200).text("wrap_info.token"))
	for _, s := range r.requests {
		q := request{node: node, method: s.method, path: "/v1/" + service.Replace(fill.Replace(s.path)), header: map[string]string{"X-Vault-Request": "true"}}
		if r.nobody {
			q.token = anonymous
		}
		if r.wrapTTL != "" {
			q.header["X-Vault-Wrap-TTL"] = r.wrapTTL
		}
		if s.body != "" {
			q.body = service.Replace(fill.Replace(s.body))
		}
		got := send(t, q).want(s.status)
		if s.needs == "" {
			if s.status >= 202 && got.body != "" {
				t.Errorf("%s: the body is %q, want none", got.asked, got.body)
			}
			continue
		}
		for _, need := range strings.Fields(fill.Replace(s.needs)) {
			checkField(t, got, need)
		}
	}
}

// checkField checks one "path:type".
func checkField(t *testing.T, r *reply, need string) {
	t.Helper()
	at := strings.LastIndex(need, ":")
	path, want := need[:at], need[at+1:]
	parent, key := r.object, path
	if dot := strings.LastIndex(path, "."); dot >= 0 {
		parent, _ = r.get(path[:dot]).(map[string]any)
		key = path[dot+1:]
	}
	v, there := parent[key]
	kind := "?"
	switch v.(type) {
	case string:
		kind = "s"
	case json.Number:
		kind = "n"
	case bool:
		kind = "b"
	case []any:
		kind = "l"
	case map[string]any:
		kind = "m"
	case nil:
		kind = "0"
	}
	if !there || want != "*" && kind != want {
		t.Errorf("%s: %s is %v (there: %v), want type %s; the answer is %s", r.asked, path, fmt.Sprint(v), there, want, r.body)
	}
}

// TestRaftConfigurationTypes: the command line asserts these types and panics at others.
func TestRaftConfigurationTypes(t *testing.T) {
	servers, _ := call(t, "GET", "sys/storage/raft/configuration", nil).want(200).get("data.config.servers").([]any)
	if len(servers) != 3 {
		t.Fatalf("%d servers, want 3", len(servers))
	}
	for _, v := range servers {
		r := &reply{t: t, asked: "a server", object: v.(map[string]any), body: fmt.Sprint(v)}
		for _, need := range []string{"node_id:s", "address:s", "leader:b", "voter:b", "protocol_version:s"} {
			checkField(t, r, need)
		}
	}
}

// TestSnapshotAnswer: what the command line saves.
func TestSnapshotAnswer(t *testing.T) {
	onEachNode(t, func(t *testing.T, node int) {
		r := send(t, request{node: node, method: "GET", path: "/v1/sys/storage/raft/snapshot"}).want(200)
		if got := r.header.Get("Content-Type"); got != "application/gzip" {
			t.Errorf("Content-Type is %q, want application/gzip", got)
		}
		unpack(t, r.body)
	})
}
