package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// constraints are the restrictions that merged rules put on a request beyond its capability.
type constraints struct {
	minWrap, maxWrap time.Duration
	allowed, denied  map[string][]any
	required         []string
}

// restricts reports whether a rule restricts a request beyond its capability.
func (r *Rule) restricts() bool {
	return r.MinWrap != 0 || r.MaxWrap != 0 || len(r.Allowed) != 0 || len(r.Denied) != 0 || len(r.Required) != 0
}

// add merges a rule's restrictions in, as Vault does: shorter wrapping times and every name, the
// values of a name joined, "any value" swallowing all others.
func (c *constraints) add(r *Rule) {
	c.minWrap = shorter(c.minWrap, r.MinWrap)
	c.maxWrap = shorter(c.maxWrap, r.MaxWrap)
	c.allowed = joinValues(c.allowed, r.Allowed)
	c.denied = joinValues(c.denied, r.Denied)
	for _, name := range r.Required {
		if !slices.Contains(c.required, name) {
			c.required = append(c.required, name)
		}
	}
}

func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// joinValues changes and returns into, never from.
func joinValues(into, from map[string][]any) map[string][]any {
	if into == nil {
		return maps.Clone(from)
	}
	for name, values := range from {
		had, ok := into[name]
		if ok && (len(had) == 0 || len(values) == 0) {
			into[name] = []any{}
		} else {
			into[name] = slices.Concat(had, values)
		}
	}
	return into
}

// checkWrap reports whether the asked wrapping time, 0 for none, is within the bounds. Bounds that
// merging made impossible allow nothing.
func (c *constraints) checkWrap(ttl time.Duration) bool {
	if c.maxWrap > 0 && (ttl == 0 || ttl > c.maxWrap) {
		return false
	}
	return c.minWrap == 0 || ttl >= c.minWrap
}

// checkParams returns the name of the parameter for which a request is refused. A "*" in denied
// refuses any; a "*" in allowed lets all pass that are not named beside it.
func (c *constraints) checkParams(params map[string]any) (name string, ok bool) {
	for _, name := range c.required {
		if _, given := params[name]; !given {
			return name, false
		}
	}
	if len(params) == 0 || len(c.denied) == 0 && len(c.allowed) == 0 {
		return "", true
	}
	_, deniesAll := c.denied["*"]
	_, allowsRest := c.allowed["*"]
	// In order of name, so that the same request is always refused with the same words.
	for _, name := range slices.Sorted(maps.Keys(params)) {
		key := strings.ToLower(name)
		if values, listed := c.denied[key]; deniesAll || listed && anyValue(values, params[name]) {
			return name, false
		}
		if len(c.allowed) == 0 {
			continue
		}
		values, listed := c.allowed[key]
		if !listed && !allowsRest || listed && !everyValue(values, params[name]) {
			return name, false
		}
	}
	return "", true
}

// anyValue reports whether a parameter holds a denied value: it is one, or it is a list with one
// among its elements.
func anyValue(denied []any, got any) bool {
	if len(denied) == 0 || slices.ContainsFunc(denied, func(v any) bool { return matches(v, got) }) {
		return true
	}
	list, ok := got.([]any)
	return ok && slices.ContainsFunc(list, func(e any) bool {
		return slices.ContainsFunc(denied, func(v any) bool { return matches(v, e) })
	})
}

// everyValue reports whether a parameter holds only allowed values: it is one, or it is a list of
// nothing else. An empty list often means "as the caller has", so it must be allowed as such.
func everyValue(allowed []any, got any) bool {
	if len(allowed) == 0 || slices.ContainsFunc(allowed, func(v any) bool { return matches(v, got) }) {
		return true
	}
	list, ok := got.([]any)
	return ok && len(list) > 0 && !slices.ContainsFunc(list, func(e any) bool {
		return !slices.ContainsFunc(allowed, func(v any) bool { return matches(v, e) })
	})
}

// matches compares a rule's value with a request's. Numbers, booleans and strings are compared as
// text, because the API takes 60 and "60" for the same; a rule's string may begin or end in "*".
func matches(rule, got any) bool {
	if text, ok := scalar(got); ok {
		if pattern, isText := rule.(string); isText {
			return globs(pattern, text)
		}
		want, ok := scalar(rule)
		return ok && want == text
	}
	switch rule := rule.(type) {
	case nil:
		return got == nil
	case []any:
		list, ok := got.([]any)
		return ok && slices.EqualFunc(rule, list, matches)
	case map[string]any:
		m, ok := got.(map[string]any)
		return ok && maps.EqualFunc(rule, m, matches)
	}
	return false
}

func globs(pattern, s string) bool {
	tail, openLeft := strings.CutPrefix(pattern, "*")
	head, openRight := strings.CutSuffix(tail, "*")
	switch {
	case openLeft && openRight:
		return strings.Contains(s, head)
	case openLeft:
		return strings.HasSuffix(s, tail)
	case openRight:
		return strings.HasPrefix(s, head)
	default:
		return pattern == s
	}
}

// scalar returns the text of a string, number or boolean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return numberText(string(v)), true
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), true
	case float32:
		return numberText(strconv.FormatFloat(float64(v), 'g', -1, 32)), true
	case float64:
		return numberText(strconv.FormatFloat(v, 'g', -1, 64)), true
	}
	return "", false
}

// numberText writes equal numbers alike: 1e3, 1000.0 and 1000. Integers beyond 2^53 keep all their
// digits if they are written as such.
func numberText(s string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	if n := int64(f); f > -1<<53 && f < 1<<53 && float64(n) == f {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
