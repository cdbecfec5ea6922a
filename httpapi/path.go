package httpapi

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// apiPrefix is what all paths of the API begin with.
const apiPrefix = "/v1/"

var errTrailingSlash = lease.Errorf(lease.Invalid, "cannot write to a path ending in '/'")

// readVerb turns the method into an operation.
func (s *Server) readVerb(c *call) error {
	if err := c.readQuery(); err != nil {
		return err
	}
	switch c.r.Method {
	case http.MethodGet:
		return c.readOrList()
	case "LIST":
		c.op = opList
	case "SCAN":
		c.op = opScan
	case http.MethodPut, http.MethodPost:
		c.op = opWrite
	case http.MethodDelete:
		c.op = opDelete
	case http.MethodHead:
		c.op = opHead
	case http.MethodPatch:
		c.op = opPatch
		if kind, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/merge-patch+json" {
			return errPatchType
		}
	case http.MethodOptions:
		return lease.Errorf(lease.Invalid, "cannot handle internal-only request operation")
	default:
		return errNoVerb
	}
	return nil
}

func (c *call) readOrList() error {
	c.op = opRead
	if c.query == nil {
		return nil
	}
	isList, err := c.queryBool("list")
	if err != nil {
		return err
	}
	isScan, err := c.queryBool("scan")
	if err != nil || isList && isScan {
		return errBadQuery
	}
	switch {
	case isList:
		c.op = opList
	case isScan:
		c.op = opScan
	}
	return nil
}

func (c *call) queryBool(name string) (bool, error) {
	text := c.query.Get(name)
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, errBadQuery
	}
	return v, nil
}

// readPath takes the path from the URL, where it was decoded exactly once, and finds its row. What
// is unclean is refused or redirected, never cleaned in silence: access is checked on what is acted
// on (T15).
func (s *Server) readPath(c *call) error {
	full := c.r.URL.Path
	if strings.Contains(full, "//") {
		clean := url.URL{Path: path.Clean(full), RawQuery: c.r.URL.RawQuery}
		if strings.HasSuffix(full, "/") {
			clean.Path += "/"
		}
		return &redirect{clean.String()}
	}
	p, ok := strings.CutPrefix(full, apiPrefix)
	if !ok || p == "" {
		return errNotFound
	}
	if err := checkURLPath(p); err != nil {
		return err
	}
	c.slash = strings.HasSuffix(p, "/")
	c.full = strings.TrimSuffix(p, "/")
	s.locate(c)
	if c.slash && (c.op == opWrite || c.op == opPatch) && !takesSlash(c.path) {
		return errTrailingSlash
	}
	return nil
}

// locate finds out where the request takes place: the namespace that the header and the beginning of
// the path name together, and the row of what is left of the path. Everything after it, access above
// all, is about that namespace and that path.
func (s *Server) locate(c *call) {
	c.route, c.rest, c.unknown, c.mount, c.inMount = nil, "", nil, nil, ""
	asked := c.r.Header.Get(headerNamespace)
	s.state.Read(func(v *fsm.View) {
		c.located = v.Index()
		base := v.NamespaceByPath(asked)
		if c.nsKnown = base != nil; !c.nsKnown {
			c.ns, c.path = namespace{}, c.full
			return
		}
		ns, rest := v.NamespaceAt(base, c.full)
		c.ns, c.path = namespace{ns.ID, ns.Path}, rest
		if !ruled(rest) {
			c.mount = v.MountOf(ns.ID, rest)
		}
	})
	s.find(c)
	if c.route != nil && c.route.rootOnly && c.ns.id != "" && (c.route.access != open || c.op == opWrite || c.path != c.full) {
		c.route, c.unknown = nil, errUnsupportedPath
	}
}

// relocate is locate once more, if the state has moved since: on a follower it may have been old.
func (s *Server) relocate(c *call) {
	if s.state.Applied() != c.located {
		s.locate(c)
	}
}

// checkURLPath refuses what could be mistaken for another path or forge a line of a log.
func checkURLPath(p string) error {
	if err := field.CheckText(p); err != nil {
		return lease.Errorf(lease.Invalid, "the path %s: use plain text", err)
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return lease.Errorf(lease.Invalid, "relative paths not supported")
		}
	}
	return nil
}

// takesSlash: a prefix of leases may be written with a slash at its end.
func takesSlash(p string) bool {
	for _, verb := range [...]string{"revoke-prefix/", "revoke-force/"} {
		if strings.HasPrefix(p, "sys/leases/"+verb) || strings.HasPrefix(p, "sys/"+verb) {
			return true
		}
	}
	return false
}

// find looks the path up: in the table, or among the mounts. A path that is not there, or does not
// take the verb, is told only to callers whose policies reach it.
func (s *Server) find(c *call) {
	if !ruled(c.path) {
		s.findMount(c)
		return
	}
	if c.slash && c.op == opRead && !namesMount(c.path) {
		c.unknown = errUnsupportedPath
		return
	}
	ep, rest := s.router.find(c.path)
	switch {
	case ep == nil:
		c.unknown = errUnsupportedPath
	case ep.rows[c.op] == nil && c.op == opRead && c.query.Has("help"):
		c.route = ep.helped()
	case ep.rows[c.op] == nil && c.op == opList && ep.rows[opRead] != nil && ep.rows[opWrite] == nil:
		c.unknown = errUnsupportedPath
	case ep.rows[c.op] == nil:
		c.unknown = errUnsupportedVerb
	default:
		c.route, c.rest = ep.rows[c.op], rest
		if c.route.folds {
			c.rest = strings.ToLower(rest)
			c.path = c.path[:len(c.path)-len(rest)] + c.rest
		}
	}
}

// namesMount: below these a mount is named, which many write with the slash at its end.
func namesMount(p string) bool {
	for _, prefix := range [...]string{"sys/mounts/", "sys/auth/", "sys/internal/ui/mounts/", "sys/namespaces/"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

// The routes of everything below a mount.
var (
	mountQuery = route{path: "<mount>", handler: (*Server).handleMount}
	mountWrite = route{path: "<mount>", where: onLeader, handler: (*Server).handleMount}
	mountIssue = route{path: "<mount>", where: onLeader, handler: (*Server).issue}
	mountLogin = route{path: "<mount>", where: onLeader, access: open, handler: (*Server).login}
)

// findMount asks the mount of the path how the request must be served. On a follower the answer may
// come from an old state, so it is asked again once the state is new enough.
func (s *Server) findMount(c *call) {
	if c.mount == nil {
		c.unknown = lease.Errorf(lease.NotFound, "no handler for route %q. route entry not found.", c.path)
		return
	}
	c.inMount = strings.TrimPrefix(strings.TrimPrefix(c.path, strings.TrimSuffix(c.mount.Path, "/")), "/")
	switch {
	case c.op.backend() == 0:
		c.unknown = errUnsupportedVerb
		return
	case c.slash && c.op != opList: // only lists take it: what is named with a slash is another thing
		c.unknown = errUnsupportedPath
		return
	}
	if folded := s.lessor.Fold(c.mount, c.inMount); folded != c.inMount {
		c.path = c.path[:len(c.path)-len(c.inMount)] + folded
		c.inMount = folded
	}
	class, err := s.lessor.Route(c.mount, c.op.backend(), c.inMount)
	switch {
	case err != nil:
		c.unknown = err
	case class == backend.Issue:
		c.route = &mountIssue
	case class == backend.Login:
		c.route = &mountLogin
	case class == backend.Change:
		c.route = &mountWrite
	default:
		c.route = &mountQuery
	}
}
