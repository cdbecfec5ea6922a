package policy

import (
	"fmt"
	"strings"
	"time"
)

// Policy is a parsed policy. It is not changed after Parse.
type Policy struct {
	Name     string
	Rules    []Rule
	Warnings []string // what is allowed but hardly meant, for the answer to the policy's writer

	root bool
}

// Rule is what a policy says of one path pattern.
type Rule struct {
	Path         string // the pattern as written, without leading slashes
	Line         int
	Capabilities Capability // Deny alone if it denies
	Own          bool       // lease_scope = "own"
	MinWrap      time.Duration
	MaxWrap      time.Duration
	// Allowed and Denied hold the values of each parameter, by its name in lower case; no values
	// means any. Required holds names in lower case.
	Allowed  map[string][]any
	Denied   map[string][]any
	Required []string
}

// Parse reads a policy in HCL or JSON. The error says what is wrong and on which line; callers put
// "failed to parse policy: " before it, as Vault does.
func Parse(name, text string) (*Policy, error) {
	items, err := parseText(text)
	if err != nil {
		return nil, err
	}
	p := &Policy{Name: name}
	for _, it := range items {
		switch it.key {
		case "path":
			err = p.addPaths(it.labels, it.value, it.line)
		case "name":
			_, err = it.value.text()
			if err == nil && it.labels != nil {
				err = fmt.Errorf(`expected name = "...", not a block, on line %d`, it.line)
			}
		default:
			err = fmt.Errorf("invalid key %q on line %d%s", shorten(it.key), it.line,
				didYouMean(it.key, []string{"path", "name"}))
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// addPaths adds the rules of one "path" item: `path "p" {...}`, or in JSON
// {"path": {"p": {...}, ...}}, or a list of such objects.
func (p *Policy) addPaths(labels []string, v value, line int) error {
	if len(labels) == 1 {
		fields, ok := v.is.([]item)
		if !ok {
			return fmt.Errorf("path %q: expected { ... }, not %s, on line %d", shorten(labels[0]), v.what(), v.line)
		}
		return p.addRule(labels[0], fields, line)
	}
	if labels != nil {
		return fmt.Errorf(`expected one path, as in path "secret/*" { ... }, on line %d`, line)
	}
	switch v := v.is.(type) {
	case []item:
		for _, it := range v {
			if it.labels != nil {
				return fmt.Errorf("path %q: expected one path on line %d", shorten(it.key), it.line)
			}
			if err := p.addPaths([]string{it.key}, it.value, it.line); err != nil {
				return err
			}
		}
		return nil
	case []value:
		for _, object := range v {
			if _, ok := object.is.([]item); !ok {
				return fmt.Errorf("expected { ... } in the list of paths, not %s, on line %d", object.what(), object.line)
			}
			if err := p.addPaths(nil, object, object.line); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf(`expected a path, as in path "secret/*" { ... }, on line %d`, line)
	}
}

func (p *Policy) addRule(path string, fields []item, line int) error {
	r := Rule{Path: strings.TrimLeft(path, "/"), Line: line}
	if err := checkPath(path, line); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, it := range fields {
		if seen[it.key] {
			return fmt.Errorf("path %q: %s is given twice, again on line %d", shorten(path), shorten(it.key), it.line)
		}
		seen[it.key] = true
		if err := r.set(it); err != nil {
			return fmt.Errorf("path %q: %w", shorten(path), err)
		}
	}
	if r.Capabilities.Has(Deny) {
		r.Capabilities = Deny
	}
	if r.MaxWrap != 0 && r.MaxWrap < r.MinWrap {
		return fmt.Errorf("path %q: max_wrapping_ttl cannot be less than min_wrapping_ttl on line %d", shorten(path), line)
	}
	p.Rules = append(p.Rules, r)
	p.warn(&r)
	return nil
}

// MaxPattern is the longest path pattern, in bytes: four times as long as a lease ID can be.
const MaxPattern = 2048

// checkPath refuses what would not mean what it seems to.
func checkPath(path string, line int) error {
	switch {
	case len(path) > MaxPattern:
		return fmt.Errorf("path %q: the pattern on line %d has %d bytes; at most %d are allowed", shorten(path), line,
			len(path), MaxPattern)
	case strings.Contains(path, "{{"):
		return fmt.Errorf("path %q: templates such as {{identity.entity.id}} on line %d are not supported, "+
			"since there are no identities to fill them in: write the path out, or put + for one segment", shorten(path), line)
	case strings.Contains(path, "+*"):
		return fmt.Errorf("path %q: invalid use of wildcards ('+*' is forbidden) on line %d", shorten(path), line)
	}
	return nil
}

// warn notes patterns that Vault takes too, but where a wildcard is only a letter.
func (p *Policy) warn(r *Rule) {
	body, _ := strings.CutSuffix(r.Path, "*")
	if strings.Contains(body, "*") {
		p.Warnings = append(p.Warnings, fmt.Sprintf("path %q on line %d: a * before the end stands only for "+
			"itself; put + for one segment", shorten(r.Path), r.Line))
	}
	for segment := range strings.SplitSeq(body, "/") {
		if segment != "+" && strings.Contains(segment, "+") {
			p.Warnings = append(p.Warnings, fmt.Sprintf("path %q on line %d: a + that is not a whole segment "+
				"stands only for itself", shorten(r.Path), r.Line))
			return
		}
	}
}
