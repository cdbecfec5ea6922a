package aws_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

func TestRoute(t *testing.T) {
	m := newMount(t)
	const (
		query, change, issue = backend.Query, backend.Change, backend.Issue
		none, verb           = backend.Class(100), backend.Class(101) // unknown path; known, but not this verb
	)
	for path, want := range map[string][4]backend.Class{ // read, list, write, delete
		"config/root":        {query, verb, change, verb},
		"config/lease":       {query, verb, change, verb},
		"config/rotate-root": {verb, verb, change, verb},
		"roles":              {verb, query, verb, verb},
		"roles/r":            {query, verb, change, change},
		"creds/r":            {issue, verb, issue, verb},
		"sts/r":              {issue, verb, issue, verb},
		"config":             {none, none, none, none},
		"config/other":       {none, none, none, none},
		"roles/a/b":          {none, none, none, none},
		"creds":              {none, none, none, none},
		"creds/":             {none, none, none, none},
		"":                   {none, none, none, none},
	} {
		for i, op := range []backend.Operation{backend.Read, backend.List, backend.Write, backend.Delete} {
			class, err := m.engine.Route(op, path)
			got := map[lease.Code]backend.Class{0: class, lease.NotFound: none, lease.Unsupported: verb}[code(err)]
			if got != want[i] {
				t.Errorf("%q, operation %d: got %d (%v), want %d", path, op, got, err, want[i])
			}
		}
	}
}

