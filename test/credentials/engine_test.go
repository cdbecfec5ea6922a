package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// validUntilGrace is how long after its lease's end PostgreSQL itself ends a login. What is refused
// earlier was ended by Leasehold.
const validUntilGrace = 5 * time.Second

// statements make a login in two steps.
var statements = []string{
	`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, `GRANT app_reader TO "{{name}}"`,
}

// engine is a database mount before a PostgreSQL.
type engine struct {
	*cluster
	srv  *dbtest.Server
	path string
}

// engine mounts the database engine before a server. The config is the mount's.
func (c *cluster) engine(path string, srv *dbtest.Server, config map[string]any) *engine {
	c.t.Helper()
	srv.Exec(c.t, `DO $$ BEGIN CREATE ROLE app_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	e := &engine{c, srv, path}
	e.write("sys/mounts/"+path, map[string]any{"type": "database", "config": config})
	e.connect(nil)
	return e
}

// write sends a write that is to succeed to the first node.
func (e *engine) write(path string, body map[string]any) {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	e.must(1, "POST", path, string(text))
}

// connect writes the connection, with more fields than the usual ones.
func (e *engine) connect(more map[string]any) {
	e.t.Helper()
	body := map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": e.srv.URL(e.srv.Addr),
		"username": e.srv.User, "password": e.srv.Password, "allowed_roles": "*",
	}
	for name, value := range more {
		body[name] = value
	}
	e.write(e.path+"/config/main", body)
}

// role writes a role whose leases last ttl.
func (e *engine) role(name string, ttl time.Duration) {
	e.t.Helper()
	e.write(e.path+"/roles/"+name, map[string]any{
		"db_name": "main", "creation_statements": statements, "default_ttl": ttl.String(), "max_ttl": "24h",
	})
}

// credential is a login that was acknowledged.
type credential struct {
	id, username, password string
	ttl                    time.Duration
	sent, acked            time.Time // the lease began between the two
}

// earliest and latest bound the lease's end, if nobody renews or revokes it.
func (c *credential) earliest() time.Time { return c.sent.Add(c.ttl) }
func (c *credential) latest() time.Time   { return c.acked.Add(c.ttl) }

// ask asks a node for a login; the credential is nil unless it was acknowledged. A ttl of 0 leaves it to
// the role.
func (e *engine) ask(ctx context.Context, node int, role string, ttl time.Duration) (*credential, reply) {
	path := e.path + "/creds/" + role
	if ttl > 0 {
		path += "?ttl=" + ttl.String()
	}
	sent := time.Now()
	r := e.sendWithin(ctx, node, "GET", path, "")
	if r.err != nil || r.status != http.StatusOK {
		return nil, r
	}
	var got struct {
		ID       string `json:"lease_id"`
		Duration int64  `json:"lease_duration"`
		Data     struct{ Username, Password string }
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.ID == "" || got.Data.Password == "" || got.Duration <= 0 {
		e.t.Errorf("node %d: GET %s: %v is no login (%v)", node, path, r, err)
		return nil, r
	}
	return &credential{id: got.ID, username: got.Data.Username, password: got.Data.Password,
		ttl: time.Duration(got.Duration) * time.Second, sent: sent, acked: time.Now()}, r
}

// issue asks for a login, which must be granted.
func (e *engine) issue(t testing.TB, node int, role string, ttl time.Duration) *credential {
	t.Helper()
	c, r := e.ask(t.Context(), node, role, ttl)
	if c == nil {
		t.Fatalf("node %d: a login of %s/creds/%s: got %v", node, e.path, role, r)
	}
	return c
}

// fill issues n logins with many clients.
func (e *engine) fill(t testing.TB, n int, role string, ttl func() time.Duration) []*credential {
	t.Helper()
	list := make([]*credential, n)
	inParallel(t, 16, n, func(i int) error {
		c, r := e.ask(t.Context(), i%len(e.Nodes)+1, role, ttl())
		if c == nil {
			return fmt.Errorf("a login of %s/creds/%s: got %v", e.path, role, r)
		}
		list[i] = c
		return nil
	})
	return list
}

// enters reports whether a login's password lets it in. The error is of all but the server's yes or no.
func (e *engine) enters(ctx context.Context, c *credential) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	session, err := e.srv.Login(ctx, c.username, c.password)
	if err == nil {
		return true, session.Close()
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && strings.HasPrefix(refusal.Code, "28") { // invalid authorization
		return false, nil
	}
	return false, err
}

// wantEnters makes sure that a login is let in, or is not.
func (e *engine) wantEnters(t testing.TB, c *credential, want bool) {
	t.Helper()
	if got, err := e.enters(t.Context(), c); err != nil {
		t.Errorf("log in as %s: %v", c.username, err)
	} else if got != want {
		t.Errorf("log in as %s: let in %v, want %v", c.username, got, want)
	}
}

// awaitRefused waits until a login is let in no more, and returns when that was seen.
func (e *engine) awaitRefused(ctx context.Context, c *credential, limit time.Duration) (time.Time, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		in, err := e.enters(ctx, c)
		now := time.Now()
		switch {
		case err != nil:
			return now, fmt.Errorf("log in as %s: %w", c.username, err)
		case !in:
			return now, nil
		case now.After(deadline):
			return now, fmt.Errorf("%s is let in after %s still", c.username, limit)
		}
	}
}

// end is when a lease ends, as lookup tells.
func (e *engine) end(node int, id string) (time.Time, error) {
	r := e.send(node, "POST", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	var found struct {
		Data struct {
			ExpireTime time.Time `json:"expire_time"`
		}
	}
	if r.status != http.StatusOK {
		return time.Time{}, fmt.Errorf("look up %s: got %v", id, r)
	}
	err := json.Unmarshal([]byte(r.body), &found)
	return found.Data.ExpireTime, err
}

// random is the part of a lease's ID that the login's name ends with.
func random(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// leases are the mount's leases of a role, by their random parts.
func (e *engine) leases(t testing.TB, role string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	r := e.send(e.leader(), "LIST", "sys/leases/lookup/"+e.path+"/creds/"+role, "")
	if r.status == http.StatusNotFound {
		return found
	}
	if r.status != http.StatusOK {
		t.Fatalf("list the leases: got %v", r)
	}
	var list struct{ Data struct{ Keys []string } }
	r.into(t, &list)
	for _, key := range list.Data.Keys {
		found[key] = true
	}
	return found
}

// inventory are the names of the logins at the server that were made for a role by this cluster, by their
// random parts.
func (e *engine) inventory(t testing.TB, role string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, name := range e.srv.Column(t, "SELECT rolname FROM pg_roles WHERE rolname ~ ('^v-[^-]*-' || $1 || '-lh-')", role) {
		found[name[strings.LastIndexByte(name, '-')+1:]] = name
	}
	return found
}

// irrevocable counts the cluster's leases that are given up for now.
func (c *cluster) irrevocable() int {
	c.t.Helper()
	var count struct {
		Data struct {
			Count int `json:"lease_count"`
		}
	}
	c.must(c.leader(), "GET", "sys/leases/count?type=irrevocable", "").into(c.t, &count)
	return count.Data.Count
}

// inParallel calls do for 0 to n-1 with some workers. The first error ends it and the test.
func inParallel(t testing.TB, workers, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards next and first
	next, first := 0, error(nil)
	for range min(workers, n) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				failed := first != nil
				mu.Unlock()
				if i >= n || failed {
					return
				}
				if err := do(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		t.Fatal(first)
	}
}
