package database_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// manager makes an account that may do everything, for one test to rotate.
func (m *mount) manager(name, password string) map[string]any {
	m.t.Helper()
	if m.kind == "postgres" {
		m.srv.Exec(m.t, `DROP ROLE IF EXISTS `+name, `CREATE ROLE `+name+` SUPERUSER LOGIN PASSWORD '`+password+`'`)
	} else {
		m.srv.Exec(m.t, `DROP USER IF EXISTS `+name, `CREATE USER `+name+` IDENTIFIED BY '`+password+`'`,
			`GRANT ALL ON *.* TO `+name+` WITH GRANT OPTION`)
	}
	return map[string]any{"username": name, "password": password}
}

// stored is what the store keeps of config/main.
func (m *mount) stored() (c struct {
	Password   string
	Candidates []string
}) {
	m.t.Helper()
	data, ok, err := m.store.Get("config/main")
	if err != nil || !ok {
		m.t.Fatalf("no connection is stored: %v", err)
	}
	must(m.t, json.Unmarshal(data, &c))
	return c
}

func TestRotateRoot(t *testing.T) {
	custom := map[string]string{
		"postgres": `ALTER ROLE "{{username}}" PASSWORD '{{password}}'`,
		"mariadb":  `ALTER USER '{{username}}'@'%' IDENTIFIED BY '{{password}}'`,
	}
	bothKinds(t, func(t *testing.T, kind string) {
		for name, statements := range map[string]any{"by_default": "", "by_statements": custom[kind]} {
			m := newMount(t, kind)
			fields := m.manager("rotated_"+name, "first-password")
			fields["root_rotation_statements"] = statements
			m.connect(m.srv.Addr, fields)
			m.role("app", nil)
			before := m.issue("app")
			m.write("rotate-root/main", nil)
			if s, err := m.srv.Login(t.Context(), "rotated_"+name, "first-password"); err == nil {
				s.Close()
				t.Errorf("%s: the old password still lets in", name)
			}
			second := m.stored().Password
			s, err := m.srv.Login(t.Context(), "rotated_"+name, second)
			if err != nil {
				t.Fatalf("%s: the stored password does not let in: %v", name, err)
			}
			s.Close()
			must(t, before.destroy(t.Context()))
			after := m.issue("app")
			m.write("rotate-root/main", nil)
			must(t, after.destroy(t.Context()))
			if c := m.stored(); c.Password == second || !slices.Equal(c.Candidates, []string{second, "first-password"}) {
				t.Errorf("%s: after two rotations the store keeps %d candidates, want the two old passwords", name, len(c.Candidates))
			}
		}
	})
}

// failingStore fails after some changes, as when leadership is lost.
type failingStore struct {
	backend.Store
	left int // changes that still succeed
}

func (s *failingStore) Swap(ctx context.Context, key string, seen backend.Version, value []byte, ttl time.Duration) error {
	if s.left--; s.left < 0 {
		return lease.ErrNotLeader
	}
	return s.Store.Swap(ctx, key, seen, value, ttl)
}

// A rotation may stop after any of its steps, as often as it likes: the connection works on, and the
// next rotation goes through.
func TestRotationThatStopsHalfWay(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, m.manager("stopped", "first-password"))
		m.role("app", nil)
		whole := m.store
		for _, stop := range []struct {
			what    string
			changes int
			fields  map[string]any
		}{
			{"before the candidate is stored", 0, nil},
			{"before the server is told", 1, map[string]any{"root_rotation_statements": "SELECT nothing_there()"}},
			{"before it is told again", 1, nil},
			{"before it is told once more", 1, nil},
			{"before it is told a fourth time", 1, nil},
			{"before it is confirmed", 1, map[string]any{"root_rotation_statements": ""}},
			{"before it is confirmed again", 1, nil},
			{"before the server is told, with a candidate in force", 1, map[string]any{"root_rotation_statements": "SELECT nothing_there()"}},
			{"and again", 1, nil}, {"and again", 1, nil}, {"and again", 1, nil},
		} {
			if stop.fields != nil {
				m.connect(m.srv.Addr, addTo(stop.fields, "password", m.inForce()))
			}
			m.store = &failingStore{whole, stop.changes}
			if _, err := m.do(backend.Write, "rotate-root/main", nil); err == nil {
				t.Fatalf("%s: the rotation went through", stop.what)
			}
			m.store = whole
			l := m.issue("app")
			must(t, l.destroy(t.Context()))
			l.wantLiving(false)
		}
		m.connect(m.srv.Addr, addTo(map[string]any{"root_rotation_statements": ""}, "password", m.inForce()))
		m.write("rotate-root/main", nil)
		if got := m.stored().Password; got != m.inForce() {
			t.Error("after a rotation that went through, the confirmed password is not the one in force")
		}
	})
}

