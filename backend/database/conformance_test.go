package database_test

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// steps are where faults strike: texts of the statements that a call sends.
type steps struct {
	last []string // of the step after which a call's work is done
	half []string // of the second step
}

var faultSteps = map[string]steps{
	"postgres": {
		last: []string{"CREATE ROLE", "DROP ROLE", "VALID UNTIL"},
		half: []string{"CREATE ROLE", "DROP ROLE", "VALID UNTIL"}, // after the lock; after NOLOGIN was committed
	},
	"mariadb": {
		last: []string{"GRANT ", "DROP USER", "MAX_USER_CONNECTIONS"},
		half: []string{"GRANT ", "PROCESSLIST", "MAX_USER_CONNECTIONS"},
	},
}

// plant turns a fault of the suite into one of the proxy.
func (s steps) plant(p *dbtest.Proxy, f backendtest.Fault) {
	switch f {
	case backendtest.FailBefore:
		p.Plant(dbtest.Fault{})
	case backendtest.FailHalf:
		p.Plant(dbtest.Fault{At: s.half})
	case backendtest.LoseAnswer:
		p.Plant(dbtest.Fault{At: s.last, After: true})
	case backendtest.HangBefore:
		p.Plant(dbtest.Fault{Hang: true})
	case backendtest.HangAfter:
		p.Plant(dbtest.Fault{At: s.last, After: true, Hang: true})
	}
}

// S12, S13: the suite of all targets, with faults planted between the engine and a real server.
func TestConformance(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		srv := server(t, kind)
		backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
			m := newMount(t, kind)
			proxy := dbtest.StartProxy(t, srv.Addr)
			m.connect(proxy.Addr, nil)
			role := map[string]any{}
			if kind == "mariadb" { // without statements a renewal only looks whether the login is there
				role["renew_statements"] = "ALTER USER '{{name}}'@'%' WITH MAX_USER_CONNECTIONS 20"
			}
			m.role("app", role)
			h := &backendtest.Harness{
				Backend: m.engine,
				Request: func() *backend.Request { return m.request(backend.Read, "creds/app", nil) },
				Living:  func() []string { return living(t, kind, srv, "lh-suite-") },
				Plant:   func(f backendtest.Fault) { faultSteps[kind].plant(proxy, f) },
				Heal:    proxy.Heal,
				Forget: func() {
					if _, err := m.do(backend.Delete, "roles/app", nil); err != nil {
						t.Fatal(err)
					}
				},
				Secrets: []string{srv.Password, proxy.Addr + "/"},
			}
			if kind == "postgres" {
				h.Until = func(name string) time.Time { return until(t, srv, name) }
			}
			return h
		})
	})
}

// until is the end that PostgreSQL knows of a login.
func until(t testing.TB, srv *dbtest.Server, name string) time.Time {
	t.Helper()
	got := srv.Column(t, "SELECT to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM pg_roles WHERE rolname = $1", name)
	if len(got) != 1 {
		t.Fatalf("%s is %d times at the server", name, len(got))
	}
	end, err := time.Parse(time.RFC3339, got[0])
	if err != nil {
		t.Fatal(err)
	}
	return end
}
