package database_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/database"
	"github.com/leasehold/leasehold/backend/database/dbtest"
	"github.com/leasehold/leasehold/lease"
)

// A server that hangs costs each caller its own time, and leaves nothing behind when it is given up.
func TestHangingServerLeaksNothing(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		srv := server(t, kind)
		before := goleak.IgnoreCurrent()
		t.Run("calls", func(t *testing.T) { // whose own clean-up runs before the count
			m := mountBefore(t, kind, srv)
			proxy := dbtest.StartProxy(t, srv.Addr)
			m.connect(proxy.Addr, nil)
			m.role("app", nil)
			l := m.issue("app")
			for _, at := range [][]string{nil, faultSteps[kind].half} { // at the first step, and within the work
				proxy.Plant(dbtest.Fault{At: at, Hang: true})
				for _, call := range []func(context.Context) error{l.destroy, l.create} {
					ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
					begin := time.Now()
					err := call(ctx)
					cancel()
					if err == nil || time.Since(begin) > 2*time.Second {
						t.Errorf("a hanging server: got %v after %v", err, time.Since(begin))
					}
				}
				proxy.Heal()
			}
			must(t, l.destroy(t.Context()))
			m.engine.Close()
			if err := l.create(t.Context()); err == nil {
				t.Error("a closed engine still makes logins")
			}
		})
		goleak.VerifyNone(t, before)
	})
}

// What could not be ended while the server was away is ended when it is back.
func TestServerStopsAndComesBack(t *testing.T) {
	for kind, start := range map[string]func(testing.TB) *dbtest.Server{
		"postgres": dbtest.StartPostgres, "mariadb": dbtest.StartMariaDB,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := mountBefore(t, kind, start(t))
			m.connect(m.srv.Addr, nil)
			m.role("app", nil)
			l, other := m.issue("app"), m.issue("app")
			must(t, m.srv.Stop())
			err := l.destroy(t.Context())
			if err == nil || backend.IsPermanent(err) {
				t.Errorf("destroy while the server is away: got %v, want an error that is tried again", err)
			}
			wantError(t, other.renew(t.Context()), lease.Upstream, "no connection to the database")
			must(t, m.srv.Start())
			for range 2 { // no call may fail because a connection of before is dead
				must(t, l.destroy(t.Context()))
				must(t, other.renew(t.Context()))
			}
			l.wantLiving(false)
			other.session()
			must(t, other.destroy(t.Context()))
		})
	}
}

// Connections belong to a version of the connection: a change, a reset and idleness close them, and a
// call that is at work goes on.
func TestPoolsAreClosed(t *testing.T) {
	m := newMount(t, "postgres")
	m.engine = database.New(database.Options{IdleAfter: 300 * time.Millisecond})
	defer m.engine.Close()
	m.role("app", nil)
	ours := 0
	open := func() int {
		got := m.srv.Column(t, "SELECT pid FROM pg_stat_activity WHERE application_name = 'pool-of-"+fmt.Sprint(ours)+"'")
		return len(got)
	}
	connect := func() {
		ours++
		url := m.srv.URL(m.srv.Addr) + "&application_name=pool-of-" + fmt.Sprint(ours)
		m.connect("", map[string]any{"connection_url": url})
	}
	wait := func(want int, what string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); open() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d connections, want %d", what, open(), want)
			}
		}
	}
	for _, test := range []struct {
		what  string
		close func()
	}{
		{"a change of the connection", func() { m.write("config/main", map[string]any{"max_open_connections": 2}) }},
		{"a reset", func() { m.write("reset/main", nil) }},
		{"idleness", func() {}},
		{"a deletion", func() { m.do(backend.Delete, "config/main", nil) }},
		{"the end of the engine", func() { m.engine.Close() }},
	} {
		connect()
		must(t, m.issue("app").destroy(t.Context()))
		if test.what != "idleness" && open() != 1 {
			t.Fatalf("before %s: %d connections, want the one that was used", test.what, open())
		}
		test.close()
		wait(0, test.what)
	}
}

// A call that is at work when its connection changes goes on, and its connection is closed after it.
func TestCallsOutliveAChange(t *testing.T) {
	m := newMount(t, "postgres")
	url := m.srv.URL(m.srv.Addr) + "&application_name=outlived"
	m.connect("", map[string]any{"connection_url": url})
	m.role("app", map[string]any{"creation_statements": creation["postgres"] + "; SELECT pg_sleep(0.5)"})
	l, err := m.prepare("app")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- l.create(t.Context()) }()
	const ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'outlived'"
	for len(m.srv.Column(t, ours)) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	m.write("reset/main", nil)
	must(t, <-done)
	for end := time.Now().Add(5 * time.Second); len(m.srv.Column(t, ours)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection of the call is still open")
		}
	}
	must(t, l.destroy(t.Context()))
}

