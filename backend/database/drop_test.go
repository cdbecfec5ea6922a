package database_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend"
)

// What a login owns and was granted does not keep it from being dropped, and is not lost.
func TestDropTakesOverWhatTheLoginOwns(t *testing.T) {
	m := newMount(t, "postgres")
	m.srv.Exec(t, "CREATE SCHEMA IF NOT EXISTS owned", "CREATE TABLE IF NOT EXISTS owned.given (id int)")
	m.connect(m.srv.Addr, nil)
	m.role("app", map[string]any{"creation_statements": []any{
		`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; GRANT ALL ON SCHEMA owned TO "{{name}}"`,
		`GRANT SELECT ON owned.given TO "{{name}}"; GRANT CONNECT, CREATE ON DATABASE postgres TO "{{name}}"`,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA owned GRANT SELECT ON TABLES TO "{{name}}"`,
	}})
	l := m.issue("app")
	s := l.session()
	for _, statement := range []string{"CREATE TABLE owned.mine (id int)", "INSERT INTO owned.mine VALUES (7)",
		"CREATE SCHEMA private", "BEGIN", "LOCK TABLE owned.mine"} { // and a transaction that is in the way
		if _, err := s.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	must(t, l.destroy(t.Context()))
	l.wantLiving(false)
	if got := m.srv.Column(t, "SELECT id FROM owned.mine"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("the table holds %q, want what the login put there", got)
	}
	if got := m.srv.Column(t, "SELECT tableowner FROM pg_tables WHERE tablename = 'mine'"); !slices.Equal(got, []string{m.srv.User}) {
		t.Errorf("the table belongs to %q, want the connection's account", got)
	}
	m.srv.Exec(t, "DROP SCHEMA owned CASCADE", "DROP SCHEMA private")
}

// A transaction reaches one database. What the login holds in others must be named, and until it is
// cleared nobody can log in.
func TestDropNamesOtherDatabases(t *testing.T) {
	m := newMount(t, "postgres")
	m.srv.Exec(t, `CREATE DATABASE "else where"`)
	m.connect(m.srv.Addr, nil)
	m.role("app", nil)
	l := m.issue("app")
	connector, err := m.srv.Connector(m.srv.User, m.srv.Password, "else where")
	must(t, err)
	there := openAs(t, connector)
	exec(t, there, `CREATE TABLE held (id int)`)
	exec(t, there, `GRANT SELECT ON held TO "`+l.name+`"`)
	session := l.session()

	err = l.destroy(t.Context())
	if err == nil || !backend.IsPermanent(err) || !strings.Contains(err.Error(), `"else where"`) {
		t.Errorf("got %v, want a permanent error that names the other database", err)
	}
	l.wantRefused()
	if _, err := session.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session of the login still works")
	}
	exec(t, there, `DROP OWNED BY "`+l.name+`"`)
	must(t, l.destroy(t.Context()))
	l.wantLiving(false)
	there.Close()
	m.srv.Exec(t, `DROP DATABASE "else where"`)
}

// S13: a role's own statements end the login; that it is gone is success even if they would fail then.
func TestCustomRevocation(t *testing.T) {
	drop := map[string]string{
		"postgres": `REVOKE pg_monitor FROM "{{name}}"; DROP ROLE "{{name}}"`,
		"mariadb":  `REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'%'; DROP USER '{{name}}'@'%'`,
	}
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		m.role("app", map[string]any{"revocation_statements": drop[kind]})
		l := m.issue("app")
		must(t, l.destroy(t.Context()))
		l.wantLiving(false)
		must(t, l.destroy(t.Context()))

		never, err := m.prepare("app")
		must(t, err)
		must(t, never.destroy(t.Context()))

		// A deleted role counts as it stood; one that is there as it stands.
		m.srv.Exec(t, "DROP TABLE IF EXISTS revoked", "CREATE TABLE revoked (name varchar(80))")
		m.role("app", map[string]any{"revocation_statements": []any{drop[kind], map[string]string{
			"postgres": "INSERT INTO revoked VALUES ('{{name}}')", "mariadb": "INSERT INTO test.revoked VALUES ('{{name}}')"}[kind]}})
		kept := m.issue("app")
		if _, err := m.do(backend.Delete, "roles/app", nil); err != nil {
			t.Fatal(err)
		}
		must(t, kept.destroy(t.Context()))
		kept.wantLiving(false)
		if got := m.srv.Column(t, "SELECT name FROM revoked"); !slices.Equal(got, []string{kept.name}) {
			t.Errorf("the statements of the deleted role left %q, want the login's name", got)
		}
		m.role("app", map[string]any{"revocation_statements": "SELECT 1"})
		l = m.issue("app")
		err = l.destroy(t.Context())
		if err == nil || !backend.IsPermanent(err) || !strings.Contains(err.Error(), "let them drop {{name}}") {
			t.Errorf("statements that drop nothing: got %v, want a permanent error that says so", err)
		}
		l.wantLiving(true)
		m.role("app", map[string]any{"revocation_statements": drop[kind]})
		must(t, l.destroy(t.Context()))
		l.wantLiving(false)
	})
}

// A login that is kept but lets nobody in is ended, too.
func TestRevocationMayKeepALoginThatLetsNobodyIn(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, nil)
	m.role("app", map[string]any{"revocation_statements": `ALTER ROLE "{{name}}" NOLOGIN`})
	l := m.issue("app")
	must(t, l.destroy(t.Context()))
	l.wantRefused()
	l.wantLiving(true)
	m.role("app", map[string]any{"revocation_statements": ""})
	must(t, l.destroy(t.Context()))
	l.wantLiving(false)
}

// A creation that the server refuses leaves nothing, and runs the rollback statements.
func TestRollback(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		first, _, _ := strings.Cut(creation[kind], ";")
		m.srv.Exec(t, "DROP TABLE IF EXISTS rolled_back", "CREATE TABLE rolled_back (name varchar(80))")
		m.role("app", map[string]any{
			"creation_statements": first + "; GRANT nothing TO nobody_there",
			"rollback_statements": map[string]string{
				"postgres": "INSERT INTO rolled_back VALUES ('{{name}}')",
				"mariadb":  "INSERT INTO test.rolled_back VALUES ('{{name}}'); DROP USER '{{name}}'@'%'",
			}[kind],
		})
		l, err := m.prepare("app")
		must(t, err)
		err = l.create(t.Context())
		if err == nil || !strings.Contains(err.Error(), "make the login: the database answered with an error (") || !strings.Contains(err.Error(), "statement 2") {
			t.Errorf("got %v, want an error with the server's code that names the second statement", err)
		}
		l.wantLiving(false)
		if got := m.srv.Column(t, "SELECT name FROM rolled_back"); !slices.Equal(got, []string{l.name}) {
			t.Errorf("the rollback statements left %q, want the login's name once", got)
		}
		must(t, l.destroy(t.Context()))
	})
}

// A login that the statements did not make under the right name could never be ended.
func TestStatementsMustMakeTheLogin(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		m.role("app", map[string]any{"creation_statements": "SELECT '{{name}}'"})
		l, err := m.prepare("app")
		must(t, err)
		if err := l.create(t.Context()); err == nil {
			t.Error("got a login that nobody made")
		}
		m.role("app", map[string]any{"creation_statements": strings.ReplaceAll(creation[kind], "{{name}}", "{{name}}x")})
		l, err = m.prepare("app")
		must(t, err)
		if err := l.create(t.Context()); err == nil {
			t.Error("got a login under another name than the lease's")
		}
		if got := living(t, kind, m.srv, l.name); kind == "postgres" && len(got) != 0 {
			t.Errorf("the transaction left %q", got)
		}
	})
}
