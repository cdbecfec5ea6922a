// Package kv is the "kv" engine, version 1: values that people write and read, kept in the
// replicated state and sealed at rest. It issues no leases.
//
//	POST secret/ci/deploy {"user": "robot", "key": "…"}
//	GET  secret/ci/deploy
//	LIST secret/ci
//
// A value is a JSON object. It stands at a path and is replaced as a whole; there is one version of
// it. A path may hold a value and lead to others at the same time: "ci" and "ci/deploy". What is
// read is what was written, numbers digit for digit.
//
// A read shows how soon to read again: the mount's default TTL, or what the value itself says under
// "ttl" or "lease". Nothing happens when that time is over.
//
// The keys of the store are the paths, so a list costs what it shows.
package kv

import (
	"context"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

const (
	// MaxPath bounds a path within the mount, in bytes.
	MaxPath = 512
	// MaxValue bounds a value as JSON, in bytes. The log takes commands of 256 KiB; what is left is
	// room for the path and for what sealing adds.
	MaxValue = 255 << 10
	// levelStep is how many keys are looked up at a time: each look holds up the writers of the state.
	levelStep = 1000
)

// Backend is the engine. It has no state and is safe for concurrent use.
type Backend struct{}

// New makes the engine.
func New() *Backend { return &Backend{} }

// Type is "kv".
func (*Backend) Type() string { return "kv" }

// CheckMount refuses mount options that ask for what the engine does not do. The error is a
// *lease.Error with code Invalid.
func (*Backend) CheckMount(options map[string]string) error {
	if v := options["version"]; v != "" && v != "1" {
		return lease.Errorf(lease.Invalid, "kv version %s is not supported: leave options.version out or set it to 1", field.CleanText(v))
	}
	if leased, err := field.ParseBool(options["leased_passthrough"]); leased || err != nil {
		return lease.Errorf(lease.Invalid, "kv issues no leases: leave options.leased_passthrough out")
	}
	return nil
}

// Route takes every path, for every verb.
func (*Backend) Route(op backend.Operation, _ string) (backend.Class, error) {
	switch op {
	case backend.Read, backend.List:
		return backend.Query, nil
	case backend.Write, backend.Delete:
		return backend.Change, nil
	}
	return 0, errUnsupported
}

var errUnsupported = lease.Errorf(lease.Unsupported, "unsupported operation")

// Handle serves all requests. Of writes and deletes it says nothing but success.
func (*Backend) Handle(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	if err := checkPath(req); err != nil {
		return nil, err
	}
	switch req.Operation {
	case backend.Read:
		return read(req)
	case backend.List:
		return list(req)
	case backend.Write:
		return nil, write(ctx, req)
	case backend.Delete:
		return nil, remove(ctx, req)
	}
	return nil, errUnsupported
}

// Prepare is never reached: no path is of class Issue.
func (*Backend) Prepare(context.Context, *backend.Request) (*backend.Plan, error) {
	return nil, errUnsupported
}

// Exists reports whether there is a value at the request's path. A path that cannot hold one has
// none.
func (*Backend) Exists(_ context.Context, req *backend.Request) (bool, error) {
	_, ok, err := req.Store.Get(req.Path)
	return ok, err
}

// checkPath refuses a path at which there can be no value. The mount itself can be listed, and has no
// value to be read or deleted.
func checkPath(req *backend.Request) error {
	path := req.Path
	if path == "" {
		if req.Operation == backend.Write {
			return lease.Errorf(lease.Invalid, "missing path")
		}
		return nil
	}
	if len(path) > MaxPath {
		return lease.Errorf(lease.Invalid, "path: %d bytes long, at most %d are allowed: shorten it", len(path), MaxPath)
	}
	if err := field.CheckText(path); err != nil {
		return lease.Errorf(lease.Invalid, "path: %q %s: use plain text", field.CleanText(path), err)
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "":
			return lease.Errorf(lease.Invalid, "path: %q has an empty segment: name it or leave out a slash", path)
		case ".", "..":
			return lease.Errorf(lease.Invalid, "path: %q has the segment %q: relative paths not supported", path, segment)
		}
	}
	return nil
}

// list answers one level of the paths below the request's.
func list(req *backend.Request) (*backend.Response, error) {
	in := field.Read(req.Params)
	after, limit := in.String("after"), in.Int("limit", 0)
	room := field.MaxPage
	if limit != 0 {
		room = max(0, min(limit, field.MaxPage)) // a negative one is refused by Page
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	prefix := req.Path
	if prefix != "" {
		prefix += "/"
	}
	keys, err := level(req.Store, prefix, after, room+1) // by one too many, Page knows that there are more
	if err != nil {
		return nil, err
	}
	data, warnings := in.Page(keys)
	if err := in.Err(); err != nil || data == nil {
		return nil, err
	}
	return &backend.Response{Data: data, Warnings: append(warnings, in.Warnings()...)}, nil
}

// level collects the first want keys of a level behind after.
func level(store backend.Store, prefix, after string, want int) ([]string, error) {
	var keys []string
	for {
		some, more, err := store.Level(prefix, after, min(levelStep, want-len(keys)))
		if err != nil {
			return nil, err
		}
		keys = append(keys, some...)
		if !more || len(keys) == want {
			return keys, nil
		}
		after = keys[len(keys)-1]
	}
}
