package backendtest

import (
	"errors"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// maxRequests bounds how many requests one call makes of its target.
const maxRequests = 100

// eachStep calls fn for every step of a call. fn makes the call once by way of cut, during which the step
// fails; the first step that a call does not reach is the end.
func (r *rig) eachStep(fn func(cut func(call func() error) error)) (cuts int) {
	r.Helper()
	if r.FailAt == nil {
		r.Skipf("the harness does not fail at a step")
	}
	for step := 1; step <= maxRequests; step++ {
		reached := false
		fn(func(call func() error) error {
			struck := r.FailAt(step)
			err := call()
			reached = struck()
			r.Heal()
			return err
		})
		if !reached {
			return step - 1
		}
	}
	r.Fatalf("the call makes more than %d requests, or FailAt does not tell that a step was not reached", maxRequests)
	return 0
}

func (r *rig) wantCuts(cuts int) {
	r.Helper()
	if cuts == 0 {
		r.Errorf("no step was reached: this test proves nothing")
	}
}

// A Create that was cut off is undone by Destroy with what the intent kept, and made good by another.
func testCreateCut(r *rig) {
	r.wantCuts(r.eachStep(func(cut func(func() error) error) {
		c := r.prepare()
		if err := cut(func() error { return r.create(c) }); err == nil {
			r.wantLiving(c, 1)
		}
		c.internal = c.plan.Internal
		r.must("destroy what was cut off", r.destroy(c))
		r.wantExactly("after it was destroyed")
	}))
	r.eachStep(func(cut func(func() error) error) {
		c := r.prepare()
		_ = cut(func() error { return r.create(c) })
		r.must("create again what was cut off", r.create(c))
		r.wantExactly("after it was made again", c)
		r.end(c)
	})
	r.wantExactly("in the end")
}

func testRenewCut(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	r.eachStep(func(cut func(func() error) error) {
		before := *c
		c.extend(time.Hour)
		if err := cut(func() error { return r.renew(c) }); errors.Is(err, backend.ErrRefused) {
			r.Errorf("renew: %v ends renewability, but the target only failed", err)
		} else if err != nil {
			r.wantUntil(&before)
		}
		r.must("renew again what was cut off", r.renew(c))
		r.wantUntil(c)
		r.wantExactly("after the renewal", c)
	})
	r.end(c)
}

func testDestroyCut(r *rig) {
	r.wantCuts(r.eachStep(func(cut func(func() error) error) {
		c := r.prepare()
		r.must("create", r.create(c))
		switch err := cut(func() error { return r.destroy(c) }); {
		case err == nil:
			r.wantLiving(c, 0)
		case backend.IsPermanent(err):
			r.Errorf("destroy: %v is permanent, but the target only failed", err)
		}
		r.must("destroy again what was cut off", r.destroy(c))
		r.wantExactly("after it was destroyed")
	}))
}

// testArrivesTwice: a proxy or a client's library repeats what it has sent.
func testArrivesTwice(r *rig) {
	c := r.prepare()
	r.Plant(Twice)
	r.must("create", r.create(c))
	r.wantExactly("after a create that arrived twice", c)
	c.extend(time.Hour)
	r.must("renew", r.renew(c))
	r.wantUntil(c)
	r.must("destroy", r.destroy(c))
	r.wantExactly("after a destroy that arrived twice")
	r.Heal()
	r.must("destroy again", r.destroy(c))
}

// What a leader sent before it was deposed may arrive after what its successor sent.
func testStale(r *rig) {
	if !r.Fenced {
		r.Skipf("the target does not know fencing indexes")
	}
	stale := func(what string, c *credential, fence uint64, call func(*credential) error) {
		r.Helper()
		old := *c
		old.fence = fence
		if err := call(&old); err == nil {
			r.Errorf("%s with a fencing index that was passed: got no error", what)
		}
	}
	c := r.prepare()
	first := r.fence.Add(10) - 9 // this one and nine more are free
	c.fence = first + 5
	r.must("create", r.create(c))
	stale("create", c, first+4, r.create)
	stale("renew", c, first+4, r.renew)
	stale("destroy", c, first+4, r.destroy)
	r.wantExactly("after stale calls", c)
	c.fence = first + 6
	r.must("destroy", r.destroy(c))
	stale("create", c, first+5, r.create)
	r.wantExactly("after a create that came behind the destroy")

	never := r.prepare()
	never.fence = first + 8
	r.must("destroy what was never made", r.destroy(never))
	stale("create", never, first+7, r.create)
	r.wantExactly("after a create that was taken back before it came")
}
