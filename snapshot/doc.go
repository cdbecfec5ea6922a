// Package snapshot is the file that a cluster is saved to and restored from.
//
// It is a gzipped tar archive with the members that the stock clients look for, in this order:
//
//	meta.json          ID, index, term and size, in the words of raft's own tools
//	state.bin          the stream that package fsm writes
//	SHA256SUMS         of both
//	SHA256SUMS.sealed  the manifest: a line of JSON with these sums, index, term and the cluster's ID, and
//	                   its HMAC under a key that HKDF makes from the cluster's keyring
//
// The clients take an archive without the last one for cut short. What they cannot do is check it: only
// who has the seal key can, because the keyring that made the code lies, wrapped by that key, in the state
// itself. So a snapshot needs no other file to be restored, and nobody without the key can make one, or
// change one, that a cluster takes (T10, T11). An older snapshot of the same cluster is a good one: who may
// restore decides how old it may be.
//
// Read trusts nothing: sizes are bounded, members come once and in order, sums and counts must be right,
// the whole state must decode, and then Verify must find the code right.
package snapshot
