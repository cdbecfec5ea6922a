package approle

import (
	"context"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/lease"
)

// property is a field of a role with a path of its own, so that a policy can grant it alone. The names
// are those under which it is sent and shown, the one that a missing field is called by first.
type property []string

// properties has them by the last part of their path.
var properties = map[string]property{
	"policies":              {"token_policies", "policies"},
	"period":                {"token_period", "period"},
	"token-ttl":             {"token_ttl"},
	"token-max-ttl":         {"token_max_ttl"},
	"token-num-uses":        {"token_num_uses"},
	"token-bound-cidrs":     {"token_bound_cidrs"},
	"bind-secret-id":        {"bind_secret_id"},
	"secret-id-num-uses":    {"secret_id_num_uses"},
	"secret-id-ttl":         {"secret_id_ttl"},
	"secret-id-bound-cidrs": {"secret_id_bound_cidrs"},
}

// read shows the field under all of its names.
func (p property) read(_ *Backend, _ context.Context, r *request) (*backend.Response, error) {
	ro, err := loadRole(r.Store, r.name)
	if ro == nil || err != nil {
		return nil, err
	}
	all, data := ro.shown(), map[string]any{}
	for _, name := range p {
		data[name] = all[p[0]]
	}
	return &backend.Response{Data: data}, nil
}

func (p property) write(b *Backend, ctx context.Context, r *request) (*backend.Response, error) {
	sent := only(r.Params, p...)
	if len(sent) == 0 {
		return nil, lease.Errorf(lease.Invalid, "missing %s", p[0])
	}
	_, err := b.change(ctx, r, onlyUpdate, sent)
	return nil, err
}

// clear gives the field the value that a new role has. It is done already for a role that is not there.
func (p property) clear(b *Backend, ctx context.Context, r *request) (*backend.Response, error) {
	_, err := b.change(ctx, r, onlyUpdate, map[string]any{p[0]: nil})
	if isNotFound(err) {
		return nil, nil
	}
	return nil, err
}
