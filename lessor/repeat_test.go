package lessor_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// keyed is a request with an idempotency key.
func keyed(w *lessortest.World, m *lease.Mount, path string, params map[string]any) lessor.Request {
	r := w.Request(m, backend.Write, path)
	r.Params, r.IdempotencyKey = params, "k1"
	return r
}

func TestS20_RepeatPlain(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("locks", "lease", lease.MountConfig{})
	ctx := context.Background()
	params := map[string]any{"ttl": number("60"), "data": map[string]any{"a": "b"}}
	first, err := w.Lessor.Issue(ctx, keyed(w, m, "x", params))
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(seconds(10))
	again, err := w.Lessor.Issue(ctx, keyed(w, m, "x", params))
	if err != nil || again.Lease.ID != first.Lease.ID || again.Data["a"] != "b" || again.Duration != seconds(50) {
		t.Errorf("repeat: got %+v, %v; want %s with 50 s left", again, err, first.Lease.ID)
	}
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "x", map[string]any{"ttl": number("61")}))
	wantError(t, err, lease.Conflict, "used for another request")
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "y", params))
	wantError(t, err, lease.Conflict, "used for another request")
}

func TestIdempotencyKeyIsScoped(t *testing.T) {
	w := lessortest.New(t)
	m, n := w.Enable("a", "lease", lease.MountConfig{}), w.Enable("b", "lease", lease.MountConfig{})
	first, err := w.Lessor.Issue(context.Background(), keyed(w, m, "x", nil))
	if err != nil {
		t.Fatal(err)
	}
	other := keyed(w, n, "x", nil)
	if got, err := w.Lessor.Issue(context.Background(), other); err != nil || got.Lease.ID == first.Lease.ID {
		t.Errorf("another mount: got %+v, %v", got, err)
	}
	stranger := keyed(w, m, "x", nil)
	stranger.Token = w.NewToken(w.Root(), lessor.TokenRequest{}).Token
	if got, err := w.Lessor.Issue(context.Background(), stranger); err != nil || got.Lease.ID == first.Lease.ID {
		t.Errorf("another token: got %+v, %v", got, err)
	}
}

func TestS20_RepeatTargetMakesTheSecretAnew(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Hour})
	ctx := context.Background()
	first, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	again, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	if err != nil || again.Lease.ID != first.Lease.ID || again.Duration != 59*time.Minute {
		t.Fatalf("repeat: got %+v, %v; want %s with 59 m left", again, err, first.Lease.ID)
	}
	if again.Data["password"] == first.Data["password"] || again.Data["username"] != first.Data["username"] {
		t.Errorf("got data %v after %v, want a new password of the same user", again.Data, first.Data)
	}
	if living := w.Fake.Living(); len(living) != 1 {
		t.Errorf("living: %v, want one", living)
	}

	if _, _, err := w.Lessor.Renew(ctx, "", first.Lease.ID, 0); err != nil {
		t.Fatal(err)
	}
	calls := len(w.Fake.Calls(fake.Create))
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Conflict, first.Lease.ID)
	wantError(t, err, lease.Conflict, "renewed since")
	if now := len(w.Fake.Calls(fake.Create)); now != calls {
		t.Errorf("got %d calls to create after a renewal", now-calls)
	}
}

// The first call's leader died: the intent is in the log, and the retry carries it on.
func TestS20_RepeatCarriesOnAnOpenIntent(t *testing.T) {
	for step := range 2 {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		w.Proposer.CrashAt(step, lessortest.LoseAfter)
		if _, err := w.Lessor.Issue(context.Background(), keyed(w, m, "creds/ci", nil)); err == nil {
			t.Fatal("got success, want an unknown outcome")
		}
		w.Proposer.Elect()
		got, err := w.Lessor.Issue(context.Background(), keyed(w, m, "creds/ci", nil))
		if err != nil {
			t.Fatalf("step %d: the retry: %v", step, err)
		}
		w.Clock.Advance(lessor.DefaultIntentDeadline)
		w.Settle()
		checkNoOrphans(t, w)
		if living := w.Fake.Living(); len(living) != 1 || got.Data["username"] != living[0] {
			t.Errorf("step %d: living %v, got %v", step, living, got.Data)
		}
	}
}

