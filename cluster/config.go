package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
)

// Defaults of Config's zero fields. The election and the leader lease time-out default to the
// heartbeat time-out.
const (
	DefaultHeartbeatTimeout  = 500 * time.Millisecond
	DefaultCommitTimeout     = 20 * time.Millisecond
	DefaultSnapshotInterval  = 90 * time.Second
	DefaultSnapshotThreshold = 32768
	DefaultTrailingLogs      = 20480
	DefaultMaxClockSkew      = 2 * time.Second
	DefaultForwardHold       = 1500 * time.Millisecond
	DefaultStallLimit        = 5 * time.Second
	DefaultStabilization     = 10 * time.Second
	DefaultReconcileInterval = 30 * time.Second
	DefaultStopLimit         = 10 * time.Second
)

// Config is what a Node needs to know. NodeID, PeerBind, State, Now and Log must be set.
type Config struct {
	// NodeID is the node's stable name; ClusterName keeps the gossip of two clusters apart.
	NodeID      string
	ClusterName string
	// DataDir holds the raft log and snapshots. Empty: they are kept in memory, and a restarted
	// node is a new one. Only -dev and tests want that.
	DataDir string

	// PeerBind is where the peer port listens; PeerAdvertise (default: what PeerBind got) is how
	// others reach it. A name is resolved at each dial, so a node may come back elsewhere.
	PeerBind, PeerAdvertise string
	// GossipBind turns discovery on. GossipAdvertise defaults to the address GossipBind got.
	GossipBind, GossipAdvertise string
	// GossipKeys are of GossipKeySize bytes: the first encrypts, all decrypt. None: plain gossip.
	GossipKeys [][]byte
	// SaveGossipKeys is told the keys, in their order, each time that a step of a rotation was carried
	// out here. Its error goes to the operator and must name the file. Nil: a restart forgets them.
	SaveGossipKeys func(keys [][]byte) error
	RetryJoin      []string // gossip addresses to find others by, tried for ever
	// AskPeers are peer addresses to ask to be let in, beside what gossip finds.
	AskPeers []string
	// BootstrapExpect is how many new nodes make a new cluster once they have found each other.
	// Zero: this node only ever joins one. Without gossip only 1 makes sense.
	BootstrapExpect int
	// Bootstrap names the servers of a new cluster outright and is the same on each of them. It
	// has no effect on a node that has state.
	Bootstrap []Server

	// RequireJoinToken makes this node, when it leads, let in no node that presents no join token.
	// HashJoinToken is the keyed hash under which the state knows tokens; without it there are none.
	RequireJoinToken bool
	HashJoinToken    func(token string) (string, error)
	// JoinToken is asked, each time that this node asks to be let in, for the token that it
	// presents. Nil or "": none.
	JoinToken func() (string, error)

	APIAddr string // how clients and other nodes reach this node's API
	Version string // of the binary
	// FeatureLevel is the highest level of commands that this binary understands.
	FeatureLevel uint32

	HeartbeatTimeout, ElectionTimeout, LeaderLeaseTimeout, CommitTimeout time.Duration

	SnapshotInterval  time.Duration
	SnapshotThreshold uint64 // entries
	// TrailingLogs is how many entries stay behind a snapshot. It must be more than a cluster
	// writes in twice the time a follower needs to receive and restore a snapshot, or a wiped
	// follower starts over for ever.
	TrailingLogs uint64

	MaxClockSkew      time.Duration // how far apart wall clocks may be and still agree
	ForwardHold       time.Duration // how long a read waits for a leader
	StallLimit        time.Duration // how long a leader's disk may hold one append
	Stabilization     time.Duration // how long a new node must be healthy before it votes
	ReconcileInterval time.Duration // how often membership is looked at without an event
	StopLimit         time.Duration // how long Close waits for raft, whose disk may hang

	// Duties run on the leader. More can be added with Node.Register.
	Duties []Duty
	// Fatal is told, once and on a goroutine of its own, why this node must not go on. The node
	// has stopped applying by then. Nil: the error is logged.
	Fatal func(error)

	// Now gives monotonic time, as time.Now does. Wall gives the time of day and may jump; nil: Now.
	Now, Wall func() time.Time
	Log       *slog.Logger
	State     *fsm.State
	// Credentials put the peer port under mutual TLS; nil: plain text, for loopback only.
	Credentials Credentials
	// Network carries the peer port, below TLS; nil: TCP.
	Network Network
	// WrapLogStore, if set, may put itself in front of the log store. For fault tests.
	WrapLogStore func(raft.LogStore) raft.LogStore
	// Stores, if set, are used in place of stores in DataDir or fresh ones in memory. For tests
	// that restart a node without a disk.
	Stores *Stores
}

