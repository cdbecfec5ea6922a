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
