package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/fake"
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
	"two leases share a name": {
		func(b *fake.Backend) backend.Backend {
			return named(b, func(mark, random string) string { return mark + "-same" })
		}, "names"},
	"names are without the mark": {
		func(b *fake.Backend) backend.Backend {
			return named(b, func(mark, random string) string { return "login-" + random })
		}, "names"},
	"a destroy that was cut off is taken for done": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, destroy: func(ctx context.Context, d *backend.Destruction) error {
				if d.Attempt > 1 {
					return nil
				}
				return b.Destroy(ctx, d)
			}}
		}, "destroy/cut_at_each_step"},
	"a create that was cut off cannot be repeated": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				if slices.Contains(b.Living(), in.ExternalName) {
					return nil, errors.New("exists already")
				}
				return b.Create(ctx, in)
			}}
		}, "create/cut_at_each_step"},
	"a renewal that was cut off is taken for refused": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, renew: func(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
				ttl, err := b.Renew(ctx, r)
				if err != nil {
					err = fmt.Errorf("%w: %w", backend.ErrRefused, err)
				}
				return ttl, err
			}}
		}, "renew/cut_at_each_step"},
	"a create that is repeated makes a second thing": {
		func(b *fake.Backend) backend.Backend { return broken{Backend: b, create: second(b)} },
		"faults_and_retries_in_any_order"},
	"what arrives twice is made twice": {
		func(b *fake.Backend) backend.Backend { return broken{Backend: b, create: second(b)} },
		"everything_arrives_twice"},
	"a failure after the work is taken for success": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				made, err := b.Create(ctx, in)
				if err != nil && slices.Contains(b.Living(), in.ExternalName) {
					return &backend.Created{Internal: []byte("fake:created:" + in.ExternalName)}, nil
				}
				return made, err
			}}
		}, "create/error_after_the_work"},
	"stale calls are carried out": {
		func(b *fake.Backend) backend.Backend {
			return broken{Backend: b, create: func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
				fresh := *in
				fresh.Fence = 1 << 40
				return b.Create(ctx, &fresh)
			}, destroy: func(ctx context.Context, d *backend.Destruction) error {
				fresh := *d
				fresh.Fence = 1 << 40
				return b.Destroy(ctx, &fresh)
			}}
		}, "a_stale_call_does_nothing"},
	"the inventory names the things of others": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			return b.Inventory(ctx, &backend.InventoryRequest{Mount: r.Mount, Store: r.Store, Mark: "lh-"}, fn)
		}), "inventory/names_of_what_lives"},
	"the inventory leaves out the first page": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			n := 0
			return b.Inventory(ctx, r, func(item backend.Item) error {
				if n++; n <= 2 {
					return nil
				}
				return fn(item)
			})
		}), "inventory/names_of_what_lives"},
	"the inventory goes on when it is told to stop": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			return b.Inventory(ctx, r, func(item backend.Item) error {
				_ = fn(item)
				return nil
			})
		}), "inventory/stops_when_it_is_told_to"},
	"the inventory does not tell what destroy needs": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			return b.Inventory(ctx, r, func(item backend.Item) error {
				item.Internal = nil
				return fn(item)
			})
		}), "inventory/what_it_lists_can_be_destroyed"},
	"a target that fails looks empty": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			if err := b.Inventory(ctx, r, fn); !errors.Is(err, fake.ErrDown) {
				return err
			}
			return nil
		}), "inventory/error_before_the_work"},
	"a target that hangs looks empty": {
		listing(func(b *fake.Backend, ctx context.Context, r *backend.InventoryRequest, fn func(backend.Item) error) error {
			if err := b.Inventory(ctx, r, fn); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		}), "inventory/hang_before_the_work"},
}

// named is the fake with names of its own.
func named(b *fake.Backend, name func(mark, random string) string) backend.Backend {
	return broken{Backend: b, prepare: func(ctx context.Context, req *backend.Request) (*backend.Plan, error) {
		plan, err := b.Prepare(ctx, req)
		if err == nil {
			plan.ExternalName = name
		}
		return plan, err
	}}
}

// second is a create that makes another thing beside one that is there already: the fake counts how often
// it has made a thing's secret.
func second(b *fake.Backend) func(context.Context, *backend.Intent) (*backend.Created, error) {
	return func(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
		there := slices.Contains(b.Living(), in.ExternalName)
		made, err := b.Create(ctx, in)
		if there || err == nil && made.Data["password"] != "secret-1-of-"+in.ExternalName {
			b.Add(in.ExternalName+"-2", time.Time{})
		}
		return made, err
	}
}

// listing is the fake with an inventory of its own.
func listing(
	fn func(*fake.Backend, context.Context, *backend.InventoryRequest, func(backend.Item) error) error,
) func(*fake.Backend) backend.Backend {
	return func(b *fake.Backend) backend.Backend {
		return broken{Backend: b, list: func(ctx context.Context, r *backend.InventoryRequest, each func(backend.Item) error) error {
			return fn(b, ctx, r, each)
		}}
	}
}
