package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/client"
)

// leaseServer grants ttl, up to end, as the server's arithmetic has it.
type leaseServer struct {
	ttl, max time.Duration
	issued   time.Time
	renewals []time.Duration // when, since it was issued
	paths    []string
	bodies   []string
	fail     func(n int) *http.Response // a failure for renewal n, or nil
}

func (s *leaseServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	line := requestLine(r)
	s.renewals = append(s.renewals, time.Since(s.issued))
	s.paths = append(s.paths, r.URL.Path+" "+r.Header.Get("X-Vault-Token"))
	s.bodies = append(s.bodies, line)
	if s.fail != nil {
		if response := s.fail(len(s.renewals)); response != nil {
			return response, nil
		}
	}
	granted := min(s.ttl, s.max-time.Since(s.issued))
	answer, _ := json.Marshal(client.Secret{LeaseID: "a/b", Renewable: true, LeaseDuration: int64(granted / time.Second)})
	return respond(200, string(answer)), nil
}

func (s *leaseServer) keep(t *testing.T, ctx context.Context, config client.RenewerConfig) *client.Renewer {
	t.Helper()
	s.issued = time.Now()
	c := newClient(t, client.Config{Transport: s, MaxRetries: client.NoRetries})
	r, err := c.KeepRenewed(ctx, &client.Secret{LeaseID: "a/b", Renewable: true, LeaseDuration: int64(s.ttl / time.Second)}, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A lease of ten minutes is renewed every six to six and two thirds, until it is stopped.
func TestRenewerRenewsAtTwoThirds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		server := &leaseServer{ttl: 10 * time.Minute, max: 1000 * time.Hour}
		r := server.keep(t, t.Context(), client.RenewerConfig{
			Increment: 5 * time.Minute, OnRenew: func(*client.Secret) { told++ },
		})
		time.Sleep(time.Hour)
		r.Stop()
		if err := r.Err(); err != nil {
			t.Errorf("Err after Stop: got %v, want nil", err)
		}
		if n := len(server.renewals); n != 9 || told != 9 {
			t.Errorf("got %d renewals and %d calls in an hour, want 9 and 9", n, told)
		}
		last := time.Duration(0)
		for i, at := range server.renewals {
			if gap := at - last; gap < 6*time.Minute || gap > 400*time.Second {
				t.Errorf("renewal %d: got %v after the one before, want 6m to 6m40s", i, gap)
			}
			last = at
		}
		if want := `PUT /v1/sys/leases/renew {"increment":300,"lease_id":"a/b"}`; server.bodies[0] != want {
			t.Errorf("got %s, want %s", server.bodies[0], want)
		}
	})
}

// At the limit of a lease the renewer gives up while there is time to fetch another.
func TestRenewerEndsBeforeTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &leaseServer{ttl: 10 * time.Minute, max: 30 * time.Minute}
		r := server.keep(t, t.Context(), client.RenewerConfig{})
		if err := r.Err(); !errors.Is(err, client.ErrEnding) {
			t.Errorf("got %v, want ErrEnding", err)
		}
		if left := 30*time.Minute - time.Since(server.issued); left < 20*time.Second || left > time.Minute+time.Second {
			t.Errorf("got %v left of the lease, want about a minute or less, but some", left)
		}
	})
}

func TestRenewerOfWhatCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &leaseServer{}
		c := newClient(t, client.Config{Transport: server})
		start := time.Now()
		r, err := c.KeepRenewed(t.Context(), &client.Secret{LeaseID: "a/b", LeaseDuration: 600}, client.RenewerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Err(); !errors.Is(err, client.ErrEnding) || time.Since(start) != 9*time.Minute {
			t.Errorf("got %v after %v, want ErrEnding after 9m", err, time.Since(start))
		}
		if len(server.renewals) != 0 {
			t.Errorf("got %d renewals, want none", len(server.renewals))
		}
		if _, err := c.KeepRenewed(t.Context(), &client.Secret{}, client.RenewerConfig{}); err == nil {
			t.Error("a secret without a lease: got a renewer, want an error")
		}
	})
}

// An outage that is shorter than the lease costs nothing.
func TestRenewerOutlastsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &leaseServer{ttl: 10 * time.Minute, max: 1000 * time.Hour}
		server.fail = func(n int) *http.Response {
			if at := server.renewals[n-1]; at < 9*time.Minute {
				return respond(503, `{"errors":["no leader"]}`)
			}
			return nil
		}
		r := server.keep(t, t.Context(), client.RenewerConfig{})
		time.Sleep(12 * time.Minute)
		select {
		case <-r.Done():
			t.Errorf("got the end (%v), want it to go on", r.Err())
		default:
		}
		r.Stop()
		if n := len(server.renewals); n < 10 || n > 40 {
			t.Errorf("got %d attempts, want some dozens", n)
		}
	})
}

func TestRenewerGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		status   int
		body     string
		attempts int // 0: many
		want     string
	}{
		"the lease is gone":     {400, `{"errors":["lease not found"]}`, 1, "lease not found"},
		"the token is gone":     {403, `{"errors":["permission denied"]}`, 1, "permission denied"},
		"an empty answer":       {204, ``, 1, "nothing"},
		"no leader to the end":  {503, `{"errors":["no leader"]}`, 0, "ended before it could be renewed"},
		"a limit of the server": {429, `{"errors":["slow down"]}`, 0, "ended before it could be renewed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &leaseServer{ttl: 10 * time.Minute, max: time.Hour}
				server.fail = func(int) *http.Response { return respond(test.status, test.body) }
				r := server.keep(t, t.Context(), client.RenewerConfig{})
				err := r.Err()
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q in it", err, test.want)
				}
				if n := len(server.renewals); test.attempts != 0 && n != test.attempts || n == 0 {
					t.Errorf("got %d attempts, want %d", n, test.attempts)
				}
				if took := time.Since(server.issued); took > 10*time.Minute {
					t.Errorf("got the end after %v, want it within the lease", took)
				}
			})
		})
	}
}

// A token renews itself, with itself; one without an end needs nothing and stops with its context.
func TestRenewerOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &leaseServer{ttl: time.Minute, max: time.Hour, issued: time.Now()}
		c := newClient(t, client.Config{Transport: server, Token: "parent"})
		secret := &client.Secret{Auth: &client.Auth{ClientToken: "child", LeaseDuration: 60, Renewable: true}}
		r, err := c.KeepRenewed(t.Context(), secret, client.RenewerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		r.Stop()
		if want := "/v1/auth/token/renew-self child"; fmt.Sprint(server.paths) != "["+want+"]" {
			t.Errorf("got %q, want one of %q", server.paths, want)
		}

		ctx, cancel := context.WithCancel(t.Context())
		secret.Auth.LeaseDuration = 0
		r, err = c.KeepRenewed(ctx, secret, client.RenewerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case <-r.Done():
			t.Error("a token without an end: the renewer has ended, want it to wait")
		default:
		}
		cancel()
		if err := r.Err(); err != nil || len(server.paths) != 1 {
			t.Errorf("got %v and %q, want nil and no more requests", err, server.paths)
		}
	})
}
