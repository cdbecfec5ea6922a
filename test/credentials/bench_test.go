package credentials

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// clients are how many ask at once.
const clients = 32

// rounds are how often the two sides take turns, so that what else the machine does meets both.
const rounds = 4

// production are settings with which a PostgreSQL keeps what it was told.
var production = []string{"fsync=on", "shared_buffers=128MB", "autovacuum=on", "max_connections=100",
	"log_statement=none", "log_connections=off"}

// setups are the ways in which a mount is set up: how many connections each side may open (four is what a
// mount has unless it is told), and what Leasehold sends the server in place of a password. With a verifier
// the server need not derive one, which is most of what a login costs it; pgx alone sends passwords always.
var setups = []struct {
	connections    int
	authentication string
}{{4, "password"}, {16, "password"}, {16, "scram-sha-256"}}

// BenchmarkPostgresLogins makes and ends b.N logins of PostgreSQL through Leasehold, and as many with pgx
// alone, which sends the role's statements and keeps no lease. Both have 32 clients and the same number of
// connections; they take turns.
//
//	go test -run=NONE -bench=PostgresLogins -benchtime=2000x ./test/credentials
func BenchmarkPostgresLogins(b *testing.B) {
	if b.N < clients*rounds {
		return // the first try of every benchmark
	}
	srv := dbtest.StartPostgresWith(b, production...)
	e := start(b).engine("database", srv, nil)
	e.role("app", time.Hour)
	sides := make([]side, len(setups))
	for range rounds {
		for i, how := range setups {
			sides[i].turn(b, e, how.connections, how.authentication, b.N/rounds)
		}
	}
	b.ReportMetric(0, "ns/op") // of everything together: it tells nothing
	for i, how := range setups {
		s := &sides[i]
		b.Logf("%2d connections, %s: %s issued a second, %.0f by pgx alone", how.connections, how.authentication,
			beside(s.issued, s.made), s.made.rate())
		b.Logf("%2d connections, %s: %s revoked a second, %s by prefix, %.0f dropped by pgx alone", how.connections, how.authentication,
			beside(s.revoked, s.dropped), beside(s.swept, s.dropped), s.dropped.rate())
	}
}

// side is what came of both with one number of connections.
type side struct {
	issued, revoked, swept tally // by Leasehold: revoked one by one, and with one call
	made, dropped          tally // by pgx alone
}

// tally is how many took how long.
type tally struct {
	n    int
	took time.Duration
}

func (t *tally) rate() float64 { return float64(t.n) / t.took.Seconds() }

func (t *tally) time(n int, do func()) {
	begun := time.Now()
	do()
	t.took += time.Since(begun)
	t.n += n
}

// beside is a rate with its share of another one.
func beside(t, other tally) string {
	return fmt.Sprintf("%.0f (%.0f %%)", t.rate(), 100*t.rate()/other.rate())
}

// turn lets each make and end n logins.
func (s *side) turn(b *testing.B, e *engine, connections int, authentication string, n int) {
	e.connect(map[string]any{"max_open_connections": connections, "password_authentication": authentication})
	e.must(1, "POST", "sys/leases/revoke", `{"lease_id":"`+e.issue(b, 1, "app", 0).id+`","sync":true}`) // connects
	var all []*credential
	s.issued.time(n, func() { all = e.fillAt(b, clients, n, "app") })
	s.revoked.time(n/2, func() { e.revokeAll(b, all[:n/2]) })
	s.swept.time(n-n/2, func() { e.must(1, "POST", "sys/leases/revoke-prefix/database/creds/app", `{"sync":true}`) })
	pool := barePool(b, e.srv, connections)
	defer pool.Close()
	names := make([]string, n)
	s.made.time(n, func() { create(b, pool, names) })
	s.dropped.time(n, func() { drop(b, pool, names) })
}

