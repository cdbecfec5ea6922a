// Package backendtest holds the conformance suite for backends with a target. A backend that
// passes it can be trusted with the order of durable steps that package backend describes: its
// Create may be repeated, its Destroy may come twice, late, or for something that was never made,
// and whatever goes wrong half-way, a later Destroy leaves nothing behind. After any sequence of
// faults and retries the target holds exactly what the living leases stand for, and the backend's
// Inventory, if it has one, names exactly that.
//
// A backend's own test is a harness that knows how to ask the target what lives there and how to
// break it:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, func(t *testing.T) *backendtest.Harness { … })
//	}
package backendtest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// Fault is a way in which a target goes wrong.
type Fault uint8

// The faults.
const (
	FailBefore Fault = iota + 1 // an error, and nothing was done
	FailHalf                    // an error, and half of the steps were done (FailBefore where a call has one step)
	LoseAnswer                  // all was done, and the answer is lost
	HangBefore                  // no answer, and nothing was done
	HangAfter                   // no answer, and all was done
	// The rest is for harnesses that name them in Also.
	FailAfter // an error, and all was done
	Twice     // what is sent arrives twice, and the second answer comes back
)

func (f Fault) String() string {
	return [...]string{"", "error before the work", "half of the steps", "answer lost",
		"hang before the work", "hang after the work", "error after the work", "everything arrives twice"}[f]
}

func (f Fault) hangs() bool { return f == HangBefore || f == HangAfter }

// faults are those that every harness can plant.
var faults = []Fault{FailBefore, FailHalf, LoseAnswer, HangBefore, HangAfter}

// Harness is a backend with a target of its own behind it.
type Harness struct {
	Backend backend.Backend
	// Request makes a request of class Issue that Prepare accepts.
	Request func() *backend.Request
	// Living asks the target itself, not the backend, for the external names of what lives there.
	// A name with two things behind it appears twice.
	Living func() []string
	// Plant lets every call to the target meet the fault until Heal is called.
	Plant func(Fault)
	Heal  func()
	// Forget removes of the mount's configuration what an operator can remove.
	Forget func()
	// Until asks the target for its own limit of what lives under a name. Nil: it has none.
	Until func(externalName string) time.Time
	// Secrets must not appear in any error.
	Secrets []string
	// Also lists the faults beyond the first five that Plant can make.
	Also []Fault
	// FailAt lets the step-th request that reaches the target from now on fail, counted from 1, and lets
	// all others pass, until Heal is called. reached, asked before that, reports whether there were so
	// many. With it each call is cut off at every one of its steps. Nil: a call is one step.
	FailAt func(step int) (reached func() bool)
	// Fenced says that the target refuses calls with a smaller fencing index than it has seen for a name.
	Fenced bool
}

// Run runs the suite. open is called for each test with its own t.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	tests := []struct {
		name string
		run  func(*rig)
	}{
		{"route", testRoute},
		{"create, renew, destroy", testLife},
		{"everything twice", testTwice},
		{"destroy what was never made", testDestroyAbsent},
		{"destroy with what the intent kept", testDestroyFromIntent},
		{"destroy after the configuration is gone", testDestroyForgotten},
		{"renew does not revive", testRenewAbsent},
		{"two nodes destroy at once", testDestroyTogether},
		{"many at once", testMany},
		{"a cancelled call does nothing", testCancelled},
		{"names", testNames},
		{"faults and retries in any order", testHistory},
		{"everything arrives twice", offered(Twice, testArrivesTwice)},
		{"a stale call does nothing", testStale},
		{"create/cut at each step", testCreateCut},
		{"renew/cut at each step", testRenewCut},
		{"destroy/cut at each step", testDestroyCut},
		{"inventory/names of what lives", listed(testInventory)},
		{"inventory/stops when it is told to", listed(testInventoryStops)},
		{"inventory/what it lists can be destroyed", listed(testInventoryDestroys)},
		{"inventory/" + FailBefore.String(), listed(func(r *rig) { testInventoryFault(r, FailBefore) })},
		{"inventory/" + HangBefore.String(), listed(func(r *rig) { testInventoryFault(r, HangBefore) })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newRig(t, open(t))) })
	}
	for _, fault := range append(slices.Clone(faults), FailAfter) {
		for name, test := range map[string]func(*rig, Fault){
			"create": testCreateFault, "renew": testRenewFault, "destroy": testDestroyFault,
		} {
			t.Run(name+"/"+fault.String(), func(t *testing.T) {
				offered(fault, func(r *rig) { test(r, fault) })(newRig(t, open(t)))
			})
		}
	}
}

// offered skips a test of a fault that the harness cannot plant.
func offered(fault Fault, test func(*rig)) func(*rig) {
	return func(r *rig) {
		if !slices.Contains(faults, fault) && !slices.Contains(r.Also, fault) {
			r.Skipf("the harness does not plant the fault %q", fault)
		}
		test(r)
	}
}

