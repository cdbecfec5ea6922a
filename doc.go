// Package leasehold is the root of the module. It holds no code; its tests keep the house in order:
// who may import whom, which library belongs where, and which versions go together.
//
//	level 4   cmd/leasehold --> everything below      cmd/leasehold/cli --> client
//	level 3   httpapi --> lessor, policy, client
//	level 2   lessor --> fsm, backend    expiration --> fsm, backend    cluster --> fsm, cert
//	          (siblings: none of the three imports another)
//	level 1   fsm --> lease     backend --> lease     backend/<name> --> backend     policy --> lease
//	level 0   lease      client      seal      cert       (standard library only)
//
// A request walks: httpapi (who asks, may they, does this node lead) --> lessor (the verb) -->
// cluster (one log entry) --> fsm (the decision). What the clock does walks: fsm (what is due) -->
// expiration (the plan, the calls to backends) --> cluster --> fsm.
package leasehold
