package approle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/backend/tokenparams"
	"github.com/leasehold/leasehold/lease"
)

const rolePrefix = "role/"

func roleKey(name string) string { return rolePrefix + name }

// role says what a machine has to prove, and what token that earns. Its lists are never changed in
// place.
type role struct {
	Generation      string             `json:"generation"` // tells it from every other role, before and after
	RoleID          string             `json:"role_id"`
	BindSecretID    bool               `json:"bind_secret_id"`                  // a login needs a secret_id
	BoundCIDRs      []string           `json:"secret_id_bound_cidrs,omitempty"` // where logins may come from; none: anywhere
	SecretIDNumUses int                `json:"secret_id_num_uses,omitempty"`    // of a new secret_id; 0: unlimited
	SecretIDTTL     time.Duration      `json:"secret_id_ttl,omitempty"`         // of a new secret_id; 0: it has no end
	Token           tokenparams.Params `json:"token"`
}

// newRole is a role with nothing said, under a random role_id.
func newRole(r *request) (*role, error) {
	generation, err := randomUUID(r.Random)
	if err != nil {
		return nil, err
	}
	roleID, err := randomUUID(r.Random)
	if err != nil {
		return nil, err
	}
	return &role{Generation: generation, RoleID: roleID, BindSecretID: true}, nil
}

// loadRole returns nil if there is no such role.
func loadRole(store backend.Store, name string) (*role, error) {
	r, _, err := lookRole(store, name)
	return r, err
}

// lookRole is loadRole with the version of what it read.
func lookRole(store backend.Store, name string) (*role, backend.Version, error) {
	data, seen, err := store.Look(roleKey(name))
	if err != nil {
		return nil, "", fmt.Errorf("read role %q: %w", name, err)
	}
	if seen == "" {
		return nil, "", nil
	}
	r := new(role)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, "", fmt.Errorf("read role %q: %w", name, err)
	}
	return r, seen, nil
}

// read takes over the fields that were sent; null and the empty value clear one.
func (r *role) read(in *field.Reader) {
	in.Captured("role_name")
	if in.Has("bind_secret_id") {
		r.BindSecretID = in.Bool("bind_secret_id", true)
	}
	if in.Has("secret_id_bound_cidrs") {
		r.BoundCIDRs = readCIDRs(in, "secret_id_bound_cidrs")
	}
	if in.Has("secret_id_num_uses") {
		r.SecretIDNumUses = readUses(in, "secret_id_num_uses", 0)
	}
	if in.Has("secret_id_ttl") {
		r.SecretIDTTL = in.Duration("secret_id_ttl")
	}
	if in.Has("role_id") {
		r.RoleID = readID(in, "role_id")
	}
	if in.Bool("local_secret_ids", false) {
		in.Failf("local_secret_ids: every node has every secret_id here, none can be kept to a part of them: leave it out or send false")
	}
	r.Token.Read(in, "policies", "period")
	if !r.BindSecretID && len(r.BoundCIDRs) == 0 && len(r.Token.BoundCIDRs) == 0 {
		in.Failf("at least one constraint should be enabled on the role")
	}
}

// readUses reads how often something may be used; def when absent or null.
func readUses(in *field.Reader, name string, def int) int {
	n := in.Int(name, def)
	switch {
	case n < 0:
		in.Failf("%s cannot be negative", name)
	case n > tokenparams.MaxNumUses:
		in.Failf("%s is too large: give at most %d, or 0 for no limit", name, tokenparams.MaxNumUses)
	}
	return n
}

// readID reads a role_id or secret_id that the caller chose. A login takes no white space around it
// either.
func readID(in *field.Reader, name string) string {
	id := strings.TrimSpace(in.String(name))
	switch err := field.CheckText(id); {
	case id == "":
		in.Failf("missing %s", name)
	case len(id) > MaxID:
		in.Failf("%s: %d bytes long, at most %d are allowed: choose a shorter one", name, len(id), MaxID)
	case err != nil:
		in.Failf("%s: %s: use plain text", name, err)
	}
	return id
}

// shown is the role as answers show it.
func (r *role) shown() map[string]any {
	data := map[string]any{
		"bind_secret_id":        r.BindSecretID,
		"secret_id_bound_cidrs": shownList(r.BoundCIDRs),
		"secret_id_num_uses":    r.SecretIDNumUses,
		"secret_id_ttl":         seconds(r.SecretIDTTL),
		"local_secret_ids":      false,
	}
	maps.Copy(data, r.Token.Data())
	return data
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// shownList is never null.
func shownList(list []string) []string { return append([]string{}, list...) }

func (*Backend) readRole(_ context.Context, r *request) (*backend.Response, error) {
	ro, err := loadRole(r.Store, r.name)
	if ro == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: ro.shown()}, nil
}

func (*Backend) listRoles(_ context.Context, r *request) (*backend.Response, error) {
	return listLevel(r, rolePrefix)
}

func (*Backend) readRoleID(_ context.Context, r *request) (*backend.Response, error) {
	ro, err := loadRole(r.Store, r.name)
	if ro == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: map[string]any{"role_id": ro.RoleID}}, nil
}

// writeRole makes a role, or changes the fields that were sent of one that is there.
func (b *Backend) writeRole(ctx context.Context, r *request) (*backend.Response, error) {
	ro, err := b.change(ctx, r, orCreate, r.Params)
	if err != nil {
		return nil, err
	}
	sweepAlong(ctx, r, stepAlong)
	if limit := maxTTL(r.Mount); ro.Token.MaxTTL > limit {
		return &backend.Response{Warnings: []string{fmt.Sprintf(
			"token_max_ttl of %v is longer than the mount's limit of %v, which tokens will get", ro.Token.MaxTTL, limit)}}, nil
	}
	return nil, nil
}

// writeRoleID gives a role a role_id of the caller's choice.
func (b *Backend) writeRoleID(ctx context.Context, r *request) (*backend.Response, error) {
	if _, ok := r.Params["role_id"]; !ok {
		return nil, lease.Errorf(lease.Invalid, "missing role_id")
	}
	_, err := b.change(ctx, r, onlyUpdate, only(r.Params, "role_id"))
	return nil, err
}

// only is the parameters under some names.
func only(params map[string]any, names ...string) map[string]any {
	kept := maps.Clone(params)
	maps.DeleteFunc(kept, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return kept
}

// maxTTL is the longest time to live that a mount grants.
func maxTTL(mount *lease.Mount) time.Duration { return mount.Config.WithDefaults().MaxTTL }

// listLevel answers a LIST of the keys below prefix, by pages if the caller wants some.
func listLevel(r *request, prefix string) (*backend.Response, error) {
	in := field.Read(r.Params)
	in.Has("list")
	in.Captured("role_name")
	after, asked := in.String("after"), in.Int("limit", 0)
	if asked < 0 {
		in.Failf("limit: %d is negative: leave it out for all keys", asked)
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	limit := asked
	if asked == 0 || asked > field.MaxPage {
		limit = field.MaxPage
	}
	keys, more, err := r.Store.Level(prefix, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	answer := &backend.Response{Data: map[string]any{"keys": keys}, Warnings: in.Warnings()}
	if more {
		answer.Data["next"] = keys[len(keys)-1]
		if limit != asked {
			answer.Warnings = append(answer.Warnings,
				fmt.Sprintf("only the first %d keys are listed: page with 'after' and 'limit'", field.MaxPage))
		}
	}
	return answer, nil
}
