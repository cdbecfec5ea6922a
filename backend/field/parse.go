package field

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxDuration is the longest duration there is, in whole seconds: 292 years. Longer ones are
// read as this one, so that an absurd wish is cut by a limit and never wraps (S4).
const MaxDuration = math.MaxInt64 / time.Second * time.Second

// ParseDuration reads a duration: whole seconds as a number or in text, Go's syntax ("1h30m"),
// or whole days ("1d"). Nil and "" are zero. Parts of a second are cut off, negative values are
// refused. The error's text is Vault's.
func ParseDuration(v any) (time.Duration, error) {
	var d time.Duration
	switch v := v.(type) {
	case nil:
		return 0, nil
	case json.Number:
		return ParseDuration(v.String())
	case string:
		var err error
		if d, err = durationText(v); err != nil {
			return 0, err
		}
	case int:
		d = times(int64(v), time.Second)
	case int64:
		d = times(v, time.Second)
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > math.MaxInt64/2 {
			return 0, fmt.Errorf("time: missing unit in duration %q", strconv.FormatFloat(v, 'f', -1, 64))
		}
		d = times(int64(v), time.Second)
	case time.Duration:
		d = v
	default:
		return 0, errors.New("could not parse duration from input")
	}
	if d < 0 {
		if d > -time.Second {
			return 0, fmt.Errorf("cannot provide negative value '%s'", d)
		}
		return 0, fmt.Errorf("cannot provide negative value '%d'", d/time.Second)
	}
	return d.Truncate(time.Second), nil
}

func durationText(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return times(n, time.Second), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil {
			return 0, err
		}
		return times(n, 24*time.Hour), nil
	}
	return time.ParseDuration(s)
}

// times multiplies and saturates at MaxDuration on either side.
func times(n int64, unit time.Duration) time.Duration {
	limit := int64(MaxDuration / unit)
	switch {
	case n > limit:
		return MaxDuration
	case n < -limit:
		return -MaxDuration
	}
	return time.Duration(n) * unit
}

// ParseBool reads true and false, 0 and 1, and the texts of strconv.ParseBool. Nil and "" are
// false.
func ParseBool(v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case json.Number:
		return ParseBool(v.String())
	case string:
		if v == "" {
			return false, nil
		}
		b, err := strconv.ParseBool(v)
		if err != nil {
			return false, numError("bool", err)
		}
		return b, nil
	}
	return false, unconvertible("bool", v)
}

// ParseInt reads a whole number, as a number or in text. Nil and "" are zero.
func ParseInt(v any) (int, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int:
		return v, nil
	case json.Number:
		return ParseInt(v.String())
	case string:
		if v == "" {
			return 0, nil
		}
		n, err := strconv.ParseInt(v, 10, strconv.IntSize)
		if err != nil {
			return 0, numError("int", err)
		}
		return int(n), nil
	}
	return 0, unconvertible("int", v)
}

// ParseString reads text; numbers become their digits and a bool "1" or "0". Nil is "".
func ParseString(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	}
	return "", unconvertible("string", v)
}

// ParseStrings reads a list of texts, or one text with commas between them. Entries lose the
// white space around them, and empty ones are dropped.
func ParseStrings(v any) ([]string, error) {
	var raw []any
	switch v := v.(type) {
	case []any:
		raw = v
	case []string:
		for _, s := range v {
			raw = append(raw, s)
		}
	default:
		s, err := ParseString(v)
		if err != nil {
			return nil, unconvertible("[]string", v)
		}
		for _, part := range strings.Split(s, ",") {
			raw = append(raw, part)
		}
	}
	var list []string
	for _, item := range raw {
		s, err := ParseString(item)
		if err != nil {
			return nil, err
		}
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list, nil
}

// ParseStringMap reads a JSON object with plain values, the same as text, or pairs "key=value",
// one or a list of them. Nil and "" are the nil map.
func ParseStringMap(v any) (map[string]string, error) {
	if text, ok := v.(string); ok && !strings.HasPrefix(strings.TrimSpace(text), "{") {
		if text == "" {
			return nil, nil
		}
		return pairs([]any{text})
	}
	switch v := v.(type) {
	case []any:
		return pairs(v)
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return pairs(list)
	}
	obj, err := parseMap(v)
	if obj == nil || err != nil {
		return nil, err
	}
	out := make(map[string]string, len(obj))
	for key, value := range obj {
		s, err := ParseString(value)
		if err != nil {
			return nil, fmt.Errorf("'%s' %w", key, errors.Unwrap(err))
		}
		out[key] = s
	}
	return out, nil
}

func pairs(list []any) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, item := range list {
		s, err := ParseString(item)
		if err != nil {
			return nil, err
		}
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("invalid key pair %q", s)
		}
		out[key] = value
	}
	return out, nil
}

// parseMap reads a JSON object, decoded or as text. Nil and "" are the nil map.
func parseMap(v any) (map[string]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	case string:
		if v == "" {
			return nil, nil
		}
		return ParseObject([]byte(v))
	}
	return nil, fmt.Errorf("'' expected a map, got '%s'", kind(v))
}

// kind names a value's type as Vault's decoder does.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case json.Number:
		return "json.Number"
	}
	return fmt.Sprintf("%T", v)
}

// The errors below have the shape of the decoder that Vault uses: an (empty) name in quotes, then
// the reason, which is wrapped so that a better name can take its place.

type namelessError struct{ reason error }

func (e namelessError) Error() string { return "'' " + e.reason.Error() }
func (e namelessError) Unwrap() error { return e.reason }

func unconvertible(want string, v any) error {
	return namelessError{fmt.Errorf("expected type '%s', got unconvertible type '%s'", want, kind(v))}
}

func numError(want string, err error) error {
	var num *strconv.NumError
	if errors.As(err, &num) {
		return namelessError{fmt.Errorf("cannot parse value as '%s': strconv.%s: %w", want, num.Func, num.Err)}
	}
	return namelessError{fmt.Errorf("cannot parse value as '%s': %w", want, err)}
}
