package database_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/database/dbtest"
	"github.com/leasehold/leasehold/lease"
)

// A login lets its holder in while it is leased, and nobody afterwards: sessions that are open are cut.
func TestLoginsWorkWhileLeased(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, nil)
		m.role("app", nil)
		l, other := m.issue("app"), m.issue("app")
		if l.name == other.name || l.password == other.password {
			t.Fatalf("two logins are alike: %s and %s", l.name, other.name)
		}
		sessions := []*dbtest.Session{l.session(), l.session()}
		bystander := other.session()

		old := l.password
		must(t, l.create(t.Context())) // the answer was lost, and is asked for again
		if l.password == old {
			t.Error("a repeated creation returned the same password")
		}
		if s, err := m.srv.Login(t.Context(), l.name, old); err == nil {
			s.Close()
			t.Error("the password before the repeated creation still lets in")
		}
		sessions = append(sessions, l.session())
		must(t, l.renew(t.Context()))

		must(t, l.destroy(t.Context()))
		for i, s := range sessions {
			if _, err := s.ExecContext(t.Context(), "SELECT 1"); err == nil {
				t.Errorf("session %d of the ended login still works", i)
			}
		}
		if _, err := bystander.ExecContext(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("another login's session was ended: %v", err)
		}
		l.wantRefused()
		l.wantLiving(false)
		other.wantLiving(true)
		must(t, other.destroy(t.Context()))
		err := l.renew(t.Context())
		wantError(t, err, lease.Invalid, "not at the database any more")
		if !errors.Is(err, backend.ErrRefused) {
			t.Errorf("renewing what is gone: got %v, want the end of renewals", err)
		}
	})
}

// T19: a cluster that is dead revokes nothing, and then the server itself lets nobody in.
func TestT19_PostgresEndsLoginsByItself(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, nil)
	// Neither statement says anything of an end.
	m.role("app", map[string]any{
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
		"renew_statements":    `COMMENT ON ROLE "{{name}}" IS 'renewed until {{expiration}}'`,
	})
	l, err := m.prepare("app")
	must(t, err)
	l.expire = time.Now().Add(time.Second)
	l.intent.ExpireTime = l.expire
	must(t, l.create(t.Context()))
	if end := until(t, m.srv, l.name); end.Before(l.expire) || end.After(l.expire.Add(time.Second)) {
		t.Errorf("the server ends the login at %v, want %v or up to a second later", end, l.expire)
	}
	l.session()
	time.Sleep(time.Until(l.expire.Add(1100 * time.Millisecond)))
	l.wantRefused()

	must(t, l.renew(t.Context()))
	if end := until(t, m.srv, l.name); end.Before(l.expire) {
		t.Errorf("after the renewal the server ends the login at %v, want %v", end, l.expire)
	}
	l.session()
	if got := m.srv.Column(t, "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1", l.name); !strings.HasPrefix(got[0], "renewed until 20") {
		t.Errorf("renew_statements did not run: %q", got)
	}
	must(t, l.destroy(t.Context()))
}

// S12: the fault that the suite plants is what it says: the work is done, and the answer lost.
func TestS12_WorkIsDoneWhenTheAnswerIsLost(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		proxy := dbtest.StartProxy(t, m.srv.Addr)
		m.connect(proxy.Addr, nil)
		m.role("app", nil)
		l, err := m.prepare("app")
		must(t, err)
		proxy.Plant(dbtest.Fault{At: faultSteps[kind].last, After: true})
		wantError(t, l.create(t.Context()), lease.Upstream, "no connection to the database")
		proxy.Heal()
		if proxy.Hits() != 1 {
			t.Errorf("the fault was met %d times, want once: the step must not be repeated blindly", proxy.Hits())
		}
		l.wantLiving(true)
		must(t, l.destroy(t.Context()))
		l.wantLiving(false)
	})
}