func TestRepeatOfWhatEnded(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()
	first, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lessor.Revoke(ctx, "", first.Lease.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Conflict, "ended")
	w.Settle()
	if living := w.Fake.Living(); len(living) != 0 {
		t.Errorf("still living: %v", living)
	}
}

func TestRepeatOfAnIntentThatIsBeingGivenUp(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	w.Proposer.CrashAt(0, lessortest.LoseAfter)
	_, err := w.Lessor.Issue(context.Background(), keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Uncertain, "may have happened")
	w.Proposer.Elect()
	w.Clock.Advance(lessor.DefaultIntentDeadline - time.Second)
	_, err = w.Lessor.Issue(context.Background(), keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Conflict, "being given up")
	if calls := w.Fake.Calls(""); len(calls) != 0 {
		t.Errorf("got calls %v, want none", calls)
	}
}

// The lease is revoked and destroyed while a repeat makes its credential anew: what the repeat made
// must not outlive it.
func TestRepeatOvertakenByARevocation(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()
	first, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Backends["fake"] = fenceless{w.Fake}
	w.Fake.Observe(func(c fake.Call) {
		if c.Action != fake.Create {
			return
		}
		if _, err := w.Lessor.Revoke(ctx, "", first.Lease.ID, false); err != nil {
			t.Error(err)
		}
		w.Settle()
	})
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Conflict, "has ended")
	if made := w.Fake.Calls(fake.Create); len(made) != 2 {
		t.Errorf("got %d calls to create, want 2", len(made))
	}
	if living := w.Fake.Living(); len(living) != 0 {
		t.Errorf("still living: %v", living)
	}
}

// fenceless is a target that knows nothing of fencing indexes, as a database does.
type fenceless struct{ *fake.Backend }

func (f fenceless) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	unfenced := *in
	unfenced.Fence = 1 << 40
	return f.Backend.Create(ctx, &unfenced)
}

func (f fenceless) Destroy(ctx context.Context, d *backend.Destruction) error {
	unfenced := *d
	unfenced.Fence = 1 << 40
	return f.Backend.Destroy(ctx, &unfenced)
}

func TestRepeatFailureLeavesTheLeaseAlone(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()
	first, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Fake.Inject(fake.Fault{Action: fake.Create, Times: 1})
	_, err = w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil))
	wantError(t, err, lease.Upstream, "target is down")
	w.Settle()
	if le := w.Lease(first.Lease.ID); le == nil || le.Status != lease.Active {
		t.Errorf("the lease is %+v, want active", le)
	}
	w.Proposer.Strike(&command.Tick{}, lessortest.Refuse)
	if _, err := w.Lessor.Issue(ctx, keyed(w, m, "creds/ci", nil)); err == nil {
		t.Error("got success although nobody can tell whether the lease still lives")
	}
}

// A repeat waits for the first call, which is still with the target.
func TestRepeatComesAfterTheFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		release := w.Fake.Hang(fake.Create)
		ids := make(chan string, 2)
		for range 2 {
			go func() {
				got, err := w.Lessor.Issue(t.Context(), keyed(w, m, "creds/ci", nil))
				if err != nil {
					t.Error(err)
					ids <- ""
					return
				}
				ids <- got.Lease.ID
			}()
			synctest.Wait()
		}
		if n := w.Fake.Running(""); n != 1 {
			t.Errorf("got %d calls to the target at once, want 1", n)
		}
		release()
		if a, b := <-ids, <-ids; a != b {
			t.Errorf("got leases %s and %s, want one", a, b)
		}
	})
}

func TestS20_ConcurrentRepeatsMakeOneLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	var wait sync.WaitGroup
	ids := make(chan string, 20)
	for range 20 {
		wait.Go(func() {
			got, err := w.Lessor.Issue(context.Background(), keyed(w, m, "creds/ci", nil))
			if err != nil {
				t.Error(err)
				return
			}
			ids <- got.Lease.ID
		})
	}
	wait.Wait()
	close(ids)
	seen := make(map[string]bool)
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != 1 || len(w.Fake.Living()) != 1 {
		t.Errorf("got leases %v and %v living, want one of each", seen, w.Fake.Living())
	}
}
