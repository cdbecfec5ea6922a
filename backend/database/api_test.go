package database_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/database"
	"github.com/leasehold/leasehold/lease"
)

func openAs(t testing.TB, connector driver.Connector) *sql.DB {
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestRoutes(t *testing.T) {
	engine := database.New(database.Options{})
	defer engine.Close()
	const query, change, issue, none = backend.Query, backend.Change, backend.Issue, backend.Class(0)
	tests := []struct {
		path                      string
		read, list, write, delete backend.Class
		code                      lease.Code // of what is not served
	}{
		{"config", none, query, none, none, lease.Unsupported},
		{"config/a", query, none, change, change, lease.Unsupported},
		{"reset/a", none, none, change, none, lease.Unsupported},
		{"rotate-root/a", none, none, change, none, lease.Unsupported},
		{"roles", none, query, none, none, lease.Unsupported},
		{"roles/a", query, none, change, change, lease.Unsupported},
		{"creds/a", issue, none, none, none, lease.Unsupported},
		{"creds", none, none, none, none, lease.NotFound},
		{"config/a/b", none, none, none, none, lease.NotFound},
		{"static-roles/a", none, none, none, none, lease.NotFound},
	}
	for _, test := range tests {
		for op, want := range map[backend.Operation]backend.Class{
			backend.Read: test.read, backend.List: test.list, backend.Write: test.write, backend.Delete: test.delete,
		} {
			class, err := engine.Route(op, test.path)
			if class != want {
				t.Errorf("%s, operation %d: got class %d, %v; want %d", test.path, op, class, err, want)
			}
			if want == none {
				wantError(t, err, test.code)
			}
		}
	}
}

// The statuses and texts of vault-compatible servers.
func TestTexts(t *testing.T) {
	m := newMount(t, "postgres")
	write := func(path string, params map[string]any, code lease.Code, texts ...string) {
		t.Helper()
		_, err := m.do(backend.Write, path, params)
		wantError(t, err, code, texts...)
	}
	write("config/x", nil, lease.Invalid, "empty plugin name")
	write("config/x", map[string]any{"plugin_name": "oracle"}, lease.Invalid, "postgresql-database-plugin")
	write("config/x", map[string]any{"plugin_name": "postgresql-database-plugin", "connection_url": m.srv.URL("127.0.0.1:1"),
		"username": "u", "password": "p-canary"}, lease.Invalid, "error creating database object: error verifying connection: ")
	write("roles/r", nil, lease.Invalid, "database name is required")
	write("roles/r", map[string]any{"db_name": "main"}, lease.Invalid, "empty creation statements")
	write("rotate-root/x", nil, lease.Invalid, `failed to find entry for connection with name: "x"`)
	write("reset/x", nil, lease.Invalid, `failed to find entry for connection with name: "x"`)

	_, err := m.prepare("nope")
	wantError(t, err, lease.Invalid, "unknown role: nope")
	m.role("r2", nil)
	_, err = m.prepare("r2")
	wantError(t, err, lease.Internal, `failed to find entry for connection with name: "main"`)
	m.connect(m.srv.Addr, map[string]any{"allowed_roles": "readonly,app-*,*-x"})
	_, err = m.prepare("r2")
	wantError(t, err, lease.Internal, `"r2" is not an allowed role`)
	for role, want := range map[string]bool{"readonly": true, "readonly2": false, "app-1": true, "xapp-1": false, "a-x": true, "a-xy": false} {
		m.role(role, nil)
		if _, err := m.prepare(role); (err == nil) != want {
			t.Errorf("role %s: got %v, want allowed: %v", role, err, want)
		}
	}
	for path, want := range map[string]bool{"config/main": true, "config/x": false, "roles/r2": true, "roles/x": false} {
		if got, err := m.engine.Exists(t.Context(), m.request(backend.Write, path, nil)); got != want || err != nil {
			t.Errorf("%s exists: %v, %v; want %v", path, got, err, want)
		}
	}
	for _, path := range []string{"config/x", "roles/x"} {
		if resp, err := m.do(backend.Read, path, nil); resp != nil || err != nil {
			t.Errorf("%s: got %v, %v; want nothing", path, resp, err)
		}
	}
}

func TestConnectionIsShownWithoutSecrets(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, map[string]any{
		"allowed_roles": []any{"a", "b"}, "max_open_connections": json.Number("7"), "max_connection_lifetime": "5s",
		"root_rotation_statements": []any{`ALTER ROLE "{{username}}" PASSWORD '{{password}}'`},
	})
	resp, err := m.do(backend.Read, "config/main", nil)
	must(t, err)
	want := map[string]any{
		"plugin_name": "postgresql-database-plugin", "plugin_version": "", "allowed_roles": []string{"a", "b"}, "password_policy": "",
		"root_credentials_rotate_statements": []string{`ALTER ROLE "{{username}}" PASSWORD '{{password}}'`},
		"connection_details": map[string]any{
			"connection_url": m.srv.URL(m.srv.Addr), "username": m.srv.User, "max_open_connections": 7,
			"max_idle_connections": 7, "max_connection_lifetime": "5s",
		},
	}
	if !reflect.DeepEqual(resp.Data, want) {
		t.Errorf("got  %v\nwant %v", resp.Data, want)
	}
	if resp, err = m.do(backend.List, "config", nil); err != nil || !reflect.DeepEqual(resp.Data, map[string]any{"keys": []string{"main"}}) {
		t.Errorf("list: got %v, %v", resp, err)
	}
	// A field that is not sent stays.
	m.write("config/main", map[string]any{"allowed_roles": "c"})
	resp, err = m.do(backend.Read, "config/main", nil)
	must(t, err)
	if got := resp.Data["allowed_roles"]; !reflect.DeepEqual(got, []string{"c"}) || resp.Data["plugin_name"] != want["plugin_name"] {
		t.Errorf("after a change of one field: %v", resp.Data)
	}
	if _, err = m.do(backend.Delete, "config/main", nil); err != nil {
		t.Fatal(err)
	}
	if resp, err = m.do(backend.List, "config", nil); resp != nil || err != nil {
		t.Errorf("list after the deletion: got %v, %v", resp, err)
	}
}