func TestConfigRoot(t *testing.T) {
	m := newMount(t)
	m.write("config/root", map[string]any{"username_template": "{{.DisplayName}}", "max_retries": "5", "sts_endpoint": "http://[::1]:4566"})
	want := map[string]any{
		"access_key": m.server.Key.ID, "region": "eu-central-1", "iam_endpoint": m.server.URL, "sts_endpoint": "http://[::1]:4566",
		"max_retries": 5, "username_template": "{{.DisplayName}}",
	}
	if got := m.read("config/root"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	resp, err := m.handle(backend.Write, "config/root", map[string]any{"iam_endpoint": "http://iam.example.com", "what": 1})
	if err != nil || resp == nil || len(resp.Warnings) != 2 || !strings.Contains(resp.Warnings[0], "plain http") {
		t.Errorf("plain http: %v, %v; want warnings of it and of the unknown field", resp, err)
	}
	for _, test := range []struct {
		params map[string]any
		want   string
	}{
		{map[string]any{"access_key": "AKIAOTHER"}, "secret_key: missing"},
		{map[string]any{"access_key": "", "secret_key": "x"}, "belong together"},
		{map[string]any{"access_key": "a b", "secret_key": "x"}, "access_key: is no key"},
		{map[string]any{"region": "eu central"}, "region: "},
		{map[string]any{"iam_endpoint": "ftp://x"}, "iam_endpoint: "},
		{map[string]any{"sts_endpoint": "https://u:p@x"}, "sts_endpoint: holds a user"},
		{map[string]any{"sts_endpoint": "https://x/?q=1"}, "sts_endpoint: holds a user, a query"},
		{map[string]any{"sts_endpoint": "://"}, "sts_endpoint: is no URL"},
		{map[string]any{"max_retries": 11}, "max_retries: "},
		{map[string]any{"max_retries": -2}, "max_retries: "},
		{map[string]any{"username_template": "{{range .X}}{{end}}"}, "username_template: "},
	} {
		if _, err := m.handle(backend.Write, "config/root", test.params); code(err) != lease.Invalid || !strings.Contains(message(err), test.want) {
			t.Errorf("%v: got %v, want %q", test.params, err, test.want)
		}
	}
	if got := m.read("config/root")["access_key"]; got != m.server.Key.ID {
		t.Errorf("what was refused has changed the key to %v", got)
	}
}

func TestAnotherKeyWhileUsersAreLeased(t *testing.T) {
	m := newMount(t)
	for key, want := range map[string]int{m.server.Key.ID: 0, "AKIAOTHER": 1} {
		req := m.request(backend.Write, "config/root", map[string]any{"access_key": key, "secret_key": m.server.Key.Secret})
		req.Live = func(role string) int { return map[string]int{"": 7}[role] }
		resp, err := m.engine.Handle(t.Context(), req)
		got := 0
		if resp != nil {
			got = len(resp.Warnings)
		}
		if err != nil || got != want || want == 1 && !strings.Contains(resp.Warnings[0], "7 leases") {
			t.Errorf("key %s: %v, %v; want %d warnings", key, resp, err, want)
		}
		m.point(m.server)
	}
}

func TestNothingIsConfigured(t *testing.T) {
	m := newMount(t)
	m.store = emptyStore()
	for _, path := range []string{"config/root", "config/lease", "roles/none"} {
		if resp, err := m.handle(backend.Read, path, nil); resp != nil || err != nil {
			t.Errorf("read %s: %v, %v; want nothing", path, resp, err)
		}
	}
	if resp, err := m.handle(backend.List, "roles", nil); resp != nil || err != nil {
		t.Errorf("list roles: %v, %v; want nothing", resp, err)
	}
	m.write("roles/r", fullRole)
	if _, err := m.engine.Prepare(t.Context(), m.request(backend.Read, "creds/r", nil)); !strings.Contains(message(err), "config/root is missing") {
		t.Errorf("without config/root: %v", err)
	}
	if _, err := m.rotate(); !strings.Contains(message(err), "config/root is missing") {
		t.Errorf("rotating nothing: %v", err)
	}
	if items := m.inventory(); items != nil {
		t.Errorf("inventory: %v", items)
	}
}

// The texts are Vault's.
func TestConfigLease(t *testing.T) {
	m := newMount(t)
	for want, params := range map[string]map[string]any{
		"'lease' is a required parameter":               {"lease_max": "1h"},
		"'lease_max' is a required parameter":           {"lease": "1h"},
		`Invalid lease: time: invalid duration "x"`:     {"lease": "x", "lease_max": "1h"},
		`Invalid lease_max: time: invalid duration "y"`: {"lease": "1h", "lease_max": "y"},
	} {
		if _, err := m.handle(backend.Write, "config/lease", params); code(err) != lease.Invalid || message(err) != want {
			t.Errorf("%v: got %v, want %q", params, err, want)
		}
	}
	if _, err := m.handle(backend.Write, "config/lease", map[string]any{"lease": "2h", "lease_max": "1h"}); code(err) != lease.Invalid {
		t.Errorf("longer than its maximum: %v", err)
	}
	m.write("config/lease", map[string]any{"lease": "30m", "lease_max": json.Number("43200")})
	if got, want := m.read("config/lease"), (map[string]any{"lease": "30m0s", "lease_max": "12h0m0s"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	plan := m.prepare("creds/full", map[string]any{"ttl": "5m"}).plan
	if plan.TTL != 5*time.Minute || plan.DefaultTTL != 30*time.Minute || plan.MaxTTL != 12*time.Hour || !plan.Renewable {
		t.Errorf("the plan's times are %v, %v, %v, renewable %v", plan.TTL, plan.DefaultTTL, plan.MaxTTL, plan.Renewable)
	}
}

func TestRoles(t *testing.T) {
	m := newMount(t)
	want := map[string]any{
		"credential_type": "iam_user", "policy_arns": []string{readOnly, billing}, "role_arns": []string{}, "policy_document": document,
		"iam_groups": []string{"staff"}, "iam_tags": map[string]string{"team": "ops"}, "default_sts_ttl": int64(0), "max_sts_ttl": int64(0),
		"user_path": "/leased/", "permissions_boundary_arn": billing, "external_id": "", "session_tags": map[string]string{}, "mfa_serial_number": "",
	}
	if got := m.read("roles/full"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	// What is not sent stays, what is sent empty is cleared, and documents lose their white space.
	m.write("roles/full", map[string]any{"policy_document": "{\n \"Statement\": [ ] }", "iam_groups": "", "user_path": ""})
	got := m.read("roles/full")
	if got["policy_document"] != `{"Statement":[]}` || len(got["iam_groups"].([]string)) != 0 || got["user_path"] != "/" ||
		!slices.Equal(got["policy_arns"].([]string), []string{readOnly, billing}) {
		t.Errorf("after a change: %v", got)
	}
	resp, err := m.handle(backend.List, "roles", nil)
	if err != nil || !reflect.DeepEqual(resp.Data["keys"], []string{"deploy", "full"}) {
		t.Errorf("list: %v, %v", resp, err)
	}
	if _, err := m.handle(backend.Delete, "roles/full", nil); err != nil {
		t.Error(err)
	}
	if resp, err := m.handle(backend.Read, "roles/full", nil); resp != nil || err != nil {
		t.Errorf("after its deletion: %v, %v", resp, err)
	}
}

func TestRolesAreChecked(t *testing.T) {
	m := newMount(t)
	many := make([]any, 40)
	for i := range many {
		many[i] = readOnly
	}
	for _, test := range []struct {
		params string
		want   string
	}{
		{`{}`, "did not supply credential_type"},
		{`{"credential_type": "x"}`, "unrecognized credential_type: x"},
		{`{"credential_type": "iam_user", "role_arns": "` + roleARN + `"}`, "role_arns: only valid for the credential_type assumed_role"},
		{`{"credential_type": "iam_user", "default_sts_ttl": "1h"}`, "default_sts_ttl: only valid for"},
		{`{"credential_type": "iam_user", "max_sts_ttl": 3600}`, "max_sts_ttl: only valid for"},
		{`{"credential_type": "iam_user", "external_id": "xx"}`, "external_id: only valid for"},
		{`{"credential_type": "iam_user", "session_tags": {"a": "b"}}`, "session_tags: only valid for"},
		{`{"credential_type": "iam_user", "mfa_serial_number": "arn:aws:iam::1:mfa/x"}`, "mfa_serial_number: only valid for"},
		{`{"credential_type": "session_token", "policy_document": "{}"}`, "policy_document: only valid for"},
		{`{"credential_type": "session_token", "policy_arns": "` + readOnly + `"}`, "policy_arns: only valid for"},
		{`{"credential_type": "session_token", "iam_groups": "g"}`, "iam_groups: only valid for"},
		{`{"credential_type": "federation_token", "iam_tags": {"a": "b"}}`, "iam_tags: only valid for"},
		{`{"credential_type": "federation_token", "user_path": "/x/"}`, "user_path: only valid for"},
		{`{"credential_type": "federation_token", "permissions_boundary_arn": "` + readOnly + `"}`, "permissions_boundary_arn: only valid for"},
		{`{"credential_type": "assumed_role"}`, "role_arns: missing"},
		{`{"credential_type": "assumed_role", "role_arns": "` + readOnly + `"}`, "role_arns: "},
		{`{"credential_type": "assumed_role", "role_arns": "` + roleARN + `", "default_sts_ttl": "2h", "max_sts_ttl": "1h"}`, "default_sts_ttl: 2h0m0s is longer"},
		{`{"credential_type": "assumed_role", "role_arns": "` + roleARN + `", "max_sts_ttl": "14m"}`, "max_sts_ttl: 14m0s is shorter"},
		{`{"credential_type": "assumed_role", "role_arns": "` + roleARN + `", "external_id": "x"}`, "external_id: "},
		{`{"credential_type": "iam_user", "policy_arns": "arn:x"}`, "policy_arns: "},
		{`{"credential_type": "iam_user", "policy_document": "{"}`, "policy_document: not valid JSON"},
		{`{"credential_type": "iam_user", "policy_document": "[]"}`, "policy_document: not a JSON object"},
		{`{"credential_type": "iam_user", "policy_document": "{\"a\":1,\"a\":2}"}`, "policy_document: key \"a\" appears twice"},
		{`{"credential_type": "iam_user", "iam_groups": "a b"}`, "iam_groups: "},
		{`{"credential_type": "iam_user", "iam_tags": {"leasehold:role": "x"}}`, "iam_tags: tags that begin with leasehold:"},
		{`{"credential_type": "iam_user", "iam_tags": {"AWS:x": "x"}}`, "iam_tags: tags that begin with"},
		{`{"credential_type": "iam_user", "iam_tags": {"a": "<"}}`, "iam_tags: "},
		{`{"credential_type": "iam_user", "user_path": "leased"}`, "user_path: "},
		{`{"credential_type": "iam_user", "permissions_boundary_arn": "x"}`, "permissions_boundary_arn: "},
		{`{"credential_type": "session_token", "mfa_serial_number": "x"}`, "mfa_serial_number: "},
		{`{"policy": "{}", "policy_document": "{}"}`, "policy: is the old name"},
		{`{"arn": "` + readOnly + `", "policy_arns": "` + readOnly + `"}`, "arn: is the old name"},
		{`{"arn": "arn:aws:s3:::bucket"}`, "arn: "},
		{`{"arn": "` + readOnly + `", "policy": "{}"}`, "policy and arn: "},
	} {
		var params map[string]any
		if err := json.Unmarshal([]byte(test.params), &params); err != nil {
			t.Fatal(err)
		}
		for key, value := range params {
			if n, ok := value.(float64); ok {
				params[key] = int(n)
			}
		}
		if _, err := m.handle(backend.Write, "roles/r", params); code(err) != lease.Invalid || !strings.Contains(message(err), test.want) {
			t.Errorf("%s: got %v, want %q", test.params, err, test.want)
		}
	}
	for name, params := range map[string]map[string]any{
		"too many ARNs": {"credential_type": "iam_user", "policy_arns": many},
		"a long policy": {"credential_type": "iam_user", "policy_document": `{"a":"` + strings.Repeat("x", 30<<10) + `"}`},
		"a huge policy": {"credential_type": "iam_user", "policy_document": strings.Repeat(" ", 70<<10) + "{}"},
	} {
		if _, err := m.handle(backend.Write, "roles/r", params); code(err) != lease.Invalid {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	for _, name := range []string{strings.Repeat("x", 129), "a b", ".."} {
		if _, err := m.handle(backend.Write, "roles/"+name, fullRole); code(err) != lease.Invalid {
			t.Errorf("a role named %.20q: got %v, want it refused", name, err)
		}
	}
	if resp, err := m.handle(backend.Read, "roles/r", nil); resp != nil || err != nil {
		t.Errorf("what was refused is there: %v, %v", resp, err)
	}
}

// Roles as they were written for Vault before it had credential types.
func TestDeprecatedRoles(t *testing.T) {
	m := newMount(t)
	write := func(name string, params map[string]any) {
		t.Helper()
		resp, err := m.handle(backend.Write, "roles/"+name, params)
		if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "deprecated") {
			t.Fatalf("%s: %v, %v; want a warning", name, resp, err)
		}
	}
	kind := func(path string) string {
		t.Helper()
		var kept struct{ Type string }
		if err := json.Unmarshal(m.prepare(path, nil).internal, &kept); err != nil {
			t.Fatal(err)
		}
		return kept.Type
	}
	write("policy", map[string]any{"policy": document})
	if got := m.read("roles/policy"); got["credential_type"] != "iam_user,federation_token" || got["policy_document"] != document {
		t.Errorf("policy: %v", got)
	}
	if user, token := kind("creds/policy"), kind("sts/policy"); user != "iam_user" || token != "federation_token" {
		t.Errorf("policy: creds makes %s, sts %s", user, token)
	}
	write("arn", map[string]any{"arn": readOnly})
	if kind("creds/arn") != "iam_user" {
		t.Error("arn: creds makes no user")
	}
	if _, err := m.engine.Prepare(t.Context(), m.request(backend.Read, "sts/arn", nil)); code(err) != lease.Invalid {
		t.Errorf("arn: sts answers %v, want it refused", err)
	}
	write("role", map[string]any{"arn": roleARN})
	if creds, sts := kind("creds/role"), kind("sts/role"); creds != "assumed_role" || sts != creds {
		t.Errorf("the arn of a role: creds makes %s, sts %s", creds, sts)
	}
	write("both", map[string]any{"credential_type": "federation_token", "policy": document})
	if got := m.read("roles/both"); got["credential_type"] != "federation_token" {
		t.Errorf("policy with a type: %v", got)
	}
}

func TestCredsAreChecked(t *testing.T) {
	m := newMount(t)
	m.write("roles/two", map[string]any{"credential_type": "assumed_role", "role_arns": []any{roleARN, roleARN + "2"}})
	m.write("roles/mfa", map[string]any{"credential_type": "session_token", "mfa_serial_number": "arn:aws:iam::123456789012:mfa/x"})
	for _, test := range []struct {
		path   string
		params map[string]any
		want   string
	}{
		{"creds/none", nil, `Role "none" not found`},
		{"sts/none", nil, `Role "none" not found`},
		{"creds/two", nil, "role_arn: missing"},
		{"creds/two", map[string]any{"role_arn": roleARN + "3"}, "role_arn: "},
		{"creds/full", map[string]any{"role_arn": roleARN}, "role_arn and role_session_name: only valid"},
		{"creds/full", map[string]any{"mfa_code": "1"}, "mfa_code: only valid"},
		{"creds/full", map[string]any{"ttl": "x"}, "ttl"},
		{"creds/mfa", nil, "mfa_code: "},
		{"creds/deploy", map[string]any{"role_session_name": "a b"}, "role_session_name: "},
		{"creds/deploy", map[string]any{"ttl": "10m"}, "ttl: 10m0s is shorter"},
	} {
		_, err := m.engine.Prepare(t.Context(), m.request(backend.Read, test.path, test.params))
		if code(err) != lease.Invalid || !strings.Contains(message(err), test.want) {
			t.Errorf("%s with %v: got %v, want %q", test.path, test.params, err, test.want)
		}
	}
	// A TTL that the mount's limits have cut is found out later.
	l := m.prepare("creds/deploy", nil)
	_, err := m.engine.Create(t.Context(), &backend.Intent{ExternalName: l.name, TTL: time.Minute, Internal: l.internal, Request: l.req})
	if code(err) != lease.Invalid || !strings.Contains(message(err), "STS makes nothing shorter") {
		t.Errorf("a TTL that was cut: %v", err)
	}
	if len(m.server.Calls()) != 0 {
		t.Errorf("AWS was called: %v", m.server.Calls())
	}
	var e *lease.Error
	if err := m.engine.Destroy(t.Context(), &backend.Destruction{Internal: []byte("{"), Store: m.store}); !backend.IsPermanent(err) || errors.As(err, &e) {
		t.Errorf("what the lease kept cannot be read: %v, want a permanent error", err)
	}
}
