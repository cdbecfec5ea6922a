package lessor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// checkNoOrphans checks that whatever lives at the target belongs to an active lease.
func checkNoOrphans(t *testing.T, w *lessortest.World) {
	t.Helper()
	var owned []string
	w.State.Read(func(v *fsm.View) {
		v.Ascend("", "", func(le *lease.Lease) bool {
			if le.Kind == lease.Target && v.Standing(le, w.Clock.Now()) == lease.Active {
				owned = append(owned, le.ExternalName)
			}
			return true
		})
	})
	slices.Sort(owned)
	if living := w.Fake.Living(); !slices.Equal(living, owned) {
		t.Errorf("living at the target: %v, in active leases: %v", living, owned)
	}
}

// A leader dies at each durable step of an issue, with the command in the log or not, known to it
// or not, and its target fails in each way meanwhile. Whatever was answered, in the end the target
// holds what active leases stand for and nothing else.
func TestS12_IssueCrashAtEachStep(t *testing.T) {
	stages := map[string]*fake.Fault{
		"target works": nil, "target fails": {}, "target does half": {Stage: fake.Half}, "target loses the answer": {Stage: fake.After},
	}
	fates := map[string]lessortest.Fate{
		"refused": lessortest.Refuse, "lost before": lessortest.LoseBefore, "lost after": lessortest.LoseAfter,
		"committed": lessortest.Commit,
	}
	for stage, fault := range stages {
		for fate, f := range fates {
			for step := range 3 { // Reserve, then Activate or Revoke, then Revoke
				for _, key := range []string{"", "k1"} {
					t.Run(fmt.Sprintf("%s/%s/step %d/key %q", stage, fate, step, key), func(t *testing.T) {
						crashIssue(t, fault, step, f, key)
					})
				}
			}
		}
	}
}

func crashIssue(t *testing.T, fault *fake.Fault, step int, fate lessortest.Fate, key string) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	if fault != nil {
		f := *fault
		f.Action = fake.Create
		w.Fake.Inject(f)
	}
	r := w.Request(m, backend.Read, "creds/ci")
	r.IdempotencyKey = key
	w.Proposer.CrashAt(step, fate)
	got, err := w.Lessor.Issue(context.Background(), r)
	if err != nil && got != nil {
		t.Errorf("got an answer beside the error %v", err)
	}

	w.Fake.Heal()
	w.Proposer.Elect()
	w.Clock.Advance(lessor.DefaultIntentDeadline)
	w.Settle()
	checkNoOrphans(t, w)
	if err == nil {
		if le := w.Lease(got.Lease.ID); le == nil || le.Status != lease.Active {
			t.Errorf("an acknowledged lease is %+v", le)
		}
	}
	if err != nil && key == "" && fate != lessortest.LoseAfter && len(w.Fake.Living()) != 0 {
		t.Errorf("nobody was told of %v", w.Fake.Living())
	}
}

// The same for a renewal: at no point may the target's limit be earlier than the lease's end.
func TestRenewCrashAtEachStep(t *testing.T) {
	for _, fate := range []lessortest.Fate{lessortest.Refuse, lessortest.LoseBefore, lessortest.LoseAfter} {
		for _, to := range []int{60, 600} {
			for step := range 2 {
				t.Run(fmt.Sprintf("fate %d/to %d s/step %d", fate, to, step), func(t *testing.T) {
					w := lessortest.New(t)
					m := w.Enable("db", "fake", lease.MountConfig{DefaultTTL: seconds(300)})
					le := w.Issue(m, "creds/ci", w.Root(), nil).Lease
					w.Fake.Observe(func(fake.Call) { checkLimit(t, w, le.ID) })
					w.Proposer.CrashAt(step, fate)
					_, _, err := w.Lessor.Renew(context.Background(), "", le.ID, seconds(to))
					if step == 0 && err == nil {
						t.Error("got success from a proposer that failed")
					}
					w.Proposer.Elect()
					checkLimit(t, w, le.ID)
				})
			}
		}
	}
}

func checkLimit(t *testing.T, w *lessortest.World, id string) {
	t.Helper()
	le := w.Lease(id)
	if until := w.Fake.Until(le.ExternalName); until.Before(le.ExpireTime.Std()) {
		t.Errorf("the target's limit %s is before the lease's end %s", until, le.ExpireTime)
	}
}
