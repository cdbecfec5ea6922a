package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of a role.
const (
	MinSecret   = 16 // bytes
	MaxSecret   = 4 << 10
	MaxURL      = 2 << 10
	MaxParams   = 16 << 10 // bytes as JSON, with the caller's
	MaxRoleName = 128
)

const (
	rolePrefix = "role/"
	// deletedPrefix is before the name of a role that was deleted: its leases are still to be destroyed.
	deletedPrefix = "deleted/"
	// deletedExtra is how long a deleted role is remembered beyond the end of its last lease, for those
	// that cannot be destroyed at once.
	deletedExtra = 30 * 24 * time.Hour
)

func roleKey(name string) string { return rolePrefix + name }

// role says whom to call about one kind of thing.
type role struct {
	IssueURL     string         `json:"issue_url,omitempty"` // "": nothing is created
	RenewURL     string         `json:"renew_url,omitempty"` // "": renewing concerns the lease alone
	RevokeURL    string         `json:"revoke_url"`
	InventoryURL string         `json:"inventory_url,omitempty"` // "": nobody tells what there is
	Secret       string         `json:"secret"`
	DefaultTTL   time.Duration  `json:"default_ttl,omitempty"`
	MaxTTL       time.Duration  `json:"max_ttl,omitempty"`
	Renewable    bool           `json:"renewable"`
	Params       map[string]any `json:"params,omitempty"`
	Dev          bool           `json:"dev,omitempty"` // written on a -dev server, which may call loopback
}

// loadRole returns nil if there is no such role.
func loadRole(store backend.Store, name string) (*role, error) {
	return loadRoleAt(store, rolePrefix, name)
}

// latestRole is the role, or what it was when it was deleted; nil if neither is there.
func latestRole(store backend.Store, name string) (*role, error) {
	r, err := loadRole(store, name)
	if r == nil && err == nil {
		r, err = loadRoleAt(store, deletedPrefix, name)
	}
	return r, err
}

func loadRoleAt(store backend.Store, prefix, name string) (*role, error) {
	data, ok, err := store.Get(prefix + name)
	if err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	if !ok {
		return nil, nil
	}
	r := new(role)
	if err := decodeStored(data, r); err != nil {
		return nil, fmt.Errorf("read role %q: %w", name, err)
	}
	return r, nil
}

// readRole shows everything but the secret.
func readRole(req *backend.Request, name string) (*backend.Response, error) {
	r, err := loadRole(req.Store, name)
	if r == nil || err != nil {
		return nil, err
	}
	params := r.Params
	if params == nil {
		params = map[string]any{}
	}
	return &backend.Response{Data: map[string]any{
		"issue_url":     r.IssueURL,
		"renew_url":     r.RenewURL,
		"revoke_url":    r.RevokeURL,
		"inventory_url": r.InventoryURL,
		"default_ttl":   int64(r.DefaultTTL / time.Second),
		"max_ttl":       int64(r.MaxTTL / time.Second),
		"renewable":     r.Renewable,
		"params":        params,
	}}, nil
}

func listRoles(req *backend.Request) (*backend.Response, error) {
	names, err := req.Store.List(rolePrefix)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	in := field.Read(req.Params)
	in.Has("list")
	data, warnings := in.Page(names)
	if err := in.Err(); err != nil || data == nil {
		return nil, err
	}
	return &backend.Response{Data: data, Warnings: append(warnings, in.Warnings()...)}, nil
}

// writeRole makes a role, or changes the fields that were sent of one that is there.
func writeRole(ctx context.Context, req *backend.Request, name string) (*backend.Response, error) {
	if err := lease.CheckPath(name); err != nil {
		return nil, lease.Errorf(lease.Invalid, "name: %s", err)
	}
	if len(name) > MaxRoleName {
		return nil, lease.Errorf(lease.Invalid, "name: %d bytes long, at most %d are allowed: choose a shorter one", len(name), MaxRoleName)
	}
	cfg, err := loadConfig(req.Store)
	if err != nil {
		return nil, err
	}
	r, err := loadRole(req.Store, name)
	if err != nil {
		return nil, err
	}
	before, err := latestRole(req.Store, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &role{Renewable: true}
	}
	r.Dev = req.DevMode
	in := field.Read(req.Params)
	r.read(in)
	r.check(in, cfg, req)
	if err := in.Err(); err != nil {
		return nil, err
	}
	data, err := field.FormatJSON(r)
	if err != nil {
		return nil, fmt.Errorf("encode role: %w", err)
	}
	if err := req.Store.Put(ctx, roleKey(name), data); err != nil {
		return nil, err
	}
	return r.moved(req, name, before), nil
}

