package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/client"
)

// What operators send about targets that fail. Only what is given goes out: a zero is a setting.
func TestCareRequests(t *testing.T) {
	ctx := context.Background()
	four, none := 4, 0
	checkRequests(t, map[string]func(*client.Client) error{
		`POST /v1/sys/leases/reconcile {"mount":"db/","fix":true}`: func(c *client.Client) error {
			_, err := c.Reconcile(ctx, client.ReconcileRequest{Mount: "db/", Fix: true})
			return err
		},
		`POST /v1/sys/leases/retry {"lease_id":"db/a","prefix":"db","mount":"db/","error":"refused"}`: func(c *client.Client) error {
			_, err := c.RetryRevocations(ctx, client.RetryRequest{LeaseID: "db/a", Prefix: "db", Mount: "db/", Error: "refused"})
			return err
		},
		`POST /v1/sys/leases/retry {"error":"refused"}`: func(c *client.Client) error {
			_, err := c.RetryRevocations(ctx, client.RetryRequest{Error: "refused"})
			return err
		},
		`POST /v1/sys/mounts/db/freeze {"reason":"why","duration":"1h30m0s"}`: func(c *client.Client) error {
			return c.FreezeMount(ctx, "db/", "why", 90*time.Minute)
		},
		`POST /v1/sys/mounts/db/freeze {"reason":"why"}`: func(c *client.Client) error { return c.FreezeMount(ctx, "db", "why", 0) },
		`POST /v1/sys/mounts/auth/users/thaw`:            func(c *client.Client) error { return c.ThawMount(ctx, "auth/users/") },
		`POST /v1/sys/remount {"from":"db/","to":"data/"}`: func(c *client.Client) error {
			_, err := c.MoveMount(ctx, "db/", "data/")
			return err
		},
		`GET /v1/sys/remount/status/17`: func(c *client.Client) error { _, err := c.Migration(ctx, "17"); return err },
		`POST /v1/sys/mounts/db/tune {"options":null,"default_lease_ttl":"","max_lease_ttl":"","force_no_cache":false,"revoke_attempts":4,"revoke_concurrency":4,"revoke_rate":0,"reconcile_interval":"0s"}`: func(c *client.Client) error {
			return c.TuneMount(ctx, "db", client.MountConfigInput{
				RevokeAttempts: &four, RevokeConcurrency: &four, RevokeRate: &none, ReconcileInterval: "0s",
			})
		},
	})
}

// Nothing is sent that would mean all leases, or no migration.
func TestCareNeedsATarget(t *testing.T) {
	c := newServer(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no request", r.URL) })
	if _, err := c.RetryRevocations(context.Background(), client.RetryRequest{}); err == nil || !strings.Contains(err.Error(), "none is given") {
		t.Errorf("RetryRevocations of nothing: got %v, want an error that says so", err)
	}
	if _, err := c.Migration(context.Background(), ""); !errors.Is(err, client.ErrPath) {
		t.Errorf("Migration of nothing: got %v, want ErrPath", err)
	}
}

func TestReconcileDecodes(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"mount":"db/","items":9,"leases":8,"orphans":["a"],"orphan_count":7,"young":6,"destroyed":5,
			"failed":4,"missing":["db/creds/x"],"missing_count":3,"error":"no"},"warnings":["cut"]}`)
	})
	got, err := c.Reconcile(context.Background(), client.ReconcileRequest{Mount: "db"})
	want := client.Reconciliation{
		Mount: "db/", Items: 9, Leases: 8, Orphans: []string{"a"}, OrphanCount: 7, Young: 6, Destroyed: 5,
		Failed: 4, Missing: []string{"db/creds/x"}, MissingCount: 3, Error: "no",
	}
	if err != nil || !reflect.DeepEqual(got.Data, want) || len(got.Warnings) != 1 {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}

	c = newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMethodNotAllowed)
		io.WriteString(w, `{"errors":["the engine of this mount cannot list what is at its target"]}`)
	})
	_, err = c.Reconcile(context.Background(), client.ReconcileRequest{Mount: "slots"})
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != client.Unsupported {
		t.Errorf("got %v, want an error of code Unsupported", err)
	}
}

// A mount tells why nothing of it is destroyed, and where it goes.
func TestMountDecodesItsHealth(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"db/":{"config":{"revoke_rate":5,"reconcile_interval":60},"moving_to":"data/",
			"frozen":{"reason":"why","since":"2026-01-02T03:04:05Z"},"target_down":{"since":"2026-01-02T03:04:05Z","error":"no"}}}}`)
	})
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := client.Mount{
		Config: client.MountConfig{RevokeRate: 5, ReconcileInterval: 60}, MovingTo: "data/",
		Frozen: &client.Frozen{Reason: "why", Since: since}, TargetDown: &client.TargetDown{Since: since, Error: "no"},
	}
	if got, err := c.Mounts(context.Background()); err != nil || !reflect.DeepEqual(got.Data["db/"], want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// WaitMigration looks until the move is done or has failed.
func TestWaitMigration(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name, err string
		statuses  []string
	}{
		{"done", "", []string{client.MigrationInProgress, client.MigrationInProgress, client.MigrationSucceeded}},
		{"failed", "", []string{client.MigrationInProgress, client.MigrationFailed}},
		{"unknown", `unknown status "lost"`, []string{"lost"}},
	} {
		asked := 0
		c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"data":{"migration_id":"7","migration_info":{"source_mount":"db/","status":"`+test.statuses[asked]+`"}}}`)
			asked++
		})
		var seen []string
		got, err := c.WaitMigration(ctx, "7", func(m *client.Migration) { seen = append(seen, m.Info.Status) })
		if (test.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.err)
		}
		if last := test.statuses[len(test.statuses)-1]; got.Data.Info.Status != last || !reflect.DeepEqual(seen, test.statuses) {
			t.Errorf("%s: got %+v after %q, want %q after %q", test.name, got.Data, seen, last, test.statuses)
		}
	}

	c := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"migration_id":"7","migration_info":{"status":"in-progress"}}}`)
	})
	ctx, cancel := context.WithCancel(ctx)
	got, err := c.WaitMigration(ctx, "7", func(*client.Migration) { cancel() })
	if !errors.Is(err, context.Canceled) || got == nil || got.Data.ID != "7" {
		t.Errorf("got %+v, %v after the context's end, want the move as last seen", got, err)
	}
}