// Server is a member as raft's configuration has it.
type Server struct {
	ID, Address string
	Voter       bool
	Leader      bool
}

// withDefaults returns c with every zero field set.
func (c Config) withDefaults() Config {
	if c.HeartbeatTimeout == 0 {
		c.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	durations := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ElectionTimeout, c.HeartbeatTimeout},
		{&c.LeaderLeaseTimeout, c.HeartbeatTimeout},
		{&c.CommitTimeout, DefaultCommitTimeout},
		{&c.SnapshotInterval, DefaultSnapshotInterval},
		{&c.MaxClockSkew, DefaultMaxClockSkew},
		{&c.ForwardHold, DefaultForwardHold},
		{&c.StallLimit, DefaultStallLimit},
		{&c.Stabilization, DefaultStabilization},
		{&c.ReconcileInterval, DefaultReconcileInterval},
		{&c.StopLimit, DefaultStopLimit},
	}
	for _, d := range durations {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = DefaultSnapshotThreshold
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = DefaultTrailingLogs
	}
	if c.Wall == nil {
		c.Wall = c.Now
	}
	if c.Network == nil {
		c.Network = TCP{}
	}
	return c
}

// check returns every fault of c at once.
func (c Config) check() error {
	var faults []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	add(c.NodeID == "", "node ID is empty")
	add(c.PeerBind == "", "peer address to listen on is empty")
	add(c.Now == nil, "clock is nil")
	add(c.Log == nil, "logger is nil")
	add(c.State == nil, "state is nil")
	for _, key := range c.GossipKeys {
		add(len(key) != GossipKeySize, "gossip key has %d bytes, want %d", len(key), GossipKeySize)
	}
	add(len(c.GossipKeys) > MaxGossipKeys, "%d gossip keys, at most %d", len(c.GossipKeys), MaxGossipKeys)
	add(c.GossipBind == "" && len(c.RetryJoin) > 0, "retry_join needs a gossip address")
	add(c.GossipBind == "" && c.BootstrapExpect > 1, "bootstrap_expect of %d needs a gossip address", c.BootstrapExpect)
	add(c.LeaderLeaseTimeout > c.HeartbeatTimeout && c.HeartbeatTimeout > 0,
		"leader lease time-out %v is longer than the heartbeat time-out %v", c.LeaderLeaseTimeout, c.HeartbeatTimeout)
	return errors.Join(faults...)
}

// raftConfig is c in raft's words, with the settings that are not for an operator to choose.
func (c Config) raftConfig(logger *hclogger) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(c.NodeID)
	rc.HeartbeatTimeout = c.HeartbeatTimeout
	rc.ElectionTimeout = c.ElectionTimeout
	rc.LeaderLeaseTimeout = c.LeaderLeaseTimeout
	rc.CommitTimeout = c.CommitTimeout
	rc.SnapshotInterval = c.SnapshotInterval
	rc.SnapshotThreshold = c.SnapshotThreshold
	rc.TrailingLogs = c.TrailingLogs
	rc.MaxAppendEntries = 64     // entries are batches of commands already
	rc.BatchApplyCh = false      // futures in its buffer are never answered at shutdown
	rc.ShutdownOnRemove = true   // a removed node must not linger half alive
	rc.PreVoteDisabled = false   // a returning node must not depose a good leader
	rc.NoLegacyTelemetry = false // dashboards made for Vault read the old series
	rc.Logger = logger
	return rc
}
