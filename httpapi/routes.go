package httpapi

import "slices"

// where says which node serves a route.
type where uint8

const (
	// The zero value is any node: it reads the replicated state, so the node that was asked serves it,
	// once its state is new enough.
	_ where = iota
	// onLeader changes the replicated state: it is forwarded to the leader.
	onLeader
	// thisNode is about the node that was asked and nobody else.
	thisNode
)

// verbs is a set of operations.
type verbs uint8

const (
	read   = verbs(1 << opRead)
	list   = verbs(1 << opList)
	write  = verbs(1 << opWrite)
	remove = verbs(1 << opDelete)
)

// route is a row of the table. The capability follows from the verb.
type route struct {
	verbs verbs
	// path below /v1/. A "*" stands for one or more segments, which the handler finds in call.rest.
	path    string
	where   where
	access  access
	handler func(*Server, *call) (answer, error)
	help    string
	// oneLease names the verb below sys/leases/ with which the route acts on the single lease of
	// the parameter lease_id or of the path. Such a call is authorized on the canonical path of
	// the lease it will act on, and may be allowed for own leases only.
	oneLease string
	// canonical is the path that an old alias stands for: a rule for either counts.
	canonical  string
	stream     bool // its handler reads the body, which may be large
	slow       bool // may take longer than ordinary requests
	bodyOnRead bool // takes parameters from a body even where the verb is GET
	rootOnly   bool // about the cluster: it is not there in a child namespace
	opens      bool // a wrapping token may call it: it opens what the token wraps
	folds      bool // what the "*" stands for is a name in lower case, however it is written
}

// access is what a route asks of its caller besides the verb's capability.
type access uint8

const (
	byPolicy access = iota // a token whose policies grant the capability
	sudo                   // and sudo
	anyToken               // a valid token; the handler shows what its policies reach
	open                   // nothing: no token is looked at
)

// routes is the table of everything but the mounts' own paths.
var routes = slices.Concat(leaseRoutes, tokenRoutes, policyRoutes, mountRoutes, namespaceRoutes, wrappingRoutes, careRoutes,
	inRoot(clusterRoutes), inRoot(snapshotRoutes))

// inRoot marks rows that are about the cluster as a whole: no tenant has them, whatever its policies say.
func inRoot(rows []route) []route {
	for i := range rows {
		rows[i].rootOnly = true
	}
	return rows
}
