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

// BenchmarkPostgresLogins makes and ends b.N logins of PostgreSQL through Leasehold, and as many with pgx
// alone, which sends the same statements and keeps no lease. Both have 32 clients; they take turns.
//
//	go test -run=NONE -bench=PostgresLogins -benchtime=4000x ./test/credentials
func BenchmarkPostgresLogins(b *testing.B) {
	if b.N < clients*rounds {
		return // the first try of every benchmark
	}
	srv := dbtest.StartPostgresWith(b, production...)
	e := start(b).engine("database", srv, nil)
	e.role("app", time.Hour)
	bare := map[int]*pgxpool.Pool{}
	for _, connections := range []int{4, clients} { // Leasehold's default, and one for each client
		bare[connections] = barePool(b, srv, connections)
	}
	var leasehold, prefix turns
	plain := map[int]*turns{4: {}, clients: {}}
	n := b.N / rounds
	for range rounds {
		var all []*credential
		leasehold.issued += timed(func() { all = e.fillAt(b, clients, n, "app") })
		half := all[:n/2]
		leasehold.ended += timed(func() { e.revokeAll(b, half) })
		prefix.ended += timed(func() { e.must(1, "POST", "sys/leases/revoke-prefix/database/creds/app", `{"sync":true}`) })
		for connections, pool := range bare {
			names := make([]string, n)
			plain[connections].issued += timed(func() { create(b, pool, names) })
			plain[connections].ended += timed(func() { drop(b, pool, names) })
		}
	}
	best := plain[4]
	for _, p := range plain {
		best = &turns{min(best.issued, p.issued), min(best.ended, p.ended)}
	}
	made, half := rounds*n, rounds*(n/2)
	b.ReportMetric(0, "ns/op") // of everything together: it tells nothing
	b.Logf("issue:         %s, %s of pgx alone", rate(made, leasehold.issued), share(best.issued, leasehold.issued))
	b.Logf("revoke:        %s, %s of pgx alone", rate(half, leasehold.ended), share(best.ended, 2*leasehold.ended))
	b.Logf("revoke-prefix: %s, %s of pgx alone", rate(made-half, prefix.ended), share(best.ended, 2*prefix.ended))
	for connections, p := range plain {
		b.Logf("pgx alone, %2d connections: makes %s, drops %s", connections, rate(made, p.issued), rate(made, p.ended))
	}
}

// turns is the time that a side took for all its rounds.
type turns struct{ issued, ended time.Duration }

func timed(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}

func rate(n int, took time.Duration) string {
	return fmt.Sprintf("%.0f logins a second", float64(n)/took.Seconds())
}

func share(best, took time.Duration) string {
	return fmt.Sprintf("%.0f %%", 100*best.Seconds()/took.Seconds())
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
	b.Cleanup(pool.Close)
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
