package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// prompt bounds what should happen within a second, for machines that do much else. It is less than
// validUntilGrace, so that nothing that PostgreSQL does by itself passes for ours.
const prompt = 4 * time.Second

// TestCredentialsLogInWhileLeased logs in with what was leased: it works until the lease ends in any of the
// ways that leases end, and not after. (S2, S15, L3)
func TestCredentialsLogInWhileLeased(t *testing.T) {
	c, srv := start(t), dbtest.StartPostgres(t)
	e := c.engine("database", srv, nil)
	for _, role := range []string{"renewed", "revoked", "expired", "tree"} {
		e.role(role, time.Hour)
	}
	doomed := c.engine("doomed", srv, nil)
	doomed.role("app", time.Hour)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *engine)
		of   *engine
	}{
		{"renewed beyond its first end", renewed, e}, {"revoked", revoked, e}, {"expired", expired, e},
		{"revoke-prefix of 200", tree, e}, {"mount disabled", disabled, doomed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, test.of) })
	}
	for _, role := range []string{"renewed", "revoked", "expired", "tree", "app"} {
		if left := e.inventory(t, role); len(left) > 0 {
			t.Errorf("left at the server: %v", left)
		}
	}
}

// open opens a session that stays open.
func (e *engine) open(t *testing.T, c *credential) *dbtest.Session {
	t.Helper()
	s, err := e.srv.Login(t.Context(), c.username, c.password)
	if err != nil {
		t.Fatalf("log in as %s: %v", c.username, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// wantEnded makes sure that a session was ended.
func wantEnded(t *testing.T, s *dbtest.Session) {
	t.Helper()
	if err := s.PingContext(t.Context()); err == nil {
		t.Error("an open session outlived the lease")
	}
}

// renewed keeps a login beyond its first end, and beyond what PostgreSQL was told at first.
func renewed(t *testing.T, e *engine) {
	const first, increment = 2 * time.Second, 11 * time.Second
	c := e.issue(t, 1, "renewed", first)
	e.wantEnters(t, c, true)
	session := e.open(t, c)
	sent := time.Now()
	if r := e.send(2, "POST", "sys/leases/renew", fmt.Sprintf(`{"lease_id":%q,"increment":%d}`, c.id, int(increment.Seconds()))); r.status != http.StatusOK {
		t.Fatalf("renew: got %v", r)
	}
	renewedAt := time.Now()
	time.Sleep(time.Until(c.latest().Add(validUntilGrace + 500*time.Millisecond)))
	if in, err := e.enters(t.Context(), c); (err != nil || !in) && time.Now().Before(sent.Add(increment)) {
		t.Errorf("%s after its first end: let in %v, error %v, want it let in", time.Since(c.latest()), in, err)
	}
	if err := session.PingContext(t.Context()); err != nil && time.Now().Before(sent.Add(increment)) {
		t.Errorf("the session after the lease's first end: %v", err)
	}
	time.Sleep(time.Until(sent.Add(increment)))
	if _, err := e.awaitRefused(t.Context(), c, time.Until(renewedAt.Add(increment+prompt))); err != nil {
		t.Error(err)
	}
	wantEnded(t, session)
}

// revoked ends a login by hand; the answer comes when it is gone.
func revoked(t *testing.T, e *engine) {
	c, other := e.issue(t, 2, "revoked", 0), e.issue(t, 3, "revoked", 0)
	session := e.open(t, c)
	e.must(3, "POST", "sys/leases/revoke", `{"lease_id":"`+c.id+`","sync":true}`)
	e.wantEnters(t, c, false)
	wantEnded(t, session)
	e.wantEnters(t, other, true)
	if left := e.inventory(t, "revoked"); len(left) != 1 || left[random(other.id)] == "" {
		t.Errorf("at the server: %v, want the other one", left)
	}
	e.must(1, "POST", "sys/leases/revoke", `{"lease_id":"`+other.id+`","sync":true}`)
	e.wantEnters(t, other, false)
}

// expired lets logins end by themselves, and measures how soon they are refused.
func expired(t *testing.T, e *engine) {
	lags := make([]time.Duration, 20)
	inParallel(t, 10, len(lags), func(i int) error {
		lag, err := e.watchEnd(t.Context(), i%3+1, "expired", 2*time.Second)
		lags[i] = lag
		return err
	})
	slices.Sort(lags)
	t.Logf("from a lease's end until the login is refused: median %s, worst %s", lags[len(lags)/2], lags[len(lags)-1])
	if worst := lags[len(lags)-1]; worst > prompt {
		t.Errorf("a login was let in %s after its lease's end, want at most %s", worst, prompt)
	}
}

// watchEnd issues a login and returns how long after the end of its lease it is refused. It is let in just
// before the end, and the session of then is ended as well.
func (e *engine) watchEnd(ctx context.Context, node int, role string, ttl time.Duration) (time.Duration, error) {
	c, r := e.ask(ctx, node, role, ttl)
	if c == nil {
		return 0, fmt.Errorf("a login: got %v", r)
	}
	end, err := e.end(node, c.id)
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Until(end) - 300*time.Millisecond)
	s, err := e.srv.Login(ctx, c.username, c.password)
	switch {
	case err == nil:
		defer s.Close()
	case time.Now().Before(end):
		return 0, fmt.Errorf("log in as %s before its lease's end: %w", c.username, err)
	}
	lag, err := e.lag(ctx, c, end)
	if err == nil && s != nil && e.pingsFor(ctx, s, prompt) { // nil: a busy machine, the login came too late
		err = errors.New("an open session outlived the lease of " + c.username)
	}
	return lag, err
}

// lag waits for the end of a login's lease and returns how long after it that is refused.
func (e *engine) lag(ctx context.Context, c *credential, end time.Time) (time.Duration, error) {
	time.Sleep(time.Until(end))
	refused, err := e.awaitRefused(ctx, c, 2*validUntilGrace)
	return refused.Sub(end), err
}

// pingsFor reports whether a session is alive all the time. A login is disabled just before its sessions
// are ended.
func (e *engine) pingsFor(ctx context.Context, s *dbtest.Session, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if s.PingContext(ctx) != nil {
			return false
		}
	}
	return true
}

// tree ends two hundred logins with one call, and nothing beside them.
func tree(t *testing.T, e *engine) {
	const n = 200
	all := e.fill(t, n, "tree", func() time.Duration { return 0 })
	beside := e.issue(t, 1, "revoked", 0)
	if got := len(e.inventory(t, "tree")); got != n {
		t.Fatalf("%d logins at the server, want %d", got, n)
	}
	session := e.open(t, all[n/2])
	begun := time.Now()
	e.must(2, "POST", "sys/leases/revoke-prefix/database/creds/tree", `{"sync":true}`)
	t.Logf("%d logins ended within %s", n, time.Since(begun))
	if left := e.inventory(t, "tree"); len(left) > 0 {
		t.Errorf("%d logins are left at the server after the call was answered", len(left))
	}
	var in atomic.Int32
	inParallel(t, 8, n, func(i int) error {
		got, err := e.enters(t.Context(), all[i])
		if got {
			in.Add(1)
		}
		return err
	})
	if in.Load() > 0 {
		t.Errorf("%d logins are let in still", in.Load())
	}
	wantEnded(t, session)
	e.wantEnters(t, beside, true)
	e.must(1, "POST", "sys/leases/revoke", `{"lease_id":"`+beside.id+`","sync":true}`)
}

// disabled disables the mount: its logins end before it vanishes.
func disabled(t *testing.T, e *engine) {
	all := e.fill(t, 5, "app", func() time.Duration { return 0 })
	session := e.open(t, all[0])
	e.must(3, "DELETE", "sys/mounts/"+e.path, "")
	eventually(t, 20*time.Second, "the mount is gone", func() bool {
		r := e.send(1, "GET", "sys/mounts/"+e.path, "")
		return r.known() && r.status != http.StatusOK
	})
	for _, c := range all {
		e.wantEnters(t, c, false)
	}
	wantEnded(t, session)
	if left := e.inventory(t, "app"); len(left) > 0 {
		t.Errorf("left at the server: %v", left)
	}
}