// A creation that came half-way is finished by the next try: in MariaDB, which has no transactions over
// users, the grant is still missing, without which nobody gets into the database.
func TestRepeatedCreationFinishesTheFirst(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		proxy := dbtest.StartProxy(t, m.srv.Addr)
		m.connect(proxy.Addr, nil)
		m.role("app", nil)
		l, err := m.prepare("app")
		must(t, err)
		proxy.Plant(dbtest.Fault{At: []string{"GRANT "}})
		wantError(t, l.create(t.Context()), lease.Upstream, "no connection to the database")
		proxy.Heal()
		l.wantLiving(kind == "mariadb")
		must(t, l.create(t.Context()))
		l.session()
		must(t, l.destroy(t.Context()))
	})
}

// Connections that died while they were idle fail no call, as many as there are.
func TestDeadConnectionsFailNoCall(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		proxy := dbtest.StartProxy(t, m.srv.Addr)
		m.connect(proxy.Addr, nil)
		m.role("app", nil)
		for range 3 {
			var wg sync.WaitGroup
			logins := make([]*login, 8)
			for i := range logins {
				wg.Go(func() {
					l, err := m.prepare("app")
					if err == nil {
						err = l.create(t.Context())
					}
					if logins[i] = l; err != nil {
						t.Errorf("create: %v", err)
					}
				})
			}
			wg.Wait()
			proxy.Cut()
			for _, l := range logins {
				must(t, l.destroy(t.Context()))
			}
		}
	})
}

// S12: a creation whose caller has given up must not come after the destruction that follows. Its
// transaction is still open at the server, so the destruction waits for it.
func TestS12_DestructionWaitsForAnAbandonedCreation(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		proxy := dbtest.StartProxy(t, m.srv.Addr)
		m.connect(proxy.Addr, nil)
		m.role("app", nil)
		l, err := m.prepare("app")
		must(t, err)
		second := faultSteps[kind].half
		proxy.Plant(dbtest.Fault{At: second, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		wantError(t, l.create(ctx), lease.Upstream, "did not answer in time")

		direct := mountBefore(t, kind, m.srv)
		direct.connect(m.srv.Addr, nil)
		direct.role("app", nil)
		ending := *l
		ending.mount = direct
		done := make(chan error, 1)
		go func() { done <- ending.destroy(t.Context()) }()
		select {
		case err := <-done:
			t.Errorf("the destruction did not wait for the creation: %v", err)
			done <- err
		case <-time.After(300 * time.Millisecond):
		}
		proxy.Heal()
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(20 * time.Second):
			t.Fatal("the destruction waits for ever")
		}
		l.wantLiving(false)
	})
}

// Many at once on few connections, with grants on one table, for which PostgreSQL has an error of its
// own: "tuple concurrently updated".
func TestManyAtOnce(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.srv.Exec(t, "CREATE TABLE IF NOT EXISTS contended (id int)")
		proxy := dbtest.StartProxy(t, m.srv.Addr)
		m.connect(proxy.Addr, map[string]any{"max_open_connections": 3})
		grant := map[string]string{
			"postgres": `GRANT SELECT ON contended TO "{{name}}"`,
			"mariadb":  `GRANT SELECT ON test.contended TO '{{name}}'@'%'`,
		}
		first, _, _ := strings.Cut(creation[kind], ";")
		m.role("app", map[string]any{"creation_statements": []any{first, grant[kind]}})
		var wg sync.WaitGroup
		logins := make([]*login, 24)
		for i := range logins {
			var err error
			logins[i], err = m.prepare("app")
			must(t, err)
			wg.Go(func() {
				if err := logins[i].create(t.Context()); err != nil {
					t.Errorf("create %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if got := proxy.Peak(); got != 3 {
			t.Errorf("%d connections at once, want the 3 that are allowed", got)
		}
		for i, l := range logins {
			l.wantLiving(true)
			wg.Go(func() {
				if err := l.destroy(t.Context()); err != nil {
					t.Errorf("destroy %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for _, l := range logins {
			l.wantLiving(false)
		}
	})
}
