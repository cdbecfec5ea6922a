package lessor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestRenewArithmetic(t *testing.T) {
	tests := []struct {
		name      string
		increment time.Duration
		after     time.Duration
		want      time.Duration
		warning   string
	}{
		{"nothing asked grants the role's", 0, 10 * time.Minute, time.Hour, ""},
		{"from now, not from the old end", 90 * time.Minute, 10 * time.Minute, 90 * time.Minute, ""},
		{"may shorten", 20 * time.Minute, 10 * time.Minute, 20 * time.Minute, ""},
		{"cut by the limit from issue", 24 * time.Hour, 30 * time.Minute, 90 * time.Minute,
			`TTL of "24h" exceeded the effective max_ttl of "2h"; TTL value is capped accordingly`},
		{"no overflow", 1<<63 - 1, time.Minute, 119 * time.Minute,
			`TTL of "2562047h47m16s" exceeded the effective max_ttl of "2h"; TTL value is capped accordingly`},
		{"negative is nothing", -5, time.Minute, time.Hour, ""},
	}
	for _, mountType := range []string{"lease", "fake"} {
		for _, tt := range tests {
			t.Run(mountType+"/"+tt.name, func(t *testing.T) {
				w := lessortest.New(t)
				m := w.Enable("m", mountType, lease.MountConfig{MaxTTL: 2 * time.Hour})
				id := w.Issue(m, "creds/ci", w.Root(), map[string]any{"ttl": "1h"}).Lease.ID
				w.Clock.Advance(tt.after)
				le, warnings, err := w.Lessor.Renew(context.Background(), "", id, tt.increment)
				if err != nil {
					t.Fatal(err)
				}
				if got := le.Remaining(w.Clock.Now()); got != tt.want || le.LastRenewal != w.Clock.Now() || le.Generation != 1 {
					t.Errorf("got %s, lease %+v; want %s", got, le, tt.want)
				}
				if tt.warning == "" && len(warnings) > 0 || tt.warning != "" && (len(warnings) != 1 || warnings[0] != tt.warning) {
					t.Errorf("got warnings %q, want %q", warnings, tt.warning)
				}
				if mountType == "fake" {
					checkLimit(t, w, id)
				}
			})
		}
	}
}

func TestRenewRefusals(t *testing.T) {
	ctx := context.Background()
	for _, mountType := range []string{"lease", "fake"} {
		w := lessortest.New(t)
		m := w.Enable("m", mountType, lease.MountConfig{DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour})
		renew := func(id string) error {
			_, _, err := w.Lessor.Renew(ctx, "", id, 0)
			return err
		}
		wantError(t, renew("m/creds/ci/nothing"), lease.Invalid, "lease not found")
		fixed := w.Issue(m, "creds/ci", w.Root(), map[string]any{"renewable": false}).Lease
		wantError(t, renew(fixed.ID), lease.Invalid, "lease is not renewable")
		live := w.Issue(m, "creds/ci", w.Root(), nil).Lease
		_, _, err := w.Lessor.Renew(ctx, "elsewhere", live.ID, 0)
		wantError(t, err, lease.Invalid, "lease not found")
		wantError(t, renew(w.Root().LeaseID), lease.Invalid, "lease is not renewable")
		token := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"default"}})
		wantError(t, renew(token.Lease.ID), lease.Invalid, "tokens cannot be renewed through this endpoint")

		w.Clock.Advance(time.Hour)
		wantError(t, renew(live.ID), lease.Invalid, "lease expired")
		if calls := w.Fake.Calls(fake.Renew); len(calls) != 0 {
			t.Errorf("%s: the target was asked %d times to renew what may not be", mountType, len(calls))
		}
	}
}

func TestRenewPastTheMaxTTL(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Clock.Advance(30 * time.Minute)
	short := 20 * time.Minute // the limit is lowered below what the lease has lived
	if err := w.Lessor.TuneMount(context.Background(), "", "db", lessor.TuneRequest{DefaultTTL: &short, MaxTTL: &short}); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Lessor.Renew(context.Background(), "", id, 0)
	wantError(t, err, lease.Invalid, "past the max TTL, cannot renew")
	if calls := w.Fake.Calls(fake.Renew); len(calls) != 0 {
		t.Errorf("the target was asked %d times", len(calls))
	}
}

func TestRenewOfAnIrrevocableLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	makeIrrevocable(t, w, id)
	_, _, err := w.Lessor.Renew(context.Background(), "", id, 0)
	wantError(t, err, lease.Invalid, "lease is expired and has failed previous revocation attempts")
}

// makeIrrevocable revokes a lease whose target fails for good.
func makeIrrevocable(t *testing.T, w *lessortest.World, id string) {
	t.Helper()
	makeIrrevocableIn(t, w, "", id)
}

func makeIrrevocableIn(t *testing.T, w *lessortest.World, ns, id string) {
	t.Helper()
	heal := w.Fake.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("wrong password"))})
	defer heal()
	if _, err := w.Lessor.Revoke(context.Background(), ns, id, false); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if le := w.Lease(id); le == nil || le.Status != lease.Irrevocable {
		t.Fatalf("the lease is %+v, want irrevocable", le)
	}
}

func TestRenewRaisesTheTargetBeforeAndLowersItAfter(t *testing.T) {
	w := lessortest.New(t)
	w.Clock.Skew(-time.Hour)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	le := w.Issue(m, "creds/ci", w.Root(), nil).Lease
	var atCall []lease.Time
	w.Fake.Observe(func(c fake.Call) { atCall = append(atCall, w.Lease(le.ID).ExpireTime) })
	old := le.ExpireTime

	w.Clock.Advance(30 * time.Minute)
	raised, _, err := w.Lessor.Renew(context.Background(), "", le.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	lowered, _, err := w.Lessor.Renew(context.Background(), "", le.ID, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(atCall) != 2 || atCall[0] != old || atCall[1] != lowered.ExpireTime {
		t.Errorf("the lease's end at the calls: %v; want the old one %s, then the lowered one %s", atCall, old, lowered.ExpireTime)
	}
	calls := w.Fake.Calls(fake.Renew)
	if len(calls) != 2 || calls[0].Generation != raised.Generation || calls[1].Generation != lowered.Generation {
		t.Fatalf("got calls %+v; want generations %d and %d", calls, raised.Generation, lowered.Generation)
	}
	if calls[0].Fence != le.Fence || calls[1].Fence != lowered.Fence {
		t.Errorf("got fences %d, %d; want %d, %d", calls[0].Fence, calls[1].Fence, le.Fence, lowered.Fence)
	}
	if want := w.Clock.Wall().Add(10*time.Minute + 5*time.Second); !calls[1].ExpireTime.Equal(want) {
		t.Errorf("the target's limit: got %s, want the wall's now + 10m5s = %s", calls[1].ExpireTime, want)
	}
}

// What a target's own clock ends comes a few seconds after the lease's end, so that a clock that is ahead
// takes nothing from its holder.
func TestTargetsEndWhatTheyMadeAfterTheLease(t *testing.T) {
	const slack = 5 * time.Second
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	le := w.Issue(m, "creds/a", w.Root(), nil).Lease
	if got, want := w.Fake.Until(le.ExternalName), le.ExpireTime.Std().Add(slack); !got.Equal(want) {
		t.Errorf("after the issue the target's limit is %s, want %s", got, want)
	}
	w.Clock.Advance(time.Minute)
	le, _, err := w.Lessor.Renew(t.Context(), "", le.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.Fake.Until(le.ExternalName), le.ExpireTime.Std().Add(slack); !got.Equal(want) {
		t.Errorf("after the renewal the target's limit is %s, want %s", got, want)
	}
}

func TestRenewTargetMayShorten(t *testing.T) {
	tests := []struct {
		name                 string
		increment, took, end time.Duration
	}{
		{"when it is raised", 2 * time.Hour, 0, 90 * time.Minute},
		{"when it is lowered", 100 * time.Minute, 0, 90 * time.Minute},
		{"counted from the call", 2 * time.Hour, time.Minute, 89 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: 110 * time.Minute})
			id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
			w.Fake.LimitTTL(90 * time.Minute)
			w.Fake.Observe(func(fake.Call) { w.Clock.Advance(tt.took) })
			le, _, err := w.Lessor.Renew(context.Background(), "", id, tt.increment)
			if err != nil {
				t.Fatal(err)
			}
			if got := le.Remaining(w.Clock.Now()); got != tt.end {
				t.Errorf("got %s, want %s", got, tt.end)
			}
		})
	}
}

