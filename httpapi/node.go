package httpapi

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Leadership says who leads and from when on a read is linearizable.
type Leadership interface {
	ID() string
	// IsLeader reports whether this node believes to lead; Ready, whether its state then holds all
	// that its predecessors committed, so that it may serve.
	IsLeader() bool
	Ready() bool
	Term() uint64
	// Now is this node's log time.
	Now() lease.Time
	// ReadIndex returns when this node's state is at least as new as every write acknowledged
	// before the call, with the leader's log time. The error is Unavailable.
	ReadIndex(ctx context.Context) (lease.Time, error)
	// LeaderID is "" while nobody is known to lead. LeaderAPIAddr is where clients reach the
	// leader, "" if that is not known.
	LeaderID() string
	LeaderAPIAddr() string
	// LastContact is how long ago this node heard the leader, and whether it ever did.
	LastContact() (time.Duration, bool)
	// DialPeer connects to the listener on which a member takes forwarded requests.
	DialPeer(ctx context.Context, id string) (net.Conn, error)
	CommitIndex() uint64
	AppliedIndex() uint64
}

// Membership is what operators do to the cluster. All verbs are the leader's but Members, Snapshot,
// AutopilotSettings, HasState and AskToJoin.
type Membership interface {
	Members() (Members, error)
	RemovePeer(ctx context.Context, id string) error
	StepDown(ctx context.Context) error
	// HAStatus asks all members how they are; Autopilot is what the leader found when it last looked.
	HAStatus(ctx context.Context) ([]client.HANode, error)
	Autopilot() (client.AutopilotState, error)
	// AutopilotSettings have the defaults filled in.
	AutopilotSettings() fsm.Autopilot
	SetAutopilot(ctx context.Context, a fsm.Autopilot) error
	// CreateJoinToken makes a token for a node to come; a ttl of 0 is the default.
	CreateJoinToken(ctx context.Context, nodeID string, ttl time.Duration) (JoinToken, error)
	// GossipKeyring is which gossip keys the members have. ChangeGossipKeyring carries a step, "install",
	// "use" or "remove", out on all of them.
	GossipKeyring(ctx context.Context) (GossipKeyring, error)
	ChangeGossipKeyring(ctx context.Context, step, key string) (GossipKeyring, error)
	// HasState reports whether this node belongs to a cluster; AskToJoin names a peer address at which a
	// node that does not may ask to be let in. It returns an error if the node must not ask there.
	HasState() bool
	AskToJoin(peerAddr string) error
	// Snapshot opens a snapshot of this node's state.
	Snapshot() (SnapshotMeta, io.ReadCloser, error)
	// Restore replaces the state of the cluster by a snapshot's, which nobody else uses, held for reason.
	Restore(ctx context.Context, state *fsm.State, reason string) error
}

// Node is this node of the cluster.
type Node interface {
	Leadership
	Membership
}

// GossipKeyring is what the members have, and what an operator must see to.
type GossipKeyring struct {
	Keys     client.GossipKeyring
	Warnings []string
}

// JoinToken lets a node be a member, once.
type JoinToken struct {
	NodeID, Token string
	Expires       lease.Time
}

// Members is the replicated membership; Index is where it was last changed.
type Members struct {
	Index   uint64
	Servers []Member
}

// Member is one server of the cluster.
type Member struct {
	ID, Address   string
	Voter, Leader bool
}

// SnapshotMeta describes a snapshot.
type SnapshotMeta struct {
	ID          string
	Index, Term uint64
	Size        int64 // bytes
}
