package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
)

// MaxInternal bounds, in bytes as JSON, what a service may ask to be kept with a lease. It stays
// in the replicated state as long as the lease does.
const MaxInternal = 64 << 10

// created reads the answer to issue: {"data": {…}, "internal": {…}, "ttl": n}, each optional and
// nothing else. Errors name fields, never values.
func (a *answer) created(k *kept, asked time.Duration) (*backend.Created, error) {
	obj, err := a.object()
	if err != nil {
		return nil, err
	}
	out := &backend.Created{}
	for key, value := range obj {
		switch key {
		case "data":
			out.Data, err = objectField(key, value)
		case "internal":
			var internal map[string]any
			if internal, err = objectField(key, value); err == nil && internal != nil {
				out.Internal, err = k.with(internal)
			}
		case "ttl":
			out.TTL, err = shorterTTL(value, asked)
		default:
			err = fmt.Errorf("holds %q, which is none of data, internal, ttl", field.CleanText(key))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// renewed reads the answer to renew: {"ttl": n}, optional; other fields are not looked at, as the
// thing has been renewed.
func (a *answer) renewed(asked time.Duration) (time.Duration, error) {
	obj, err := a.object()
	if err != nil {
		return 0, err
	}
	value, ok := obj["ttl"]
	if !ok {
		return 0, nil
	}
	return shorterTTL(value, asked)
}

// object reads the body; an empty one is an object with nothing in it.
func (a *answer) object() (map[string]any, error) {
	switch {
	case a.err != nil:
		return nil, errors.New("broke off")
	case a.cut:
		return nil, fmt.Errorf("is longer than max_answer, %d bytes", len(a.body))
	case len(a.body) == 0:
		return nil, nil
	}
	obj, err := field.ParseObject(a.body)
	if err != nil {
		return nil, fmt.Errorf("is refused: %w", err)
	}
	return obj, nil
}

func objectField(key string, value any) (map[string]any, error) {
	obj, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, fmt.Errorf("holds a %s that is no JSON object", key)
	}
	return obj, nil
}

// shorterTTL reads whole seconds; zero when they are no fewer than asked, or null.
func shorterTTL(value any, asked time.Duration) (time.Duration, error) {
	if value == nil {
		return 0, nil
	}
	bad := errors.New("holds a ttl that is no whole number of seconds above zero")
	number, ok := value.(json.Number)
	if !ok {
		return 0, bad
	}
	seconds, err := number.Int64()
	if err != nil || seconds <= 0 {
		return 0, bad
	}
	if seconds >= int64((asked+time.Second-1)/time.Second) {
		return 0, nil
	}
	return time.Duration(seconds) * time.Second, nil
}

// with is what the lease keeps once the service has said what it needs back.
func (k *kept) with(internal map[string]any) ([]byte, error) {
	text, err := field.FormatJSON(internal)
	if err != nil {
		return nil, fmt.Errorf("holds an internal that cannot be kept: %w", err)
	}
	if len(text) > MaxInternal {
		return nil, fmt.Errorf("holds an internal of %d bytes, at most %d are kept", len(text), MaxInternal)
	}
	more := *k
	more.Internal = text
	return more.encode()
}
