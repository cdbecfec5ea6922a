// Package webhook is the "webhook" engine: a service of the user's own creates, renews and
// destroys things when Leasehold calls it, and Leasehold keeps their leases.
//
// A mount has one config (which hosts may be called, and how) and roles (which URLs to call, and
// the key that signs the calls). What creds/<role> leases, the service has made; what the service
// needs to find it again is the external name, and whatever it answered as "internal". docs/webhook.md
// is the page for those who write such a service.
//
// What the package promises:
//   - Only hosts that the mount's config lists are called, only over https, except for loopback;
//     the address is checked when it is dialled, after DNS, so a name that changes its answer
//     reaches nothing that was not meant (T16). No redirects, no proxies.
//   - Every call is signed, carries the fencing index, and the same Idempotency-Key at every
//     attempt (T17).
//   - Whatever the service answers, the engine reads a bounded part of it, waits a bounded time
//     and never shows the service's words to the caller of the API (T24).
//   - A revoke needs nothing but what the lease keeps: it works when the role has been deleted.
//   - An inventory is whole or an error: of a mount with a role that nobody lists there is none.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Options are what a Backend takes from its surroundings.
type Options struct {
	Now      func() time.Time // dates signatures; nil: the system's clock
	Resolver *net.Resolver    // nil: the system's
}

// Backend is the engine. It holds connections, and no state beside them; it is safe for
// concurrent use.
type Backend struct {
	now      func() time.Time
	clients  *clients
	maxNames int // of an inventory
}

// New makes the engine.
func New(opts Options) *Backend {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Backend{now: opts.Now, clients: &clients{resolver: opts.Resolver}, maxNames: MaxInventory}
}

// Close gives up the connections that are kept for later calls.
func (b *Backend) Close() error {
	b.clients.close()
	return nil
}

// Type is "webhook".
func (*Backend) Type() string { return "webhook" }

// Route knows config, roles, roles/<name> and creds/<name>.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	verbs, ok := routes[kindOf(path)]
	if !ok {
		return 0, lease.Errorf(lease.NotFound, "unsupported path")
	}
	class, ok := verbs[op]
	if !ok {
		return 0, lease.Errorf(lease.Unsupported, "unsupported operation")
	}
	return class, nil
}

var routes = map[string]map[backend.Operation]backend.Class{
	"config": {backend.Read: backend.Query, backend.Write: backend.Change},
	"roles":  {backend.List: backend.Query},
	"roles/": {backend.Read: backend.Query, backend.Write: backend.Change, backend.Delete: backend.Change},
	"creds/": {backend.Read: backend.Issue, backend.Write: backend.Issue},
}

// kindOf is the path with the name of a role taken off.
func kindOf(path string) string {
	kind, name, ok := strings.Cut(path, "/")
	if !ok {
		return path
	}
	if name == "" || strings.Contains(name, "/") {
		return ""
	}
	return kind + "/"
}

// Handle serves config and roles.
func (b *Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	kind := kindOf(req.Path)
	name := strings.TrimPrefix(req.Path, "roles/")
	switch {
	case kind == "config" && req.Operation == backend.Read:
		return readConfig(req)
	case kind == "config" && req.Operation == backend.Write:
		return nil, writeConfig(ctx, req)
	case kind == "roles" && req.Operation == backend.List:
		return listRoles(req)
	case kind == "roles/" && req.Operation == backend.Read:
		return readRole(req, name)
	case kind == "roles/" && req.Operation == backend.Write:
		return writeRole(ctx, req, name)
	case kind == "roles/" && req.Operation == backend.Delete:
		return nil, deleteRole(ctx, req, name)
	}
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}

// Prepare reads a request for creds/<name>.
func (b *Backend) Prepare(_ context.Context, req *backend.Request) (*backend.Plan, error) {
	name := strings.TrimPrefix(req.Path, "creds/")
	r, err := loadRole(req.Store, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, lease.Errorf(lease.Invalid, "unknown role: %s", field.CleanText(name))
	}
	cfg, err := loadConfig(req.Store)
	if err != nil {
		return nil, err
	}
	in := field.Read(req.Params)
	in.Captured("name")
	plan := &backend.Plan{
		Path: req.Path, Role: name, TTL: in.Duration("ttl"),
		DefaultTTL: r.DefaultTTL, MaxTTL: r.MaxTTL, Renewable: r.Renewable, Target: true,
	}
	params := mergeParams(in, r.Params)
	r.checkHosts(in, cfg, req)
	if err := in.Err(); err != nil {
		return nil, err
	}
	if plan.Internal, err = keep(*r, params, req.DevMode).encode(); err != nil {
		return nil, err
	}
	plan.Warnings = in.Warnings()
	return plan, nil
}

// mergeParams adds the caller's params to the role's. The role's stand: whoever may use a role
// must not be able to talk the service into more than the role's author meant.
func mergeParams(in *field.Reader, fixed map[string]any) map[string]any {
	params := map[string]any{}
	for key, value := range in.Object("params") {
		if _, taken := fixed[key]; taken {
			in.Failf("params: %q is set by the role: leave it out", field.CleanText(key))
		}
		params[key] = value
	}
	for key, value := range fixed {
		params[key] = value
	}
	checkParams(in, params)
	return params
}

// kept is what a lease keeps, sealed, of how it was made.
type kept struct {
	Role     role            `json:"role"`
	Params   map[string]any  `json:"params,omitempty"`
	Internal json.RawMessage `json:"internal,omitempty"` // what the service answered to issue
	Dev      bool            `json:"dev,omitempty"`
}

// keep is what a lease keeps of a role before the service has answered.
func keep(r role, params map[string]any, dev bool) *kept {
	r.Params, r.InventoryURL = nil, "" // the first are in params, the second no lease needs
	return &kept{Role: r, Params: params, Dev: dev}
}

// params are those of the calls: an object, if an empty one.
func (k *kept) params() map[string]any {
	if k.Params == nil {
		return map[string]any{}
	}
	return k.Params
}

func (k *kept) encode() ([]byte, error) {
	data, err := field.FormatJSON(k)
	if err != nil {
		return nil, fmt.Errorf("encode what the lease keeps: %w", err)
	}
	return data, nil
}

func decodeKept(data []byte) (*kept, error) {
	k := new(kept)
	if err := decodeStored(data, k); err != nil {
		return nil, backend.Permanent(fmt.Errorf("read what the lease kept: %w", err))
	}
	return k, nil
}
