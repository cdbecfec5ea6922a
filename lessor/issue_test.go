package lessor_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestIssuePlain(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("locks", "lease", lease.MountConfig{})
	got := w.Issue(m, "build/42", w.Root(), map[string]any{
		"ttl": "10m", "data": map[string]any{"host": "ci-7"}, "labels": map[string]any{"team": "core"}, "keep_data": true,
	})
	if !regexp.MustCompile(`^locks/build/42/[0-9A-Za-z]{24}$`).MatchString(got.Lease.ID) {
		t.Errorf("got lease ID %q, want the path and 24 base62 characters", got.Lease.ID)
	}
	if got.Duration != 10*time.Minute || !got.Lease.Renewable || got.Data["host"] != "ci-7" || got.Lease.Labels["team"] != "core" {
		t.Errorf("got %+v (lease %+v)", got, got.Lease)
	}
	if strings.Contains(string(got.Lease.Data), "ci-7") {
		t.Error("the kept data is in the state in plain text")
	}
	data, err := w.Lessor.OpenData(w.Lease(got.Lease.ID))
	if err != nil || data["host"] != "ci-7" {
		t.Errorf("kept data: got %v, %v; want host ci-7", data, err)
	}
	other := *got.Lease
	other.ID = "locks/build/43/x"
	if data, err := w.Lessor.OpenData(&other); err == nil {
		t.Errorf("kept data moved to another lease opened: %v", data)
	}
}

func TestIssueCutsToTheMaxTTL(t *testing.T) {
	w := lessortest.New(t)
	for _, mountType := range []string{"lease", "fake"} {
		m := w.Enable(mountType, mountType, lease.MountConfig{DefaultTTL: seconds(10), MaxTTL: seconds(30)})
		got := w.Issue(m, "creds/ci", w.Root(), map[string]any{"ttl": "1h"})
		want := `TTL of "1h" exceeded the effective max_ttl of "30s"; TTL value is capped accordingly`
		if got.Duration != seconds(30) || len(got.Warnings) != 1 || got.Warnings[0] != want {
			t.Errorf("%s: got %s, %q; want 30s, %q", mountType, got.Duration, got.Warnings, want)
		}
	}
}

func TestIssueTarget(t *testing.T) {
	w := lessortest.New(t)
	w.Clock.Skew(time.Hour) // the target's clock is that of walls
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Minute})
	got := w.Issue(m, "creds/ci", w.Root(), nil)

	le := w.Lease(got.Lease.ID)
	if le.Status != lease.Active || le.Kind != lease.Target || le.Role != "ci" || got.Duration != time.Minute {
		t.Errorf("got %+v", le)
	}
	random := got.Lease.ID[strings.LastIndexByte(got.Lease.ID, '/')+1:]
	if !regexp.MustCompile(`^lh-[0-9a-f]{8}-` + random + `$`).MatchString(le.ExternalName) {
		t.Errorf("got external name %q for random part %q", le.ExternalName, random)
	}
	if living := w.Fake.Living(); len(living) != 1 || living[0] != le.ExternalName || got.Data["username"] != le.ExternalName {
		t.Errorf("got %v living and data %v, want %s", living, got.Data, le.ExternalName)
	}
	if until, want := w.Fake.Until(le.ExternalName), w.Clock.Wall().Add(time.Minute+5*time.Second); !until.Equal(want) {
		t.Errorf("the target's limit: got %s, want the wall's now + 1m5s = %s", until, want)
	}
	if strings.Contains(string(le.Internal), "fake:") {
		t.Error("what the backend keeps is in the state in plain text")
	}
	if internal, err := w.Lessor.OpenInternal(le); err != nil || string(internal) != "fake:created:"+le.ExternalName {
		t.Errorf("internal: got %q, %v", internal, err)
	}
}

func TestIssueIntentComesBeforeCreate(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	w.Fake.Observe(func(c fake.Call) {
		le := w.Lease(c.LeaseID)
		if le == nil || le.Status != lease.Pending || le.ExternalName != c.ExternalName || le.Fence != c.Fence {
			t.Errorf("at the call to create %s the state holds %+v", c.ExternalName, le)
		}
		if end := w.Clock.Now().Add(lessor.DefaultIntentDeadline); le != nil && le.ExpireTime != end {
			t.Errorf("deadline of the intent: got %s, want %s", le.ExpireTime, end)
		}
	})
	w.Issue(m, "creds/ci", w.Root(), nil)
}

