// Package history judges what clients and a target saw of a cluster. A run writes down every call as an
// Event; a Checker reads the events, in the run or from a file afterwards, and says at each audit which
// of the guarantees were broken since the one before. It keeps nothing of leases that are gone, so that
// a run may be as long as one likes.
//
// Per lease, all that was seen must be one order of calls (S5, S6, S7): issue, renew, lookup, list,
// revoke, revoke-prefix, and the moment in which the target destroyed. Calls of unknown outcome may take
// effect at any time after they were sent, or never. Times of leases are held to Epsilon: no end before
// the last acknowledged one (S1, S2), no renewal behind an end (S3, S11). Beside it, revoke-prefix is one
// moment for all leases below the prefix (S8), an Idempotency-Key has one lease (S20), nothing is left at
// the target that no lease stands for, and nothing that was destroyed has a living lease (S12, S15), and
// the nodes hold one state (S18).
package history
