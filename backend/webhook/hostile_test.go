package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/webhook"
	"github.com/leasehold/leasehold/lease"
)

// T24: a service that never stops talking, promises a gigabyte, or stops in the middle.
func TestT24_HostileAnswers(t *testing.T) {
	chunk := []byte(strings.Repeat("a", 32<<10))
	forever := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	handlers := map[string]http.HandlerFunc{
		"streams for ever": forever,
		"fails and streams for ever": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			forever(w, r)
		},
		"promises a gigabyte": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<30))
			forever(w, r)
		},
		"stops early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"data":{}}`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"sends endless headers": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), string(chunk[:1024]))
			}
		},
		"sends hints for ever": raw(func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: <"+string(chunk[:1024])+">\r\n\r\n"); err != nil {
					return
				}
			}
		}),
		"speaks no HTTP":   raw(func(conn net.Conn) { _, _ = conn.Write(chunk) }),
		"closes at once":   raw(func(net.Conn) {}),
		"closes in a line": raw(func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 O") }),
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			m := answering(t, handler)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if made, err := m.engine.Create(ctx, m.intent(m.prepare("ci", nil))); err == nil || len(err.Error()) > 512 {
				t.Errorf("got %v, %v; want a short error", made, err)
			}
			if ctx.Err() != nil {
				t.Error("the call lasted until its deadline")
			}
		})
	}
	for _, name := range []string{"sends endless headers", "sends hints for ever", "speaks no HTTP", "closes at once", "closes in a line"} {
		m := answering(t, handlers[name])
		if err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal)); err == nil || backend.IsPermanent(err) {
			t.Errorf("revoke, %s: got %v, want an error that is tried again", name, err)
		}
	}
	// What counts of a revoke is the status.
	for _, name := range []string{"streams for ever", "promises a gigabyte", "stops early"} {
		m := answering(t, handlers[name])
		if err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal)); err != nil {
			t.Errorf("revoke, %s: %v", name, err)
		}
	}
}

// raw is a handler that takes over the connection and closes it afterwards.
func raw(speak func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		speak(conn)
	}
}

func TestTheConfigsTimeoutHolds(t *testing.T) {
	m := answering(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	m.write("config", map[string]any{"timeout": "1s"})
	err := m.engine.Destroy(t.Context(), m.destruction(m.prepare("ci", nil).Internal))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "gave no answer in time") || backend.IsPermanent(err) {
		t.Errorf("got %v, want a time-out that is tried again", err)
	}
}

// T24: each part of an answer may come late, the whole may not.
func TestT24_AnAnswerThatTrickles(t *testing.T) {
	m := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	m.write("config", map[string]any{"timeout": "1s"})
	begin := time.Now()
	var e *lease.Error
	_, err := m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil)))
	if !errors.As(err, &e) || e.Code != lease.Upstream || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("got %v, want an upstream error", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v under a timeout of 1s", took)
	}
}

// T16: an answer is cut at 64 KiB unless the mount's config says otherwise.
func TestT16_AnswersAreCutAt64KiB(t *testing.T) {
	const head, tail = `{"data":{"a":"`, `"}}`
	for _, size := range []int{webhook.DefaultMaxAnswer, webhook.DefaultMaxAnswer + 1} {
		m := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, head+strings.Repeat("x", size-len(head)-len(tail))+tail)
		})
		_, err := m.engine.Create(t.Context(), m.intent(m.prepare("ci", nil)))
		if tooLong := size > 64<<10; tooLong != (err != nil) || tooLong && !strings.Contains(err.Error(), "longer than max_answer, 65536 bytes") {
			t.Errorf("an answer of %d bytes: got %v", size, err)
		}
	}
}
