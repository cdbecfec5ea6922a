package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/leasehold/leasehold/client"
)

// newServer serves handle and returns a client of it that never repeats a call.
func newServer(t *testing.T, handle http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return newClient(t, client.Config{Address: server.URL, Token: "hvs.test", MaxRetries: client.NoRetries})
}

func newClient(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatalf("New(%+v): %v", config, err)
	}
	return c
}

// requestLine is a request in one line, as the tests name it.
func requestLine(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
}

// Every method sends exactly what the API's table has.
func TestRequests(t *testing.T) {
	ctx := context.Background()
	no := false
	checkRequests(t, map[string]func(*client.Client) error{
		`GET /v1/a/b?x=1`: func(c *client.Client) error {
			_, err := c.Read(ctx, "/a/b/", map[string][]string{"x": {"1"}})
			return err
		},
		`PUT /v1/a null`: func(c *client.Client) error { _, err := c.Write(ctx, "a", nil); return err },
		`PUT /v1/a {"k":1}`: func(c *client.Client) error {
			_, err := c.Write(ctx, "a", map[string]any{"k": 1})
			return err
		},
		`GET /v1/a?list=true`: func(c *client.Client) error { _, err := c.List(ctx, "a/", client.Page{}); return err },
		`GET /v1/sys/leases/lookup/p?after=x&limit=2&list=true`: func(c *client.Client) error {
			_, err := c.ListLeases(ctx, "p", client.Page{After: "x", Limit: 2})
			return err
		},
		`DELETE /v1/a`: func(c *client.Client) error { _, err := c.Delete(ctx, "a", nil); return err },
		`POST /v1/lease/x {"ttl":"10m","renewable":false,"labels":{"a":"b"}}`: func(c *client.Client) error {
			_, err := c.Issue(ctx, "lease/x", client.IssueRequest{TTL: "10m", Renewable: &no, Labels: map[string]string{"a": "b"}})
			return err
		},
		`PUT /v1/sys/leases/revoke/a%20%2525/b {"sync":false}`: func(c *client.Client) error {
			return c.RevokeLease(ctx, "a %25/b", client.Queued)
		},
		`PUT /v1/sys/leases/revoke-force/p`: func(c *client.Client) error { return c.RevokeForce(ctx, "p") },
		`PUT /v1/sys/leases/tidy`:           func(c *client.Client) error { _, err := c.TidyLeases(ctx); return err },
		`GET /v1/sys/leases/count?type=irrevocable`: func(c *client.Client) error {
			_, err := c.CountIrrevocable(ctx)
			return err
		},
		`GET /v1/sys/leases?limit=none&type=irrevocable`: func(c *client.Client) error {
			_, err := c.ListIrrevocable(ctx, -1)
			return err
		},
		`GET /v1/sys/leases?limit=5&type=irrevocable`: func(c *client.Client) error {
			_, err := c.ListIrrevocable(ctx, 5)
			return err
		},
		`GET /v1/sys/leases/jobs`:         func(c *client.Client) error { _, err := c.Jobs(ctx); return err },
		`GET /v1/sys/leases/jobs/7`:       func(c *client.Client) error { _, err := c.Job(ctx, "7"); return err },
		`GET /v1/sys/mounts/db/tune`:      func(c *client.Client) error { _, err := c.MountTuning(ctx, "db"); return err },
		`GET /v1/sys/internal/state-hash`: func(c *client.Client) error { _, err := c.StateHash(ctx); return err },
		`PUT /v1/sys/leases/renew {"increment":1,"lease_id":"x"}`: func(c *client.Client) error {
			_, err := c.RenewLease(ctx, "x", 1) // a nanosecond is not "no increment"
			return err
		},
	})
}

