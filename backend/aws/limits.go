package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const limitsKey = "config/lease"

// limits are config/lease: how long the leases of IAM users last. Zero means the mount's.
type limits struct {
	Default time.Duration `json:"default,omitempty"`
	Max     time.Duration `json:"max,omitempty"`
}

// loadLimits returns nil if config/lease was never written.
func loadLimits(store backend.Store) (*limits, error) {
	data, ok, err := store.Get(limitsKey)
	if err != nil {
		return nil, fmt.Errorf("read config/lease: %w", err)
	}
	if !ok {
		return nil, nil
	}
	l := new(limits)
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("read config/lease: %w", err)
	}
	return l, nil
}

func readLimits(req *backend.Request) (*backend.Response, error) {
	l, err := loadLimits(req.Store)
	if l == nil || err != nil {
		return nil, err
	}
	return &backend.Response{Data: map[string]any{"lease": l.Default.String(), "lease_max": l.Max.String()}}, nil
}

// writeLimits takes both fields at once, with Vault's words about what is missing or wrong.
func writeLimits(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	in := field.Read(req.Params)
	read := func(name string) (time.Duration, error) {
		if in.String(name) == "" && in.Err() == nil {
			return 0, lease.Errorf(lease.Invalid, "'%s' is a required parameter", name)
		}
		d, err := field.ParseDuration(req.Params[name])
		if err != nil {
			return 0, lease.Errorf(lease.Invalid, "Invalid %s: %s", name, err)
		}
		return d, nil
	}
	l := new(limits)
	var err error
	if l.Default, err = read("lease"); err != nil {
		return nil, err
	}
	if l.Max, err = read("lease_max"); err != nil {
		return nil, err
	}
	if l.Max > 0 && l.Default > l.Max {
		return nil, lease.Errorf(lease.Invalid, "lease: %v is longer than lease_max %v: make it shorter, or lease_max longer", l.Default, l.Max)
	}
	data, err := field.FormatJSON(l)
	if err != nil {
		return nil, fmt.Errorf("encode config/lease: %w", err)
	}
	if err := req.Store.Put(ctx, limitsKey, data); err != nil {
		return nil, err
	}
	return answered(in.Warnings()), nil
}
