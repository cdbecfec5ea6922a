package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Action is what a call asks of the target.
type Action string

// The actions.
const (
	Create  Action = "create"
	Renew   Action = "renew"
	Destroy Action = "destroy"
	// Inventory is one call for the whole inventory.
	Inventory Action = "inventory"
)

// Stage is the point of a call at which a fault strikes.
type Stage uint8

// The stages.
const (
	Before Stage = iota // nothing is done
	Half                // half of the steps are done (as Before for Renew and Inventory, which have one step)
	After               // all is done, the answer is lost
	Twice               // all is done, as the call arrives twice, and the second answer comes back
)

// Errors of the target.
var (
	ErrDown       = errors.New("fake: target is down")
	ErrStaleFence = errors.New("fake: stale fencing index")
)

// Fault says how calls go wrong. The zero Fault makes every call fail with ErrDown before it does
// anything. Err may be marked with backend.Permanent or backend.RetryAfter.
type Fault struct {
	Action Action // "": any
	Name   string // external name; "": any
	Times  int    // how many calls it strikes; 0: until removed
	Stage  Stage
	Err    error // nil: ErrDown, or none where Until is set
	// Until makes the call hang at the stage until the channel is closed or the call's context
	// ends; in the second case the context's error is returned.
	Until <-chan struct{}
}

// Call is one recorded call. It is recorded when it begins.
type Call struct {
	Action       Action
	LeaseID      string
	ExternalName string
	Role         string
	Mount        string // path
	Generation   uint64
	Fence        uint64
	Attempt      int
	TTL          time.Duration
	ExpireTime   time.Time
}

// Inject adds a fault behind those already there: the first that matches a call strikes. The
// returned function removes it.
func (b *Backend) Inject(f Fault) (remove func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := &f
	b.faults = append(b.faults, fault)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(fault)
	}
}

// Hang makes all calls of an action ("": of any) hang before they do anything, until release is
// called; then those that wait go on and later ones do not hang.
func (b *Backend) Hang(action Action) (release func()) {
	until := make(chan struct{})
	remove := b.Inject(Fault{Action: action, Until: until})
	var once sync.Once
	return func() {
		once.Do(func() {
			remove()
			close(until)
		})
	}
}

// Heal removes all faults; calls that hang go on hanging until they are released or cancelled.
func (b *Backend) Heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// Observe calls fn at the beginning of every later call, from the caller's goroutine and with no
// lock held. It replaces the observer before it.
func (b *Backend) Observe(fn func(Call)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.observe = fn
}

// Calls returns the calls of an action so far, of all actions for "", in order.
func (b *Backend) Calls(action Action) []Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.calls), func(c Call) bool { return action != "" && c.Action != action })
}

// Wait returns when done says yes to all calls so far, or with the context's error.
func (b *Backend) Wait(ctx context.Context, done func(calls []Call) bool) error {
	for {
		b.mu.Lock()
		calls, changed := slices.Clone(b.calls), b.changed
		b.mu.Unlock()
		if done(calls) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("after %d calls: %w", len(calls), ctx.Err())
		}
	}
}

// Running is how many calls run now for the mount at path, for all mounts for "".
func (b *Backend) Running(mount string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running[mount]
}

// Peak is the most calls that ever ran at once for the mount at path, for all mounts for "".
func (b *Backend) Peak(mount string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak[mount]
}

// do carries out one call: record, fence, fault, work. work runs under the lock.
func (b *Backend) do(ctx context.Context, call Call, work func(half bool) error) error {
	fault := b.begin(call)
	defer b.end(call)
	if err := ctx.Err(); err != nil {
		return err
	}
	if fault != nil && fault.Stage == Before {
		if err := fault.strike(ctx); err != nil {
			return err
		}
	}
	if err := b.work(call, fault, work); err != nil {
		return err
	}
	if fault != nil && fault.Stage == Twice {
		return b.work(call, fault, work)
	}
	if fault != nil && fault.Stage != Before {
		return fault.strike(ctx)
	}
	return nil
}

// begin records the call and finds the fault that strikes it.
func (b *Backend) begin(call Call) *Fault {
	b.mu.Lock()
	b.calls = append(b.calls, call)
	for _, mount := range places(call) {
		b.running[mount]++
		b.peak[mount] = max(b.peak[mount], b.running[mount])
	}
	close(b.changed)
	b.changed = make(chan struct{})
	fault, observe := b.match(call), b.observe
	b.mu.Unlock()
	if observe != nil {
		observe(call)
	}
	return fault
}

func (b *Backend) end(call Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, mount := range places(call) {
		b.running[mount]--
	}
}

// places are the keys under which a running call is counted.
func places(call Call) []string {
	if call.Mount == "" {
		return []string{""}
	}
	return []string{"", call.Mount}
}

// match takes the first fault that fits the call. It returns a copy, as the stored one counts.
func (b *Backend) match(call Call) *Fault {
	for _, f := range b.faults {
		if f.Action != "" && f.Action != call.Action || f.Name != "" && f.Name != call.ExternalName {
			continue
		}
		struck := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				b.drop(f)
			}
		}
		return &struck
	}
	return nil
}

func (b *Backend) drop(f *Fault) {
	b.faults = slices.DeleteFunc(b.faults, func(g *Fault) bool { return g == f })
}

// work does the work, or half of it, unless a newer call about the same thing came before.
func (b *Backend) work(call Call, fault *Fault, work func(half bool) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seen := b.fences[call.ExternalName]; call.Fence < seen {
		return fmt.Errorf("%w: %d after %d", ErrStaleFence, call.Fence, seen)
	}
	b.fences[call.ExternalName] = call.Fence
	return work(fault != nil && fault.Stage == Half)
}

// strike hangs and fails as the fault says.
func (f *Fault) strike(ctx context.Context) error {
	if f.Until != nil {
		select {
		case <-f.Until:
			return f.Err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Err == nil {
		return ErrDown
	}
	return f.Err
}
