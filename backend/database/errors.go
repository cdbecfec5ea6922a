package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// MaxErrorText bounds, in bytes, the text of an error (T12).
const MaxErrorText = 256

// clean is the text of an error without secrets, on one line, bounded.
func clean(err error, secrets []string) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	text = strings.Join(strings.Fields(field.CleanText(text)), " ")
	if len(text) > MaxErrorText {
		text = strings.ToValidUTF8(text[:MaxErrorText], "")
	}
	return text
}

// cleaned shows a clean text and keeps the cause for errors.Is and errors.As.
type cleaned struct {
	text  string
	cause error
}

func (e cleaned) Error() string { return e.text }
func (e cleaned) Unwrap() error { return e.cause }

// scrub is err with a clean text that begins with what was being done. Of secrets that were made here
// no part is shown either: servers cut the statement that they repeat.
func (p *pool) scrub(doing string, err error, made ...string) error {
	const part = 8 // characters, worth a guess
	secrets := p.conn.secrets()
	for _, secret := range made {
		for n := len(secret); n >= part; n-- {
			secrets = append(secrets, secret[:n], secret[len(secret)-n:])
		}
	}
	return cleaned{clean(fmt.Errorf("%s: %w", doing, err), secrets), err}
}

// failure is the error of a call that a caller of the API waits for. The caller learns the server's
// code; the server's words are for the log (T24).
func (p *pool) failure(doing string, err error, made ...string) error {
	e := &lease.Error{Code: lease.Upstream, Err: p.scrub(doing, err, made...)}
	v := p.dialect.judge(err)
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit):
		e.Message = fmt.Sprintf("%s: %s", doing, clean(unfit, p.conn.secrets()))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Message = fmt.Sprintf("%s: the database did not answer in time", doing)
	case v.login:
		e.Message = fmt.Sprintf("%s: the database refuses the connection's account (%s)", doing, v.code)
	case v.code != "":
		e.Message = fmt.Sprintf("%s: the database answered with an error (%s)", doing, v.code)
	default:
		e.Message = fmt.Sprintf("%s: no connection to the database", doing)
	}
	return e
}

// undestroyed sorts the errors of a destruction: what an operator must mend is permanent, all else is
// tried again soon.
func (p *pool) undestroyed(err error) error {
	var unfit *unfitError
	out := p.scrub("end the login", err)
	if errors.As(err, &unfit) || p.dialect.judge(err).permanent {
		return backend.Permanent(out)
	}
	return out
}