// An account that is written into the URL, as in many examples, is taken out of it.
func TestAccountInTheURL(t *testing.T) {
	tests := []struct{ kind, url, username, password, shown, err string }{
		{"postgres", "postgresql://bob:p%40ss-canary@h:5432/db?sslmode=disable", "", "", "postgresql://{{username}}:{{password}}@h:5432/db?sslmode=disable", ""},
		{"postgres", "postgres://bob:{{ password }}@h/db", "", "x-canary", "postgres://{{username}}:{{ password }}@h/db", ""},
		{"postgres", "postgres://bob@h/db", "", "", "postgres://{{username}}@h/db", ""},
		{"postgres", "host=h user={{username}} password={{password}} dbname=d", "bob", "x-canary", "host=h user={{username}} password={{password}} dbname=d", ""},
		{"postgres", "host=h user=bob password=x-canary dbname=d", "", "", "", "write {{password}} in its place"},
		{"postgres", "postgres://bob:x-canary@h/db", "alice", "", "", "username is not that of the field"},
		{"postgres", "postgres://{{user}}@h/db", "bob", "", "", "other than {{username}} and {{password}}"},
		{"postgres", "mysql://x-canary", "", "", "", "write it as postgresql://"},
		{"postgres", "", "", "", "", "write it as postgresql://"},
		{"mariadb", "bob:p@ss/canary@tcp(h:3306)/", "", "", "{{username}}:{{password}}@tcp(h:3306)/", ""},
		{"mariadb", "{{username}}:{{password}}@tcp(h:3306)/db?tls=true", "bob", "x-canary", "{{username}}:{{password}}@tcp(h:3306)/db?tls=true", ""},
		{"mariadb", "x-canary", "bob", "", "", "write it as {{username}}"},
	}
	for _, test := range tests {
		m := newMount(t, test.kind)
		_, err := m.do(backend.Write, "config/main", map[string]any{
			"plugin_name": plugins[test.kind], "connection_url": test.url, "username": test.username, "password": test.password,
			"verify_connection": "false",
		})
		if test.err != "" {
			wantError(t, err, lease.Invalid, "connection_url: ", test.err)
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the error shows what may be a password: %v", test.url, err)
			}
			continue
		}
		must(t, err)
		resp, err := m.do(backend.Read, "config/main", nil)
		must(t, err)
		details := resp.Data["connection_details"].(map[string]any)
		if details["connection_url"] != test.shown || details["username"] != "bob" {
			t.Errorf("%s: got %v, want %s of bob", test.url, details, test.shown)
		}
		if text, _ := json.Marshal(resp.Data); strings.Contains(string(text), "canary") {
			t.Errorf("%s: the password is shown: %s", test.url, text)
		}
	}
}

