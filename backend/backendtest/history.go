package backendtest

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/leasehold/leasehold/backend"
)

// Bounds of a history.
const (
	historySteps = 80
	settleEvery  = 10 // steps
	maxAlive     = 6  // leases
)

// SeedVariable is the environment variable that repeats the history of a run: a failed one prints its seed.
const SeedVariable = "BACKENDTEST_SEED"

// history is a random sequence of what lessors and revokers do, faults and crashes included.
type history struct {
	*rig
	chance *rand.Rand
	faults []Fault
	living []*credential // leases that live
	doomed []*credential // leases whose end has begun
	gone   []*credential // leases of which a Destroy has said that they are gone
}

// testHistory: after any sequence of faults and retries the target holds exactly what the living leases
// stand for, and the inventory names exactly that.
func testHistory(r *rig) {
	seed := rand.Uint64()
	if text := os.Getenv(SeedVariable); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			r.Fatalf("%s: %q is no seed: write a whole number", SeedVariable, text)
		}
		seed = given
	}
	r.Logf("the seed is %d; %s repeats it", seed, SeedVariable)
	h := &history{rig: r, chance: rand.New(rand.NewPCG(seed, 0))}
	for _, f := range append(slices.Clone(faults), r.Also...) {
		if !f.hangs() { // those have tests of their own, and take long
			h.faults = append(h.faults, f)
		}
	}
	for step := 1; step <= historySteps && !r.Failed(); step++ {
		h.step()
		if step%settleEvery == 0 {
			h.settle()
		}
	}
	h.doomed, h.living = append(h.doomed, h.living...), nil
	h.settle()
}

func (h *history) step() {
	switch n := h.chance.IntN(10); {
	case n < 4 && len(h.living) < maxAlive:
		h.issue()
	case n < 6 && len(h.living) > 0:
		h.prolong(h.living[h.chance.IntN(len(h.living))])
	case n < 8 && len(h.living) > 0:
		c := take(h.chance, &h.living)
		h.doomed = append(h.doomed, c)
		h.attempt()
	case n < 9 && len(h.doomed) > 0:
		h.attempt()
	case len(h.gone) > 0:
		c := h.gone[h.chance.IntN(len(h.gone))]
		h.must("destroy once more what is gone", h.destroy(c))
	}
}

// under makes a call that meets a fault as often as not.
func (h *history) under(call func() error) error {
	if h.chance.IntN(2) == 0 {
		h.Plant(h.faults[h.chance.IntN(len(h.faults))])
		defer h.Heal()
	}
	return call()
}

func (h *history) issue() {
	c := h.prepare()
	err := h.under(func() error { return h.create(c) })
	if err != nil && h.chance.IntN(2) == 0 { // the same call with its idempotency key
		err = h.under(func() error { return h.create(c) })
	}
	if err != nil || h.chance.IntN(4) == 0 { // failed, or the leader died before the lease was active
		c.internal = c.plan.Internal
		h.doomed = append(h.doomed, c)
		return
	}
	h.living = append(h.living, c)
}

func (h *history) prolong(c *credential) {
	before := *c
	c.extend(time.Minute)
	err := h.under(func() error { return h.renew(c) })
	if err != nil {
		*c = before
		if errors.Is(err, backend.ErrRefused) {
			h.Errorf("renew: %v ends renewability, but the target only failed", err)
		}
	}
	h.wantUntil(c)
}

// attempt destroys one of the doomed, now and then from two nodes at once. Whoever gets no error may
// rely on it that the thing is gone.
func (h *history) attempt() {
	c := take(h.chance, &h.doomed)
	var errs []error
	if h.chance.IntN(4) == 0 {
		second := *c
		_ = h.under(func() error {
			errs = together(func() error { return h.destroy(c) }, func() error { return h.destroy(&second) })
			return nil
		})
	} else {
		errs = append(errs, h.under(func() error { return h.destroy(c) }))
	}
	for _, err := range errs {
		if backend.IsPermanent(err) {
			h.Errorf("destroy: %v is permanent, but the target only failed", err)
		}
	}
	if slices.Contains(errs, nil) {
		h.wantLiving(c, 0)
		h.gone = append(h.gone, c)
		return
	}
	h.doomed = append(h.doomed, c)
}

// settle does what is left to do, without faults, and compares.
func (h *history) settle() {
	h.Helper()
	for _, c := range h.doomed {
		h.must("destroy without faults", h.destroy(c))
	}
	h.gone, h.doomed = append(h.gone, h.doomed...), nil
	h.wantExactly("settled", h.living...)
}

// take removes one of the credentials.
func take(chance *rand.Rand, from *[]*credential) *credential {
	i := chance.IntN(len(*from))
	c := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return c
}
