package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leasehold/leasehold/backend/database/statement"
)

// validUntil sets a login's own end. It fails if there is no such login, and so proves that the
// statements before it made one.
func validUntil(l *login) string {
	return "ALTER ROLE " + postgresSyntax.QuoteName(l.name) + " VALID UNTIL " + postgresSyntax.QuoteText(l.expiration())
}

// oidOf looks a login up.
func oidOf(name string) string {
	return "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = " + postgresSyntax.QuoteText(name)
}

// create runs the statements in one transaction. A login that is there was made by a transaction that
// was committed: it lacks nothing, and gets a new password and a new end.
func (p *postgres) create(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	refused := false
	err = p.work(ctx, l.name, oidOf(l.name), func(conn *pgconn.PgConn, found string) error {
		todo := steps
		if found != "" {
			todo = []string{"ALTER ROLE " + postgresSyntax.QuoteName(l.name) + " PASSWORD " + postgresSyntax.QuoteText(l.secret)}
		}
		results, err := run(ctx, conn, append(slices.Clone(todo), validUntil(l), "COMMIT")...)
		if err == nil && results[len(results)-1].CommandTag.String() != "COMMIT" {
			err = errors.New("the transaction was not committed")
		}
		var answer *pgconn.PgError
		if refused = errors.As(err, &answer); refused {
			err = stepError(err, results, len(todo))
		}
		return spent(l.statements, err)
	})
	if refused && err != nil && !(postgresDialect{}).judge(err).busy {
		return p.undo(ctx, l, err)
	}
	return err
}

// stepError names the step that failed: one of the operator's statements, or what comes after them.
func stepError(err error, results []*pgconn.Result, statements int) error {
	failed := len(results) + 1
	if n := len(results); n > 0 && results[n-1].Err != nil { // it failed after its first row
		failed = n
	}
	if failed <= statements {
		return fmt.Errorf("statement %d: %w", failed, err)
	}
	return fmt.Errorf("after the statements: %w", err)
}

// spent is err, or errSpent if the statements have run and may have changed the session.
func spent(list []*statement.Template, err error) error {
	if err == nil && slices.ContainsFunc(list, (*statement.Template).Lasting) {
		return errSpent
	}
	return err
}

// undo runs the role's rollback statements after the server refused the others, whose transaction it
// has undone already.
func (p *postgres) undo(ctx context.Context, l *login, cause error) error {
	if len(l.rollback) == 0 || ctx.Err() != nil {
		return cause
	}
	steps, err := render(l.rollback, l.values())
	if err == nil {
		err = p.work(ctx, l.name, "SELECT 1", func(conn *pgconn.PgConn, _ string) error {
			results, err := run(ctx, conn, append(steps, "COMMIT")...)
			if err != nil {
				err = stepError(err, results, len(steps))
			}
			return spent(l.rollback, err)
		})
	}
	if err != nil {
		return fmt.Errorf("%w; then rollback_statements: %w", cause, err)
	}
	return cause
}

func (p *postgres) renew(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	return p.work(ctx, l.name, oidOf(l.name), func(conn *pgconn.PgConn, found string) error {
		if found == "" {
			return errAbsent
		}
		results, err := run(ctx, conn, append(slices.Clone(steps), validUntil(l), "COMMIT")...)
		if err != nil {
			err = stepError(err, results, len(steps))
		}
		return spent(l.statements, err)
	})
}

// rotate runs the statements in one transaction; without any it changes the account that is connected.
func (p *postgres) rotate(ctx context.Context, list []*statement.Template, username, secret string) error {
	steps, err := render(list, map[string]string{"name": username, "username": username, "password": secret})
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		steps = []string{"ALTER ROLE CURRENT_USER PASSWORD " + postgresSyntax.QuoteText(secret)}
	}
	return p.work(ctx, "rotate-root of "+username, "SELECT 1", func(conn *pgconn.PgConn, _ string) error {
		results, err := run(ctx, conn, append(slices.Clone(steps), "COMMIT")...)
		if err != nil {
			err = stepError(err, results, len(steps))
		}
		return spent(list, err)
	})
}

func (p *postgres) names(ctx context.Context, mark, after string, limit int) ([]string, error) {
	var names []string
	err := p.session(ctx, func(conn *pgconn.PgConn) error {
		results, err := run(ctx, conn, "SELECT rolname FROM pg_catalog.pg_roles WHERE strpos(rolname, "+postgresSyntax.QuoteText(mark)+
			`) > 0 AND rolname COLLATE "C" > `+postgresSyntax.QuoteText(after)+` ORDER BY rolname COLLATE "C" LIMIT `+strconv.Itoa(limit))
		if err != nil {
			return err
		}
		for _, row := range results[0].Rows {
			names = append(names, string(row[0]))
		}
		return nil
	})
	return names, err
}

