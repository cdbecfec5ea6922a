package database_test

import (
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/backend/database/dbtest"
	"github.com/leasehold/leasehold/backend/database/statement"
)

// documented are the statements of the first SQL block below a heading of docs/database.md.
func documented(t *testing.T, heading string, syntax statement.Syntax) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/database.md")
	must(t, err)
	_, after, ok := strings.Cut(string(page), "\n"+heading+"\n")
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindStringSubmatch(after)
	if !ok || block == nil {
		t.Fatalf("docs/database.md has no SQL below %q", heading)
	}
	list, err := statement.Parse(syntax, block[1])
	must(t, err)
	var out []string
	for _, s := range list {
		out = append(out, s.String())
	}
	return out
}

// T19: the account that docs/database.md describes is enough for a login's whole life, with objects
// and sessions of its own, and is no superuser.
func TestT19_DocumentedGrantsAreEnough(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		srv := map[string]func(testing.TB) *dbtest.Server{"postgres": dbtest.StartPostgres, "mariadb": dbtest.StartMariaDB}[kind](t)
		m := mountBefore(t, kind, srv)
		create, own := "", ""
		switch kind {
		case "postgres":
			m.srv.Exec(t, documented(t, "### PostgreSQL", statement.PostgreSQL)...)
			m.srv.Exec(t, "GRANT CREATE ON SCHEMA public TO app_reader")
			create = `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE app_reader`
			own = "CREATE TABLE owned_by_login (id int)"
		case "mariadb":
			m.srv.Exec(t, "CREATE DATABASE app")
			m.srv.Exec(t, documented(t, "### MySQL and MariaDB", statement.MySQL)...)
			create = `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON app.* TO '{{name}}'@'%'`
			own = "SELECT * FROM app.nothing" // a login without rights to make anything
			m.srv.Exec(t, "CREATE TABLE app.nothing (id int)")
			m.srv.Database = "app"
		}
		m.connect(m.srv.Addr, map[string]any{"username": "leasehold", "password": "change-me-by-rotate-root"})
		m.write("rotate-root/main", nil)
		for _, custom := range []string{"", map[string]string{
			"postgres": `DROP ROLE "{{name}}"`,
			"mariadb":  `REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'%'; DROP USER '{{name}}'@'%'`,
		}[kind]} {
			m.role("app", map[string]any{"creation_statements": create, "revocation_statements": custom})
			l := m.issue("app")
			must(t, l.create(t.Context()))
			must(t, l.renew(t.Context()))
			var s *dbtest.Session
			if custom == "" {
				s = l.session()
				if _, err := s.ExecContext(t.Context(), own); err != nil {
					t.Fatalf("%s: %v", own, err)
				}
			}
			must(t, l.destroy(t.Context()))
			l.wantRefused()
			l.wantLiving(false)
			if s != nil && s.PingContext(t.Context()) == nil {
				t.Error("a session outlived its login")
			}
			must(t, l.destroy(t.Context()))
		}
	})
}

// T19: the account that docker-compose.yml's PostgreSQL gives Leasehold when it is new has the rights that
// docs/database.md says, no more, and they are enough. The script is run as the image does.
func TestT19_TheAccountOfTheComposeFileIsEnough(t *testing.T) {
	const script = "../../scripts/compose/postgres.sql"
	srv := dbtest.StartPostgres(t)
	passwordFile := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(passwordFile, []byte(`it's"; a \ password`), 0o600))
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	must(t, err)
	psql := append(programs, "psql")[0]
	host, port, err := net.SplitHostPort(srv.Addr)
	must(t, err)
	run := osexec.Command(psql, "-v", "ON_ERROR_STOP=1", "--username", srv.User, "--no-password", "--no-psqlrc", "--dbname", srv.Database,
		"--host", host, "--port", port, "-f", script)
	run.Env = append(os.Environ(), "ACCOUNT_PASSWORD_FILE="+passwordFile, "PGPASSWORD="+srv.Password)
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	text, err := os.ReadFile(script)
	must(t, err)
	for _, want := range documented(t, "### PostgreSQL", statement.PostgreSQL) {
		if want = strings.Replace(want, "'change-me-by-rotate-root'", ":'password'", 1); !strings.Contains(string(text), want+";\n") {
			t.Errorf("%s has no %q, which docs/database.md has", script, want)
		}
	}
	if got := srv.Column(t, `SELECT rolname FROM pg_roles WHERE rolname IN ('leasehold', 'app_reader')
		AND NOT (rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls) AND (rolname = 'leasehold') = (rolcreaterole AND rolcanlogin)`); len(got) != 2 {
		t.Errorf("accounts with the rights they are to have: got %q, want leasehold and app_reader", got)
	}

	m := mountBefore(t, "postgres", srv)
	m.connect(srv.Addr, map[string]any{"username": "leasehold", "password": `it's"; a \ password`})
	m.write("rotate-root/main", nil)
	m.role("readonly", map[string]any{
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE app_reader`})
	l := m.issue("readonly")
	s := l.session()
	var name string
	must(t, s.QueryRowContext(t.Context(), "SELECT name FROM items").Scan(&name))
	if _, err := s.ExecContext(t.Context(), "DELETE FROM items"); err == nil {
		t.Error("a login that may read deletes")
	}
	must(t, l.renew(t.Context()))
	must(t, l.destroy(t.Context()))
	l.wantRefused()
	l.wantLiving(false)
}
