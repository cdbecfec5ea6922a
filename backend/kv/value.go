package kv

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
)

// read answers the value, or nothing.
func read(req *backend.Request) (*backend.Response, error) {
	text, ok, err := req.Store.Get(req.Path)
	if err != nil || !ok {
		return nil, err
	}
	value, err := field.ParseObject(text)
	if err != nil {
		return nil, &lease.Error{Code: lease.Internal, Message: "the value cannot be read", Err: err}
	}
	return &backend.Response{Data: value, Duration: readAgain(req.Mount, value)}, nil
}

// readAgain is how soon the value should be read again. What the value says counts even if it is
// longer than the mount's limits: there is no lease for them to bound. What is no duration does not.
func readAgain(m *lease.Mount, value map[string]any) time.Duration {
	wish, ok := value["ttl"]
	if !ok {
		wish, ok = value["lease"]
	}
	if ok {
		if d, err := field.ParseDuration(wish); err == nil {
			return d
		}
	}
	return m.Config.WithDefaults().DefaultTTL
}

// write puts the request's parameters, all of them, in place of what is there.
func write(ctx context.Context, req *backend.Request) error {
	if len(req.Params) == 0 {
		return lease.Errorf(lease.Invalid, "missing data fields")
	}
	if err := checkValue(req.Params, 1); err != nil {
		return err
	}
	text, err := field.FormatJSON(req.Params)
	if err != nil {
		return lease.Errorf(lease.Invalid, "value: not encodable as JSON: send a JSON object")
	}
	if len(text) > MaxValue {
		return lease.Errorf(lease.TooLarge,
			"value: %d bytes as JSON, at most %d are kept: split it over several paths", len(text), MaxValue)
	}
	return req.Store.Put(ctx, req.Path, text)
}

// remove deletes what is there; nothing is as well.
func remove(ctx context.Context, req *backend.Request) error {
	if req.Path == "" {
		return nil
	}
	return req.Store.Delete(ctx, req.Path)
}

// checkValue refuses what could not be read again as it was written: nesting that the reader does not
// take, and text that encoding would change (a form can hold any bytes). Errors do not quote the value.
func checkValue(v any, level int) error {
	switch v := v.(type) {
	case string:
		return checkText(v)
	case map[string]any:
		if level > field.MaxDepth {
			return errTooDeep
		}
		for name, member := range v {
			if err := checkText(name); err != nil {
				return err
			}
			if err := checkValue(member, level+1); err != nil {
				return err
			}
		}
	case []any:
		if level > field.MaxDepth {
			return errTooDeep
		}
		for _, item := range v {
			if err := checkValue(item, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

var errTooDeep = lease.Errorf(lease.Invalid, "value: nested deeper than %d levels: flatten it", field.MaxDepth)

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return lease.Errorf(lease.Invalid, "value: holds text that is not valid UTF-8: encode it, for example as base64")
	}
	return nil
}
