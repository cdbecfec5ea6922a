package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leasehold/leasehold/backend/field"
)

// Headers of requests and answers, in canonical form.
const (
	headerToken       = "X-Vault-Token"
	headerNamespace   = "X-Vault-Namespace"
	headerWrap        = "X-Vault-Wrap-Ttl"
	headerNoForward   = "X-Vault-No-Request-Forwarding"
	headerForward     = "X-Vault-Forward"
	headerIndex       = "X-Vault-Index"
	headerConsistency = "X-Leasehold-Consistency"
	headerIdempotency = "Idempotency-Key"
)

// Values of headers that every answer has, made once.
var (
	valueNoStore = []string{"no-store"}
	valueHSTS    = []string{"max-age=31536000; includeSubDomains"}
	valueJSON    = []string{"application/json"}
	valueRetry   = []string{"1"}
)

// errAnswered ends the pipeline of a request whose answer has been written.
var errAnswered = errors.New("answered")

// redirect ends the pipeline with a 307.
type redirect struct{ location string }

func (r *redirect) Error() string { return "redirect" }

// steps are taken in this order until one of them fails.
var steps = [...]func(*Server, *call) error{
	(*Server).readVerb,
	(*Server).readPath,
	(*Server).readWrapping,
	(*Server).readBody,
	(*Server).readParams,
	(*Server).place,
	(*Server).authenticate,
	(*Server).authorize,
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, peer bool) {
	c := &call{w: w, r: r, ctx: r.Context(), peer: peer}
	c.identify()
	h := w.Header()
	h["Cache-Control"] = valueNoStore
	h["Strict-Transport-Security"] = valueHSTS
	h["Content-Type"] = valueJSON
	begin := s.now()
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			s.log.Error("panic in a request", "request_id", c.id, "fault", fault, "stack", string(debug.Stack()))
			s.fail(c, errInternal)
		}
	}()
	a, err := s.run(c)
	if c.cancel != nil {
		defer c.cancel()
	}
	switch {
	case err == nil:
		err = s.respond(c, a)
	case errors.Is(err, errAnswered):
		err = nil
	default:
		s.fail(c, err)
	}
	if s.log.Enabled(c.ctx, slog.LevelDebug) {
		s.log.Debug("request", "request_id", c.id, "method", r.Method, "path", c.path, "client", c.addr,
			"forwarded", peer, "took", s.now().Sub(begin), "err", err)
	}
}

// identify names the request and its client. What only nodes may say is believed only from nodes
// (T6).
func (c *call) identify() {
	h := c.r.Header
	if c.peer {
		c.id, c.addr = h.Get(headerRequestID), h.Get(headerClientAddr)
	} else {
		for name := range h {
			if strings.HasPrefix(name, internalPrefix) && name != headerConsistency {
				delete(h, name)
			}
		}
		c.addr = c.r.RemoteAddr
	}
	if c.id == "" || len(c.id) > 64 || field.CheckText(c.id) != nil {
		c.id = uuid.NewString()
	}
}

// run takes the steps and calls the handler.
func (s *Server) run(c *call) (answer, error) {
	for _, step := range steps {
		if err := step(s, c); err != nil {
			return answer{}, s.confirmed(c, err, false)
		}
	}
	if help, err := c.flag("help"); err != nil || help {
		return helpAnswer(c), err
	}
	a, err := s.act(c)
	s.spend(c)
	if c.wrapTTL != 0 && c.op == opList && errors.Is(err, errNothing) {
		a, err = answer{enveloped: true}, nil // a wrapped list is never "not found"
	}
	if err != nil || c.unproposed {
		if sure := s.confirmed(c, err, !c.unproposed); sure != nil {
			return answer{}, sure
		}
	}
	if c.wrapTTL != 0 {
		return s.wrapped(c, a)
	}
	return a, nil
}

func helpAnswer(c *call) answer {
	return answer{bare: map[string]any{"help": c.route.help, "openapi": map[string]any{}}}
}

// limitTime gives a request its deadline, once it is known to wait for others. What this node reads
// from its own state needs none: waiting for the state has its own bounds.
func (s *Server) limitTime(c *call) {
	if c.cancel != nil {
		return
	}
	limit := requestTimeout
	if c.route != nil && c.route.slow {
		limit = slowTimeout
		// Not every ResponseWriter has deadlines; those of tests do without.
		deadline := s.now().Add(slowWrite)
		_ = http.NewResponseController(c.w).SetWriteDeadline(deadline)
		if c.route.stream {
			limit = slowWrite
			_ = http.NewResponseController(c.w).SetReadDeadline(deadline)
		}
	}
	c.ctx, c.cancel = context.WithTimeout(c.ctx, limit)
}

// fail answers with an error.
func (s *Server) fail(c *call, err error) {
	h := c.w.Header()
	var to *redirect
	if errors.As(err, &to) {
		h["Location"] = []string{to.location}
		delete(h, "Content-Type")
		c.w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	f := describe(err)
	if ours(err) {
		s.log.Error("request failed", "request_id", c.id, "method", c.r.Method, "path", c.path, "err", err)
	} else if words := targetWords(err); words != "" {
		s.log.Warn("a target failed a request", "request_id", c.id, "method", c.r.Method, "path", c.path, "err", words)
	}
	if f.retry {
		h["Retry-After"] = valueRetry
	}
	s.stamp(h)
	c.w.WriteHeader(f.status)
	if c.r.Method == http.MethodHead {
		return
	}
	if _, err := c.w.Write(appendErrors(nil, f.texts)); err != nil {
		s.log.Debug("answer not taken", "request_id", c.id, "err", err)
	}
}

// stamp says how new the state is that the answer comes from.
func (s *Server) stamp(h http.Header) {
	h[headerIndex] = []string{strconv.FormatUint(s.state.Applied(), 10)}
}

// seconds is a duration on the wire, cut to whole seconds: an answer never promises more than is
// there. What is less than a second, but not nothing, counts as one, since 0 means "for ever".
func seconds(d time.Duration) int64 {
	if d > 0 && d < time.Second {
		return 1
	}
	return int64(d / time.Second)
}