// A connection that is deleted while its logins are leased is asked for again; it must be to the same
// kind of server.
func TestConnectionIsGone(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, nil)
	m.role("app", nil)
	l := m.issue("app")
	if _, err := m.do(backend.Delete, "config/main", nil); err != nil {
		t.Fatal(err)
	}
	err := l.destroy(t.Context())
	if err == nil || backend.IsPermanent(err) || !strings.Contains(err.Error(), "write config/main again") {
		t.Errorf("got %v, want an error that is tried again and says what to do", err)
	}
	m.write("config/main", map[string]any{"plugin_name": "mysql-database-plugin", "connection_url": "u:p@tcp(h)/", "verify_connection": "false"})
	if err = l.destroy(t.Context()); err == nil || !backend.IsPermanent(err) {
		t.Errorf("another kind of server: got %v, want a permanent error", err)
	}
	if _, err := m.do(backend.Delete, "config/main", nil); err != nil {
		t.Fatal(err)
	}
	m.connect(m.srv.Addr, nil)
	must(t, l.destroy(t.Context()))

	l = m.issue("app")
	if _, err := m.do(backend.Delete, "roles/app", nil); err != nil {
		t.Fatal(err)
	}
	wantError(t, l.renew(t.Context()), 0, `could not find role with name "app"`)
	must(t, l.destroy(t.Context()))
}

// T12: errors are short and show no password, whatever the server says.
func TestT12_ErrorsShowNoSecrets(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		first, _, _ := strings.Cut(creation[kind], ";")
		// The password stands where the server repeats it.
		m.role("app", map[string]any{"creation_statements": first + `; {{password}} "` + strings.Repeat("long ", 100) + `"`})
		var said []string
		for range 3 {
			l, err := m.prepare("app")
			must(t, err)
			err = l.create(t.Context())
			var e *lease.Error
			if !errors.As(err, &e) || e.Err == nil || len(e.Err.Error()) > database.MaxErrorText {
				t.Fatalf("got %v, want an error of %d bytes at most", err, database.MaxErrorText)
			}
			if strings.Contains(e.Message, "long") {
				t.Errorf("the caller is shown the server's words: %s", e.Message)
			}
			said = append(said, e.Err.Error())
			must(t, l.destroy(t.Context()))
		}
		// MariaDB repeats 80 characters of a statement from where it is wrong, which cuts a password.
		if kind == "mariadb" {
			m.role("app", map[string]any{"creation_statements": first + "; wrong_" + strings.Repeat("x", 52) + ` '{{password}}'`})
			l, err := m.prepare("app")
			must(t, err)
			if err = l.create(t.Context()); err == nil || !strings.Contains(err.Error(), "xxx '[reda") {
				t.Errorf("the part of a password: got %v, want it redacted", err)
			}
			must(t, l.destroy(t.Context()))
		}
		if said[0] != said[1] || !strings.Contains(said[0], "[redacted]") {
			t.Errorf("got %q, which differ by what must be a password, or show that none was repeated", said)
		}
	})
}

// With SCRAM the server is told what it keeps, not the password: its log does not show it either.
func TestScramKeepsPasswordsOutOfTheLog(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, map[string]any{"password_authentication": "scram-sha-256"})
	m.role("app", nil)
	l := m.issue("app")
	l.session()
	must(t, l.create(t.Context()))
	l.session()
	log := m.srv.Log()
	if !strings.Contains(log, l.name) || strings.Contains(log, l.password) {
		t.Errorf("the log shows the login: %v, its password: %v", strings.Contains(log, l.name), strings.Contains(log, l.password))
	}
	must(t, l.destroy(t.Context()))
	m.connect(m.srv.Addr, m.manager("scrammed", "first-password"))
	m.write("rotate-root/main", nil)
	if strings.Contains(m.srv.Log(), m.stored().Password) {
		t.Error("the log shows the rotated password of the account")
	}
	m.write("config/main", map[string]any{"password_authentication": "password"})
	l = m.issue("app")
	if !strings.Contains(m.srv.Log(), l.password) {
		t.Error("the log does not even show a plain password: this test proves nothing")
	}
	must(t, l.destroy(t.Context()))
}

// Statements that change the session change it for themselves alone.
func TestSessionsAreNotPassedOn(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, map[string]any{"max_open_connections": 1})
		// Whoever came after on the same connection could make no login.
		m.role("app", map[string]any{"revocation_statements": map[string]string{
			"postgres": `DROP ROLE "{{name}}"; SET ROLE pg_monitor`,
			"mariadb":  `DROP USER '{{name}}'@'%'; SET SESSION TRANSACTION READ ONLY`,
		}[kind]})
		for range 3 {
			must(t, m.issue("app").destroy(t.Context()))
		}
	})
}