// checkRequests has each function send its one request.
func checkRequests(t *testing.T, requests map[string]func(*client.Client) error) {
	t.Helper()
	for want, do := range requests {
		got := "nothing"
		c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = requestLine(r)
			io.WriteString(w, `{}`)
		})
		if err := do(c); err != nil {
			t.Errorf("%s: got error %v, want none", want, err)
		}
		if got != want {
			t.Errorf("got request %s, want %s", got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer server.Close()
	c := newClient(t, client.Config{
		Address: server.URL, Token: "t", Namespace: "a/b", WrapTTL: "60s",
		Header: http.Header{"x-other": {"1"}},
	})
	if _, err := c.WithToken("t2").Issue(context.Background(), "lease/x", client.IssueRequest{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Vault-Request": "true", "X-Vault-Token": "t2", "X-Vault-Namespace": "a/b",
		"X-Vault-Wrap-TTL": "60s", "X-Other": "1", "Content-Type": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
	if len(got.Get("Idempotency-Key")) < 16 {
		t.Errorf("Idempotency-Key: got %q, want something random", got.Get("Idempotency-Key"))
	}
}

func TestLookupDecodes(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"request_id":"r","data":{"id":"a/b","ttl":-3,"expire_time":null,"renewable":false,
			"last_renewal":"2026-01-02T03:04:05.6Z","status":"irrevocable","revoke_error":"no","later":1}}`)
	})
	got, err := c.LookupLease(context.Background(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	data := got.Data
	if data.ID != "a/b" || data.TTL != -3 || data.ExpireTime != nil || data.LastRenewal == nil ||
		data.Status != client.StatusIrrevocable || data.RevokeError != "no" || got.RequestID != "r" {
		t.Errorf("got %+v, want what was sent", got)
	}
	if !strings.Contains(string(got.Raw()), `"later":1`) {
		t.Errorf("Raw: got %s, want the answer as sent", got.Raw())
	}
}

// What a status means to the caller is the inverse of the server's table.
func TestErrors(t *testing.T) {
	for status, want := range map[int]client.Code{
		400: client.Invalid, 401: client.Denied, 403: client.Denied, 404: client.NotFound,
		405: client.Unsupported, 409: client.Conflict, 412: client.Unavailable, 413: client.TooLarge,
		418: client.Invalid, 429: client.Limited, 500: client.Internal, 501: client.Unsupported,
		502: client.Upstream, 503: client.Unavailable, 504: client.Uncertain, 308: client.Invalid,
	} {
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, `{"errors":["one","two"]}`)
		})
		_, err := c.Read(context.Background(), "a", nil)
		refused, ok := errors.AsType[*client.Error](err)
		if !ok {
			t.Errorf("%d: got %v, want an *Error", status, err)
			continue
		}
		if refused.Code != want || refused.StatusCode != status || client.CodeOf(err) != want {
			t.Errorf("%d: got code %v of %+v, want %v", status, refused.Code, refused, want)
		}
		if want := []string{"one", "two"}; !reflect.DeepEqual(refused.Errors, want) {
			t.Errorf("%d: got errors %q, want %q", status, refused.Errors, want)
		}
	}
}

func TestErrorReasons(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":["lease not found"]}`: "lease not found",
		`{"errors":[]}`:                  "bad request",
		`<html>proxy</html>`:             "<html>proxy</html>",
		`{"other":1}`:                    `{"other":1}`,
		``:                               "bad request",
	} {
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, body)
		})
		_, err := c.Read(context.Background(), "a", nil)
		refused, ok := errors.AsType[*client.Error](err)
		if !ok || refused.Reason() != want {
			t.Errorf("body %q: got %v, want reason %q", body, err, want)
		}
	}
	if got := client.CodeOf(errors.New("other")); got != 0 {
		t.Errorf("CodeOf of another error: got %v, want 0", got)
	}
}

// A 404 that carries warnings or data is an answer, as for Vault's own clients.
func TestNotFoundWithWarnings(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"data":null,"warnings":["gone since"]}`)
	})
	got, err := c.Read(context.Background(), "a", nil)
	if err != nil || len(got.Warnings) != 1 {
		t.Errorf("got %+v, %v, want the warning", got, err)
	}
	if _, err := c.Write(context.Background(), "a", nil); client.CodeOf(err) != client.NotFound {
		t.Errorf("writing: got %v, want not found", err)
	}
}

func TestEmptyAndForeignAnswers(t *testing.T) {
	for body, wantErr := range map[string]string{
		"":                  "",
		"\n":                "",
		"null":              "",
		"<html>":            "not what this client knows",
		`{"data":{}}{}`:     "more than one",
		`{"lease_id": 1}`:   "not what this client knows",
		`{"lease_id": "x"}`: "",
	} {
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		secret, err := c.Write(context.Background(), "a", nil)
		if wantErr == "" && (err != nil || secret == nil) {
			t.Errorf("%q: got %v, %v, want a secret", body, secret, err)
		}
		if wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q: got error %v, want one with %q", body, err, wantErr)
		}
	}
}

func TestPathThatClimbsIsNotSent(t *testing.T) {
	c := newServer(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no request", r.URL) })
	for _, path := range []string{"..", "a/../sys/mounts", "a/.", "./a"} {
		if _, err := c.Read(context.Background(), path, nil); !errors.Is(err, client.ErrPath) {
			t.Errorf("%s: got %v, want ErrPath", path, err)
		}
	}
}

func TestHealth(t *testing.T) {
	const healthy = `{"initialized":true,"sealed":false,"standby":true,"version":"1"}`
	for _, test := range []struct {
		status int
		body   string
		ok     bool
	}{
		{200, healthy, true}, {429, healthy, true}, {503, healthy, true}, {501, `{"initialized":false}`, true},
		{503, `{"errors":["down"]}`, false}, {200, `hello`, false},
	} {
		calls := 0
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
		})
		health, status, err := c.Health(context.Background())
		if (err == nil) != test.ok || status != test.status || (health != nil) != test.ok {
			t.Errorf("%d %s: got %+v, %d, %v, want ok %v", test.status, test.body, health, status, err, test.ok)
		}
		if calls != 1 {
			t.Errorf("%d: got %d calls, want 1", test.status, calls)
		}
	}
}
