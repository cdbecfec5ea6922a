package database_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/database"
	"github.com/leasehold/leasehold/backend/database/dbtest"
	"github.com/leasehold/leasehold/lease"
)

// servers are shared by the tests of the package, each started when the first test asks for it. Tests
// that stop a server start one of their own.
var servers = map[string]*shared{
	"postgres": {open: dbtest.OpenPostgres},
	"mariadb":  {open: dbtest.OpenMariaDB},
}

type shared struct {
	once sync.Once
	open func() (*dbtest.Server, error)
	srv  *dbtest.Server
	err  error
}

func server(t testing.TB, kind string) *dbtest.Server {
	t.Helper()
	s := servers[kind]
	s.once.Do(func() { s.srv, s.err = s.open() })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.srv
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range servers {
		if s.srv != nil {
			s.srv.Close()
		}
	}
	os.Exit(code)
}

// plugins are the plugin names of the servers' kinds.
var plugins = map[string]string{"postgres": "postgresql-database-plugin", "mariadb": "mysql-database-plugin"}

// creation are statements that make a login in two steps.
var creation = map[string]string{
	"postgres": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT pg_monitor TO "{{name}}";`,
	"mariadb":  `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON test.* TO '{{name}}'@'%';`,
}

const mark = "lh-0a1b2c3d"

// mount is an engine on a store of its own, before a server.
type mount struct {
	t       testing.TB
	kind    string
	srv     *dbtest.Server
	engine  *database.Backend
	store   backend.Store
	display string // of the token that asks
}

func newMount(t testing.TB, kind string) *mount {
	t.Helper()
	return mountBefore(t, kind, server(t, kind))
}

func mountBefore(t testing.TB, kind string, srv *dbtest.Server) *mount {
	t.Helper()
	m := &mount{t: t, kind: kind, srv: srv}
	m.reset(t)
	t.Cleanup(func() { m.engine.Close() })
	return m
}

// reset gives m an engine and a store of its own.
func (m *mount) reset(t testing.TB) {
	m.t, m.engine, m.store, m.display = t, database.New(database.Options{}), backendtest.NewStore(), "token"
}

func (m *mount) request(op backend.Operation, path string, params map[string]any) *backend.Request {
	return &backend.Request{
		Mount:     &lease.Mount{ID: "mount-of-" + m.t.Name(), Path: "db/", Type: "database"},
		Operation: op, Path: path, Params: params, Store: m.store, Cluster: "0a1b2c3d",
		Token: &lease.Token{DisplayName: m.display}, Now: lease.At(time.Now()), Random: rand.Reader,
	}
}

// do sends a request that Handle serves.
func (m *mount) do(op backend.Operation, path string, params map[string]any) (*backend.Response, error) {
	m.t.Helper()
	return m.engine.Handle(m.t.Context(), m.request(op, path, params))
}

// write sends a write that must succeed.
func (m *mount) write(path string, params map[string]any) {
	m.t.Helper()
	if _, err := m.do(backend.Write, path, params); err != nil {
		m.t.Fatalf("write %s: %v", path, err)
	}
}

// connect writes config/main for an address, as the server's root unless fields say otherwise.
func (m *mount) connect(addr string, fields map[string]any) {
	m.t.Helper()
	params := map[string]any{
		"plugin_name": plugins[m.kind], "connection_url": m.srv.URL(addr), "username": m.srv.User,
		"password": m.srv.Password, "allowed_roles": "*",
	}
	for name, value := range fields {
		params[name] = value
	}
	m.write("config/main", params)
}

// role writes a role with the usual creation statements unless fields say otherwise.
func (m *mount) role(name string, fields map[string]any) {
	m.t.Helper()
	params := map[string]any{"db_name": "main", "creation_statements": creation[m.kind]}
	for field, value := range fields {
		params[field] = value
	}
	m.write("roles/"+name, params)
}

// login is a lease of the engine, as the lessor knows it.
type login struct {
	*mount
	role     string
	name     string
	password string
	intent   *backend.Intent
	internal []byte
	expire   time.Time
}

// prepare plans a login of a role.
func (m *mount) prepare(role string) (*login, error) {
	req := m.request(backend.Read, "creds/"+role, nil)
	plan, err := m.engine.Prepare(m.t.Context(), req)
	if err != nil {
		return nil, err
	}
	random := rand.Text()[:24]
	l := &login{mount: m, role: plan.Role, name: plan.ExternalName(mark, random), internal: plan.Internal,
		expire: time.Now().Add(time.Hour).Truncate(time.Second)}
	l.intent = &backend.Intent{
		LeaseID: "db/creds/" + role + "/" + random, ExternalName: l.name, Role: plan.Role, Generation: 1, Fence: 7,
		TTL: time.Hour, ExpireTime: l.expire, Internal: plan.Internal, Request: req,
	}
	return l, nil
}

// issue makes a login of a role.
func (m *mount) issue(role string) *login {
	m.t.Helper()
	l, err := m.prepare(role)
	if err == nil {
		err = l.create(m.t.Context())
	}
	if err != nil {
		m.t.Fatalf("issue %s: %v", role, err)
	}
	return l
}

func (l *login) create(ctx context.Context) error {
	made, err := l.engine.Create(ctx, l.intent)
	if err != nil {
		return err
	}
	l.internal, l.password = made.Internal, made.Data["password"].(string)
	if made.Data["username"] != l.name {
		return fmt.Errorf("the username is %v, and the login's name %s", made.Data["username"], l.name)
	}
	return nil
}

func (l *login) renew(ctx context.Context) error {
	l.expire = l.expire.Add(time.Hour)
	_, err := l.engine.Renew(ctx, &backend.Renewal{
		LeaseID: l.intent.LeaseID, ExternalName: l.name, Role: l.role, Mount: l.intent.Request.Mount, Generation: 2,
		Fence: 8, TTL: time.Hour, ExpireTime: l.expire, Internal: l.internal, Store: l.store,
	})
	return err
}

func (l *login) destroy(ctx context.Context) error {
	return l.engine.Destroy(ctx, &backend.Destruction{
		LeaseID: l.intent.LeaseID, ExternalName: l.name, Role: l.role, Mount: l.intent.Request.Mount, Generation: 2,
		Fence: 9, Attempt: 1, ExpireTime: l.expire, Internal: l.internal, Store: l.store,
	})
}

// session logs in with the login's password.
func (l *login) session() *dbtest.Session {
	l.t.Helper()
	s, err := l.srv.Login(l.t.Context(), l.name, l.password)
	if err != nil {
		l.t.Fatalf("log in as %s: %v", l.name, err)
	}
	l.t.Cleanup(func() { s.Close() })
	return s
}

// wantRefused makes sure that the login's password lets nobody in.
func (l *login) wantRefused() {
	l.t.Helper()
	if s, err := l.srv.Login(l.t.Context(), l.name, l.password); err == nil {
		s.Close()
		l.t.Errorf("%s can still log in", l.name)
	}
}

// living are the names of the logins at the server that hold text.
func living(t testing.TB, kind string, srv *dbtest.Server, text string) []string {
	t.Helper()
	query := "SELECT rolname FROM pg_roles WHERE strpos(rolname, '" + text + "') > 0"
	if kind == "mariadb" {
		query = "SELECT User FROM mysql.user WHERE LOCATE('" + text + "', User) > 0"
	}
	return srv.Column(t, query)
}

func (l *login) wantLiving(want bool) {
	l.t.Helper()
	if got := slices.Contains(living(l.t, l.kind, l.srv, l.name), l.name); got != want {
		l.t.Errorf("%s is at the server: %v, want %v", l.name, got, want)
	}
}

// must fails the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError wants an error with a code of package lease, 0 for one without, and texts in what a caller
// of the API sees of it.
func wantError(t testing.TB, err error, code lease.Code, texts ...string) {
	t.Helper()
	var e *lease.Error
	got, message := lease.Code(0), fmt.Sprint(err)
	if errors.As(err, &e) {
		got, message = e.Code, e.Message
	}
	if err == nil || got != code {
		t.Errorf("got error %v with code %v, want code %v", err, got, code)
		return
	}
	for _, text := range texts {
		if !strings.Contains(message, text) {
			t.Errorf("the error says %q, want %q in it", message, text)
		}
	}
}

// bothKinds runs a test on either server.
func bothKinds(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range []string{"postgres", "mariadb"} {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}