// T24: of a server that answers without end, a bounded part is read.
func TestT24_EndlessAnswers(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, nil)
	m.role("app", map[string]any{"creation_statements": []any{creation["postgres"], "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT repeat('x', 1000) FROM n"}})
	l, err := m.prepare("app")
	must(t, err)
	begin := time.Now()
	if err := l.create(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") || time.Since(begin) > 10*time.Second {
		t.Errorf("got %v after %v, want an error soon", err, time.Since(begin))
	}
	must(t, l.destroy(t.Context()))
	l.wantLiving(false)
}

// The inventory is what bears the mark at the server, page by page, and destroys as leases do.
func TestInventory(t *testing.T) {
	ours := "lh-" + strings.ToLower(rand.Text()[:8])
	many := map[string]string{
		"postgres": `DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE 'CREATE ROLE "inv-` + ours + `-' || i || '" LOGIN'; END LOOP; END $$`,
		"mariadb":  "CREATE USER " + users("inv-"+ours, 1100),
	}
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		m.role("app", nil)
		other := m.issue("app") // of another mark
		m.srv.Exec(t, many[kind])
		m.write("config/again", map[string]any{"plugin_name": plugins[kind], "connection_url": m.srv.URL(m.srv.Addr),
			"username": m.srv.User, "password": m.srv.Password})
		req := m.request(backend.Read, "creds/app", nil)
		ask := &backend.InventoryRequest{Mount: req.Mount, Store: m.store, Mark: ours}
		var items []backend.Item
		must(t, m.engine.Inventory(t.Context(), ask, func(i backend.Item) error {
			items = append(items, i)
			return nil
		}))
		names := map[string]bool{}
		for _, item := range items {
			names[item.ExternalName] = true
		}
		if len(items) != 1100 || len(names) != 1100 || names[other.name] || !names["inv-"+ours+"-1"] {
			t.Errorf("got %d items of %d names, want 1100 of either, each once and none of another mark", len(items), len(names))
		}
		stop := errors.New("enough")
		if err := m.engine.Inventory(t.Context(), ask, func(backend.Item) error { return stop }); err != stop {
			t.Errorf("got %v, want the error that ended it", err)
		}
		orphan := *other
		orphan.name, orphan.internal, orphan.role = items[0].ExternalName, items[0].Internal, items[0].Role
		must(t, orphan.destroy(t.Context()))
		if slices.Contains(living(t, kind, m.srv, ours), orphan.name) {
			t.Error("an item could not be destroyed with what the inventory says of it")
		}
		must(t, other.destroy(t.Context()))
	})
}

func users(prefix string, n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("'%s-%d'", prefix, i+1))
	}
	return strings.Join(names, ", ")
}

// With a CA the server's certificate and name are checked, and nothing goes in the clear.
func TestTLS(t *testing.T) {
	encrypted := map[string]string{
		"postgres": "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name = 'leasehold'",
		"mariadb":  "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'tls_user'",
	}
	other := dbtest.OtherCA(t)
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		url := strings.Replace(m.srv.URL(m.srv.Addr), "sslmode=disable", "sslmode=require", 1)
		account := map[string]any{}
		if kind == "mariadb" {
			account = m.manager("tls_user", "p")
			m.srv.Exec(t, "ALTER USER tls_user REQUIRE SSL")
		}
		try := func(fields map[string]any) error {
			params := map[string]any{"plugin_name": plugins[kind], "connection_url": url, "allowed_roles": "*",
				"username": m.srv.User, "password": m.srv.Password}
			for _, more := range []map[string]any{account, fields} {
				for name, value := range more {
					params[name] = value
				}
			}
			_, err := m.do(backend.Write, "config/main", params)
			return err
		}
		must(t, try(map[string]any{"tls_ca": m.srv.CA}))
		m.role("app", nil)
		l := m.issue("app")
		if got := m.srv.Column(t, encrypted[kind]); got[0] == "0" {
			t.Error("the connection is not encrypted")
		}
		must(t, l.destroy(t.Context()))
		must(t, try(map[string]any{"tls_ca": m.srv.CA, "tls_server_name": "database.test"}))
		wantError(t, try(map[string]any{"tls_ca": m.srv.CA, "tls_server_name": "else.test"}), lease.Invalid, "error verifying connection")
		wantError(t, try(map[string]any{"tls_ca": other, "tls_server_name": ""}), lease.Invalid, "error verifying connection")
		wantError(t, try(map[string]any{"tls_ca": "no certificate"}), lease.Invalid, "tls_ca: holds no certificate")
		wantError(t, try(map[string]any{"tls_ca": "", "tls_certificate": other}), lease.Invalid, "no pair")
	})
}