// drop ends a login. Absent is success.
func (p *postgres) drop(ctx context.Context, l *login) error {
	if len(l.statements) > 0 {
		return p.dropBy(ctx, l)
	}
	oid, err := p.disable(ctx, l.name)
	if oid == "" || err != nil {
		return err
	}
	if err := p.endSessions(ctx, oid); err != nil {
		return err
	}
	return p.remove(ctx, l.name, oid)
}

// disable lets the login log in no more, and makes our account a member of it, which ending its
// sessions and reassigning what it owns ask for. It returns the login's OID, "" if there is none.
func (p *postgres) disable(ctx context.Context, name string) (string, error) {
	var oid string
	quoted := postgresSyntax.QuoteName(name)
	look := "SELECT oid || ' ' || pg_has_role(current_user, oid, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = " +
		postgresSyntax.QuoteText(name)
	err := p.work(ctx, name, look, func(conn *pgconn.PgConn, found string) error {
		var member string
		if oid, member, _ = strings.Cut(found, " "); oid == "" {
			_, err := run(ctx, conn, "COMMIT")
			return err
		}
		// Nothing is lost if this commit is: it is repeated.
		_, err := run(ctx, conn, "SET LOCAL synchronous_commit = off", "ALTER ROLE "+quoted+" NOLOGIN", "COMMIT")
		if err != nil || member == "true" {
			return err
		}
		_, err = run(ctx, conn, "GRANT "+quoted+" TO CURRENT_USER")
		if errors.As(err, new(*pgconn.PgError)) {
			err = nil // what needs the membership will say so; that nobody can log in stands
		}
		return err
	})
	return oid, err
}

// terminate ends the sessions of a login and says how many there were.
func terminate(oid string) string {
	return "SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE usesysid = " +
		oid + " AND pid <> pg_backend_pid()"
}

// endSessions waits until the login has none left.
func (p *postgres) endSessions(ctx context.Context, oid string) error {
	return p.session(ctx, func(conn *pgconn.PgConn) error {
		for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
			results, err := run(ctx, conn, terminate(oid))
			if err != nil || value(results) == "0" {
				return err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return fmt.Errorf("sessions of the login do not end: %w", ctx.Err())
			}
		}
	})
}

// remove takes over what the login owns, takes back what it was granted, and drops it. A session that
// was just being opened when the login was disabled is ended before the commit.
func (p *postgres) remove(ctx context.Context, name, oid string) error {
	quoted := postgresSyntax.QuoteName(name)
	err := p.work(ctx, name, oidOf(name), func(conn *pgconn.PgConn, found string) error {
		if found != oid {
			_, err := run(ctx, conn, "COMMIT") // another call has done it
			return err
		}
		_, err := run(ctx, conn, "REASSIGN OWNED BY "+quoted+" TO CURRENT_USER", "DROP OWNED BY "+quoted,
			"DROP ROLE "+quoted, terminate(oid), "COMMIT")
		return err
	})
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "2BP01" {
		return p.heldElsewhere(ctx, oid, err)
	}
	return err
}

// heldElsewhere explains why a login cannot be dropped: a transaction reaches one database, and it
// holds something in others.
func (p *postgres) heldElsewhere(ctx context.Context, oid string, cause error) error {
	var names string
	err := p.session(ctx, func(conn *pgconn.PgConn) error {
		results, err := run(ctx, conn, "SELECT string_agg(DISTINCT quote_ident(d.datname), ', ') FROM pg_catalog.pg_shdepend s"+
			" JOIN pg_catalog.pg_database d ON d.oid = s.dbid WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = "+oid+
			" AND d.datname <> current_database()")
		names = value(results)
		return err
	})
	if err != nil || names == "" {
		return cause
	}
	return fmt.Errorf("it can log in no more, but owns or was granted something in other databases: %s: "+
		"run REASSIGN OWNED and DROP OWNED for it there: %w", names, cause)
}

// dropBy ends a login with the role's own statements. What counts is what is there afterwards: a login
// that is gone, or can log in no more, is success, whatever the statements answered.
func (p *postgres) dropBy(ctx context.Context, l *login) error {
	steps, err := render(l.statements, l.values())
	if err != nil {
		return err
	}
	absent := false
	err = p.work(ctx, l.name, oidOf(l.name), func(conn *pgconn.PgConn, found string) error {
		if absent = found == ""; absent {
			_, err := run(ctx, conn, "COMMIT")
			return err
		}
		results, err := run(ctx, conn, append(slices.Clone(steps), "COMMIT")...)
		if err != nil {
			err = stepError(err, results, len(steps))
		}
		return spent(l.statements, err)
	})
	if err != nil || absent {
		return err
	}
	living := ""
	err = p.session(ctx, func(conn *pgconn.PgConn) error {
		results, err := run(ctx, conn, oidOf(l.name)+" AND rolcanlogin")
		living = value(results)
		return err
	})
	if err == nil && living != "" {
		err = &unfitError{errors.New("revocation_statements ran, and the login can still log in: let them drop {{name}}")}
	}
	return err
}
