package httpapi_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
)

// T12, T24: what a target said is in the log, cut and on one line, with the request's ID; the caller of the API
// gets none of it.
func TestT24_TheTargetsWordsAreForTheLog(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	server := httpapi.New(httpapi.Config{Node: r.node, State: r.node.state, Lessor: r.Lessor, Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(&log, nil)), Version: "1.2.3", ForwardHold: 300 * time.Millisecond})
	r.Enable("db", "fake", lease.MountConfig{})
	words := "out of\x1b[31m rooms\n" + strings.Repeat("ü", 400)
	for code, status := range map[lease.Code]int{lease.Upstream: 502, lease.Invalid: 400} {
		log.Reset()
		r.Fake.Inject(fake.Fault{Action: fake.Create, Times: 1, Err: &lease.Error{Code: code, Message: "the service answered", Err: errors.New(words)}})
		got := ask(t, server.Handler(), "GET", "db/creds/a", "root", "")
		want(t, code.String(), got, status, "the service answered")
		if strings.Contains(got.text, "rooms") {
			t.Errorf("%s: the caller gets the target's words: %s", code, got.text)
		}
		line := log.String()
		if !strings.Contains(line, "the service answered: out of [31m rooms ü") || !strings.Contains(line, `"path":"db/creds/a"`) ||
			!strings.Contains(line, `"request_id":"`) {
			t.Errorf("%s: the log says %q", code, line)
		}
		if n := strings.Count(line, "ü"); n > 128 {
			t.Errorf("%s: %d characters of what the target said are in the log", code, n)
		}
	}
	log.Reset()
	want(t, "a refusal of ours", ask(t, server.Handler(), "GET", "nowhere/creds/a", "root", ""), 404)
	if log.Len() > 0 {
		t.Errorf("no target has failed, and the log says %q", log.String())
	}
}