func TestRenewRefusedByTheTargetIsFinal(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	le := w.Issue(m, "creds/ci", w.Root(), nil).Lease
	w.Fake.Inject(fake.Fault{Action: fake.Renew, Err: fmt.Errorf("gone: %w", backend.ErrRefused)})
	_, _, err := w.Lessor.Renew(context.Background(), "", le.ID, 0)
	wantError(t, err, lease.Invalid, "lease is not renewable")
	after := w.Lease(le.ID)
	if after.Renewable || after.ExpireTime != le.ExpireTime || after.Status != lease.Active {
		t.Errorf("got %+v; want it active to its old end, and not renewable", after)
	}
	w.Fake.Heal()
	_, _, err = w.Lessor.Renew(context.Background(), "", le.ID, 0)
	wantError(t, err, lease.Invalid, "lease is not renewable")
}

func TestRenewRefusedWhileShortening(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Fake.Inject(fake.Fault{Action: fake.Renew, Err: backend.ErrRefused})
	le, _, err := w.Lessor.Renew(context.Background(), "", id, time.Minute)
	if err != nil || le.Renewable || le.Remaining(w.Clock.Now()) != time.Minute {
		t.Errorf("got %+v, %v; want a minute left and not renewable", le, err)
	}
}

func TestRenewFailingTarget(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	le := w.Issue(m, "creds/ci", w.Root(), nil).Lease
	w.Fake.Inject(fake.Fault{Action: fake.Renew})
	_, _, err := w.Lessor.Renew(context.Background(), "", le.ID, 2*time.Hour)
	wantError(t, err, lease.Invalid, "failed to renew entry: resp: (*logical.Response)(nil) err: fake: target is down")
	if after := w.Lease(le.ID); after.Generation != 0 || after.ExpireTime != le.ExpireTime {
		t.Errorf("the lease changed to %+v", after)
	}
	// To be shorter than its target is no harm.
	if le, _, err := w.Lessor.Renew(context.Background(), "", le.ID, time.Minute); err != nil || le.Remaining(w.Clock.Now()) != time.Minute {
		t.Errorf("shortening: got %+v, %v; want a minute", le, err)
	}
}

func TestS3_RenewThatComesTooLateIsRefusedByTheLog(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Minute})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Fake.Observe(func(c fake.Call) {
		if c.Action == fake.Renew {
			w.Clock.Advance(time.Minute)
		}
	})
	_, _, err := w.Lessor.Renew(context.Background(), "", id, time.Hour)
	wantError(t, err, lease.Invalid, "lease expired")
	w.Settle()
	checkNoOrphans(t, w)
}

func TestRenewUnknownOutcome(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("locks", "lease", lease.MountConfig{})
	id := w.Issue(m, "x", w.Root(), nil).Lease.ID
	w.Proposer.Strike(&command.Renew{}, lessortest.LoseAfter)
	_, _, err := w.Lessor.Renew(context.Background(), "", id, time.Minute)
	wantError(t, err, lease.Uncertain, "may have happened")
}

// Renewals of one lease reach its target one at a time, so the last word at the target is that of
// the last entry.
func TestRenewOneAtATime(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			if _, _, err := w.Lessor.Renew(context.Background(), "", id, time.Duration(i+1)*time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if peak := w.Fake.Peak(""); peak != 1 {
		t.Errorf("got %d calls to the target at once, want 1", peak)
	}
	le := w.Lease(id)
	if until, want := w.Fake.Until(le.ExternalName), le.ExpireTime.Std().Add(5*time.Second); !until.Equal(want) {
		t.Errorf("the target's limit is %s, want the lease's end + 5s = %s", until, want)
	}
}

func TestRenewWaitsNoLongerThanItsCaller(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	release := w.Fake.Hang(fake.Renew)
	first := make(chan error, 1)
	go func() {
		_, _, err := w.Lessor.Renew(patient(t), "", id, 0)
		first <- err
	}()
	if err := w.Fake.Wait(patient(t), func([]fake.Call) bool { return w.Fake.Running("") == 1 }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := w.Lessor.Renew(ctx, "", id, 0)
	wantError(t, err, lease.Unavailable, "given up")
	release()
	if err := <-first; err != nil {
		t.Error(err)
	}
}
