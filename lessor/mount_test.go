package lessor_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestEnableMount(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("team/locks", "lease", lease.MountConfig{MaxTTL: time.Hour})
	if m.Path != "team/locks/" || !regexp.MustCompile(`^lease_[0-9a-f]{8}$`).MatchString(m.Accessor) ||
		!regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(m.ID) {
		t.Errorf("got %+v", m)
	}
	tests := []struct {
		path, mountType, text string
	}{
		{"team/locks", "lease", "path is already in use at team/locks/"},
		{"team", "lease", "path is already in use at team/locks/"},
		{"team/locks/below", "lease", "path is already in use at team/locks/"},
		{"x", "aws", "plugin not found in the catalog: aws"},
		{"x", "token", "plugin not found in the catalog: token"},
		{"x", "", "backend type must be specified as a string"},
		{"", "lease", "missing path"},
		{"/", "lease", "missing path"},
		{"a/../b", "lease", "relative paths not supported"},
		{"a b", "lease", "only letters"},
		{"a//b", "lease", "empty segment"},
		{strings.Repeat("x", 129), "lease", "at most 128"},
		{"sys", "lease", `cannot mount at "sys/": "sys/" is reserved`},
		{"sys/x/", "lease", `"sys/" is reserved`},
		{"auth/x", "lease", `"auth/" is reserved`},
		{"cubbyhole/", "lease", `"cubbyhole/" is reserved`},
		{"identity", "lease", `"identity/" is reserved`},
	}
	for _, tt := range tests {
		_, err := w.Lessor.EnableMount(context.Background(), lessor.MountRequest{Path: tt.path, Type: tt.mountType})
		t.Run(tt.path+" "+tt.mountType, func(t *testing.T) { wantError(t, err, lease.Invalid, tt.text) })
	}
	w.Enable("system", "lease", lease.MountConfig{}) // begins with the letters only
	_, err := w.Lessor.EnableMount(context.Background(), lessor.MountRequest{Path: "y", Type: "lease",
		Config: lease.MountConfig{DefaultTTL: 10 * time.Hour, MaxTTL: time.Hour}})
	wantError(t, err, lease.Invalid, "backend max lease TTL of 3600 would be less than backend default lease TTL of 36000")
	_, err = w.Lessor.EnableMount(context.Background(), lessor.MountRequest{Path: "y", Type: "lease", Description: "a\nb"})
	wantError(t, err, lease.Invalid, "cannot be printed")
	_, err = w.Lessor.EnableMount(context.Background(), lessor.MountRequest{Path: "y", Type: "lease",
		Config: lease.MountConfig{RevokeAttempts: -1 << 40}})
	wantError(t, err, lease.Invalid, "cannot be negative")
}

func TestTuneMountChangesWhatIsGiven(t *testing.T) {
	w := lessortest.New(t)
	ctx := context.Background()
	m, err := w.Lessor.EnableMount(ctx, lessor.MountRequest{
		Path: "db", Type: "fake", Description: "ours", Options: map[string]string{"a": "b"},
		Config: lease.MountConfig{DefaultTTL: time.Hour, RevokeAttempts: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	two, seven, zero, text := 2*time.Hour, 7, time.Duration(0), "theirs"
	tune := func(req lessor.TuneRequest) *lease.Mount {
		t.Helper()
		if err := w.Lessor.TuneMount(ctx, "", "db", req); err != nil {
			t.Fatal(err)
		}
		var now *lease.Mount
		w.State.Read(func(v *fsm.View) { now = v.Mount(m.ID) })
		return now
	}
	got := tune(lessor.TuneRequest{MaxTTL: &two, RevokeConcurrency: &seven})
	want := lease.MountConfig{DefaultTTL: time.Hour, MaxTTL: two, RevokeAttempts: 3, RevokeConcurrency: 7}
	if got.Config != want || got.Description != "ours" || got.Options["a"] != "b" || got.Accessor != m.Accessor {
		t.Errorf("got %+v, want config %+v and the rest as it was", got, want)
	}
	got = tune(lessor.TuneRequest{DefaultTTL: &zero, Description: &text, Options: map[string]string{}})
	want.DefaultTTL = 0
	if got.Config != want || got.Description != "theirs" || len(got.Options) != 0 {
		t.Errorf("got %+v, want config %+v", got, want)
	}
	long := 10 * time.Hour
	err = w.Lessor.TuneMount(ctx, "", "db/", lessor.TuneRequest{DefaultTTL: &long})
	wantError(t, err, lease.Invalid, "backend max lease TTL of 7200 would be less than backend default lease TTL of 36000")
	err = w.Lessor.TuneMount(ctx, "", "a", lessor.TuneRequest{})
	wantError(t, err, lease.Invalid, `tune of path "a/" failed: no mount entry found`)
	err = w.Lessor.TuneMount(ctx, "", "db/creds", lessor.TuneRequest{})
	wantError(t, err, lease.Invalid, `tune of path "db/creds/" failed: no mount entry found`)
}

// Conformance 80: disable with a failing target fails and taints, and works when it is asked again.
func TestDisableMount(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Lead()
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	job, err := w.Lessor.DisableMount(patient(t), "", "db")
	wantError(t, err, lease.Invalid,
		fmt.Sprintf("failed to revoke %q (1 / 1): failed to revoke entry: resp: (*logical.Response)(nil) err: fake: target is down", id))
	if job == 0 {
		t.Error("got no job")
	}
	var tainted *lease.Mount
	w.State.Read(func(v *fsm.View) { tainted = v.Mount(m.ID) })
	_, err = w.Lessor.Issue(context.Background(), w.Request(tainted, backend.Read, "creds/ci"))
	wantError(t, err, lease.NotFound, "tainted")
	_, err = w.Lessor.Issue(context.Background(), w.Request(m, backend.Read, "creds/ci")) // as seen before it was disabled
	wantError(t, err, lease.NotFound, "tainted")

	if _, err := w.Lessor.DisableMount(patient(t), "", "db/"); err != nil {
		t.Error(err)
	}
	w.State.Read(func(v *fsm.View) {
		if left := v.Mount(m.ID); left != nil {
			t.Errorf("still there: %+v", left)
		}
	})
	if living := w.Fake.Living(); len(living) != 0 {
		t.Errorf("still living: %v", living)
	}
	for _, path := range []string{"db", "nothing", ""} {
		if job, err := w.Lessor.DisableMount(patient(t), "", path); job != 0 || err != nil {
			t.Errorf("unknown mount %q: got %d, %v; want nothing", path, job, err)
		}
	}
	_, err = w.Lessor.DisableMount(patient(t), "", "auth/token")
	wantError(t, err, lease.Invalid, "cannot be disabled")
}

func TestDisableMountWaitsNoLongerThanAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		w.Issue(m, "creds/ci", w.Root(), nil)
		start := time.Now()
		job, err := w.Lessor.DisableMount(t.Context(), "", "db")
		wantError(t, err, lease.Uncertain, "goes on")
		if took := time.Since(start); took != time.Minute || job == 0 {
			t.Errorf("got job %d after %s, want one after a minute", job, took)
		}
	})
}
