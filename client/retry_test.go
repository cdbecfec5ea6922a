package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/client"
)

// wire is a transport without a network, so that waits can be tested on a clock that does not
// make the test wait.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w(r)
}

func respond(status int, body string, header ...string) *http.Response {
	response := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		response.Header.Set(header[i], header[i+1])
	}
	return response
}

// Which failures are tried again, and how often.
func TestRetries(t *testing.T) {
	refused := &url.Error{Op: "Put", Err: syscall.ECONNREFUSED}
	for _, test := range []struct {
		name   string
		status int
		err    error
		want   int // calls
	}{
		{"connection refused", 0, refused, 3},
		{"412 stale state", 412, nil, 3},
		{"429 too many", 429, nil, 3},
		{"500", 500, nil, 3},
		{"503 no leader", 503, nil, 3},
		{"504 uncertain", 504, nil, 3},
		{"501 never", 501, nil, 1},
		{"400 wrong request", 400, nil, 1},
		{"403 denied", 403, nil, 1},
		{"404 nothing there", 404, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, bodies := 0, map[string]int{}
				c := newClient(t, client.Config{Transport: wire(func(r *http.Request) (*http.Response, error) {
					calls++
					body, _ := io.ReadAll(r.Body)
					bodies[string(body)]++
					if test.err != nil {
						return nil, test.err
					}
					return respond(test.status, `{"errors":[]}`), nil
				})})
				_, err := c.Write(t.Context(), "a", map[string]any{"k": "v"})
				if err == nil || calls != test.want {
					t.Errorf("got %d calls and error %v, want %d and an error", calls, err, test.want)
				}
				if bodies[`{"k":"v"}`] != test.want {
					t.Errorf("got bodies %v, want the same one each time", bodies)
				}
			})
		})
	}
}

// The waits grow and are partly chance; a Retry-After is obeyed within bounds.
func TestWaits(t *testing.T) {
	for _, test := range []struct {
		after          string
		atLeast, below time.Duration
	}{
		{"", 125*time.Millisecond + 250*time.Millisecond, 750 * time.Millisecond},
		{"1", 2 * time.Second, 3 * time.Second},
		{"3600", 60 * time.Second, 75 * time.Second}, // bounded: 30 s each
		{"soon", 375 * time.Millisecond, 750 * time.Millisecond},
		{"-5", 375 * time.Millisecond, 750 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, client.Config{Timeout: time.Hour, Transport: wire(func(*http.Request) (*http.Response, error) {
				return respond(503, `{"errors":["no leader"]}`, "Retry-After", test.after), nil
			})})
			start := time.Now()
			if _, err := c.Read(t.Context(), "a", nil); client.CodeOf(err) != client.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
			if took := time.Since(start); took < test.atLeast || took > test.below {
				t.Errorf("Retry-After %q: got %v for two waits, want %v to %v", test.after, took, test.atLeast, test.below)
			}
		})
	}
}

func TestRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := newClient(t, client.Config{Transport: wire(func(*http.Request) (*http.Response, error) {
			if calls++; calls < 3 {
				return respond(503, `{}`), nil
			}
			return respond(200, `{"data":{"n":1}}`), nil
		})})
		secret, err := c.Read(t.Context(), "a", nil)
		if err != nil || secret.Data["n"] == nil {
			t.Errorf("got %v, %v, want the third answer", secret, err)
		}
	})
}

// The timeout covers a call with all its retries, and the error still says what was wrong.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, client.Config{
			Timeout: 3 * time.Second, MaxRetries: 1000,
			Transport: wire(func(*http.Request) (*http.Response, error) { return respond(503, `{"errors":["no leader"]}`), nil }),
		})
		start := time.Now()
		_, err := c.Read(t.Context(), "a", nil)
		if !errors.Is(err, context.DeadlineExceeded) || client.CodeOf(err) != client.Unavailable {
			t.Errorf("got %v, want the deadline and the server's answer", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("got %v, want at most 3s", took)
		}
	})
}

// An answer to Issue that was lost: both attempts carry one key, two calls carry two.
func TestIssueKeepsItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		c := newClient(t, client.Config{Transport: wire(func(r *http.Request) (*http.Response, error) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			if len(keys) == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return respond(200, `{}`), nil
		})})
		for range 2 {
			if _, err := c.Issue(t.Context(), "lease/x", client.IssueRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(keys) != 3 || keys[0] != keys[1] || keys[1] == keys[2] || keys[0] == "" {
			t.Errorf("got keys %q, want the first two alike and the third another", keys)
		}
	})
}

// A node that does not lead may send the caller on: once, with everything, and never into the
// clear.
func TestRedirects(t *testing.T) {
	var got []string
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, requestLine(r)+" "+r.Header.Get("X-Vault-Token"))
		if r.URL.Path == "/v1/again" {
			http.Redirect(w, r, "/v1/a", http.StatusTemporaryRedirect)
			return
		}
		io.WriteString(w, `{"lease_id":"x"}`)
	}))
	defer leader.Close()
	for _, status := range []int{301, 302, 307} {
		got = nil
		c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", leader.URL+r.URL.RequestURI())
			w.WriteHeader(status)
		})
		secret, err := c.Write(context.Background(), "a", map[string]any{"k": "v"})
		if want := `PUT /v1/a {"k":"v"} hvs.test`; err != nil || secret.LeaseID != "x" || len(got) != 1 || got[0] != want {
			t.Errorf("%d: got %q, %v, want %q", status, got, err, want)
		}
		got = nil
		if _, err := c.Write(context.Background(), "again", nil); err == nil || len(got) != 1 {
			t.Errorf("%d: got %q, %v, want an error after one redirect", status, got, err)
		}
	}
}

func TestRedirectIntoTheClear(t *testing.T) {
	clear := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("got %s in the clear, want nothing", requestLine(r))
	}))
	defer clear.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, clear.URL+"/v1/a", http.StatusTemporaryRedirect)
	}))
	defer secure.Close()
	c := newClient(t, client.Config{Address: secure.URL, Transport: secure.Client().Transport})
	if _, err := c.Read(context.Background(), "a", nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refusal", err)
	}
}
