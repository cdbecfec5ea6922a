package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leasehold/leasehold/backend/database/statement"
)

const (
	postgresSyntax = statement.PostgreSQL
	mysqlSyntax    = statement.MySQL
)

// dialects are the plugin names of Vault, and what stands behind each here.
var dialects = map[string]dialect{
	"postgresql-database-plugin":   postgresDialect{},
	"mysql-database-plugin":        mysqlDialect{},
	"mysql-aurora-database-plugin": mysqlDialect{},
	"mysql-rds-database-plugin":    mysqlDialect{},
	"mysql-legacy-database-plugin": mysqlDialect{},
}

const pluginNames = "postgresql-database-plugin or mysql-database-plugin"

// dialect is what differs between kinds of servers.
type dialect interface {
	syntax() statement.Syntax
	// maxName is the longest name of a login, in bytes.
	maxName() int
	// adopt checks the URL of c, and moves an account that is written into it to the fields of c.
	// The error never shows the URL.
	adopt(c *connection) error
	// place is which server c leads to, by host and port; "" if its URL cannot be read.
	place(c *connection) string
	// open makes a server of c. It connects to nothing yet.
	open(c *connection) (server, error)
	// judge says what an error of the server means.
	judge(err error) verdict
}

// server is a bounded pool of connections to one server. Its methods may be called at once; each ends
// with its context. They return the driver's errors, which may hold secrets.
type server interface {
	ping(ctx context.Context) error
	// create makes a login, or gives one that is there a new password and end.
	create(ctx context.Context, l *login) error
	// renew moves the end of a login; errAbsent if there is none.
	renew(ctx context.Context, l *login) error
	// drop ends a login and its sessions, with the statements of l if there are any. Absent is success.
	drop(ctx context.Context, l *login) error
	// names are at most limit names of logins that hold mark, sorted, those after after.
	names(ctx context.Context, mark, after string, limit int) ([]string, error)
	// rotate gives the account that the connections use a new password (or its verifier), with the given
	// statements if there are any.
	rotate(ctx context.Context, statements []*statement.Template, username, secret string) error
	close()
}

// login is what is to be done about one login.
type login struct {
	name       string
	secret     string // what stands for {{password}}: the password or its verifier
	until      time.Time
	statements []*statement.Template
	rollback   []*statement.Template
}

// values are what the placeholders stand for.
func (l *login) values() map[string]string {
	return map[string]string{
		"name": l.name, "username": l.name, "password": l.secret, "expiration": l.expiration(),
	}
}

// expiration is the login's end as Vault writes it. A part of a second counts as a whole one, so that
// the target is never the shorter.
func (l *login) expiration() string {
	return l.until.Add(time.Second - 1).UTC().Truncate(time.Second).Format("2006-01-02 15:04:05-0700")
}

// render makes the SQL of templates.
func render(list []*statement.Template, values map[string]string) ([]string, error) {
	out := make([]string, 0, len(list))
	for _, t := range list {
		text, err := t.Render(values)
		if err != nil {
			return nil, &unfitError{err}
		}
		out = append(out, text)
	}
	return out, nil
}

// unfitError says that statements cannot be used as they were written.
type unfitError struct{ err error }

func (e *unfitError) Error() string { return e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// errAbsent says that a login is not there.
var errAbsent = errors.New("the login is not there")

// verdict is what an error of a server means.
type verdict struct {
	code      string // the server's own, such as "SQLSTATE 42501"; "" if the server did not answer
	permanent bool   // trying again soon does not help: permissions, syntax, what an operator must mend
	login     bool   // the account was refused
	busy      bool   // others changed the same rows of the catalog: the same again may work
}

// openDB makes a bounded pool that connects with the first of the connectors whose account is not
// refused, and remembers which one that was.
func openDB(c *connection, d dialect, connectors []driver.Connector) *sql.DB {
	db := sql.OpenDB(&fallback{d: d, connectors: connectors})
	db.SetMaxOpenConns(c.maxOpen())
	db.SetMaxIdleConns(c.maxIdle())
	db.SetConnMaxLifetime(c.MaxLifetime)
	db.SetConnMaxIdleTime(DefaultIdleAfter)
	return db
}

// fallback is a driver.Connector over those of several passwords.
type fallback struct {
	d          dialect
	connectors []driver.Connector
	worked     atomic.Int32 // index of the one that worked last
}

// Connect tries the one that worked last first, and all of them twice, since the password may change
// between two tries. A connection takes at most connectTimeout.
func (f *fallback) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	n := len(f.connectors)
	tries := n
	if n > 1 {
		tries = 2 * n
	}
	first := int(f.worked.Load())
	var refused error
	for i := range tries {
		at := (first + i) % n
		conn, err := f.connectors[at].Connect(ctx)
		if err == nil {
			f.worked.Store(int32(at))
			return conn, nil
		}
		if refused == nil {
			refused = err
		}
		if !f.d.judge(err).login {
			return nil, err
		}
	}
	return nil, refused
}

// Driver is that of the connectors.
func (f *fallback) Driver() driver.Driver { return f.connectors[0].Driver() }

// lost marks the error of a connection that must not be used again, for database/sql.
type lost struct{ error }

func (e lost) Unwrap() []error { return []error{e.error, driver.ErrBadConn} }
