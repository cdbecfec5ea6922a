package backendtest_test

import (
	"context"
	"errors"
	"fmt"
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

// A checker that misses a bug is worse than none. Each bug here is planted in a backend that
// passes, and the suite must fail with it; since a failing test cannot be caught from within, the
// suite runs in a process of its own.
var bugs = map[string]struct {
	plant func(*fake.Backend) backend.Backend
	test  string // the test of the suite that must fail
}{
	"absent is an error": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, destroy: func(ctx context.Context, d *backend.Destruction) error {
				if len(b.Living()) == 0 {
					return errors.New("no such thing")
				}
				return b.Destroy(ctx, d)
			}}
		}, "destroy_what_was_never_made"},
	"failures are swallowed": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, destroy: func(ctx context.Context, d *backend.Destruction) error {
				b.Destroy(ctx, d)
				return nil
			}}
		}, "destroy/error_before_the_work"},
	"a passing failure is permanent": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, destroy: func(ctx context.Context, d *backend.Destruction) error {
				if err := b.Destroy(ctx, d); err != nil {
					return backend.Permanent(err)
				}
				return nil
			}}
		}, "destroy/answer_lost"},
	"destroy needs what only create knows": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, destroy: func(ctx context.Context, d *backend.Destruction) error {
				if string(d.Internal) == "fake:planned" {
					return nil
				}
				return b.Destroy(ctx, d)
			}}
		}, "destroy_with_what_the_intent_kept"},
	"create cannot be repeated": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				for _, name := range b.Living() {
					if name == in.ExternalName {
						return nil, errors.New("exists already")
					}
				}
				return b.Create(ctx, in)
			}}
		}, "everything_twice"},
	"the deadline is ignored": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				return b.Create(context.WithoutCancel(ctx), in)
			}}
		}, "create/hang_before_the_work"},
	"renewals do not reach the target": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, renew: func(context.Context, *backend.Renewal) (time.Duration, error) { return 0, nil }}
		}, "create,_renew,_destroy"},
	"renew revives": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, renew: func(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
				made, err := b.Create(ctx, &backend.Intent{
					ExternalName: r.ExternalName, Fence: r.Fence, TTL: r.TTL, ExpireTime: r.ExpireTime,
					Request: &backend.Request{Mount: r.Mount},
				})
				if err != nil {
					return 0, err
				}
				return made.TTL, nil
			}}
		}, "renew_does_not_revive"},
	"a passing failure ends renewability": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, renew: func(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
				ttl, err := b.Renew(ctx, r)
				if err != nil {
					err = backend.ErrRefused
				}
				return ttl, err
			}}
		}, "renew/error_before_the_work"},
	"errors tell secrets": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				made, err := b.Create(ctx, in)
				if err != nil {
					err = fmt.Errorf("with password canary: %w", err)
				}
				return made, err
			}}
		}, "create/half_of_the_steps"},
}

// broken is the fake with some methods replaced.
type broken struct {
	*fake.Backend
	create  func(context.Context, *backend.Intent) (*backend.Created, error)
	renew   func(context.Context, *backend.Renewal) (time.Duration, error)
	destroy func(context.Context, *backend.Destruction) error
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
			}[f])
		},
	}
}
