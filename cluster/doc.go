// Package cluster makes one replicated state machine out of several nodes. It is the only package
// that knows hashicorp/raft and memberlist; the others see a Node: something that proposes
// commands, says who leads, and tells from which index on a read is linearizable.
//
// What it promises:
//
//   - Propose returns a result only after the command was synced to disk on a majority and applied
//     here. Its errors keep two things apart: lease.Unavailable says that nothing happened,
//     lease.Uncertain that it may have happened or may still happen.
//   - Log time enters a command in one line of propose.go. It is made of the last applied log time
//     and this node's monotonic clock, so that no wall clock decides when a lease ends, and it
//     never goes backwards (see clock.go).
//   - ReadIndex returns when this node's state holds every write acknowledged before the call: a
//     majority was asked for its term after the call came in (readindex.go).
//   - A duty runs on the leader only, after the state holds all of its predecessors' entries and
//     an Epoch entry fences what they left unfinished. At most one leadership runs at a time on a
//     node: the next one waits until all duties of the last have returned (leadership.go).
//   - Gossip is a hint. It tells a node whom to ask; what the cluster is made of is changed only by
//     a request between nodes on the peer port, and by the leader (membership.go).
//
// One TCP port, the peer port, carries everything between nodes. The first byte of a connection
// names its protocol: raft's, small calls between nodes, or HTTP that a follower forwards
// (mux.go). Whoever wraps Network secures all three at once.
package cluster