func TestRolesAreChecked(t *testing.T) {
	m := newMount(t, "postgres")
	base := func() map[string]any {
		return map[string]any{"db_name": "main", "creation_statements": creation["postgres"]}
	}
	for _, test := range []struct {
		field string
		value any
		err   string
	}{
		{"creation_statements", "", "empty creation statements"},
		{"creation_statements", "CREATE ROLE x", "{{name}} is missing"},
		{"creation_statements", `CREATE ROLE "{{name}}" -- {{rolename}}`, "{{rolename}} is not known here"},
		{"creation_statements", `BEGIN; CREATE ROLE "{{name}}"; COMMIT`, "BEGIN: leave it out"},
		{"creation_statements", `CREATE ROLE "{{name}}`, "close it"},
		{"creation_statements", "CREATE ROLE \"{{name}}\"\x00", "NUL"},
		{"creation_statements", `CREATE ROLE "{{name}}";` + strings.Repeat("SELECT 1;", 64), "at most 64"},
		{"creation_statements", json.Number("7"), "list of texts"},
		{"revocation_statements", `DROP ROLE "{{name}}" -- {{password}}`, "{{password}} is not known here"},
		{"renew_statements", `{{password}}`, "{{password}} is not known here"},
		{"rollback_statements", `{{x}}`, "{{x}} is not known here"},
		{"credential_type", "rsa_private_key", "credential_type"},
		{"credential_config", map[string]any{"password_policy": "strict"}, "credential_config"},
		{"default_ttl", "48h", "default_ttl"},
		{"db_name", "a/../b", "db_name"},
	} {
		params := base()
		params["max_ttl"] = "24h"
		params[test.field] = test.value
		_, err := m.do(backend.Write, "roles/r", params)
		wantError(t, err, lease.Invalid, test.err)
	}
	// A role may come before its connection: then what is right in one dialect is taken.
	params := base()
	params["creation_statements"] = `["CREATE USER '{{name}}'@'%' IDENTIFIED BY 'it\\'s{{password}}'", "GRANT SELECT, INSERT ON a.* TO '{{name}}'@'%'"]`
	params["default_ttl"], params["max_ttl"] = "1h", json.Number("86400")
	m.write("roles/r", params)
	resp, err := m.do(backend.Read, "roles/r", nil)
	must(t, err)
	want := map[string]any{
		"db_name": "main", "credential_type": "password", "default_ttl": int64(3600), "max_ttl": int64(86400),
		"creation_statements": []string{`CREATE USER '{{name}}'@'%' IDENTIFIED BY 'it\'s{{password}}'`,
			"GRANT SELECT, INSERT ON a.* TO '{{name}}'@'%'"},
		"revocation_statements": []string{}, "renew_statements": []string{}, "rollback_statements": []string{},
	}
	if !reflect.DeepEqual(resp.Data, want) {
		t.Errorf("got  %v\nwant %v", resp.Data, want)
	}
	m.connect(m.srv.Addr, nil)
	_, err = m.prepare("r")
	wantError(t, err, lease.Invalid, "creation_statements")
}