func testRoute(r *rig) {
	req := r.Request()
	if class, err := r.Backend.Route(req.Operation, req.Path); class != backend.Issue || err != nil {
		r.Errorf("route of the harness' request: got class %d, error %v; want Issue", class, err)
	}
	_, err := r.Backend.Route(backend.Read, "no/such/path/anywhere")
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != lease.NotFound {
		r.Errorf("route of an unknown path: got %v, want a lease.Error with code NotFound", err)
	}
	if r.Backend.Type() == "" {
		r.Errorf("the backend has no type")
	}
}

// Two leases share no name, and the mark tells whose it is.
func testNames(r *rig) {
	a, b := r.prepare(), r.prepare()
	if a.name == b.name {
		r.Errorf("two leases have the name %q", a.name)
	}
	for _, c := range []*credential{a, b} {
		if !strings.Contains(c.name, r.mark) {
			r.Errorf("the name %q does not hold the mark %q", c.name, r.mark)
		}
	}
}

func testLife(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	r.wantLiving(c, 1)
	c.extend(time.Hour)
	r.must("renew", r.renew(c))
	r.wantUntil(c)
	r.wantLiving(c, 1)
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

func testTwice(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	r.must("create again", r.create(c))
	r.wantLiving(c, 1)
	r.must("renew", r.renew(c))
	r.must("renew again", r.renew(c))
	r.must("destroy", r.destroy(c))
	r.must("destroy again", r.destroy(c))
	r.wantLiving(c, 0)
}

func testDestroyAbsent(r *rig) {
	c := r.prepare()
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

// A leader that dies between Create and Activate leaves its successor only what the intent kept.
func testDestroyFromIntent(r *rig) {
	c := r.prepare()
	kept := c.internal
	r.must("create", r.create(c))
	c.internal = kept
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

func testDestroyForgotten(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	r.Forget()
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

// A renewal that lost a race against the end must not bring anything back, whatever it answers.
func testRenewAbsent(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	r.must("destroy", r.destroy(c))
	r.checkSecrets(r.renew(c))
	r.wantLiving(c, 0)
}

func testDestroyTogether(r *rig) {
	c := r.prepare()
	r.must("create", r.create(c))
	first, second := *c, *c
	errs := together(
		func() error { return r.destroy(&first) },
		func() error { return r.destroy(&second) },
	)
	// One may fail, since they disturb each other or one is stale; then it is tried again.
	if errs[0] != nil && errs[1] != nil {
		r.Errorf("both failed: %v", errs)
	}
	r.must("destroy again", r.destroy(c))
	r.wantLiving(c, 0)
}

func testMany(r *rig) {
	const n = 8
	var makes, ends []func() error
	cs := make([]*credential, n)
	for i := range cs {
		c := r.prepare()
		cs[i] = c
		makes = append(makes, func() error { return r.create(c) })
		ends = append(ends, func() error { return r.destroy(c) })
	}
	r.must("creates", errors.Join(together(makes...)...))
	for _, c := range cs {
		r.wantLiving(c, 1)
	}
	r.must("destroy one", r.destroy(cs[0]))
	for i, c := range cs {
		r.wantLiving(c, min(i, 1))
	}
	r.must("destroys", errors.Join(together(ends...)...))
	for _, c := range cs {
		r.wantLiving(c, 0)
	}
}

func testCancelled(r *rig) {
	c := r.prepare()
	r.cancelled = true
	if err := r.create(c); err == nil {
		r.Errorf("create with a cancelled context: got no error")
	}
	r.wantLiving(c, 0)
	r.cancelled = false
	r.must("create", r.create(c))
	r.cancelled = true
	if err := r.destroy(c); err == nil {
		r.Errorf("destroy with a cancelled context: got no error")
	}
	r.wantLiving(c, 1)
	r.cancelled = false
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

// Any failed Create is followed by Destroy, and by nothing else.
func testCreateFault(r *rig, fault Fault) {
	c := r.prepare()
	r.wantFailure("create", fault, func() error { return r.create(c) })
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)

	again := r.prepare()
	r.wantFailure("create", fault, func() error { return r.create(again) })
	r.must("create again", r.create(again))
	r.wantLiving(again, 1)
	r.must("destroy", r.destroy(again))
	r.wantLiving(again, 0)
}

func testRenewFault(r *rig, fault Fault) {
	c := r.prepare()
	r.must("create", r.create(c))
	c.extend(time.Hour)
	err := r.wantFailure("renew", fault, func() error { return r.renew(c) })
	if errors.Is(err, backend.ErrRefused) {
		r.Errorf("renew: %v ends renewability, but the target only failed", err)
	}
	r.must("renew again", r.renew(c))
	r.wantUntil(c)
	r.must("destroy", r.destroy(c))
	r.wantLiving(c, 0)
}

func testDestroyFault(r *rig, fault Fault) {
	c := r.prepare()
	r.must("create", r.create(c))
	err := r.wantFailure("destroy", fault, func() error { return r.destroy(c) })
	if backend.IsPermanent(err) {
		r.Errorf("destroy: %v is permanent, but the target only failed", err)
	}
	r.must("destroy again", r.destroy(c))
	r.wantLiving(c, 0)
	r.must("destroy once more", r.destroy(c))
}
