package httpapi

import (
	"time"

	"github.com/leasehold/leasehold/policy"
)

// resultant is what a token's policies come to, as the web interface asks for it. Paths are whole: they
// begin with the namespace of the policies.
type resultant struct {
	Root  bool                     `json:"root"`
	Exact map[string]resultantRule `json:"exact_paths"`
	// Glob is by prefix, without its "*". A pattern with "+" is written as it is.
	Glob   map[string]resultantRule `json:"glob_paths"`
	Chroot string                   `json:"chroot_namespace"` // always empty: no listener is bound to a namespace
}

// resultantRule is what holds on the paths of one pattern.
type resultantRule struct {
	Capabilities []string         `json:"capabilities"`
	LeaseScope   string           `json:"lease_scope,omitempty"`
	MinWrap      int64            `json:"min_wrapping_ttl,omitempty"` // seconds
	MaxWrap      int64            `json:"max_wrapping_ttl,omitempty"` // seconds
	Allowed      map[string][]any `json:"allowed_parameters,omitempty"`
	Denied       map[string][]any `json:"denied_parameters,omitempty"`
	Required     []string         `json:"required_parameters,omitempty"`
}

// resultantACL serves sys/internal/ui/resultant-acl.
func (s *Server) resultantACL(c *call) (answer, error) {
	data := resultant{Root: c.acl.Root(), Exact: map[string]resultantRule{}, Glob: map[string]resultantRule{}}
	for _, m := range c.acl.Rules() {
		switch path := c.home.path + m.Pattern; {
		case m.Exact:
			data.Exact[path] = describeRule(m)
		case m.Prefix:
			data.Glob[path[:len(path)-1]] = describeRule(m)
		default:
			data.Glob[path] = describeRule(m)
		}
	}
	return answer{data: data, mountType: systemType}, nil
}

func describeRule(m policy.Merged) resultantRule {
	r := resultantRule{
		Capabilities: m.Capabilities, MinWrap: int64(m.MinWrap / time.Second), MaxWrap: int64(m.MaxWrap / time.Second),
		Allowed: m.Allowed, Denied: m.Denied, Required: m.Required,
	}
	if m.OwnOnly {
		r.LeaseScope = "own"
	}
	return r
}
