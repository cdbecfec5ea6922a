package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ruleKeys are the arguments of a path.
var ruleKeys = []string{"capabilities", "policy", "lease_scope", "allowed_parameters", "denied_parameters",
	"required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "comment"}

// unenforced are Vault's and OpenBao's arguments that restrict what a rule grants, in ways that are
// not checked here: to read over them would grant more than the policy's author meant.
var unenforced = []string{"mfa_methods", "control_group", "pagination_limit", "expiration",
	"list_scan_response_keys_filter_path", "subscribe_event_types"}

// set takes one argument of a path. Errors do not name the path.
func (r *Rule) set(it item) (err error) {
	if it.labels != nil {
		return fmt.Errorf("expected %s = ..., not a block with a label, on line %d", shorten(it.key), it.line)
	}
	switch it.key {
	case "capabilities":
		return r.setCapabilities(it.value)
	case "policy":
		return r.setLegacy(it.value)
	case "lease_scope":
		return r.setScope(it.value)
	case "allowed_parameters":
		r.Allowed, err = it.value.parameters(it.key)
	case "denied_parameters":
		r.Denied, err = it.value.parameters(it.key)
	case "required_parameters":
		r.Required, err = it.value.texts(it.key)
		for i, name := range r.Required {
			r.Required[i] = strings.ToLower(name)
		}
	case "min_wrapping_ttl":
		r.MinWrap, err = it.value.duration(it.key)
	case "max_wrapping_ttl":
		r.MaxWrap, err = it.value.duration(it.key)
	case "comment":
		_, err = it.value.text()
	default:
		if slices.Contains(unenforced, it.key) {
			return fmt.Errorf("%s on line %d is not supported; a policy with a restriction that would not be "+
				"enforced is refused", it.key, it.line)
		}
		return fmt.Errorf("invalid key %q on line %d%s", shorten(it.key), it.line, didYouMean(it.key, ruleKeys))
	}
	return err
}

func (r *Rule) setCapabilities(v value) error {
	names, err := v.texts("capabilities")
	if err != nil {
		return err
	}
	for _, name := range names {
		c, ok := capabilityNamed(name)
		if !ok {
			return fmt.Errorf("invalid capability %q on line %d%s", shorten(name), v.line,
				didYouMean(name, capabilityNames[:]))
		}
		r.Capabilities |= c
	}
	return nil
}

func (r *Rule) setLegacy(v value) error {
	name, err := v.text()
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	c, ok := legacyCapabilities[name]
	if !ok {
		return fmt.Errorf("invalid policy %q on line %d%s", shorten(name), v.line,
			didYouMean(name, []string{"deny", "read", "write", "sudo"}))
	}
	r.Capabilities |= c
	return nil
}

func (r *Rule) setScope(v value) error {
	scope, err := v.text()
	if err != nil {
		return fmt.Errorf("lease_scope: %w", err)
	}
	if scope != "own" {
		return fmt.Errorf(`invalid lease_scope %q on line %d: the one scope is "own"; leave it out for every lease`,
			shorten(scope), v.line)
	}
	r.Own = true
	return nil
}

// what names the value's type for an error.
func (v value) what() string {
	switch is := v.is.(type) {
	case string:
		return fmt.Sprintf("%q", shorten(is))
	case json.Number:
		return "the number " + shorten(string(is))
	case bool:
		return strconv.FormatBool(is)
	case []value:
		return "a list"
	case []item:
		return "an object"
	default:
		return "null"
	}
}

func (v value) text() (string, error) {
	s, ok := v.is.(string)
	if !ok {
		return "", fmt.Errorf("expected a string, not %s, on line %d", v.what(), v.line)
	}
	return s, nil
}

func (v value) texts(key string) ([]string, error) {
	list, ok := v.is.([]value)
	if !ok {
		return nil, fmt.Errorf("%s: expected a list of strings, not %s, on line %d", key, v.what(), v.line)
	}
	texts := make([]string, 0, len(list))
	for _, e := range list {
		s, err := e.text()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		texts = append(texts, s)
	}
	return texts, nil
}

// duration reads "90s", "1h30m", or seconds as a number or its text.
func (v value) duration(key string) (time.Duration, error) {
	var text string
	switch is := v.is.(type) {
	case string:
		text = is
	case json.Number:
		text = string(is)
	default:
		return 0, fmt.Errorf("%s: expected a duration, not %s, on line %d", key, v.what(), v.line)
	}
	d, err := time.ParseDuration(text)
	if n, isInt := strconv.ParseInt(text, 10, 64); isInt == nil {
		d, err = time.Duration(n)*time.Second, nil
		if int64(d/time.Second) != n {
			err = strconv.ErrRange
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: invalid duration %q on line %d: write seconds, or as in 90s, 15m, 24h", key,
			shorten(text), v.line)
	}
	return d, nil
}

// parameters reads { "name" = [values] }.
func (v value) parameters(key string) (map[string][]any, error) {
	items, ok := v.is.([]item)
	if !ok {
		return nil, fmt.Errorf(`%s: expected { "name" = [...] }, not %s, on line %d`, key, v.what(), v.line)
	}
	params := make(map[string][]any, len(items))
	for _, it := range items {
		list, ok := it.value.is.([]value)
		if !ok || it.labels != nil {
			return nil, fmt.Errorf("%s: expected %q = [...] on line %d; an empty list means any value", key,
				shorten(it.key), it.line)
		}
		name := strings.ToLower(it.key)
		if _, twice := params[name]; twice {
			return nil, fmt.Errorf("%s: %q is given twice, again on line %d", key, shorten(it.key), it.line)
		}
		params[name] = plainList(list)
	}
	return params, nil
}

// plain turns a value into what a decoded request holds.
func (v value) plain() any {
	switch is := v.is.(type) {
	case []value:
		return plainList(is)
	case []item:
		m := make(map[string]any, len(is))
		for _, it := range is {
			m[it.key] = it.value.plain()
		}
		return m
	default:
		return is
	}
}

func plainList(list []value) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v.plain()
	}
	return out
}
