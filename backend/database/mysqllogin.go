package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/leasehold/leasehold/backend/database/statement"
)

// numbered reports whether err is one of the server's errors with these numbers.
func numbered(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

// account is a user's account for one host.
func account(name, host string) string {
	return mysqlSyntax.QuoteText(name) + "@" + mysqlSyntax.QuoteText(host)
}

// each runs statements one after the other. An error with one of the numbers passes is passed over.
func each(ctx context.Context, c *sql.Conn, steps []string, passes ...uint16) error {
	for i, step := range steps {
		if _, err := c.ExecContext(ctx, step); err != nil && !numbered(err, passes...) {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

// create runs the statements. For a login that is there, which an earlier try has begun, it passes over
// those that would make it again, and gives it the new password.
func (m *mysqlServer) create(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	return m.session(ctx, l.name, l.statements, func(c *sql.Conn) error {
		before, err := hosts(ctx, c, l.name)
		if err != nil {
			return err
		}
		if len(before) == 0 {
			err = each(ctx, c, steps)
		} else {
			err = each(ctx, c, steps, errCannotUser)
		}
		if err != nil {
			return m.undo(ctx, c, l, err)
		}
		after := before
		if len(before) == 0 {
			if after, err = hosts(ctx, c, l.name); err != nil {
				return err
			}
			if len(after) == 0 {
				return m.undo(ctx, c, l, &unfitError{errors.New("creation_statements ran, and there is no login of the name {{name}}")})
			}
			return nil
		}
		for _, host := range after {
			step := "ALTER USER " + account(l.name, host) + " IDENTIFIED BY " + mysqlSyntax.QuoteText(l.secret)
			if _, err := c.ExecContext(ctx, step); err != nil {
				return err
			}
		}
		return nil
	})
}

// undo runs the role's rollback statements after the server refused the others.
func (m *mysqlServer) undo(ctx context.Context, c *sql.Conn, l *login, cause error) error {
	var unfit *unfitError
	if len(l.rollback) == 0 || ctx.Err() != nil || (mysqlDialect{}).judge(cause).code == "" && !errors.As(cause, &unfit) {
		return cause
	}
	steps, err := render(l.rollback, l.values())
	if err == nil {
		err = each(ctx, c, steps)
	}
	if err != nil {
		return fmt.Errorf("%w; then rollback_statements: %w", cause, err)
	}
	return cause
}

// renew runs the statements, if there are any: the server knows no end of a login.
func (m *mysqlServer) renew(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	return m.session(ctx, l.name, l.statements, func(c *sql.Conn) error {
		found, err := hosts(ctx, c, l.name)
		if err == nil && len(found) == 0 {
			err = errAbsent
		}
		if err != nil {
			return err
		}
		return each(ctx, c, steps)
	})
}

// rotate runs the statements; without any it changes the account that is connected.
func (m *mysqlServer) rotate(ctx context.Context, list []*statement.Template, username, password string) error {
	steps, err := render(list, map[string]string{"name": username, "username": username, "password": password})
	if err != nil {
		return err
	}
	return m.session(ctx, "rotate-root of "+username, list, func(c *sql.Conn) error {
		if len(steps) > 0 {
			return each(ctx, c, steps)
		}
		// The account is named, since MariaDB 10.11 takes ALTER USER CURRENT_USER() and changes nothing.
		var self string
		if err := c.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&self); err != nil {
			return err
		}
		at := strings.LastIndexByte(self, '@')
		if at < 0 {
			return errors.New("the server does not say which account is connected")
		}
		_, err := c.ExecContext(ctx, "ALTER USER "+account(self[:at], self[at+1:])+" IDENTIFIED BY "+mysqlSyntax.QuoteText(password))
		return err
	})
}

func (m *mysqlServer) names(ctx context.Context, mark, after string, limit int) ([]string, error) {
	c, err := m.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return column(ctx, c, "SELECT DISTINCT CAST(User AS BINARY) AS name FROM mysql.user WHERE LOCATE("+
		mysqlSyntax.QuoteText(mark)+", User) > 0 HAVING name > "+mysqlSyntax.QuoteText(after)+" ORDER BY name LIMIT "+strconv.Itoa(limit))
}

// drop ends a login and its sessions, which live on when their user is gone. Absent is success, once
// no session is left.
func (m *mysqlServer) drop(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	return m.session(ctx, l.name, l.statements, func(c *sql.Conn) error {
		if len(steps) > 0 {
			return dropBy(ctx, c, l.name, steps)
		}
		found, err := hosts(ctx, c, l.name)
		if err != nil {
			return err
		}
		for _, host := range found {
			if _, err := c.ExecContext(ctx, "DROP USER IF EXISTS "+account(l.name, host)); err != nil {
				return err
			}
		}
		return endUserSessions(ctx, c, l.name)
	})
}

// dropBy ends a login with the role's own statements. That something is gone already is passed over:
// an earlier try may have come half-way. What counts is what is there afterwards.
func dropBy(ctx context.Context, c *sql.Conn, name string, steps []string) error {
	if err := each(ctx, c, steps, errNonexistGrant, errNoSuchUser, errRevokeGrants, errCannotUser); err != nil {
		return err
	}
	left, err := hosts(ctx, c, name)
	if err == nil && len(left) > 0 {
		err = &unfitError{errors.New("revocation_statements ran, and the login is still there: let them drop {{name}}")}
	}
	return err
}

// endUserSessions waits until a user has none left.
func endUserSessions(ctx context.Context, c *sql.Conn, name string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		ids, err := column(ctx, c, "SELECT ID FROM information_schema.PROCESSLIST WHERE CAST(USER AS BINARY) = "+mysqlSyntax.QuoteText(name))
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if _, err := c.ExecContext(ctx, "KILL "+id); err != nil && !numbered(err, errNoSuchThread) {
				return err
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("sessions of the login do not end: %w", ctx.Err())
		}
	}
}
