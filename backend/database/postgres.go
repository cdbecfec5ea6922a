package database

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/leasehold/leasehold/backend/database/statement"
)

type postgresDialect struct{}

func (postgresDialect) syntax() statement.Syntax { return postgresSyntax }
func (postgresDialect) maxName() int             { return 63 }

// judge sorts by classes of SQLSTATE: 42 is syntax and permissions, 0A what the server cannot do, 2B
// objects that depend on the login, 28 a refused account.
func (postgresDialect) judge(err error) verdict {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return verdict{}
	}
	v := verdict{code: "SQLSTATE " + e.Code}
	switch {
	case strings.HasPrefix(e.Code, "28"):
		v.login = true
	case strings.HasPrefix(e.Code, "42"), strings.HasPrefix(e.Code, "0A"), strings.HasPrefix(e.Code, "2B"):
		v.permanent = true
	case e.Code == "40001", e.Code == "40P01", e.Code == "XX000" && strings.HasPrefix(e.Message, "tuple concurrently"):
		v.busy = true
	}
	return v
}

// The account as it stands in a URL while that is read.
const (
	userToken     = "leasehold_username"
	passwordToken = "leasehold_password"
)

// placeholderSpace is the white space that a placeholder may hold.
var placeholderSpace = regexp.MustCompile(`\{\{[ \t]*([a-z]+)[ \t]*\}\}`)

var errPostgresURL = errors.New("cannot be read: write it as postgresql://{{username}}:{{password}}@host:5432/database?sslmode=verify-full")

func (d postgresDialect) adopt(c *connection) error {
	if c.URL == "" {
		return errPostgresURL
	}
	if scheme, rest, ok := strings.Cut(c.URL, "://"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			account, err := adoptAccount(c, rest[:at], url.PathUnescape)
			if err != nil {
				return err
			}
			c.URL = scheme + "://" + account + rest[at:]
		}
	}
	_, err := d.config(c)
	return err
}

// adoptAccount takes "user:password" out of a URL, and returns what stands for it there.
func adoptAccount(c *connection, account string, unescape func(string) (string, error)) (string, error) {
	user, password, both := strings.Cut(account, ":")
	take := func(text, placeholder string, field *string) (string, error) {
		if text == "" || strings.Contains(text, "{{") {
			return text, nil
		}
		plain, err := unescape(text)
		if err != nil || *field != "" && *field != plain {
			return "", fmt.Errorf("its %s is not that of the field: write %s in its place", strings.Trim(placeholder, "{}"), placeholder)
		}
		*field = plain
		return placeholder, nil
	}
	user, err := take(user, "{{username}}", &c.Username)
	if err != nil || !both {
		return user, err
	}
	old := c.Password
	password, err = take(password, "{{password}}", &c.Password)
	if c.Password != old {
		c.Candidates = nil
	}
	return user + ":" + password, err
}

