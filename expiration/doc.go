// Package expiration is what time does: it ends leases that are due, sweeps revocation jobs and has
// targets destroyed. It runs on the leader only.
//
// It has two parts. Plan is the pure one: it looks at the state, at the time and at what is under
// way, and says what to do next and when to look again. Scheduler is the loop around it: it
// proposes what the plan says, hands claimed leases to bounded workers, and proposes their outcomes.
//
// What it promises:
//
//   - It keeps no truth of its own. What is due, how often an attempt failed and when the next one
//     is due are replicated; a new leader goes on where the last one stopped and rebuilds nothing.
//   - Nothing is destroyed before the log says that it may be: a lease is claimed first, and the
//     claim's number, which grows, goes to the target as a fencing index (S13, S14). Every outcome
//     names its claim, so what an older leader brings too late changes nothing.
//   - A mount that fails or hangs delays its own leases only: it has its own slots, each call has a
//     deadline, mounts take turns, and one may have a rate that is kept in every second (L7, L12).
//   - A target that is down costs its leases nothing but time: after five failures in a row its mount's
//     circuit breaker opens, and it is probed with one call at a time, at most five minutes apart, until
//     it answers. Then all that waits is due at once, what was given up too (L5). Only what the target
//     fails at counts: no error that is permanent, none that comes before the call, and no failure of a
//     lease that is irrevocable already. The state knows whether a breaker is open (lease.Mount.Down), so
//     that the next leader begins with a probe.
//   - Of a frozen mount nothing is claimed until it is thawed or the freeze ends.
//   - While the state is held after a restore nothing at all is ended, swept or claimed (S23).
//   - Clients come first: at most one batch of expiries is under way, and all batches are bounded.
//   - When its context ends nothing more is proposed, calls are cancelled, and Run returns once
//     every worker has (S24).
//
// An unknown outcome of a proposal is never guessed at: the loop pauses and looks at the state.
package expiration
