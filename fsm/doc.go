// Package fsm is the replicated state machine: every lease, token, mount, policy and revocation
// job, and the one function that changes them.
//
// Apply is a function of (state, entry). It reads no clock, no random source, no environment, no
// file and no network, and never lets the order of a Go map reach a result: time, IDs, names,
// sealed blobs and the outcomes of calls to the world come in as facts inside commands. So every
// node that applies the same log holds the same state, and Hash proves it.
//
// # What is replicated and what is derived
//
// Replicated, and written to snapshots: leases, tokens, mounts and their sealed entries, policies,
// namespaces, nodes, jobs, idempotency keys, log time, the epoch, and the count of commands.
// Derived, rebuilt on restore and never written: the due index, the lists of leases by owner and of
// tokens by parent, the orders of irrevocable leases, of accessors and of entries that end, the lists
// of policies that tokens share, and all counts.
//
// # Time
//
// An entry carries the leader's log time; the state keeps the largest it has seen, so time never
// runs backwards (S10). A command is decided at that time, wherever it was received.
//
// # Order
//
// Every command gets a sequence number, the entry it travels in does not matter: two commands packed
// into one entry have an order. A revocation job covers what is older than the command that opened it.
// Closing a namespace and disabling a mount open such a job, and are more: nothing new is made in what
// is going, and it goes, with what it keeps, when the job is done and nothing is left. A mount that moves
// is emptied in the same way, keeps what it keeps and then serves at its new path. A job that tidies
// is less: it covers nothing, and what it takes is dead when it comes by.
//
// # Ends and attempts
//
// That a lease has ended and that its target is destroyed are two things. While a mount is frozen its
// leases end as always and no attempt at their targets is made: none can be claimed, and none is due.
// Whether a target is down is what the leader reports; it only shows, and stops nothing.
//
// # Restores
//
// An operator's restore replaces the state by one that Rebase has prepared: time, the count of commands
// and the members' records never go back, and nothing ends while Hold stands, neither by the clock nor by a
// sweep nor at a target. What is dead stays dead to its holders. Each restore has an ID, the lineage of all
// that follows; a leader begins by naming its own, and a node whose state is of another one stops.
//
// # Concurrency
//
// Apply, Restore, Advance and Snapshot are called by one goroutine. Read may be called by any number
// of goroutines meanwhile. Stored values are immutable, so pointers taken in Read stay good.
package fsm
