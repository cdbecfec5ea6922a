package faults

import (
	"context"
	"time"
)

// Aim says which node a fault strikes.
type Aim int

// What a fault may be aimed at.
const (
	Leader   Aim = iota // the node that leads
	Follower            // one that does not
	Any                 // one by chance
	All                 // every node: Strike is called once, with node 0
)

// Fault is one kind of harm.
type Fault struct {
	Name string // as the report calls it, such as "one-way partition"
	Aim  Aim
	// Keeps: a leader that suffers it may go on to lead, so that a run without a change of leader is no
	// void one.
	Keeps bool
	// Strike does it to a node, counted from 1, and returns how to undo it. Heal is called once, also
	// when the run is over or was interrupted; afterwards the node runs, or can be started. An error of
	// Strike says that nothing was done.
	Strike func(ctx context.Context, node int) (heal func() error, err error)
	// Least and Most bound how long it lasts before it is healed.
	Least, Most time.Duration
}

// Cluster is what faults are done to. Its nodes are counted from 1. Its methods are safe for concurrent
// use.
type Cluster interface {
	// Size is the number of nodes.
	Size() int
	// API is the address of a node's API as the host reaches it, "http://127.0.0.1:8810".
	API(node int) string
	// Dir holds the files of a node that runs as a process: config.hcl, log, data. "" for a container.
	Dir(node int) string
	// Container is the name of a node's container, "" for a process.
	Container(node int) string
	// Pid is the node's process as the host counts it, 0 if it does not run.
	Pid(node int) int
	// Leader is the node that leads. It waits for one until ctx ends.
	Leader(ctx context.Context) (int, error)
	// Start starts a node that does not run, with its data, and returns when its API answers.
	Start(ctx context.Context, node int) error
	// Kill ends a node with SIGKILL and returns when it is gone.
	Kill(ctx context.Context, node int) error
	// Stop ends a node with SIGTERM and returns when it is gone.
	Stop(ctx context.Context, node int) error
}

// Environment makes faults possible that need something in place before the cluster starts: file
// systems, proxies, wrappers of the nodes' processes.
type Environment interface {
	// Prepare makes ready for a cluster of processes whose files will lie below dir, and returns what
	// scripts/cluster.sh and the nodes find in their environment besides what is there.
	Prepare(ctx context.Context, dir string, nodes int) (env []string, err error)
	// Faults are the kinds of harm to c that are possible here.
	Faults(c Cluster) []Fault
	// Close undoes all that Prepare and faults did, also after a failed run. The nodes are gone by then.
	Close() error
}
