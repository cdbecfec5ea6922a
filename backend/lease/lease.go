// Package lease is the "lease" engine: leases of anything that people agree on, with nothing
// outside to create or destroy. A write to any path of the mount is a lease on that name:
//
//	POST locks/build/42 {"ttl": "10m", "data": {"host": "ci-7"}, "labels": {"team": "core"}}
//
// makes the lease locks/build/42/<random> and answers the same data. Its end is one entry in the
// log and calls nobody. The engine keeps no configuration: limits are the mount's.
package lease

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of what a lease carries. Keys and values are counted in bytes, data as JSON.
const (
	MaxLabels     = 32
	MaxLabelKey   = 128
	MaxLabelValue = 256
	MaxData       = 64 << 10
)

// Backend is the engine. It has no state and is safe for concurrent use.
type Backend struct{}

// New makes the engine.
func New() *Backend { return &Backend{} }

// Type is "lease".
func (*Backend) Type() string { return "lease" }

// Route takes writes on every path but the mount's own.
func (*Backend) Route(op backend.Operation, path string) (backend.Class, error) {
	switch {
	case op != backend.Write:
		return 0, lease.Errorf(lease.Unsupported, "unsupported operation")
	case path == "":
		return 0, lease.Errorf(lease.NotFound, "unsupported path")
	}
	return backend.Issue, nil
}

// Handle is never reached: the engine's only class is Issue.
func (*Backend) Handle(context.Context, *backend.Request) (*backend.Response, error) {
	return nil, lease.Errorf(lease.Unsupported, "unsupported operation")
}

// Prepare reads a request for a lease.
func (*Backend) Prepare(_ context.Context, req *backend.Request) (*backend.Plan, error) {
	if err := checkPath(req); err != nil {
		return nil, err
	}
	in := field.Read(req.Params)
	plan := &backend.Plan{
		Path:      req.Path,
		TTL:       in.Duration("ttl"),
		MaxTTL:    in.Duration("max_ttl"),
		Renewable: in.Bool("renewable", true),
		Labels:    in.StringMap("labels"),
		Answer:    in.Object("data"),
	}
	keep := in.Bool("keep_data", false)
	checkLabels(in, plan.Labels)
	kept := checkData(in, plan.Answer)
	if err := in.Err(); err != nil {
		return nil, err
	}
	if keep {
		plan.Keep = kept
	}
	plan.Warnings = in.Warnings()
	return plan, nil
}

// checkPath makes sure that the whole lease ID will be one.
func checkPath(req *backend.Request) error {
	if err := lease.CheckPath(req.Path); err != nil {
		return lease.Errorf(lease.Invalid, "%s", err)
	}
	id := lease.NewID(req.Mount.Path+req.Path, strings.Repeat("0", lease.RandomLen), req.Mount.Namespace)
	if over := len(id) - lease.MaxIDLen; over > 0 {
		return lease.Errorf(lease.Invalid,
			"path: the lease ID would be %d bytes long, at most %d are allowed: shorten the path by %d",
			len(id), lease.MaxIDLen, over)
	}
	return nil
}

func checkLabels(in *field.Reader, labels map[string]string) {
	if len(labels) > MaxLabels {
		in.Failf("labels: %d labels, at most %d are kept: drop some", len(labels), MaxLabels)
	}
	for key, value := range labels {
		switch {
		case key == "":
			in.Failf("labels: a label without a name: name it")
		case len(key) > MaxLabelKey:
			in.Failf("labels: a name is %d bytes long, at most %d are kept: shorten it", len(key), MaxLabelKey)
		case len(value) > MaxLabelValue:
			in.Failf("labels: the value of %q is %d bytes long, at most %d are kept: shorten it",
				field.CleanText(key), len(value), MaxLabelValue)
		}
		for _, text := range []string{key, value} {
			if err := field.CheckText(text); err != nil {
				in.Failf("labels: %q %s: use plain text", field.CleanText(key), err)
			}
		}
	}
}

// checkData returns the data as JSON; nil when there is none.
func checkData(in *field.Reader, data map[string]any) []byte {
	if data == nil {
		return nil
	}
	text, err := field.FormatJSON(data)
	if err != nil {
		in.Failf("data: not encodable as JSON: send a JSON object")
	}
	if len(text) > MaxData {
		in.Failf("data: %d bytes as JSON, at most %d are taken: keep it elsewhere and lease a reference to it",
			len(text), MaxData)
	}
	return text
}
