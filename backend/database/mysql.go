package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/leasehold/leasehold/backend/database/statement"
)

type mysqlDialect struct{}

func (mysqlDialect) syntax() statement.Syntax { return mysqlSyntax }

// maxName is MySQL's; MariaDB takes longer ones.
func (mysqlDialect) maxName() int { return 32 }

// Numbers of the server's errors.
const (
	errAccessDenied   = 1045
	errNonexistGrant  = 1141 // there is no such grant
	errNoSuchUser     = 1133
	errRevokeGrants   = 1269
	errCannotUser     = 1396 // CREATE USER of one that is there, DROP USER of one that is not
	errNoSuchThread   = 1094
	errBadAccountName = 1470
)

// permanentNumbers are those of permissions, syntax and what else an operator must mend.
var permanentNumbers = []uint16{1044, 1046, 1049, 1064, 1095, 1142, 1143, 1146, 1227, 1370, 1410, 1419, 1698, errBadAccountName}

func (mysqlDialect) judge(err error) verdict {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return verdict{}
	}
	return verdict{
		code: "error " + strconv.Itoa(int(e.Number)), permanent: slices.Contains(permanentNumbers, e.Number),
		login: e.Number == errAccessDenied || e.Number == 1698,
	}
}

var errMySQLURL = errors.New("cannot be read: write it as {{username}}:{{password}}@tcp(host:3306)/?tls=true")

func (d mysqlDialect) adopt(c *connection) error {
	end := strings.LastIndexByte(c.URL, '/')
	if end < 0 {
		return errMySQLURL
	}
	if at := strings.LastIndexByte(c.URL[:end], '@'); at >= 0 {
		same := func(text string) (string, error) { return text, nil }
		account, err := adoptAccount(c, c.URL[:at], same)
		if err != nil {
			return err
		}
		c.URL = account + c.URL[at:]
	}
	_, err := d.config(c)
	return err
}

func (d mysqlDialect) place(c *connection) string {
	config, err := d.config(c)
	if err != nil {
		return ""
	}
	return strings.ToLower(config.Addr)
}

// config reads the URL, which is a DSN of the driver. What would let a server read files of this
// machine, or take more than one statement at once, is off whatever it says.
func (mysqlDialect) config(c *connection) (*mysql.Config, error) {
	text := placeholderSpace.ReplaceAllString(c.URL, "{{$1}}")
	text = strings.NewReplacer("{{username}}", userToken, "{{password}}", passwordToken).Replace(text)
	if strings.Contains(text, "{{") {
		return nil, errors.New("has a placeholder other than {{username}} and {{password}}")
	}
	config, err := mysql.ParseDSN(text)
	if err != nil {
		return nil, errMySQLURL
	}
	if config.User == "" || config.User == userToken {
		config.User = c.Username
	}
	config.AllowAllFiles, config.MultiStatements, config.InterpolateParams = false, false, false
	config.CheckConnLiveness = true
	config.Logger = &mysql.NopLogger{}
	if config.Timeout == 0 || config.Timeout > connectTimeout {
		config.Timeout = connectTimeout
	}
	host, _, err := net.SplitHostPort(config.Addr)
	if err != nil {
		host = config.Addr
	}
	settings, err := c.tlsConfig(host)
	if settings != nil {
		config.TLS, config.AllowFallbackToPlaintext = settings, false
	}
	return config, err
}

func (d mysqlDialect) open(c *connection) (server, error) {
	config, err := d.config(c)
	if err != nil {
		return nil, fmt.Errorf("connection_url: %w", err)
	}
	var connectors []driver.Connector
	for _, password := range c.passwords() {
		one := config.Clone()
		one.Passwd = password
		connector, err := mysql.NewConnector(one)
		if err != nil {
			return nil, errMySQLURL
		}
		connectors = append(connectors, connector)
	}
	return &mysqlServer{db: openDB(c, d, connectors)}, nil
}

// mysqlServer is a server of MySQL or MariaDB. There is no transaction over users and grants: what was
// begun is finished by the next try.
type mysqlServer struct {
	db *sql.DB
}

func (m *mysqlServer) ping(ctx context.Context) error { return m.db.PingContext(ctx) }
func (m *mysqlServer) close()                         { m.db.Close() }

// lockWait is how many seconds a server lets one wait for the lock of a login's name; the caller's
// context ends the wait before.
const lockWait = 60

// session runs fn on a connection that holds the lock of a login's name, so that a creation whose
// caller has given up is waited for. A connection that fails is used no more, which gives up the lock;
// so is one on which the statements may have changed the session.
func (m *mysqlServer) session(ctx context.Context, name string, list []*statement.Template, fn func(*sql.Conn) error) error {
	c, err := m.db.Conn(ctx) // the driver looks whether an idle one is still alive
	if err != nil {
		return err
	}
	lock, err := take(ctx, c, name)
	if err != nil {
		discard(c)
		return err
	}
	if err = fn(c); err == nil {
		_, err = c.ExecContext(ctx, "DO RELEASE_LOCK("+mysqlSyntax.QuoteText(lock)+")")
	}
	if err != nil || slices.ContainsFunc(list, (*statement.Template).Lasting) {
		discard(c)
		return err
	}
	return c.Close()
}

// take waits for the lock. A cluster that has no locks does without.
func take(ctx context.Context, c *sql.Conn, name string) (string, error) {
	sum := sha256.Sum256([]byte(name))
	lock := "leasehold-" + hex.EncodeToString(sum[:16])
	var got sql.NullInt64
	err := c.QueryRowContext(ctx, "SELECT GET_LOCK("+mysqlSyntax.QuoteText(lock)+", "+strconv.Itoa(lockWait)+")").Scan(&got)
	switch {
	case err != nil && (mysqlDialect{}).judge(err).code == "":
		return "", err
	case err == nil && got.Int64 != 1:
		return "", errors.New("another call is at work on the same login")
	}
	return lock, nil
}

// discard closes a connection for good.
func discard(c *sql.Conn) {
	c.Raw(func(any) error { return driver.ErrBadConn })
	c.Close()
}

// hosts are the hosts of a user's accounts; none if there is no such user.
func hosts(ctx context.Context, c *sql.Conn, name string) ([]string, error) {
	return column(ctx, c, "SELECT Host FROM mysql.user WHERE User = "+mysqlSyntax.QuoteText(name))
}

// column is the first column of a query.
func column(ctx context.Context, c *sql.Conn, query string) ([]string, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for size := 0; rows.Next(); size += len(out[len(out)-1]) + 1 {
		if size > maxAnswer {
			return nil, fmt.Errorf("the database answered with more than %d bytes", maxAnswer)
		}
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}
