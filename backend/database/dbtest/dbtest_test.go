package dbtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

func TestServers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *dbtest.Server{
		"PostgreSQL": dbtest.StartPostgres, "MariaDB": dbtest.StartMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t)
			srv.Exec(t, "CREATE TABLE items (id int)", "INSERT INTO items VALUES (1)")
			if _, err := srv.Login(t.Context(), srv.User, "wrong"); err == nil {
				t.Error("a wrong password was let in")
			}
			session, err := srv.Login(t.Context(), srv.User, srv.Password)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			pause(t, srv, session)
			if err := srv.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := session.PingContext(t.Context()); err == nil {
				t.Error("a session outlived its server")
			}
			if err := srv.Start(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			again, err := srv.Login(ctx, srv.User, srv.Password)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if got := srv.Column(t, "SELECT id FROM items"); len(got) != 1 || got[0] != "1" {
				t.Errorf("after a restart: got %q, want what was there", got)
			}
		})
	}
}

// pause makes sure that a paused server answers neither strangers nor its sessions, and goes on after.
func pause(t *testing.T, srv *dbtest.Server, session *dbtest.Session) {
	t.Helper()
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if s, err := srv.Login(ctx, srv.User, srv.Password); err == nil {
		s.Close()
		t.Error("a paused server let somebody in")
	}
	answered := make(chan error, 1)
	go func() { answered <- session.PingContext(t.Context()) }()
	select {
	case err := <-answered:
		t.Errorf("a paused server answered a session with %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := srv.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the session after the server was resumed: %v", err)
	}
}

func TestSettings(t *testing.T) {
	srv := dbtest.StartPostgresWith(t, "max_connections=21", "fsync=on")
	for name, want := range map[string]string{"max_connections": "21", "fsync": "on", "log_statement": "all"} {
		if got := srv.Column(t, "SELECT current_setting($1)", name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
}