// fillAt issues n logins at the leader.
func (e *engine) fillAt(b *testing.B, workers, n int, role string) []*credential {
	list, lead := make([]*credential, n), e.leader()
	inParallel(b, workers, n, func(i int) error {
		c, r := e.ask(b.Context(), lead, role, 0)
		if list[i] = c; c == nil {
			return fmt.Errorf("a login: got %v", r)
		}
		return nil
	})
	return list
}

// revokeAll ends logins one by one, and waits for each.
func (e *engine) revokeAll(b *testing.B, list []*credential) {
	lead := e.leader()
	inParallel(b, clients, len(list), func(i int) error {
		if r := e.send(lead, "POST", "sys/leases/revoke", `{"lease_id":"`+list[i].id+`","sync":true}`); r.status != 204 {
			return fmt.Errorf("revoke %s: got %v", list[i].id, r)
		}
		return nil
	})
}

// barePool is a pool of connections that are open.
func barePool(b *testing.B, srv *dbtest.Server, connections int) *pgxpool.Pool {
	b.Helper()
	config, err := pgxpool.ParseConfig("postgresql://" + url.PathEscape(srv.User) + ":" + url.PathEscape(srv.Password) + "@" +
		srv.Addr + "/" + srv.Database + "?sslmode=disable")
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns, config.MinConns = int32(connections), int32(connections)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	eventually(b, 10*time.Second, "the pool is full", func() bool { return pool.Stat().IdleConns() == int32(connections) })
	return pool
}

// together runs statements in one transaction.
func together(ctx context.Context, pool *pgxpool.Pool, list ...string) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	for _, statement := range list {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return tx.Commit(ctx)
}

// create makes logins as the role's statements do.
func create(b *testing.B, pool *pgxpool.Pool, names []string) {
	until := time.Now().Add(time.Hour).UTC().Format("2006-01-02 15:04:05-0700")
	inParallel(b, clients, len(names), func(i int) error {
		name := "bare-root-app-" + rand.Text()
		names[i] = name
		return together(b.Context(), pool, `CREATE ROLE "`+name+`" LOGIN PASSWORD '`+rand.Text()[:24]+`' VALID UNTIL '`+until+`'`,
			`GRANT app_reader TO "`+name+`"`)
	})
}

// drop ends logins in the steps that docs/database.md names.
func drop(b *testing.B, pool *pgxpool.Pool, names []string) {
	inParallel(b, clients, len(names), func(i int) error {
		name := `"` + names[i] + `"`
		if err := together(b.Context(), pool, "ALTER ROLE "+name+" NOLOGIN"); err != nil {
			return err
		}
		return together(b.Context(), pool,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+names[i]+"'",
			"REASSIGN OWNED BY "+name+" TO CURRENT_USER", "DROP OWNED BY "+name, "DROP ROLE "+name)
	})
}

// BenchmarkExpiryToRefused measures how long after its lease's end a login is refused by the server, b.N
// times, forty a second.
//
//	go test -run=NONE -bench=ExpiryToRefused -benchtime=800x ./test/credentials
func BenchmarkExpiryToRefused(b *testing.B) {
	if b.N < clients {
		return // the first try of every benchmark
	}
	e := start(b).engine("database", dbtest.StartPostgresWith(b, production...), nil)
	e.role("app", time.Hour)
	lags := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	for i := range lags {
		wg.Go(func() {
			lag, err := e.watchEnd(b.Context(), i%3+1, "app", 2*time.Second)
			if err != nil {
				b.Error(err)
			}
			lags[i] = lag
		})
		time.Sleep(time.Second / 40)
	}
	wg.Wait()
	slices.Sort(lags)
	b.ReportMetric(0, "ns/op")
	b.Logf("%d leases: their logins are refused a median of %s after the end, p99 %s, worst %s", b.N,
		lags[b.N/2].Round(time.Millisecond), lags[b.N*99/100].Round(time.Millisecond), lags[b.N-1].Round(time.Millisecond))
}
