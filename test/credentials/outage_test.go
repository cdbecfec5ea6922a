package credentials

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend/database/dbtest"
)

// TestTargetDownWhileLeasesExpire lets leases expire while one server is stopped and another one hangs. Both
// are rid of every login soon after they are back, no lease was given up, and a third server beside them
// gets its logins ended on time all the while. (L5, L7)
func TestTargetDownWhileLeasesExpire(t *testing.T) {
	outage, n := length(t, "LEASEHOLD_OUTAGE", 30*time.Second), number(t, "LEASEHOLD_LEASES", 400)
	// The longest pause between two attempts is the default, unless the outage is shorter.
	pause := min(outage, 5*time.Minute)
	config := map[string]any{"revoke_backoff_max": pause.String()}
	c := start(t)
	dead, hung, well := c.engine("dead", dbtest.StartPostgres(t), config), c.engine("hung", dbtest.StartPostgres(t), config),
		c.engine("well", dbtest.StartPostgres(t), nil)
	for _, e := range []*engine{dead, hung, well} {
		e.role("app", time.Hour)
	}

	// All of them end at about the same moment, when everything has been issued.
	end := time.Now().Add(5*time.Second + time.Duration(n)*20*time.Millisecond)
	left := func() time.Duration { return max(time.Second, time.Until(end).Truncate(time.Second)) }
	fill := map[*engine][]*credential{hung: hung.fill(t, max(n/4, 20), "app", left)}
	fill[dead] = dead.fill(t, n, "app", left)
	t.Logf("%d and %d logins issued %s before they end", len(fill[dead]), len(fill[hung]), time.Until(end))
	for e, list := range fill {
		if got := len(e.inventory(t, "app")); got != len(list) {
			t.Fatalf("%d logins at %s, want %d: they end %s from now", got, e.path, len(list), time.Until(end))
		}
	}
	if err := dead.srv.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := hung.srv.Pause(); err != nil {
		t.Fatal(err)
	}

	p := startProbe(well)
	time.Sleep(time.Until(end) + outage)
	if n := c.irrevocable(); n > 0 {
		t.Errorf("%d leases are irrevocable at the end of the outage", n)
	}
	p.end(t)

	if err := dead.srv.Start(); err != nil {
		t.Fatal(err)
	}
	if err := hung.srv.Resume(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	limit := min(pause+time.Minute+time.Duration(n)*20*time.Millisecond, 10*time.Minute) // L5
	for _, e := range []*engine{hung, dead} {
		if e.awaitGone(t, time.Until(back.Add(limit))); !t.Failed() {
			t.Logf("all %d logins of %s were gone within %s of the server's return", len(fill[e]), e.path, time.Since(back))
		}
		step := max(1, len(fill[e])/50)
		for i := 0; i < len(fill[e]); i += step {
			e.wantEnters(t, fill[e][i], false)
		}
	}
	if n := c.irrevocable(); n > 0 {
		t.Errorf("%d leases are irrevocable", n)
	}
}

// awaitGone waits until no login and no lease is left of a mount.
func (e *engine) awaitGone(t *testing.T, limit time.Duration) {
	t.Helper()
	logins, leases := 0, 0
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		if logins, leases = len(e.inventory(t, "app")), len(e.leases(t, "app")); logins+leases == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %d logins and %d leases are left %s after the server's return", e.path, logins, leases, limit)
			return
		}
	}
}

// probe issues short leases of a mount all the while and measures when they end.
type probe struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	lags   []time.Duration
	issues []time.Duration // how long an issue took
	err    error
}

// startProbe issues twice a second.
func startProbe(e *engine) *probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{stop: cancel}
	p.wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			p.wg.Go(func() { p.one(e, i%3+1) })
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return p
}

func (p *probe) one(e *engine, node int) {
	took, lag, err := e.life(context.Background(), node)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = err
		return
	}
	p.issues, p.lags = append(p.issues, took), append(p.lags, lag)
}

// life issues a login and returns how long that took, and how long after its lease's end it was refused.
func (e *engine) life(ctx context.Context, node int) (took, lag time.Duration, err error) {
	c, r := e.ask(ctx, node, "app", 2*time.Second)
	if c == nil {
		return 0, 0, fmt.Errorf("a login: got %v", r)
	}
	end, err := e.end(node, c.id)
	if err != nil {
		return 0, 0, err
	}
	lag, err = e.lag(ctx, c, end)
	return c.acked.Sub(c.sent), lag, err
}

// end ends the probe and judges it.
func (p *probe) end(t *testing.T) {
	t.Helper()
	p.stop()
	p.wg.Wait()
	if p.err != nil {
		t.Errorf("the healthy server: %v", p.err)
	}
	if len(p.lags) < 20 {
		t.Fatalf("%d probes of the healthy server came to an end, want at least 20", len(p.lags))
	}
	slices.Sort(p.lags)
	slices.Sort(p.issues)
	n := len(p.lags) - 1
	t.Logf("the healthy server meanwhile: %d logins, refused a median of %s after their leases' ends, p99 %s, worst %s; issued in a median of %s, worst %s",
		n+1, p.lags[n/2], p.lags[n*99/100], p.lags[n], p.issues[n/2], p.issues[n])
	if worst := p.lags[n]; worst > prompt {
		t.Errorf("the healthy server let a login in %s after its lease's end, want at most %s", worst, prompt)
	}
	if worst := p.issues[n]; worst > prompt {
		t.Errorf("the healthy server issued a login in %s, want at most %s", worst, prompt)
	}
}
