package policy

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// ACL decides what the bearer of a set of policies may do. It is immutable and safe for concurrent
// use. The nil ACL allows nothing.
type ACL struct {
	root     bool
	rules    map[string]*rule // by pattern
	prefixes prefixTable      // those that end in "*" and have no "+"
	segments *segmentTree     // nil if no pattern has a "+"
	depth    int              // segments of the longest pattern with a "+"

	literalsOnce sync.Once
	literals     []string // see grantingLiterals
}

// Request is what a caller asks.
type Request struct {
	Path string // below /v1/, in the namespace of the policies
	// Capability that the verb needs; of several, any one is enough. With List, Path is taken as
	// if it ended in a slash.
	Capability Capability
	Sudo       bool           // the path needs sudo besides
	Params     map[string]any // the decoded parameters; checked for create, read, update, patch
	WrapTTL    time.Duration  // the wrapping asked for; 0 for none
}

// Refusal says why a request is not allowed.
type Refusal uint8

// The reasons.
const (
	NotRefused   Refusal = iota
	NoRule               // no rule matches the path
	DeniedByRule         // the rule that counts denies
	NotGranted           // the rule that counts lacks Decision.Missing
	BadParameter         // Decision.Parameter is required and absent, denied, or not allowed
	BadWrapping          // the wrapping TTL is out of the rule's bounds
)

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	Sudo    bool // the rule grants sudo, asked for or not
	// OwnOnly: allowed for leases of the calling token and its descendants alone.
	OwnOnly   bool
	Refusal   Refusal
	Missing   Capability // for NotGranted; for NoRule and DeniedByRule all that was asked
	Parameter string     // for BadParameter
	Rule      string     // the pattern that counted, "" if none did
}

// NewACL compiles policies. Nil policies are left out. The root policy allows everything, whatever
// else is there.
func NewACL(policies ...*Policy) *ACL {
	total := 0
	for _, p := range policies {
		if p == nil {
			continue
		}
		if p.root {
			return &ACL{root: true}
		}
		total += len(p.Rules)
	}
	m := merger{rules: make(map[string]*rule, total), left: total}
	for _, p := range policies {
		if p == nil {
			continue
		}
		for i := range p.Rules {
			m.add(&p.Rules[i])
		}
	}
	if len(m.rules) < total/2 {
		// Most patterns came more than once: the room for all of them is not kept.
		fresh := make(map[string]*rule, len(m.rules))
		maps.Copy(fresh, m.rules)
		m.rules = fresh
	}
	return compile(m.rules)
}

// compile makes the merged rules ready for search.
func compile(rules map[string]*rule) *ACL {
	a := &ACL{rules: rules}
	prefixes := 0
	for _, r := range rules {
		if r.glob && r.plus == 0 {
			prefixes++
		}
	}
	entries := make([]prefixEntry, 0, prefixes)
	for _, r := range rules {
		switch {
		case r.plus > 0:
			if a.segments == nil {
				a.segments = &segmentTree{}
			}
			a.segments.insert(r)
			a.depth = max(a.depth, 1+strings.Count(r.body, "/"))
		case r.glob:
			entries = append(entries, prefixEntry{r.body, r})
		}
	}
	a.prefixes = newPrefixTable(entries)
	a.segments.build()
	return a
}

// merger collects the rules of many policies by pattern.
type merger struct {
	rules map[string]*rule
	left  int    // rules that are still to be added
	slab  []rule // merged rules are allocated in blocks
}

// slabRules is how many rules are allocated at once.
const slabRules = 64

// add merges a policy's rule into that of its pattern.
func (m *merger) add(from *Rule) {
	r := m.rules[from.Path]
	if r == nil {
		if len(m.slab) == 0 {
			m.slab = make([]rule, min(slabRules, m.left))
		}
		r, m.slab = &m.slab[0], m.slab[1:]
		r.setPattern(from.Path)
		m.rules[from.Path] = r
	}
	m.left--
	if r.granted.Has(Deny) {
		return
	}
	if from.Capabilities.Has(Deny) {
		r.granted, r.unscoped, r.constraints = Deny, 0, nil
		return
	}
	r.granted |= from.Capabilities
	if !from.Own {
		r.unscoped |= from.Capabilities
	}
	if !from.restricts() {
		return
	}
	if r.constraints == nil {
		r.constraints = &constraints{}
	}
	r.constraints.add(from)
}