func TestIssueShorterThanTheTarget(t *testing.T) {
	tests := []struct {
		name        string
		limit, took time.Duration
		want        time.Duration
	}{
		{"a quick target", 0, time.Second, time.Minute},
		{"a slow target eats into the lease", 0, 12 * time.Second, 50 * time.Second},
		{"the target's own limit", 20 * time.Second, 0, 20 * time.Second},
		{"the target's own limit counts from the call", 20 * time.Second, 4 * time.Second, 16 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: time.Minute})
			w.Fake.LimitTTL(tt.limit)
			w.Fake.Observe(func(fake.Call) { w.Clock.Advance(tt.took) })
			start := w.Clock.Wall()
			got := w.Issue(m, "creds/ci", w.Root(), nil)
			if got.Duration != tt.want {
				t.Errorf("got %s, want %s", got.Duration, tt.want)
			}
			limit := start.Add(time.Minute + 5*time.Second)
			if end := got.Lease.ExpireTime.Std(); end.After(limit) {
				t.Errorf("the lease ends at %s, after the target's limit %s", end, limit)
			}
		})
	}
}

func TestIssueNothingLeftAfterASlowTarget(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: 5 * time.Second})
	w.Fake.Observe(func(c fake.Call) {
		if c.Action == fake.Create {
			w.Clock.Advance(10 * time.Second)
		}
	})
	_, err := w.Lessor.Issue(context.Background(), w.Request(m, backend.Read, "creds/ci"))
	wantError(t, err, lease.Upstream, "nothing is left")
	w.Settle()
	checkNoOrphans(t, w)
}

func TestIssueFailureIsCleanedUp(t *testing.T) {
	refused := lease.Errorf(lease.Invalid, "the service says no")
	tests := []struct {
		name  string
		fault fake.Fault
		code  lease.Code
		text  string
	}{
		{"before the work", fake.Fault{}, lease.Upstream, "target is down"},
		{"half-way", fake.Fault{Stage: fake.Half}, lease.Upstream, "target is down"},
		{"the answer is lost", fake.Fault{Stage: fake.After}, lease.Upstream, "target is down"},
		{"the backend's own error", fake.Fault{Err: refused}, lease.Invalid, "the service says no"},
		{"control characters", fake.Fault{Err: errors.New("a\x1b[31m\nb")}, lease.Upstream, "a [31m b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			m := w.Enable("db", "fake", lease.MountConfig{})
			tt.fault.Action = fake.Create
			w.Fake.Inject(tt.fault)
			_, err := w.Lessor.Issue(context.Background(), w.Request(m, backend.Read, "creds/ci"))
			wantError(t, err, tt.code, tt.text)
			w.Settle()
			if calls := w.Fake.Calls(fake.Destroy); len(calls) != 1 {
				t.Errorf("got %d calls to destroy, want 1", len(calls))
			}
			if living := w.Fake.Living(); len(living) != 0 {
				t.Errorf("still living: %v", living)
			}
		})
	}
}

func TestIssueCleansUpAfterACallerThatLeft(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	w.Fake.Inject(fake.Fault{Action: fake.Create, Stage: fake.After, Until: make(chan struct{})})
	w.Fake.Observe(func(c fake.Call) {
		if c.Action == fake.Create {
			cancel()
		}
	})
	if _, err := w.Lessor.Issue(ctx, w.Request(m, backend.Read, "creds/ci")); err == nil {
		t.Error("got success for a caller that left")
	}
	w.Settle()
	checkNoOrphans(t, w)
	if calls := w.Fake.Calls(fake.Destroy); len(calls) != 1 {
		t.Errorf("got %d calls to destroy before the intent's deadline, want 1", len(calls))
	}
}

// Nobody can come back for a lease whose answer was lost, unless by a key.
func TestIssueWithAnUnknownOutcome(t *testing.T) {
	for _, key := range []string{"", "k1"} {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		r := w.Request(m, backend.Read, "creds/ci")
		r.IdempotencyKey = key
		w.Proposer.Strike(&command.Activate{}, lessortest.LoseAfter)
		_, err := w.Lessor.Issue(context.Background(), r)
		wantError(t, err, lease.Uncertain, "may have happened")
		w.Settle()
		if living, want := len(w.Fake.Living()), len(key)/2; living != want {
			t.Errorf("key %q: got %d living, want %d", key, living, want)
		}
		if key == "" {
			continue
		}
		w.Proposer.Fault(nil)
		if got, err := w.Lessor.Issue(context.Background(), r); err != nil || got.Data["username"] != w.Fake.Living()[0] {
			t.Errorf("the retry: got %+v, %v; want %s", got, err, w.Fake.Living())
		}
	}
}

