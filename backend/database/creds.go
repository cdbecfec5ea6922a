package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// kept is what a lease keeps, sealed, of how its login is made and ended. Passwords are not in it.
type kept struct {
	Connection string   `json:"connection"`
	Plugin     string   `json:"plugin"`
	Creation   []string `json:"creation,omitempty"` // until the login is made
	Rollback   []string `json:"rollback,omitempty"` // likewise
	Revocation []string `json:"revocation,omitempty"`
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
	if err := json.Unmarshal(data, k); err != nil {
		return nil, backend.Permanent(fmt.Errorf("read what the lease kept: %w", err))
	}
	return k, nil
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
	c, d, err := usable(req.Store, r.Connection)
	if err != nil {
		return nil, err
	}
	if !c.allows(name) {
		return nil, lease.Errorf(lease.Internal, "%q is not an allowed role", name)
	}
	if err := r.parse(d.syntax()); errors.Is(err, errNoCreation) {
		return nil, lease.Errorf(lease.Internal, "%s", err)
	} else if err != nil {
		return nil, lease.Errorf(lease.Invalid, "role %q: %s", name, err)
	}
	in := field.Read(req.Params)
	in.Captured("name")
	n := &naming{template: c.NameTemplate, max: d.maxName(), role: name, now: req.Now.Std(), random: req.Random}
	if req.Token != nil {
		n.display = req.Token.DisplayName
	}
	plan := &backend.Plan{
		Path: req.Path, Role: name, TTL: in.Duration("ttl"), DefaultTTL: r.DefaultTTL, MaxTTL: r.MaxTTL,
		Renewable: true, Target: true, ExternalName: n.name,
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	k := kept{Connection: r.Connection, Plugin: c.Plugin, Creation: r.Creation, Rollback: r.Rollback, Revocation: r.Revocation}
	if plan.Internal, err = k.encode(); err != nil {
		return nil, err
	}
	plan.Warnings = in.Warnings()
	return plan, nil
}

// usable returns a role's connection with its dialect.
func usable(store backend.Store, name string) (*connection, dialect, error) {
	c, _, err := loadConnection(store, name)
	var missing *missingConnection
	if errors.As(err, &missing) {
		return nil, nil, lease.Errorf(lease.Internal, "%s", missing)
	}
	if err != nil {
		return nil, nil, err
	}
	d, ok := dialects[c.Plugin]
	if !ok {
		return nil, nil, lease.Errorf(lease.Internal, "the plugin %q of connection %q is not known to this version", c.Plugin, name)
	}
	return c, d, nil
}

// allows reports whether a role may use the connection: none may unless it is listed, by name or by a
// glob.
func (c *connection) allows(role string) bool {
	for _, glob := range c.AllowedRoles {
		if matches(glob, role) {
			return true
		}
	}
	return false
}

// matches reports whether text fits glob, in which each "*" stands for any text.
func matches(glob, text string) bool {
	parts := strings.Split(glob, "*")
	if len(parts) == 1 {
		return glob == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
