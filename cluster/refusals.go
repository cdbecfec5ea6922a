package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/leasehold/leasehold/cert"
)

const (
	refusalPause = time.Minute // between two lines about the same refusal
	maxRefusals  = 256         // told ones that are remembered
)

// refusals logs handshakes that failed, each with its reason. Who is refused tries again, as a rule
// many times a second, so that the same thing is told once a minute.
type refusals struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex // guards told
	told map[string]time.Time
}

func newRefusals(cfg Config) *refusals {
	return &refusals{log: cfg.Log.With("component", "cluster"), now: cfg.Now, told: make(map[string]time.Time)}
}

// accepting tells of somebody who dialled this node.
func (r *refusals) accepting(from net.Addr, err error) {
	host, _, splitErr := net.SplitHostPort(from.String())
	if splitErr != nil {
		host = from.String()
	}
	r.tell("a connection to the peer port was refused", "from", host, err)
}

// stranger tells of a node that is no member and has requests to forward: what a removed node says of
// its clients is not believed, though its certificate may live on.
func (r *refusals) stranger(id string, from net.Addr) {
	r.accepting(from, errors.New("node "+id+" is no member of the cluster, so nothing is forwarded for it"))
}

// dialling tells of somebody who answered this node.
func (r *refusals) dialling(to nodeAddr, err error) {
	r.tell("the node that answered was refused", "at", to.addr, err)
}

func (r *refusals) tell(message, where, who string, err error) {
	reason, ours := reasonOf(err)
	if !ours {
		r.log.Debug("a handshake on the peer port was not finished", where, who, "error", err)
		return
	}
	key := message + who + reason
	now := r.now()
	r.mu.Lock()
	last, again := r.told[key]
	again = again && now.Sub(last) < refusalPause
	if !again {
		if len(r.told) >= maxRefusals { // somebody with many addresses: better told twice than kept
			clear(r.told)
		}
		r.told[key] = now
	}
	r.mu.Unlock()
	if !again {
		r.log.Warn(message, where, who, "reason", reason)
	}
}

// reasonOf is why a handshake failed, in words that do not change from one time to the next, and
// whether it was this side that refused. Otherwise the other side did, or the connection broke.
func reasonOf(err error) (reason string, ours bool) {
	var (
		name    *cert.NameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		network net.Error
	)
	switch {
	case errors.As(err, &name):
		return name.Error(), true
	case errors.As(err, &unknown):
		return "the certificate was signed by an authority that this node does not know", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has ended or has not begun: it is valid from " + invalid.Cert.NotBefore.Format(time.RFC3339) +
			" to " + invalid.Cert.NotAfter.Format(time.RFC3339), true
	case errors.As(err, &record):
		return "it does not speak TLS", true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &alert), errors.As(err, &network):
		return "", false
	}
	return err.Error(), true
}
