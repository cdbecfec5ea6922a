package dbtest

import (
	"database/sql/driver"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres has settings, such as "fsync=on", that come after those of command.
type postgres struct{ settings []string }

// program finds a program of PostgreSQL where Debian keeps them, by version.
func (postgres) program(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return "", err
	}
	if i := slices.Index(found, "/usr/lib/postgresql/15/bin/"+name); i >= 0 {
		return found[i], nil
	}
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", missing("PostgreSQL's " + name)
}

func (p postgres) prepare(s *Server) error {
	initdb, err := p.program("initdb")
	if err != nil {
		return err
	}
	if err := s.write("password", s.Password+"\n"); err != nil {
		return err
	}
	cmd := exec.Command(initdb, "--no-sync", "--auth=scram-sha-256", "--username="+s.User, "--encoding=UTF8",
		"--locale=C", "--pwfile="+filepath.Join(s.dir, "password"), "-D", filepath.Join(s.dir, "data"))
	return s.run(cmd)
}

func (p postgres) command(s *Server) (*exec.Cmd, error) {
	program, err := p.program("postgres")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, err
	}
	args := []string{"-D", filepath.Join(s.dir, "data"), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + port,
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60",
		"-c", "autovacuum=off", "-c", "log_statement=all", "-c", "log_connections=on", "-c", "ssl=on",
		"-c", "ssl_cert_file=" + filepath.Join(s.dir, "cert.pem"), "-c", "ssl_key_file=" + filepath.Join(s.dir, "key.pem")}
	for _, setting := range p.settings {
		args = append(args, "-c", setting)
	}
	return exec.Command(program, args...), nil
}

func (postgres) connector(addr, user, password, database string) (driver.Connector, error) {
	config, err := pgx.ParseConfig("postgresql://user@" + addr + "/" + url.PathEscape(database) + "?sslmode=disable&connect_timeout=10")
	if err != nil {
		return nil, err
	}
	config.User, config.Password = user, password
	return stdlib.GetConnector(*config), nil
}

func (postgres) url(addr, database string) string {
	return "postgresql://{{username}}:{{password}}@" + addr + "/" + database + "?sslmode=disable"
}

// stopSignal asks for a fast shutdown: sessions are ended.
func (postgres) stopSignal() syscall.Signal { return syscall.SIGINT }

type mariadb struct{}

func (mariadb) program() (string, error) {
	for _, name := range []string{"mariadbd", "/usr/sbin/mariadbd", "mysqld", "/usr/sbin/mysqld"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", missing("MariaDB's server")
}

// share is where the scripts are that make the system's tables.
const share = "/usr/share/mysql"

func (m mariadb) prepare(s *Server) error {
	program, err := m.program()
	if err != nil {
		return err
	}
	script := []io.Reader{strings.NewReader("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL, @skip_auth_anonymous = 1;\n")}
	for _, name := range []string{"mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql"} {
		f, err := os.Open(filepath.Join(share, name))
		if err != nil {
			return missing("MariaDB's " + name)
		}
		defer f.Close()
		script = append(script, f)
	}
	script = append(script, strings.NewReader("FLUSH PRIVILEGES;\nALTER USER root@'127.0.0.1' IDENTIFIED BY '"+s.Password+"';\n"+
		"DROP USER root@localhost, root@'::1';\nCREATE DATABASE "+s.Database+";\n"))
	if err := s.run(exec.Command("mkdir", filepath.Join(s.dir, "data"))); err != nil {
		return err
	}
	cmd := exec.Command(program, append(m.flags(s), "--bootstrap", "--skip-networking")...)
	cmd.Stdin = io.MultiReader(script...)
	return s.run(cmd)
}

func (mariadb) flags(s *Server) []string {
	return []string{"--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"), "--lc-messages-dir=" + share,
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"), "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-log-bin",
		"--innodb-fast-shutdown=1", "--aria-log-file-size=8M", "--innodb-log-file-size=8M"}
}

func (m mariadb) command(s *Server) (*exec.Cmd, error) {
	program, err := m.program()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, err
	}
	return exec.Command(program, append(m.flags(s), "--bind-address=127.0.0.1", "--port="+port,
		"--ssl-cert="+filepath.Join(s.dir, "cert.pem"), "--ssl-key="+filepath.Join(s.dir, "key.pem"))...), nil
}

func (mariadb) connector(addr, user, password, database string) (driver.Connector, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd, config.DBName = "tcp", addr, user, password, database
	config.Logger = &mysql.NopLogger{}
	return mysql.NewConnector(config)
}

func (mariadb) url(addr, database string) string {
	return "{{username}}:{{password}}@tcp(" + addr + ")/"
}

func (mariadb) stopSignal() syscall.Signal { return syscall.SIGTERM }
