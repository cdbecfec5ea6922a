package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// exitCode ends a command whose outcome has been told already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is a command line that cannot be meant.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// failure is what was being done when err stopped it, and what to try. Without a hint of its own
// the hint follows from err.
type failure struct {
	doing string
	err   error
	try   string
	local bool // on this side, whatever err is
}

func (f *failure) Error() string { return f.doing + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed says what a request was for. It is nil if err is.
func failed(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f // it already says more precisely what failed
	}
	if u, ok := errors.AsType[*usageError](err); ok {
		return u
	}
	return &failure{doing: fmt.Sprintf(doing, args...), err: err}
}

// localf is a failure on this side.
func localf(err error, doing, try string) error {
	return &failure{doing: doing, err: err, try: try, local: true}
}

// report tells what went wrong, if anything, and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(a.Stderr, "%s\n\nTry: %s -help\n", usage.message, cmd.CommandPath())
		return exitLocal
	}
	f, ok := errors.AsType[*failure](err)
	if !ok { // a command that is not of this package, or the parser
		fmt.Fprintf(a.Stderr, "Error: %v\n", err)
		return exitLocal
	}
	what, why, try, code := a.explain(f)
	fmt.Fprintf(a.Stderr, "Error %s: %s\n", f.doing, what)
	if why != "" {
		fmt.Fprintf(a.Stderr, "\n%s\n", why)
	}
	if f.try != "" {
		try = f.try
	}
	if try != "" {
		fmt.Fprintf(a.Stderr, "\nTry: %s\n", try)
	}
	return code
}

// explain splits a failure into what happened, the details, and what to try.
func (a *app) explain(f *failure) (what, why, try string, code int) {
	if errors.Is(f.err, context.Canceled) {
		return "interrupted", "", "", exitLocal
	}
	if f.local || errors.Is(f.err, client.ErrPath) {
		return f.err.Error(), "", "", exitLocal
	}
	if refused, ok := errors.AsType[*client.Error](f.err); ok {
		return "the server refused or failed.", quoteAnswer(refused), a.hint(refused), exitServer
	}
	what, try = a.unreachable(f.err)
	return what, f.err.Error(), try, exitServer
}

// quoteAnswer shows what the server said, in the form of Vault's CLI, which scripts search.
func quoteAnswer(e *client.Error) string {
	var out strings.Builder
	fmt.Fprintf(&out, "URL: %s %s\nCode: %d. ", e.Method, e.URL, e.StatusCode)
	switch {
	case len(e.Errors) > 0:
		out.WriteString("Errors:\n")
		for _, text := range e.Errors {
			fmt.Fprintf(&out, "\n* %s", strings.TrimSpace(text))
		}
	case e.Body != "":
		out.WriteString("Raw message:\n\n" + e.Body)
	default:
		out.WriteString(http.StatusText(e.StatusCode))
	}
	return out.String()
}

// hint is what to try after a refusal.
func (a *app) hint(e *client.Error) string {
	switch e.Code {
	case client.Denied:
		return "see what the token may do with \"leasehold token lookup\" (" + a.tokenSource() + "), or log in with another: \"leasehold login\"."
	case client.NotFound:
		if strings.Contains(e.Reason(), "namespace not found") {
			return "check -namespace and VAULT_NAMESPACE; \"leasehold namespace list\" shows what is below where you work."
		}
		return "check the path; \"leasehold secrets list\" shows what is mounted."
	case client.Unsupported:
		return "this path takes another verb: read, write, list or delete."
	case client.Limited:
		return "again a little later, or less at once."
	case client.Unavailable:
		return "again in a moment; \"leasehold status\" tells whether the cluster has a leader. Nothing was changed."
	case client.Uncertain:
		return "look whether it happened before you repeat it: the cluster lost its leader in between."
	case client.Upstream, client.Internal:
		return "the node's log says more; what the engine talks to may be down."
	}
	reason := e.Reason()
	switch {
	case strings.Contains(reason, "lease not found"), strings.Contains(reason, "invalid lease"),
		strings.Contains(reason, "lease expired"):
		return "it may have ended; \"leasehold list sys/leases/lookup/<prefix>\" shows what is there."
	case strings.Contains(reason, "not renewable"), strings.Contains(reason, "past the max TTL"):
		return "take a new lease: this one ends when it ends."
	case strings.Contains(reason, "failed previous revocation attempts"):
		return "look at the error with \"leasehold lease lookup\", mend the target, then revoke again with -sync."
	}
	return ""
}

// unreachable explains an error that came before any answer. It always names the address and who
// chose it, since a wrong address is the usual reason.
func (a *app) unreachable(err error) (what, try string) {
	at := a.addressSource()
	other := "name another node with -address or VAULT_ADDR."
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, foreign := errors.AsType[tls.RecordHeaderError](err)
	_, name := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + at + ".", "start a node (\"leasehold server -dev\"), or " + other
	case foreign || errors.Is(err, http.ErrSchemeMismatch):
		return at + " speaks plain http, not https.", "the same address with http://, as in: export VAULT_ADDR=http://127.0.0.1:8200"
	case certificate:
		return "the certificate of " + at + " is not trusted.", "-ca-cert or VAULT_CACERT with the authority that signed it."
	case name:
		return "the name in " + at + " is unknown.", other
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		return at + " did not answer in time.", "\"leasehold status\" to see whether the cluster has a leader; VAULT_CLIENT_TIMEOUT to wait longer. It may have happened: look first."
	}
	return "no usable answer from " + at + ".", other
}

// quote puts text in double quotes as it stands.
func quote(text string) string { return `"` + text + `"` }

// sentence makes a message of a library look like the others.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
