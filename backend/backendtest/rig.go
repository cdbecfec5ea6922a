package backendtest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

const (
	// hangDeadline is what a call gets that is meant to hang, callDeadline any other. A call that
	// outlives its deadline by graceAfter ignores its context.
	hangDeadline = 150 * time.Millisecond
	callDeadline = 20 * time.Second
	graceAfter   = 2 * time.Second
)

// rig plays the lessor and the revoker for one test.
type rig struct {
	*testing.T
	*Harness
	target    backend.Target
	clock     time.Time
	cluster   string // short ID of a cluster of the rig's own
	mark      string // of that cluster; what bears it, this test has made
	fence     atomic.Uint64
	hanging   bool
	cancelled bool
}

func newRig(t *testing.T, h *Harness) *rig {
	target, ok := h.Backend.(backend.Target)
	if !ok {
		t.Fatalf("%T is no backend.Target", h.Backend)
	}
	cluster := "suite-" + strings.ToLower(rand.Text()[:8])
	return &rig{
		T: t, Harness: h, target: target, clock: time.Now().Truncate(time.Second),
		cluster: cluster, mark: backend.Mark(cluster),
	}
}

// credential is what the lessor knows of one lease.
type credential struct {
	request    *backend.Request
	plan       *backend.Plan
	leaseID    string
	name       string
	generation uint64
	attempt    int
	expire     time.Time
	internal   []byte
	fence      uint64 // of all calls; 0: each call has a higher one than those before
}

func (c *credential) extend(d time.Duration) {
	c.expire = c.expire.Add(d)
	c.generation++
}

func (r *rig) prepare() *credential {
	r.Helper()
	req := r.Request()
	req.Cluster = r.cluster
	plan, err := r.Backend.Prepare(context.Background(), req)
	if err != nil {
		r.Fatalf("prepare: %v", err)
	}
	if !plan.Target {
		r.Fatalf("prepare: the plan has no target")
	}
	random := randomPart()
	name := plan.ExternalName
	if name == nil {
		name = backend.DefaultName
	}
	return &credential{
		request: req, plan: plan, leaseID: req.Mount.Path + plan.Path + "/" + random,
		name: name(r.mark, random), generation: 1,
		expire: r.clock.Add(time.Hour), internal: plan.Internal,
	}
}

// randomPart is the random part of a lease ID: letters of both cases and digits.
func randomPart() string {
	upper, lower := rand.Text(), strings.ToLower(rand.Text())
	part := make([]byte, lease.RandomLen)
	for i := range part {
		part[i] = [2]string{upper, lower}[i%2][i]
	}
	return string(part)
}

// index is the fencing index of the next call about c.
func (r *rig) index(c *credential) uint64 {
	if c.fence != 0 {
		return c.fence
	}
	return r.fence.Add(1)
}

// call runs fn under the deadline that the state of the test asks for.
func (r *rig) call(fn func(ctx context.Context) error) error {
	deadline := callDeadline
	if r.hanging {
		deadline = hangDeadline
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if r.cancelled {
		cancel()
	}
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	select {
	case err := <-done:
		r.checkSecrets(err)
		return err
	case <-time.After(deadline + graceAfter):
		r.Errorf("the call ignores its context: deadline %v, still running %v later", deadline, graceAfter)
		return errors.New("call ignores its context")
	}
}

func (r *rig) create(c *credential) error {
	return r.call(func(ctx context.Context) error {
		made, err := r.target.Create(ctx, &backend.Intent{
			LeaseID: c.leaseID, ExternalName: c.name, Role: c.plan.Role, Generation: c.generation,
			Fence: r.index(c), TTL: c.expire.Sub(r.clock), ExpireTime: c.expire,
			Internal: c.plan.Internal, Request: c.request,
		})
		if err != nil {
			if made != nil {
				r.Errorf("create: got a result beside the error %v", err)
			}
			return err
		}
		if made.Internal != nil {
			c.internal = made.Internal
		}
		return nil
	})
}

func (r *rig) renew(c *credential) error {
	return r.call(func(ctx context.Context) error {
		ttl, err := r.target.Renew(ctx, &backend.Renewal{
			LeaseID: c.leaseID, ExternalName: c.name, Role: c.plan.Role, Mount: c.request.Mount,
			Generation: c.generation + 1, Fence: r.index(c), TTL: c.expire.Sub(r.clock),
			ExpireTime: c.expire, Internal: c.internal, Store: c.request.Store,
		})
		if err == nil && (ttl < 0 || ttl > c.expire.Sub(r.clock)) {
			r.Errorf("renew: the target grants %v, asked were %v", ttl, c.expire.Sub(r.clock))
		}
		return err
	})
}

func (r *rig) destroy(c *credential) error {
	c.attempt++
	return r.call(func(ctx context.Context) error {
		return r.target.Destroy(ctx, &backend.Destruction{
			LeaseID: c.leaseID, ExternalName: c.name, Role: c.plan.Role, Mount: c.request.Mount,
			Generation: c.generation, Fence: r.index(c), Attempt: c.attempt,
			ExpireTime: c.expire, Internal: c.internal, Store: c.request.Store,
		})
	})
}

func (r *rig) must(what string, err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

// wantFailure runs fn while the target has the fault, and wants an error.
func (r *rig) wantFailure(what string, fault Fault, fn func() error) error {
	r.Helper()
	r.Plant(fault)
	r.hanging = fault.hangs()
	err := fn()
	r.hanging = false
	r.Heal()
	if err == nil {
		r.Fatalf("%s: got no error though the target had the fault %q", what, fault)
	}
	return err
}

// wantLiving asks the target itself how often c lives there.
func (r *rig) wantLiving(c *credential, want int) {
	r.Helper()
	living := r.Living()
	got := 0
	for _, name := range living {
		if name == c.name {
			got++
		}
	}
	if got != want {
		slices.Sort(living)
		r.Errorf("%s lives %d times at the target, want %d; it has %q", c.name, got, want, living)
	}
}

// wantExactly asks the target itself, and the backend's inventory, for all that this test has made.
func (r *rig) wantExactly(when string, living ...*credential) {
	r.Helper()
	want := make([]string, 0, len(living))
	for _, c := range living {
		want = append(want, c.name)
	}
	slices.Sort(want)
	got := slices.DeleteFunc(slices.Clone(r.Living()), func(name string) bool { return !strings.Contains(name, r.mark) })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.Errorf("%s: the target holds %q, want exactly %q", when, got, want)
	}
	if _, ok := r.target.(backend.Inventory); !ok {
		return
	}
	if names := r.inventoryNames(r.mark); !slices.Equal(names, want) {
		r.Errorf("%s: the inventory names %q, want exactly %q", when, names, want)
	}
}

func (r *rig) wantUntil(c *credential) {
	r.Helper()
	if r.Until == nil {
		return
	}
	if got := r.Until(c.name); got.Before(c.expire) {
		r.Errorf("the target's own limit is %v, want at least the lease's end %v", got, c.expire)
	}
}

func (r *rig) checkSecrets(err error) {
	r.Helper()
	for _, secret := range r.Secrets {
		if err != nil && strings.Contains(err.Error(), secret) {
			r.Errorf("an error holds a secret: %v", err)
		}
	}
}

// together runs all functions at once and returns their errors in order.
func together(fns ...func() error) []error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = fn() })
	}
	wg.Wait()
	return errs
}
