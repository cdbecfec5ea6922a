package httpapi

import (
	"slices"
	"strings"
)

// endpoint is one path of the table with its rows by operation.
type endpoint struct {
	path string
	rows [opCount]*route
}

// helped is what GET with ?help=1 finds at a path that cannot be read: no more than the help of the
// row that is there. If the question turns out not to be one, the verb is not supported.
func (ep *endpoint) helped() *route {
	for _, row := range ep.rows {
		if row != nil {
			return &route{path: row.path, help: row.help, handler: func(*Server, *call) (answer, error) {
				return answer{}, errUnsupportedVerb
			}}
		}
	}
	return nil
}

// pattern is a path with a capture.
type pattern struct {
	prefix, suffix string
	*endpoint
}

// router finds the endpoint of a path. Rows whose path has no capture are found by the path itself;
// of the others the one with the longest fixed part counts.
type router struct {
	exact    map[string]*endpoint
	patterns []pattern
}

func newRouter(table []route) *router {
	rt := &router{exact: make(map[string]*endpoint)}
	byPath := make(map[string]*endpoint)
	for i := range table {
		row := &table[i]
		ep := byPath[row.path]
		if ep == nil {
			ep = &endpoint{path: row.path}
			byPath[row.path] = ep
			if prefix, suffix, ok := strings.Cut(row.path, "*"); ok {
				rt.patterns = append(rt.patterns, pattern{prefix, suffix, ep})
			} else {
				rt.exact[row.path] = ep
			}
		}
		for op := range opCount {
			if row.verbs&(1<<op) != 0 {
				ep.rows[op] = row
			}
		}
		if row.access == open && row.verbs&read != 0 {
			ep.rows[opHead] = row
		}
	}
	slices.SortStableFunc(rt.patterns, func(a, b pattern) int {
		return len(b.prefix) + len(b.suffix) - len(a.prefix) - len(a.suffix)
	})
	return rt
}

// find returns the endpoint of a path without slashes at its ends, and what its "*" stands for.
func (rt *router) find(path string) (*endpoint, string) {
	if ep := rt.exact[path]; ep != nil {
		return ep, ""
	}
	for i := range rt.patterns {
		p := &rt.patterns[i]
		if len(path) > len(p.prefix)+len(p.suffix) &&
			strings.HasPrefix(path, p.prefix) && strings.HasSuffix(path, p.suffix) {
			return p.endpoint, path[len(p.prefix) : len(path)-len(p.suffix)]
		}
	}
	return nil, ""
}

// ruled reports whether a path belongs to the table, so that no mount can.
func ruled(path string) bool {
	return strings.HasPrefix(path, "sys/") || strings.HasPrefix(path, "auth/token/") || path == "sys" || path == "auth/token"
}
