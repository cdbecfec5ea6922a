// Package bench is "leasehold bench": it measures a running cluster through its HTTP API and prints
// figures that anyone can get again with the same command. docs/benchmarks.md records them.
//
// The load comes from a small HTTP client of its own, since load generator and servers share the
// machine in most runs: what the generator burns is missing at the nodes.
//
// Every run is bounded in time and in requests, goes to the addresses it was given and nowhere else,
// and leaves nothing behind but the leases below its own prefix, which it revokes at the end.
package bench
