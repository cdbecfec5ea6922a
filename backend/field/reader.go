package field

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leasehold/leasehold/lease"
)

// MaxPage is the most keys a list answers at once.
const MaxPage = 100_000

// Reader reads the parameters of one request. After the first fault every method returns a zero
// value or the default, and Err tells the fault. It is not safe for concurrent use.
type Reader struct {
	params map[string]any
	asked  map[string]bool
	hidden []string
	err    *lease.Error
}

// Read makes a Reader of decoded parameters, whose numbers are json.Number.
func Read(params map[string]any) *Reader {
	return &Reader{params: params, asked: make(map[string]bool)}
}

// Has reports whether the parameter was sent at all; null counts, since it clears a field.
func (r *Reader) Has(name string) bool {
	r.asked[name] = true
	_, ok := r.params[name]
	return ok
}

// Duration reads a duration in whole seconds; zero when absent.
func (r *Reader) Duration(name string) time.Duration { return read(r, name, ParseDuration) }

// String reads text; "" when absent.
func (r *Reader) String(name string) string { return read(r, name, ParseString) }

// Strings reads a list of texts; nil when absent.
func (r *Reader) Strings(name string) []string { return read(r, name, ParseStrings) }

// StringMap reads a map of texts; nil when absent.
func (r *Reader) StringMap(name string) map[string]string { return read(r, name, ParseStringMap) }

// Object reads a JSON object; nil when absent.
func (r *Reader) Object(name string) map[string]any { return read(r, name, parseMap) }

// Bool reads a truth value; def when absent or null.
func (r *Reader) Bool(name string, def bool) bool {
	if !r.Has(name) || r.params[name] == nil {
		return def
	}
	return read(r, name, ParseBool)
}

// Int reads a whole number; def when absent or null.
func (r *Reader) Int(name string, def int) int {
	if !r.Has(name) || r.params[name] == nil {
		return def
	}
	return read(r, name, ParseInt)
}

func read[T any](r *Reader, name string, parse func(any) (T, error)) T {
	var zero T
	r.asked[name] = true
	if r.err != nil {
		return zero
	}
	v, err := parse(r.params[name])
	if err != nil {
		r.Failf("Field validation failed: error converting input for field %q: %s", name, err)
		return zero
	}
	return v
}

// Failf records a fault that the caller found, unless there is an earlier one. The message names
// the field, the reason and the remedy.
func (r *Reader) Failf(format string, args ...any) {
	if r.err == nil {
		r.err = lease.Errorf(lease.Invalid, format, args...)
	}
}

// Err is the first fault as a *lease.Error with code Invalid, or nil.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// Captured names fields that the path decides, whatever the body says.
func (r *Reader) Captured(names ...string) { r.hidden = append(r.hidden, names...) }

// Warnings are Vault's words about parameters that nobody asked for and about those that the path
// overrides; nil when there are none. Call it after all fields have been read.
func (r *Reader) Warnings() []string {
	var unknown, replaced, warnings []string
	for name := range r.params {
		switch {
		case slices.Contains(r.hidden, name):
			replaced = append(replaced, name)
		case !r.asked[name]:
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		warnings = append(warnings, "Endpoint ignored these unrecognized parameters: "+bracket(unknown))
	}
	if len(replaced) > 0 {
		warnings = append(warnings,
			"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: "+bracket(replaced))
	}
	return warnings
}

func bracket(names []string) string {
	slices.Sort(names)
	for i, name := range names {
		names[i] = CleanText(name)
	}
	return "[" + strings.Join(names, " ") + "]"
}

// Page cuts a sorted list of keys as the parameters "after" and "limit" ask. The result is the
// data of a LIST answer, with "next" when there are more; it is nil when no key is left, which
// Vault answers with 404.
func (r *Reader) Page(keys []string) (data map[string]any, warnings []string) {
	after, limit := r.String("after"), r.Int("limit", 0)
	if limit < 0 {
		r.Failf("limit: %d is negative: leave it out for all keys", limit)
	}
	if r.err != nil {
		return nil, nil
	}
	from, found := slices.BinarySearch(keys, after)
	if found {
		from++
	}
	keys = keys[from:]
	if len(keys) == 0 {
		return nil, nil
	}
	asked := limit
	if limit == 0 || limit > MaxPage {
		limit = MaxPage
	}
	if len(keys) <= limit {
		return map[string]any{"keys": keys}, nil
	}
	if asked == 0 || asked > MaxPage {
		warnings = []string{fmt.Sprintf("only the first %d keys are listed: page with 'after' and 'limit'", MaxPage)}
	}
	keys = keys[:limit]
	return map[string]any{"keys": keys, "next": keys[limit-1]}, warnings
}
