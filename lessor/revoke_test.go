package lessor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestRevokeQueued(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	job, err := w.Lessor.Revoke(context.Background(), "", id, false)
	if job != 0 || err != nil {
		t.Errorf("got job %d, %v; want none", job, err)
	}
	f, err := w.Lessor.Lookup("", id, w.Clock.Now())
	if err != nil || f.Standing != lease.Revoking || f.Renewable || f.TTL > 0 || f.Lease.Ending.Cause != lease.CauseRevoked {
		t.Errorf("got %+v, %v; want it revoking at once", f, err)
	}
	_, _, err = w.Lessor.Renew(context.Background(), "", id, 0)
	wantError(t, err, lease.Invalid, "lease expired")
	w.Settle()
	if w.Lease(id) != nil || len(w.Fake.Living()) != 0 {
		t.Errorf("still there: %+v, living %v", w.Lease(id), w.Fake.Living())
	}
}

func TestRevokeUnknown(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("locks", "lease", lease.MountConfig{})
	id := w.Issue(m, "x", w.Root(), nil).Lease.ID
	for _, unknown := range []string{"locks/x/nothing", "", "../x", "a//b", strings.Repeat("x", 1000)} {
		for _, sync := range []bool{false, true} {
			if job, err := w.Lessor.Revoke(context.Background(), "", unknown, sync); job != 0 || err != nil {
				t.Errorf("%q: got %d, %v; want nothing", unknown, job, err)
			}
		}
	}
	if _, err := w.Lessor.Revoke(context.Background(), "elsewhere", id, true); err != nil || w.Lease(id) == nil {
		t.Errorf("from another namespace: %v, the lease is %+v", err, w.Lease(id))
	}
}

func TestS15_RevokeSyncAnswersWhenGone(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	locks := w.Enable("locks", "lease", lease.MountConfig{})
	plain := w.Issue(locks, "x", w.Root(), nil).Lease.ID
	if _, err := w.Lessor.Revoke(patient(t), "", plain, true); err != nil || w.Lease(plain) != nil {
		t.Errorf("a plain lease: %v, %+v", err, w.Lease(plain))
	}
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Lead()
	if _, err := w.Lessor.Revoke(patient(t), "", id, true); err != nil {
		t.Error(err)
	}
	if w.Lease(id) != nil || len(w.Fake.Living()) != 0 {
		t.Errorf("answered while there: %+v, living %v", w.Lease(id), w.Fake.Living())
	}
}

func TestRevokeSyncFailure(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Lead()
	for i := range 3 { // each call is an attempt of its own
		w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1, Err: fmt.Errorf("down %d", i)})
		_, err := w.Lessor.Revoke(patient(t), "", id, true)
		wantError(t, err, lease.Invalid, fmt.Sprintf("failed to revoke entry: resp: (*logical.Response)(nil) err: down %d", i))
		if le := w.Lease(id); le == nil || le.Status != lease.Revoking || le.Ending.Attempts != i+1 {
			t.Fatalf("got %+v, want it revoking after %d attempts", le, i+1)
		}
	}
	if _, err := w.Lessor.Revoke(patient(t), "", id, true); err != nil || w.Lease(id) != nil {
		t.Errorf("after the target recovered: %v, %+v", err, w.Lease(id))
	}
}

func TestRevokeSyncTriesAnIrrevocableLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	makeIrrevocable(t, w, id)
	w.Lead()
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	_, err := w.Lessor.Revoke(patient(t), "", id, true)
	wantError(t, err, lease.Invalid, "err: fake: target is down")
	if le := w.Lease(id); le.Status != lease.Irrevocable {
		t.Errorf("got %s, want irrevocable still", le.Status)
	}
	if _, err := w.Lessor.Revoke(patient(t), "", id, true); err != nil || w.Lease(id) != nil {
		t.Errorf("got %v, %+v; want it gone", err, w.Lease(id))
	}
}

func TestRevokeSyncTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := w.Lessor.Revoke(ctx, "", id, true)
		wantError(t, err, lease.Uncertain, "goes on")
		w.Settle()
		if w.Lease(id) != nil {
			t.Error("the revocation did not go on")
		}
	})
}

func TestRevokeOfATokensLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	parent := w.NewToken(w.Root(), lessor.TokenRequest{Policies: []string{"a"}})
	child := w.NewToken(parent.Token, lessor.TokenRequest{})
	held := w.Issue(m, "creds/ci", child.Token, nil).Lease.ID

	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	w.Lead()
	job, err := w.Lessor.Revoke(patient(t), "", parent.Lease.ID, true)
	wantError(t, err, lease.Invalid, fmt.Sprintf("failed to revoke %q (", held))
	if job == 0 {
		t.Error("got no job")
	}
	if w.Token(parent.Bearer) != nil || w.Token(child.Bearer) != nil {
		t.Error("the tokens are still there")
	}
	if _, err := w.Lessor.Revoke(patient(t), "", held, true); err != nil {
		t.Error(err)
	}
	if j, err := w.Lessor.Job("", job); err != nil || j.State != lease.JobFinished {
		t.Errorf("got job %+v, %v; want it finished", j, err)
	}

	alone := w.NewToken(w.Root(), lessor.TokenRequest{})
	if job, err := w.Lessor.Revoke(patient(t), "", alone.Lease.ID, true); job != 0 || err != nil || w.Token(alone.Bearer) != nil {
		t.Errorf("a token on which nothing hangs: got job %d, %v", job, err)
	}
}

// A second call for a token that is being revoked waits for the job that is under way.
func TestRevokeOfADoomedTokensLease(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("locks", "lease", lease.MountConfig{})
	token := w.NewToken(w.Root(), lessor.TokenRequest{})
	w.Issue(m, "x", token.Token, nil)
	first, err := w.Lessor.Revoke(context.Background(), "", token.Lease.ID, false)
	if err != nil || first == 0 {
		t.Fatalf("got job %d, %v", first, err)
	}
	w.Lead()
	if second, err := w.Lessor.Revoke(patient(t), "", token.Lease.ID, true); err != nil || (second != first && second != 0) {
		t.Errorf("got job %d, %v; want %d", second, err, first)
	}
	if w.Token(token.Bearer) != nil {
		t.Error("the token is still there")
	}
}

func TestRevokePrefix(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	var in, out []string
	for range 3 {
		in = append(in, w.Issue(m, "creds/r", w.Root(), nil).Lease.ID, w.Issue(m, "creds/r/sub", w.Root(), nil).Lease.ID)
		out = append(out, w.Issue(m, "creds/r2", w.Root(), nil).Lease.ID)
	}
	job, err := w.Lessor.RevokePrefix(context.Background(), "", "db/creds/r/", lessor.PrefixOptions{})
	if err != nil || job == 0 {
		t.Fatalf("got job %d, %v", job, err)
	}
	for _, id := range in {
		if f, err := w.Lessor.Lookup("", id, w.Clock.Now()); err != nil || f.Standing != lease.Revoking {
			t.Errorf("%s: got %+v, %v; want it revoking at once", id, f, err)
		}
	}
	w.Settle()
	for _, id := range out {
		if w.Lease(id) == nil || w.Lease(id).Status != lease.Active {
			t.Errorf("%s is %+v, want it active", id, w.Lease(id))
		}
	}
	j, err := w.Lessor.Job("", job)
	if err != nil || j.State != lease.JobFinished || j.Done != len(in) || j.Selector.Show != "db/creds/r" || j.Cause != lease.CausePrefix {
		t.Errorf("got job %+v, %v; want %d done", j, err, len(in))
	}
	_, err = w.Lessor.Job("elsewhere", job)
	wantError(t, err, lease.NotFound, "no revocation job")
}