// addTo adds the manager's name and another field.
func addTo(fields map[string]any, name string, value any) map[string]any {
	fields["username"], fields[name] = "stopped", value
	return fields
}

// inForce is the password that lets the manager in.
func (m *mount) inForce() string {
	m.t.Helper()
	c := m.stored()
	for _, password := range append([]string{c.Password}, c.Candidates...) {
		if s, err := m.srv.Login(m.t.Context(), "stopped", password); err == nil {
			s.Close()
			return password
		}
	}
	m.t.Fatal("no stored password lets the manager in")
	return ""
}

// Rotating root credentials while logins are made and ended fails none of them.
func TestRotationWhileRevocationsRun(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, m.manager("busy", "first-password"))
		m.role("app", nil)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var done [4]int
		for i := range done {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := m.prepare("app")
					if err == nil {
						err = errors.Join(l.create(t.Context()), l.destroy(t.Context()))
					}
					if err != nil {
						t.Errorf("during a rotation: %v", err)
						return
					}
					done[i]++
				}
			})
		}
		for range 5 {
			if _, err := m.do(backend.Write, "rotate-root/main", nil); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
		if n := slices.Min(done[:]); n < 3 {
			t.Errorf("a worker got %d logins made and ended, want 3 or more", n)
		}
	})
}

// lookingStore does something after the next look at a value.
type lookingStore struct {
	backend.Store
	then func()
}

func (s *lookingStore) Look(key string) ([]byte, backend.Version, error) {
	value, version, err := s.Store.Look(key)
	if then := s.then; then != nil && key == "config/main" {
		s.then = nil
		then()
	}
	return value, version, err
}

// A call that has looked at the connection before a rotation, and connects after it, begins anew.
func TestCallThatARotationOvertakes(t *testing.T) {
	bothKinds(t, func(t *testing.T, kind string) {
		m := newMount(t, kind)
		m.connect(m.srv.Addr, m.manager("overtaken", "first-password"))
		m.role("app", nil)
		other := mountBefore(t, kind, m.srv) // another engine, whose pools are its own
		other.store = m.store
		rotate := func() { other.write("rotate-root/main", nil) }
		l, err := m.prepare("app")
		must(t, err)
		overtaken := &lookingStore{Store: m.store, then: rotate}
		l.intent.Request.Store = overtaken
		must(t, l.create(t.Context()))
		if overtaken.then != nil {
			t.Error("nothing overtook the call")
		}
		m.write("reset/main", nil)
		m.store = &lookingStore{Store: m.store, then: rotate}
		must(t, l.destroy(t.Context()))
		l.wantLiving(false)
	})
}

func TestRotationNeedsAnAccount(t *testing.T) {
	m := newMount(t, "postgres")
	m.connect(m.srv.Addr, map[string]any{"username": "u", "password": "", "verify_connection": "false"})
	_, err := m.do(backend.Write, "rotate-root/main", nil)
	wantError(t, err, lease.Invalid, "no username and password")
	m.connect(m.srv.Addr, map[string]any{"username": "u", "password": "wrong-canary", "verify_connection": "false"})
	_, err = m.do(backend.Write, "rotate-root/main", nil)
	wantError(t, err, lease.Upstream, "refuses the connection's account (SQLSTATE 28P01)")
	if strings.Contains(err.Error(), "canary") || len(m.stored().Candidates) != 0 {
		t.Errorf("the error %v shows the password, or a candidate was stored", err)
	}
}