// Len is the number of patterns, after merging: what the ACL costs in memory grows with it.
func (a *ACL) Len() int {
	if a == nil {
		return 0
	}
	return len(a.rules)
}

// Root reports whether the ACL allows everything.
func (a *ACL) Root() bool { return a != nil && a.root }

// Check decides a request.
func (a *ACL) Check(req Request) Decision {
	if a.Root() {
		return Decision{Allowed: true, Sudo: true}
	}
	need := Capability(0)
	if req.Sudo {
		need = Sudo
	}
	r := a.find(req.Path, req.Capability.Has(List))
	switch {
	case r == nil:
		return Decision{Refusal: NoRule, Missing: req.Capability | need}
	case r.granted.Has(Deny):
		return Decision{Refusal: DeniedByRule, Missing: req.Capability | need, Rule: r.pattern}
	}
	d := Decision{Sudo: r.granted.Has(Sudo), Rule: r.pattern, Missing: need &^ r.granted}
	if r.granted&req.Capability == 0 {
		d.Missing |= req.Capability
	}
	if d.Missing != 0 || req.Capability == 0 {
		d.Refusal = NotGranted
		return d
	}
	if r.constraints != nil {
		if d.Refusal, d.Parameter = r.constraints.check(&req); d.Refusal != NotRefused {
			return d
		}
	}
	d.Allowed = true
	d.OwnOnly = r.unscoped&req.Capability == 0 || !r.unscoped.Has(need)
	return d
}

func (c *constraints) check(req *Request) (Refusal, string) {
	if !c.checkWrap(req.WrapTTL) {
		return BadWrapping, ""
	}
	if req.Capability&(Create|Read|Update|Patch) == 0 {
		return NotRefused, ""
	}
	if name, ok := c.checkParams(req.Params); !ok {
		return BadParameter, name
	}
	return NotRefused, ""
}

// Capabilities returns the sorted names of what may be done at a path, as sys/capabilities answers:
// ["root"] for root, ["deny"] for nothing. A path that ends in a slash is taken as one to list.
func (a *ACL) Capabilities(path string) []string {
	if a.Root() {
		return []string{"root"}
	}
	return a.find(path, strings.HasSuffix(path, "/")).names()
}

// find returns the rule that counts for a path, nil if none matches.
func (a *ACL) find(path string, list bool) *rule {
	if a == nil {
		return nil
	}
	path = strings.TrimLeft(path, "/")
	if !list {
		if r := a.exact(path); r != nil {
			return r
		}
		w := walk{path: path, best: a.prefixes.longest(path)}
		w.through(a.segments)
		return w.best
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	if r := a.exact(path); r != nil {
		return r
	}
	bare := path[:len(path)-1]
	if r := a.exact(bare); r != nil && r.speaksOfList() {
		return r
	}
	w := walk{path: path, best: a.prefixes.longest(path)}
	w.through(a.segments)
	w.path, w.bare = bare, true
	w.through(a.segments)
	return w.best
}

// exact returns the rule whose pattern is literally path.
func (a *ACL) exact(path string) *rule {
	if r := a.rules[path]; r != nil && r.exact() {
		return r
	}
	return nil
}

// speaksOfList: a rule that matches a folder's path only without its slash counts for listing only
// if it grants or denies it.
func (r *rule) speaksOfList() bool { return r.granted&(List|Deny) != 0 }

// Explain says in one sentence why the request was refused, for a caller who may know its own
// policies. It is empty if the request was not refused.
func (d Decision) Explain(path string) string {
	path = strings.TrimLeft(path, "/")
	switch d.Refusal {
	case NoRule:
		return fmt.Sprintf("no policy has a rule for %q, which needs %s", path, d.Missing)
	case DeniedByRule:
		return fmt.Sprintf("the policy rule for %q denies %q", d.Rule, path)
	case NotGranted:
		return fmt.Sprintf("the policy rule for %q does not grant %s on %q", d.Rule, d.Missing, path)
	case BadParameter:
		return fmt.Sprintf("the policy rule for %q does not allow this request: parameter %q", d.Rule, d.Parameter)
	case BadWrapping:
		return fmt.Sprintf("the policy rule for %q does not allow this wrapping TTL", d.Rule)
	default:
		return ""
	}
}
