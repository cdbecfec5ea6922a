// Package fake is a backend whose target is a map in memory: the "fake" engine. It keeps the whole
// contract of package backend, refuses stale fencing indexes as a good service would, and lets a
// test decide how each call goes:
//
//	b := fake.New()
//	b.Inject(fake.Fault{Action: fake.Destroy, Times: 2})             // fail twice, then work
//	b.Inject(fake.Fault{Action: fake.Create, Stage: fake.After})     // do the work, lose the answer
//	release := b.Hang(fake.Destroy)                                  // until released or cancelled
//	err := b.Wait(ctx, func(calls []fake.Call) bool { return len(calls) == 3 })
//
// It records every call and knows what lives at its target; Add and Remove change that behind the engine's
// back, for tests of inventories. It reads no clock and starts no
// goroutine, so it works inside testing/synctest. A Backend is safe for concurrent use.
package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Backend is the engine together with its target.
type Backend struct {
	mu      sync.Mutex // guards all below
	things  map[string]*thing
	fences  map[string]uint64 // highest fencing index seen, by external name
	calls   []Call
	faults  []*Fault
	changed chan struct{} // closed and replaced at every recorded call
	running map[string]int
	peak    map[string]int
	limit   time.Duration
	observe func(Call)
}

// thing is what stands behind a lease. It has two parts so that a destruction can stop half-way;
// it lives while either is there.
type thing struct {
	login, grants bool
	secrets       int // how often its secret was made
	until         time.Time
	created       time.Time
	role          string
}

// New makes a Backend with an empty target.
func New() *Backend {
	return &Backend{
		things: map[string]*thing{}, fences: map[string]uint64{}, changed: make(chan struct{}),
		running: map[string]int{}, peak: map[string]int{},
	}
}

// Type is "fake".
func (*Backend) Type() string { return "fake" }

// Route serves creds/<role>, which issues, and config, a value in the mount's store.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	role, creds := strings.CutPrefix(path, "creds/")
	switch {
	case creds && role != "" && (op == backend.Read || op == backend.Write):
		return backend.Issue, nil
	case path == "config" && op == backend.Read:
		return backend.Query, nil
	case path == "config" && (op == backend.Write || op == backend.Delete):
		return backend.Change, nil
	case creds && role != "", path == "config":
		return 0, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	return 0, lease.Errorf(lease.NotFound, "unsupported path")
}

// Handle serves config: POST {"value": "..."}, GET and DELETE.
func (*Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	switch req.Operation {
	case backend.Write:
		in := field.Read(req.Params)
		value := in.String("value")
		if err := in.Err(); err != nil {
			return nil, err
		}
		return nil, req.Store.Put(ctx, "config", []byte(value))
	case backend.Delete:
		return nil, req.Store.Delete(ctx, "config")
	}
	value, ok, err := req.Store.Get("config")
	if !ok || err != nil {
		return nil, err
	}
	return &backend.Response{Data: map[string]any{"value": string(value)}}, nil
}

// Prepare reads ttl, max_ttl and renewable. A role that begins with "unknown" does not exist.
func (*Backend) Prepare(_ context.Context, req *backend.Request) (*backend.Plan, error) {
	role := strings.TrimPrefix(req.Path, "creds/")
	if strings.HasPrefix(role, "unknown") {
		return nil, lease.Errorf(lease.Invalid, "unknown role: %s", role)
	}
	in := field.Read(req.Params)
	in.Captured("name")
	plan := &backend.Plan{
		Path: req.Path, Role: role, TTL: in.Duration("ttl"), MaxTTL: in.Duration("max_ttl"),
		Renewable: in.Bool("renewable", true), Target: true, Internal: []byte(planned),
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	plan.Warnings = in.Warnings()
	return plan, nil
}

// What the lease keeps: of the plan, and of the thing once it was made. Destroy insists on one of
// them, so a caller that forgets to unseal or to pass it is found out.
const (
	planned = "fake:planned"
	created = "fake:created:"
)

// Create makes the thing, or its secret anew.
func (b *Backend) Create(ctx context.Context, in *backend.Intent) (*backend.Created, error) {
	var out *backend.Created
	call := Call{
		Action: Create, LeaseID: in.LeaseID, ExternalName: in.ExternalName, Role: in.Role, Mount: mountPath(in.Request.Mount),
		Generation: in.Generation, Fence: in.Fence, Attempt: 1, TTL: in.TTL, ExpireTime: in.ExpireTime,
	}
	err := b.do(ctx, call, func(half bool) error {
		t := b.things[in.ExternalName]
		if t == nil {
			t = &thing{role: in.Role}
			if !in.ExpireTime.IsZero() {
				t.created = in.ExpireTime.Add(-in.TTL)
			}
			b.things[in.ExternalName] = t
		}
		t.login, t.until = true, in.ExpireTime
		if half {
			return nil
		}
		t.grants = true
		t.secrets++
		out = &backend.Created{
			Data: map[string]any{
				"username": in.ExternalName,
				"password": fmt.Sprintf("secret-%d-of-%s", t.secrets, in.ExternalName),
			},
			Internal: []byte(created + in.ExternalName),
			TTL:      b.shorter(in.TTL),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Renew moves the thing's own end. An absent thing is refused for good.
func (b *Backend) Renew(ctx context.Context, r *backend.Renewal) (time.Duration, error) {
	var ttl time.Duration
	call := Call{
		Action: Renew, LeaseID: r.LeaseID, ExternalName: r.ExternalName, Role: r.Role, Mount: mountPath(r.Mount),
		Generation: r.Generation, Fence: r.Fence, Attempt: 1, TTL: r.TTL, ExpireTime: r.ExpireTime,
	}
	err := b.do(ctx, call, func(half bool) error {
		t := b.things[r.ExternalName]
		if t == nil {
			return fmt.Errorf("fake: %s is not there: %w", r.ExternalName, backend.ErrRefused)
		}
		t.until = r.ExpireTime
		ttl = b.shorter(r.TTL)
		return nil
	})
	return ttl, err
}

// Destroy removes the thing; absent is success.
func (b *Backend) Destroy(ctx context.Context, d *backend.Destruction) error {
	if in := string(d.Internal); in != planned && in != created+d.ExternalName {
		return backend.Permanent(errors.New("fake: internal data is missing, foreign or still sealed"))
	}
	call := Call{
		Action: Destroy, LeaseID: d.LeaseID, ExternalName: d.ExternalName, Role: d.Role, Mount: mountPath(d.Mount),
		Generation: d.Generation, Fence: d.Fence, Attempt: d.Attempt, ExpireTime: d.ExpireTime,
	}
	return b.do(ctx, call, func(half bool) error {
		if t := b.things[d.ExternalName]; t != nil && half {
			t.login = false
			return nil
		}
		delete(b.things, d.ExternalName)
		return nil
	})
}

// Living lists the external names of what lives at the target, sorted.
func (b *Backend) Living() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.things))
	for name := range b.things {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Until is the end that the target itself keeps for a living thing; zero when there is none.
func (b *Backend) Until(externalName string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.things[externalName]; t != nil {
		return t.until
	}
	return time.Time{}
}

// LimitTTL makes the target grant at most d from now on; zero lifts the limit.
func (b *Backend) LimitTTL(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = d
}

// shorter is what the contract wants: the target's limit where it is shorter, else zero.
func (b *Backend) shorter(ttl time.Duration) time.Duration {
	if b.limit > 0 && b.limit < ttl {
		return b.limit
	}
	return 0
}

func mountPath(m *lease.Mount) string {
	if m == nil {
		return ""
	}
	return m.Path
}