func TestRevokePrefixSync(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	locks := w.Enable("locks", "lease", lease.MountConfig{})
	w.Lead()
	ctx := patient(t)
	for range 5 {
		w.Issue(locks, "a", w.Root(), nil)
	}
	sync := lessor.PrefixOptions{Sync: true}
	for _, prefix := range []string{"locks", "locks", "nothing/here"} {
		if _, err := w.Lessor.RevokePrefix(ctx, "", prefix, sync); err != nil {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	id := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Times: 1})
	job, err := w.Lessor.RevokePrefix(ctx, "", id, sync)
	wantError(t, err, lease.Invalid,
		fmt.Sprintf("failed to revoke %q (1 / 1): failed to revoke entry: resp: (*logical.Response)(nil) err: fake: target is down", id))
	if job == 0 {
		t.Error("got no job beside the failure")
	}
	if _, err := w.Lessor.RevokePrefix(ctx, "", id, sync); err != nil || w.Lease(id) != nil {
		t.Errorf("again: %v, %+v", err, w.Lease(id))
	}
}

func TestRevokePrefixIsChecked(t *testing.T) {
	w := lessortest.New(t)
	for prefix, text := range map[string]string{
		"": "prefix must be specified", "/": "prefix must be specified", "a/../b": "relative paths not supported",
		"a//b": "empty segment", "a//": "empty segment", "a b": "only letters", "a/\x00": "only letters",
	} {
		for _, o := range []lessor.PrefixOptions{{}, {Sync: true}, {Force: true}} {
			_, err := w.Lessor.RevokePrefix(context.Background(), "", prefix, o)
			wantError(t, err, lease.Invalid, text)
		}
	}
	for _, cmd := range w.Proposer.Commands() {
		if _, ok := cmd.(*command.OpenJob); ok {
			t.Errorf("a job was opened: %v", cmd)
		}
	}
}

func TestRevokeForce(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	old := w.Issue(m, "creds/ci", w.Root(), nil).Lease.ID
	makeIrrevocable(t, w, old)
	for range 3 {
		w.Issue(m, "creds/ci", w.Root(), nil)
	}
	before := len(w.Fake.Calls(fake.Destroy))
	w.Fake.Inject(fake.Fault{Action: fake.Destroy, Err: backend.Permanent(errors.New("no"))})
	w.Lead()
	job, err := w.Lessor.RevokePrefix(patient(t), "", "db", lessor.PrefixOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if j, err := w.Lessor.Job("", job); err != nil || j.State != lease.JobFinished || j.Cause != lease.CauseForce {
		t.Errorf("got job %+v, %v; want it finished", j, err)
	}
	if keys, _, _ := w.Lessor.List("", "db", "", 0); keys != nil {
		t.Errorf("leases are left: %v", keys)
	}
	if got := len(w.Fake.Calls(fake.Destroy)) - before; got != 4 {
		t.Errorf("got %d attempts, want one for each of 4", got)
	}
}

func TestRevokePrefixTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lessortest.New(t)
		m := w.Enable("db", "fake", lease.MountConfig{})
		w.Issue(m, "creds/ci", w.Root(), nil)
		for _, o := range []lessor.PrefixOptions{{Sync: true}, {Force: true}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			job, err := w.Lessor.RevokePrefix(ctx, "", "db", o)
			cancel()
			wantError(t, err, lease.Uncertain, "the revocation of db was accepted and goes on")
			if job == 0 {
				t.Error("got no job")
			}
		}
	})
}

func TestJobsNewestFirst(t *testing.T) {
	w := lessortest.New(t)
	var want []uint64
	for _, prefix := range []string{"a", "b", "c"} {
		job, err := w.Lessor.RevokePrefix(context.Background(), "", prefix, lessor.PrefixOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want = append([]uint64{job}, want...)
	}
	if _, err := w.Lessor.RevokePrefix(context.Background(), "elsewhere", "d", lessor.PrefixOptions{}); err != nil {
		t.Fatal(err)
	}
	for limit, n := range map[int]int{0: 3, 2: 2, 9: 3} {
		jobs := w.Lessor.Jobs("", limit)
		if len(jobs) != n {
			t.Errorf("limit %d: got %d jobs, want %d", limit, len(jobs), n)
			continue
		}
		for i, j := range jobs {
			if j.ID != want[i] {
				t.Errorf("limit %d: got job %d at %d, want %d", limit, j.ID, i, want[i])
			}
		}
	}
}
