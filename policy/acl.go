package policy

import (
	"fmt"
	"strings"
	"time"
)

// ACL decides what the bearer of a set of policies may do. It is immutable and safe for concurrent
// use. The nil ACL allows nothing.
type ACL struct {
	root     bool
	exact    map[string]*rule
	prefixes prefixTable
	segments *segmentTree // nil if no pattern has a "+"
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
	rules := map[string]*rule{}
	for _, p := range policies {
		if p == nil {
			continue
		}
		if p.root {
			return &ACL{root: true}
		}
		for i := range p.Rules {
			add(rules, &p.Rules[i])
		}
	}
	a := &ACL{exact: map[string]*rule{}}
	prefixes := map[string]*rule{}
	for pattern, r := range rules {
		switch {
		case r.plus > 0:
			if a.segments == nil {
				a.segments = &segmentTree{}
			}
			a.segments.insert(r)
		case r.glob:
			prefixes[r.body] = r
		default:
			a.exact[pattern] = r
		}
	}
	a.prefixes = newPrefixTable(prefixes)
	a.segments.build()
	return a
}

// add merges a policy's rule into that of its pattern.
func add(rules map[string]*rule, from *Rule) {
	r := rules[from.Path]
	if r == nil {
		r = newRule(from.Path)
		rules[from.Path] = r
	}
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
	c := r.constraints
	if c == nil {
		c = &constraints{}
	}
	if c.add(from); !c.empty() {
		r.constraints = c
	}
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
	r := a.find(path, strings.HasSuffix(path, "/"))
	if r == nil || r.granted == 0 || r.granted.Has(Deny) {
		return []string{"deny"}
	}
	return r.granted.Names()
}

// find returns the rule that counts for a path, nil if none matches.
func (a *ACL) find(path string, list bool) *rule {
	if a == nil {
		return nil
	}
	path = strings.TrimLeft(path, "/")
	if !list {
		if r := a.exact[path]; r != nil {
			return r
		}
		w := walk{path: path, best: a.prefixes.longest(path)}
		w.through(a.segments)
		return w.best
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	if r := a.exact[path]; r != nil {
		return r
	}
	bare := path[:len(path)-1]
	if r := a.exact[bare]; r != nil && r.speaksOfList() {
		return r
	}
	w := walk{path: path, best: a.prefixes.longest(path)}
	w.through(a.segments)
	w.path, w.bare = bare, true
	w.through(a.segments)
	return w.best
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
