// Package failover plays faults against three real nodes while clients hit every one of them, and has
// package history judge what the clients and a target saw. scripts/failover.sh runs it; docs/reliability.md
// tells what it found.
//
// A run is a series of strikes. Before each the cluster is well and under load; then a fault strikes a
// node, lasts, and is healed; when every node serves again the clients pause, every lease that was
// acknowledged is looked up on every node, states, leases and the target are compared, and all that was
// seen since the audit before is judged.
package failover
