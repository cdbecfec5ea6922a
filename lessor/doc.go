// Package lessor is the foreground actor: it carries out what requests ask. Each verb has a file:
// issue, renew, revoke, lookup, list, tidy, and those of tokens, mounts and policies.
//
// A Lessor decides little. It settles what is uncertain (random IDs, sealed blobs, a backend's
// answer), puts it into a command, proposes that, and says what came of it; the rules live in the
// state machine, where log order decides every race. Verbs that write are called on the leader;
// Lookup, List, the counts and the jobs read this node's state, which the caller has made as fresh
// as it promises.
//
// What stands outside is handled in the order of guarantees 9, so that a crash at any point leaves
// nothing behind: an intent is committed before a backend creates anything, the answer is given
// after the lease is active, and whatever fails in between is revoked by a command that does not
// depend on the caller still being there. A target's own limit is raised before a renewal is
// proposed and lowered only after it, so that it is never shorter than the lease.
//
// Errors are *lease.Error. Unavailable promises that nothing happened; Uncertain says that it may
// have.
//
// The lessor starts no goroutine. Tidying is carried out by Run, a duty of the leader.
package lessor
