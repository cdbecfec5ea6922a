package backendtest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/fake"
	"github.com/leasehold/leasehold/lease"
)

// broken is the fake with some methods replaced.
type broken struct {
	*fake.Backend
	create  func(context.Context, *backend.Intent) (*backend.Created, error)
	renew   func(context.Context, *backend.Renewal) (time.Duration, error)
	destroy func(context.Context, *backend.Destruction) error
	prepare func(context.Context, *backend.Request) (*backend.Plan, error)
	list    func(context.Context, *backend.InventoryRequest, func(backend.Item) error) error
}

func (b broken) Prepare(ctx context.Context, req *backend.Request) (*backend.Plan, error) {
	if b.prepare == nil {
		return b.Backend.Prepare(ctx, req)
	}
	return b.prepare(ctx, req)
}

func (b broken) Inventory(ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
	if b.list == nil {
		return b.Backend.Inventory(ctx, r, fn)
	}
	return b.list(ctx, r, fn)
}

func (b broken) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	if b.create == nil {
		return b.Backend.Create(ctx, in)
	}
	return b.create(ctx, in)
}

func (b broken) Renew(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
	if b.renew == nil {
		return b.Backend.Renew(ctx, r)
	}
	return b.renew(ctx, r)
}

func (b broken) Destroy(ctx context.Context, d *backend.Destruction) error {
	if b.destroy == nil {
		return b.Backend.Destroy(ctx, d)
	}
	return b.destroy(ctx, d)
}

const bugVariable = "BACKENDTEST_PLANTED_BUG"

func TestTheSuiteFindsPlantedBugs(t *testing.T) {
	for name, bug := range bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestPlanted$/^"+strings.ReplaceAll(bug.test, "/", "$/^")+"$", "-test.v")
			cmd.Env = append(os.Environ(), bugVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestPlanted/"+bug.test+" ") {
				t.Errorf("the suite did not fail in %q (%v):\n%s", bug.test, err, out)
			}
		})
	}
}

// TestPlanted runs the suite on the fake, with the bug that the variable names.
func TestPlanted(t *testing.T) {
	name := os.Getenv(bugVariable)
	backendtest.Run(t, func(t *testing.T) *backendtest.Harness {
		b := fake.New()
		h := harness(b)
		if name != "" {
			h.Backend = bugs[name].plant(b)
		}
		return h
	})
}

func harness(b *fake.Backend) *backendtest.Harness {
	never := make(chan struct{})
	return &backendtest.Harness{
		Backend: b,
		Request: func() *backend.Request {
			return &backend.Request{
				Mount: &lease.Mount{Path: "fake/"}, Operation: backend.Read, Path: "creds/ci", Store: backendtest.NewStore(),
			}
		},
		Living: b.Living, Until: b.Until, Heal: b.Heal, Forget: func() {}, Secrets: []string{"canary"},
		Plant: func(f backendtest.Fault) {
			b.Inject(map[backendtest.Fault]fake.Fault{
				backendtest.FailBefore: {},
				backendtest.FailHalf:   {Stage: fake.Half},
				backendtest.LoseAnswer: {Stage: fake.After},
				backendtest.HangBefore: {Until: never},
				backendtest.HangAfter:  {Until: never, Stage: fake.After},
				backendtest.FailAfter:  {Stage: fake.After},
				backendtest.Twice:      {Stage: fake.Twice},
			}[f])
		},
		Also:   []backendtest.Fault{backendtest.FailAfter, backendtest.Twice},
		Fenced: true,
		FailAt: func(step int) func() bool {
			if step > int(fake.After)+1 { // the stages of a call are its steps
				return func() bool { return false }
			}
			before := len(b.Calls(""))
			b.Inject(fake.Fault{Stage: fake.Stage(step - 1), Times: 1})
			return func() bool { return len(b.Calls("")) > before }
		},
	}
}
