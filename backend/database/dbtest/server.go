// Package dbtest runs real database servers for tests: PostgreSQL and MariaDB from the distribution's
// packages, each in a directory of its own on a free port of the loopback interface, as a user without
// rights when the tests run as root. Nothing of the machine's own servers is touched.
//
//	srv := dbtest.StartPostgres(t)
//	srv.Exec(t, `CREATE TABLE items (id int)`)
//	session, err := srv.Login(ctx, user, password) // refused, or a session that lives
//
// Proxy stands between a client and a server and plants faults. What is missing on the machine is
// installed by scripts/deps.sh, never by a test.
package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// startWithin bounds how long a server may take to start, and to stop.
const startWithin = 60 * time.Second

// Server is a running database server. Its methods may not be called at once, except for Login.
type Server struct {
	Addr     string // host:port
	User     string // an account that may do everything
	Password string
	Database string
	CA       string // PEM of what the server's certificate chains to; it is for 127.0.0.1 and database.test

	kind kind
	dir  string
	who  *syscall.Credential // nil: the user of the tests
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	db   *sql.DB

	paused bool
}

// kind is what differs between the servers.
type kind interface {
	// prepare fills the empty directory s.dir.
	prepare(s *Server) error
	// command is the server in the foreground.
	command(s *Server) (*exec.Cmd, error)
	// connector connects as an account.
	connector(addr, user, password, database string) (driver.Connector, error)
	// url is a connection_url of the database engine.
	url(addr, database string) string
	stopSignal() syscall.Signal
}

// StartPostgres starts a PostgreSQL that ends with the test.
func StartPostgres(t testing.TB) *Server { return start(t, OpenPostgres) }

// StartPostgresWith starts a PostgreSQL with settings of its configuration, such as "fsync=on", that
// ends with the test.
func StartPostgresWith(t testing.TB, settings ...string) *Server {
	return start(t, func() (*Server, error) { return open(postgres{settings}, "postgres", "postgres") })
}

// StartMariaDB starts a MariaDB that ends with the test.
func StartMariaDB(t testing.TB) *Server { return start(t, OpenMariaDB) }

func start(t testing.TB, open func() (*Server, error)) *Server {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// OpenPostgres starts a PostgreSQL for a TestMain, which calls Close at the end.
func OpenPostgres() (*Server, error) {
	return open(postgres{}, "postgres", "postgres")
}

// OpenMariaDB starts a MariaDB for a TestMain, which calls Close at the end.
func OpenMariaDB() (*Server, error) {
	return open(mariadb{}, "test", "nobody")
}

func open(k kind, database, unprivileged string) (*Server, error) {
	dir, err := os.MkdirTemp("", "leasehold-dbtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{User: "root", Password: "root-of-the-tests", Database: database, kind: k, dir: dir}
	if err := s.setUp(unprivileged); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) setUp(unprivileged string) error {
	if os.Geteuid() == 0 {
		if err := s.lower(unprivileged, "nobody"); err != nil {
			return err
		}
	}
	if err := s.certify(); err != nil {
		return err
	}
	if err := s.kind.prepare(s); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Addr = listener.Addr().String()
	listener.Close()
	return s.Start()
}

// lower finds a user without rights, to whom the directory is given.
func (s *Server) lower(names ...string) error {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		s.who = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
		return os.Chown(s.dir, uid, gid)
	}
	return fmt.Errorf("the tests run as root, and there is no user %v to run a server as", names)
}

// run runs a program to its end, as the server's user.
func (s *Server) run(cmd *exec.Cmd) error {
	s.dress(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

// dress lets a program run as the server's user, and end when the tests do.
func (s *Server) dress(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.who, Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// Start starts a server that was stopped, at the same address.
func (s *Server) Start() error {
	cmd, err := s.kind.command(s)
	if err != nil {
		return err
	}
	s.dress(cmd)
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	return s.await()
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "server.log") }

// Log is what the server has logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits until the server lets its root in.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		session, err := s.Login(ctx, s.User, s.Password)
		if err == nil {
			return session.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server ended by itself:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not start: %w\n%s", err, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server; connections are cut.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
	err := s.cmd.Process.Signal(s.kind.stopSignal())
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		s.cmd = nil
		return nil
	case <-time.After(startWithin):
		return fmt.Errorf("the server does not stop:\n%s", s.Log())
	}
}

// Close stops the server and removes its files.
func (s *Server) Close() {
	if s.db != nil {
		s.db.Close()
	}
	if s.cmd != nil {
		if s.paused { // its children end when they see that it has
			s.Resume()
		}
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
	os.RemoveAll(s.dir)
}

// URL is a connection_url of the database engine, with placeholders for the account, that leads to
// addr: the server's or that of a Proxy before it.
func (s *Server) URL(addr string) string { return s.kind.url(addr, s.Database) }

// Connector connects to a database of the server as an account.
func (s *Server) Connector(user, password, database string) (driver.Connector, error) {
	return s.kind.connector(s.Addr, user, password, database)
}

// Session is a session of an account.
type Session struct {
	*sql.Conn
	db *sql.DB
}

// Close ends the session.
func (s *Session) Close() error {
	s.Conn.Close()
	return s.db.Close()
}

// Login opens a session. The error is the server's if it refuses the account.
func (s *Server) Login(ctx context.Context, user, password string) (*Session, error) {
	connector, err := s.Connector(user, password, s.Database)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &Session{conn, db}, nil
}

// DB is a pool of connections as root.
func (s *Server) DB(t testing.TB) *sql.DB {
	t.Helper()
	if s.db == nil {
		connector, err := s.Connector(s.User, s.Password, s.Database)
		if err != nil {
			t.Fatal(err)
		}
		s.db = sql.OpenDB(connector)
		s.db.SetMaxIdleConns(2)
	}
	return s.db
}

// Exec runs statements as root, one after the other.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.DB(t).Exec(statement); err != nil {
			t.Fatalf("%.200s: %.400v", statement, err)
		}
	}
}

// Column is the first column of what a query gives to root, NULL as "".
func (s *Server) Column(t testing.TB, query string, args ...any) []string {
	t.Helper()
	rows, err := s.DB(t).Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out = append(out, text.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// missing says what to do about a program that is not there.
func missing(what string) error {
	return fmt.Errorf("%s is not on this machine: run scripts/deps.sh", what)
}