func TestIssueRefusals(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()

	_, err := w.Lessor.Issue(ctx, w.Request(m, backend.Read, "creds/unknown1"))
	wantError(t, err, lease.Invalid, "unknown role: unknown1")
	_, err = w.Lessor.Issue(ctx, w.Request(m, backend.Read, "creds/"+strings.Repeat("x", 600)))
	wantError(t, err, lease.Invalid, "no lease ID can be made")

	gone := *m
	gone.Tainted = 7
	_, err = w.Lessor.Issue(ctx, w.Request(&gone, backend.Read, "creds/ci"))
	wantError(t, err, lease.NotFound, `no handler for route "db/creds/ci" on namespace ""`)
	none := *m
	none.Type = "nothing"
	_, err = w.Lessor.Issue(ctx, w.Request(&none, backend.Read, "creds/ci"))
	wantError(t, err, lease.NotFound, `no handler for route "db/creds/ci". route entry not found.`)

	dead := w.NewToken(w.Root(), lessor.TokenRequest{})
	if _, err := w.Lessor.RevokeToken(ctx, dead.Token.Hash, false); err != nil {
		t.Fatal(err)
	}
	r := w.Request(m, backend.Read, "creds/ci")
	r.Token = dead.Token
	_, err = w.Lessor.Issue(ctx, r)
	wantError(t, err, lease.Denied, "permission denied")

	w.Proposer.Strike(&command.Reserve{}, lessortest.Refuse)
	_, err = w.Lessor.Issue(ctx, w.Request(m, backend.Read, "creds/ci"))
	wantError(t, err, lease.Unavailable, "not the leader")
	if calls := w.Fake.Calls(""); len(calls) != 0 {
		t.Errorf("got %d calls to the target, want none", len(calls))
	}
}

func TestS8_IssueOvertakenByRevokePrefixIsRefusedAndDestroyed(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	w.Fake.Observe(func(c fake.Call) {
		if c.Action == fake.Create {
			if _, err := w.Lessor.RevokePrefix(context.Background(), "", "db/creds", lessor.PrefixOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := w.Lessor.Issue(context.Background(), w.Request(m, backend.Read, "creds/ci"))
	wantError(t, err, lease.Conflict, "changed meanwhile")
	w.Settle()
	if living := w.Fake.Living(); len(living) != 0 {
		t.Errorf("still living: %v", living)
	}
}

func TestHandleAndStore(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	ctx := context.Background()
	put := w.Request(m, backend.Write, "config")
	put.Params = map[string]any{"value": "hunter2"}
	if _, err := w.Lessor.Handle(ctx, put); err != nil {
		t.Fatal(err)
	}
	got, err := w.Lessor.Handle(ctx, w.Request(m, backend.Read, "config"))
	if err != nil || got == nil || got.Data["value"] != "hunter2" {
		t.Errorf("read back: got %+v, %v", got, err)
	}
	for _, cmd := range w.Proposer.Commands() {
		framed := cmd
		if e, ok := framed.(*command.PutEntry); ok && strings.Contains(string(e.Value), "hunter2") {
			t.Error("the value is in the log in plain text")
		}
	}
	store := w.Lessor.Store(m.ID)
	for _, key := range []string{"roles/b", "roles/a", "role"} {
		if err := store.Put(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := store.List("roles/")
	if err != nil || strings.Join(keys, " ") != "a b" {
		t.Errorf("list: got %v, %v; want a b", keys, err)
	}
	if err := store.Delete(ctx, "roles/a"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := store.Get("roles/a"); ok || err != nil {
		t.Errorf("deleted key: got %v, %v", ok, err)
	}
	// A sealed value is bound to its mount and key.
	blob := w.Proposer.Commands()
	for _, cmd := range blob {
		if e, ok := cmd.(*command.PutEntry); ok && e.Key == "roles/b" {
			moved := &command.PutEntry{MountId: m.ID, Key: "roles/c", Value: e.Value}
			if _, err := w.Proposer.Propose(ctx, moved); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _, err = store.Get("roles/c")
	wantError(t, err, lease.Internal, "cannot be opened")

	w.Proposer.Strike(&command.PutEntry{}, lessortest.Refuse)
	_, err = w.Lessor.Handle(ctx, put)
	wantError(t, err, lease.Unavailable, "not the leader")
}

func TestRoute(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	if class, err := w.Lessor.Route(m, backend.Read, "creds/ci"); class != backend.Issue || err != nil {
		t.Errorf("got %v, %v; want Issue", class, err)
	}
	_, err := w.Lessor.Route(m, backend.Delete, "creds/ci")
	wantError(t, err, lease.Unsupported, "unsupported operation")
	_, err = w.Lessor.Route(m, backend.Read, "nothing")
	wantError(t, err, lease.NotFound, "unsupported path")
	gone := *m
	gone.Tainted = 1
	_, err = w.Lessor.Route(&gone, backend.Read, "creds/ci")
	wantError(t, err, lease.NotFound, "tainted")
}