// moved warns of leases that are destroyed at another URL from now on: what is not known there answers 404, which
// is as good as destroyed. before is the role as it was, nil if there was none.
func (r *role) moved(req *backend.Request, name string, before *role) *backend.Response {
	if before == nil || before.RevokeURL == r.RevokeURL || req.Live == nil {
		return nil
	}
	n := req.Live(name)
	if n == 0 {
		return nil
	}
	return &backend.Response{Warnings: []string{fmt.Sprintf("leases of this role that are destroyed at the new revoke_url from now on: %d. "+
		"What answers 404 there counts as destroyed: make sure that it knows what was made before", n)}}
}

// deleteRole takes the role away. What it was stays for as long as its leases may: they are destroyed
// with the URL and the key that it had last.
func deleteRole(ctx context.Context, req *backend.Request, name string) error {
	r, err := loadRole(req.Store, name)
	if r == nil || err != nil {
		return err
	}
	data, err := field.FormatJSON(r)
	if err != nil {
		return fmt.Errorf("encode role: %w", err)
	}
	_, seen, err := req.Store.Look(deletedPrefix + name)
	if err != nil {
		return fmt.Errorf("read deleted role %q: %w", name, err)
	}
	longest := max(r.MaxTTL, req.Mount.Config.WithDefaults().MaxTTL, lease.DefaultMax)
	err = req.Store.Swap(ctx, deletedPrefix+name, seen, data, longest+deletedExtra)
	if err != nil && !errors.Is(err, lease.ErrChanged) { // changed: another call deletes it as well
		return err
	}
	return req.Store.Delete(ctx, roleKey(name))
}

// read takes over the fields that were sent; the empty value clears one.
func (r *role) read(in *field.Reader) {
	for _, u := range r.urls() {
		if in.Has(u.field) {
			*u.url = in.String(u.field)
		}
	}
	if in.Has("secret") {
		r.Secret = in.String("secret")
	}
	if in.Has("default_ttl") {
		r.DefaultTTL = in.Duration("default_ttl")
	}
	if in.Has("max_ttl") {
		r.MaxTTL = in.Duration("max_ttl")
	}
	if in.Has("renewable") {
		r.Renewable = in.Bool("renewable", true)
	}
	if in.Has("params") {
		r.Params = in.Object("params")
	}
}

func (r *role) check(in *field.Reader, cfg *config, req *backend.Request) {
	if r.RevokeURL == "" {
		in.Failf("revoke_url: missing: name the URL that destroys what the role makes")
	}
	switch n := len(r.Secret); {
	case n == 0:
		in.Failf("secret: missing: send the key that signs the calls, at least %d bytes", MinSecret)
	case n < MinSecret:
		in.Failf("secret: %d bytes long, at least %d are needed: choose a longer one", n, MinSecret)
	case n > MaxSecret:
		in.Failf("secret: %d bytes long, at most %d are taken: choose a shorter one", n, MaxSecret)
	}
	if r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL {
		in.Failf("default_ttl: %v is longer than max_ttl %v: make it shorter, or max_ttl longer", r.DefaultTTL, r.MaxTTL)
	}
	checkParams(in, r.Params)
	r.checkHosts(in, cfg, req)
}

// checkHosts refuses URLs that may not be called as the config stands.
func (r *role) checkHosts(in *field.Reader, cfg *config, req *backend.Request) {
	for _, u := range r.urls() {
		if *u.url == "" {
			continue
		}
		if _, err := cfg.permit(*u.url, req.DevMode); err != nil {
			in.Failf("%s: %s", u.field, err)
		}
	}
}

type roleURL struct {
	field string
	url   *string
}

func (r *role) urls() []roleURL {
	return []roleURL{
		{"issue_url", &r.IssueURL}, {"renew_url", &r.RenewURL}, {"revoke_url", &r.RevokeURL},
		{"inventory_url", &r.InventoryURL},
	}
}

func checkParams(in *field.Reader, params map[string]any) {
	text, err := field.FormatJSON(params)
	if err != nil {
		in.Failf("params: not encodable as JSON: send a JSON object")
	}
	if len(text) > MaxParams {
		in.Failf("params: %d bytes as JSON, at most %d are sent: keep them at the service and send a reference", len(text), MaxParams)
	}
}
