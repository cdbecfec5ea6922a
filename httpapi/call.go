package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/policy"
)

// operation is what a request's method asks of a path.
type operation uint8

const (
	opRead operation = iota
	opList
	opWrite // PUT and POST are the same
	opDelete
	opPatch // no path takes it; it is named so that it is refused in Vault's order
	opHead  // of the open routes only
	opScan  // OpenBao's recursive list; no path takes it
	opCount
)

// capability is what an operation needs of a policy.
func (o operation) capability() policy.Capability {
	switch o {
	case opList, opScan:
		return policy.List
	case opWrite:
		return policy.Update
	case opDelete:
		return policy.Delete
	case opPatch:
		return policy.Patch
	}
	return policy.Read
}

// backend is the operation as engines know it; 0 for what no engine takes.
func (o operation) backend() backend.Operation {
	switch o {
	case opRead:
		return backend.Read
	case opList:
		return backend.List
	case opWrite:
		return backend.Write
	case opDelete:
		return backend.Delete
	}
	return 0
}

// call is one request on its walk through the pipeline.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	cancel context.CancelFunc // ends ctx's timer; nil while there is none
	id     string             // request ID
	peer   bool               // another node forwarded it
	addr   string             // of the client

	op    operation
	full  string // below /v1/, decoded once, without slashes at either end
	slash bool   // there was one at the end
	path  string // full below the request's namespace
	query url.Values
	body  []byte
	// wrapTTL is how long the answer is to be kept behind a wrapping token; 0: it is not wrapped.
	wrapTTL time.Duration

	// located is the index of the state in which the path was looked up.
	located uint64

	// What the path leads to: a row of the table, or nil with the reason. unknown is answered to
	// callers who may know it.
	route   *route
	rest    string // what the row's pattern captured
	unknown error
	mount   *lease.Mount // of the catch-all
	inMount string

	params map[string]any
	in     *field.Reader

	target    string // the lease that will be acted on, for the routes that act on one
	targetErr error

	now     lease.Time // log time that the answer is valid at
	term    uint64     // of the leadership that serves it, 0 on any other node
	token   *lease.Token
	acl     *policy.ACL
	home    namespace // the token's
	ns      namespace // the request's; nsKnown: there is one of the name that the header gives
	nsKnown bool
	// ownOnly: the rule that allowed the call reaches only leases of the token and its descendants.
	ownOnly bool
	// unproposed: the handler answered from this leader's state alone.
	unproposed bool
}

// namespace is where a request takes place.
type namespace struct {
	id   string // "" is the root
	path string // with a slash at its end; "" is the root
}

// reader reads the call's parameters.
func (c *call) reader() *field.Reader {
	if c.in == nil {
		c.in = field.Read(c.params)
	}
	return c.in
}

// flag reads a truth value of the query, false when it is absent.
func (c *call) flag(name string) (bool, error) {
	if c.query == nil || c.query.Get(name) == "" {
		return false, nil
	}
	v, err := field.ParseBool(c.query.Get(name))
	if err != nil {
		return false, errBadQuery
	}
	return v, nil
}

// within is how the token's policies, which are those of its own namespace, begin the paths of the
// request's. The one lies in the other: see authenticate.
func (c *call) within() string { return c.ns.path[len(c.home.path):] }

// clientAddr is where the client's connection comes from; invalid if that is not known.
func (c *call) clientAddr() netip.Addr {
	at, err := netip.ParseAddrPort(c.addr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