func (d postgresDialect) place(c *connection) string {
	config, err := d.config(c)
	if err != nil {
		return ""
	}
	places := []string{hostPort(config.Host, config.Port)}
	for _, f := range config.Fallbacks {
		if p := hostPort(f.Host, f.Port); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return strings.Join(places, ", ")
}

func hostPort(host string, port uint16) string {
	return strings.ToLower(net.JoinHostPort(host, strconv.Itoa(int(port))))
}

// config reads the URL. The password is put in afterwards, so that it needs no escaping.
func (d postgresDialect) config(c *connection) (*pgx.ConnConfig, error) {
	text := placeholderSpace.ReplaceAllString(c.URL, "{{$1}}")
	text = strings.NewReplacer("{{username}}", userToken, "{{password}}", passwordToken).Replace(text)
	if strings.Contains(text, "{{") {
		return nil, errors.New("has a placeholder other than {{username}} and {{password}}")
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, errPostgresURL
	}
	if config.Password != "" && config.Password != passwordToken && strings.Contains(text, config.Password) {
		return nil, errors.New("holds a password: write {{password}} in its place, and the password into that field")
	}
	if config.Host == "" || config.User == "" {
		return nil, errors.New("names no host or no user")
	}
	if config.User == userToken {
		config.User = c.Username
	}
	if config.Database == userToken {
		config.Database = c.Username
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectTimeout {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "leasehold"
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, d.secure(c, config)
}

// secure lets what the connection says of TLS rule over what the URL says: with a CA or a certificate
// nothing is sent in the clear, and the server's name is checked.
func (postgresDialect) secure(c *connection, config *pgx.ConnConfig) error {
	settings, err := c.tlsConfig(config.Host)
	if err != nil || settings == nil {
		return err
	}
	config.TLSConfig = settings
	var fallbacks []*pgconn.FallbackConfig
	for _, f := range config.Fallbacks {
		if f.Host != config.Host || f.Port != config.Port {
			if f.TLSConfig, err = c.tlsConfig(f.Host); err != nil {
				return err
			}
			fallbacks = append(fallbacks, f)
		}
	}
	config.Fallbacks = fallbacks
	return nil
}

func (d postgresDialect) open(c *connection) (server, error) {
	config, err := d.config(c)
	if err != nil {
		return nil, fmt.Errorf("connection_url: %w", err)
	}
	var connectors []driver.Connector
	for _, password := range c.passwords() {
		one := config.Copy()
		one.Password = password
		connectors = append(connectors, stdlib.GetConnector(*one))
	}
	return &postgres{db: openDB(c, d, connectors), turn: make(chan struct{}, 1), tries: c.maxIdle() + 1}, nil
}

// postgres is a server of PostgreSQL.
type postgres struct {
	db *sql.DB
	// tries is how often a first step is tried: each idle connection may have died unseen.
	tries int
	// contended is set once two transactions have changed the same row of the catalog, which PostgreSQL
	// answers with an error: from then on they take turns.
	contended atomic.Bool
	turn      chan struct{}
}

func (p *postgres) ping(ctx context.Context) error { return p.db.PingContext(ctx) }
func (p *postgres) close()                         { p.db.Close() }

// session runs fn on a connection. One that is closed, or in a transaction afterwards, is used no more.
func (p *postgres) session(ctx context.Context, fn func(*pgconn.PgConn) error) error {
	c, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Raw(func(dc any) error {
		conn := dc.(*stdlib.Conn).Conn().PgConn()
		err := fn(conn)
		if err != nil && !conn.IsClosed() && conn.TxStatus() != 'I' && ctx.Err() == nil {
			run(ctx, conn, "ROLLBACK")
		}
		if unusable := conn.IsClosed() || conn.TxStatus() != 'I'; err != nil && unusable || err == errSpent {
			return lost{err}
		} else if unusable {
			return lost{errors.New("the transaction was left open")}
		}
		return err
	})
	if errors.Is(err, errSpent) {
		return nil
	}
	return err
}

// errSpent says that the work is done, and that the connection must not be used again.
var errSpent = errors.New("the connection is spent")

// run sends statements in one go, each by itself in the extended protocol, where the server takes no
// more than one (T18). The first that fails ends it.
func run(ctx context.Context, conn *pgconn.PgConn, statements ...string) ([]*pgconn.Result, error) {
	batch := new(pgconn.Batch)
	for _, s := range statements {
		batch.ExecParams(s, nil, nil, nil, nil)
	}
	reader := conn.ExecBatch(ctx, batch)
	var results []*pgconn.Result
	for size := 0; reader.NextResult(); {
		rows := reader.ResultReader()
		result := new(pgconn.Result)
		for rows.NextRow() {
			row := make([][]byte, 0, len(rows.Values()))
			for _, column := range rows.Values() {
				row = append(row, bytes.Clone(column))
				size += len(column) + 1
			}
			result.Rows = append(result.Rows, row)
			if size > maxAnswer {
				conn.Conn().Close() // what else comes is not read
				return nil, fmt.Errorf("the database answered with more than %d bytes", maxAnswer)
			}
		}
		result.CommandTag, result.Err = rows.Close()
		results = append(results, result)
	}
	return results, reader.Close()
}

// maxAnswer bounds, in bytes, what is taken of the answers to one go (T24).
const maxAnswer = 1 << 20

// value is the first column of the first row of the last result, "" if there is none.
func value(results []*pgconn.Result) string {
	if len(results) == 0 {
		return ""
	}
	rows := results[len(results)-1].Rows
	if len(rows) == 0 || len(rows[0]) == 0 {
		return ""
	}
	return string(rows[0][0])
}

// begin opens a transaction that holds the lock of a login's name, and returns the first column of
// the query look. The lock is the server's: a creation whose caller has given up is waited for, and
// ends by itself when nothing comes for serverPatience.
func begin(ctx context.Context, conn *pgconn.PgConn, name, look string) (string, error) {
	sum := sha256.Sum256([]byte("leasehold login " + name))
	lock := strconv.FormatInt(int64(binary.BigEndian.Uint64(sum[:8])), 10)
	patience := strconv.FormatInt(serverPatience.Milliseconds(), 10)
	results, err := run(ctx, conn, "BEGIN",
		"SELECT set_config('idle_in_transaction_session_timeout', '"+patience+"', true), set_config('statement_timeout', '"+patience+"', true)",
		"SELECT pg_advisory_xact_lock("+lock+")", look)
	return value(results), err
}

// serverPatience is how long a server waits within a transaction for a client, and works on one step.
const serverPatience = 2 * time.Minute

// work runs a transaction about a login: fn after begin. The first step is repeated when it meets a
// connection that died while it was idle, the whole when others changed the same rows of the catalog.
func (p *postgres) work(ctx context.Context, name, look string, fn func(conn *pgconn.PgConn, found string) error) error {
	for try := 1; ; try++ {
		begun := false
		err := p.inTurn(ctx, func() error {
			return p.session(ctx, func(conn *pgconn.PgConn) error {
				found, err := begin(ctx, conn, name, look)
				if err != nil {
					return err
				}
				begun = true
				return fn(conn, found)
			})
		})
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case begun && postgresDialect{}.judge(err).busy && try < busyTries:
			p.contended.Store(true)
		case !begun && errors.As(err, new(lost)) && try < p.tries:
		default:
			return err
		}
	}
}

// busyTries is how often a transaction is tried that others disturb. They take turns by then, so that
// the second try is disturbed only by those that were at work already.
const busyTries = 10

// inTurn runs fn, once transactions have met each other one at a time.
func (p *postgres) inTurn(ctx context.Context, fn func() error) error {
	if !p.contended.Load() {
		return fn()
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}
