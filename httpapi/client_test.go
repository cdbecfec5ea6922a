package httpapi_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
)

// dialled opens a server on loopback and returns a client of it.
func dialled(t *testing.T, r *rig, s *httpapi.Server) *client.Client {
	t.Helper()
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Open(api, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	c, err := client.New(client.Config{Address: "http://" + api.Addr().String(), Token: "root"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustOf(t *testing.T) func(what string, err error) {
	return func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TestClientAndServerAgree drives our own client's calls about mounts and leases over a real
// connection, so that both sides of the wire are tested together.
func TestClientAndServerAgree(t *testing.T) {
	r := newRig(t)
	r.Lead()
	c := dialled(t, r, r.server)
	ctx := t.Context()
	must := mustOf(t)
	must("enable", c.EnableMount(ctx, "locks", client.MountInput{Type: "lease", Config: client.MountConfigInput{MaxLeaseTTL: "2h0m0s"}}))
	must("tune", c.TuneMount(ctx, "locks", client.MountConfigInput{DefaultLeaseTTL: "30m0s"}))
	tuning, err := c.MountTuning(ctx, "locks")
	must("tuning", err)
	if tuning.Data.DefaultLeaseTTL != 1800 || tuning.Data.MaxLeaseTTL != 7200 {
		t.Errorf("tuning: got %+v, want 1800 and 7200", tuning.Data)
	}
	issued, err := c.Issue(ctx, "locks/build/42", client.IssueRequest{Data: map[string]any{"host": "ci"}, KeepData: true})
	must("issue", err)
	if issued.LeaseDuration != 1800 || !issued.Renewable || issued.MountType != "lease" {
		t.Errorf("issue: got %+v, want 1800 s, renewable, of type lease", issued)
	}
	renewed, err := c.RenewLease(ctx, issued.LeaseID, 24*time.Hour)
	must("renew", err)
	if renewed.LeaseDuration != 7200 || len(renewed.Warnings) != 1 {
		t.Errorf("renew: got %+v, want 7200 s and a warning", renewed)
	}
	found, err := c.LookupLease(ctx, issued.LeaseID)
	must("lookup", err)
	if l := found.Data; l.ID != issued.LeaseID || l.TTL != 7200 || l.Status != client.StatusActive || l.Data["host"] != "ci" || l.LastRenewalTime == nil {
		t.Errorf("lookup: got %+v", found.Data)
	}
	keys, err := c.ListLeases(ctx, "locks", client.Page{})
	must("list", err)
	if len(keys.Data.Keys) != 1 || keys.Data.Keys[0] != "build/" {
		t.Errorf("list: got %v, want build/", keys.Data.Keys)
	}
	job, err := c.RevokePrefix(ctx, "locks", client.Queued)
	must("revoke prefix", err)
	read, err := c.Job(ctx, job)
	must("job", err)
	if read.Data.ID != job || read.Data.Cause != "revoke-prefix" {
		t.Errorf("job: got %+v, want the ID %s", read.Data, job)
	}
	must("revoke prefix and wait", c.RevokeForce(ctx, "locks"))
	if jobs, err := c.Jobs(ctx); err != nil || len(jobs.Data.Jobs) < 2 {
		t.Errorf("jobs: got %v, %v, want two or more", jobs, err)
	}
	must("disable", c.DisableMount(ctx, "locks"))
}

// TestClientAndServerAgreeOnTheRest drives the calls about tokens, policies and the cluster.
func TestClientAndServerAgreeOnTheRest(t *testing.T) {
	r := newRig(t)
	r.Enable("locks/", "lease", lease.MountConfig{})
	c := dialled(t, r, r.server)
	ctx := t.Context()
	must := mustOf(t)
	must("policy", c.PutPolicy(ctx, "app", `path "locks/*" { capabilities = ["update"] }`))
	policies, err := c.Policies(ctx)
	must("policies", err)
	if len(policies.Data.Keys) != 3 {
		t.Errorf("policies: got %v, want app, default and root", policies.Data.Keys)
	}
	made, err := c.CreateToken(ctx, client.TokenCreateRequest{Policies: []string{"app"}, TTL: "1h0m0s"})
	must("create token", err)
	own := c.WithToken(made.Auth.ClientToken)
	self, err := own.LookupSelf(ctx)
	must("look at itself", err)
	if self.Data.TTL != 3600 || self.Data.ID != made.Auth.ClientToken || self.Data.Orphan {
		t.Errorf("lookup-self: got %+v", self.Data)
	}
	_, err = own.Issue(ctx, "locks/x", client.IssueRequest{})
	must("issue by the token", err)
	if _, err := own.Policies(ctx); client.CodeOf(err) != client.Denied {
		t.Errorf("policies by the token: got %v, want a denial", err)
	}
	must("revoke itself", own.RevokeSelf(ctx))
	count, err := c.CountIrrevocable(ctx)
	must("count", err)
	list, err := c.ListIrrevocable(ctx, -1)
	must("list irrevocable", err)
	if count.Data.LeaseCount != 0 || list.Data.LeaseCount != 0 {
		t.Errorf("irrevocable: got %d and %d, want none", count.Data.LeaseCount, list.Data.LeaseCount)
	}
	health, status, err := c.Health(ctx)
	must("health", err)
	if !health.Initialized || status != http.StatusOK {
		t.Errorf("health: got %d %+v, want 200", status, health)
	}
	members, err := c.RaftConfiguration(ctx)
	must("members", err)
	if len(members.Data.Config.Servers) != 2 {
		t.Errorf("members: got %+v, want two", members.Data)
	}
	var archive bytes.Buffer
	must("snapshot", c.Snapshot(ctx, &archive))
	if hash, err := c.StateHash(ctx); err != nil || hash.AppliedIndex != r.State.Applied() {
		t.Errorf("state hash: got %+v, %v, want index %d", hash, err, r.State.Applied())
	}
}

// TestNumber8_ALongListIsCutWithOneWarning lists more leases than are listed without being asked (vault-api-facts 6.8).
func TestNumber8_ALongListIsCutWithOneWarning(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 10,050 leases")
	}
	r := newRig(t)
	m := r.Enable("db/", "fake", lease.MountConfig{RevokeAttempts: 1})
	r.Fake.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(fake.ErrDown)})
	for range 10_050 {
		r.Issue(m, "creds/r", r.Root(), nil)
	}
	want(t, "revoke all", r.root("PUT", "sys/leases/revoke-prefix/db", ""), 202)
	r.Settle()
	got := r.root("GET", "sys/leases?type=irrevocable", "")
	leases, _ := got.data()["leases"].([]any)
	if warnings, _ := got.body["warnings"].([]any); len(leases) != 10_000 || len(warnings) != 1 {
		t.Errorf("got %d leases and %d warnings, want 10000 and 1", len(leases), len(warnings))
	}
	got = r.root("GET", "sys/leases?type=irrevocable&limit=none", "")
	leases, _ = got.data()["leases"].([]any)
	if len(leases) != 10_050 || got.body["warnings"] != nil {
		t.Errorf("without a limit: got %d leases and warnings %v, want 10050 and none", len(leases), got.body["warnings"])
	}
}
