package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Configuration is the membership as raft has it.
type Configuration struct {
	Index   uint64 // of the entry that made it
	Servers []Server
}

// Configuration returns the latest membership that this node knows.
func (n *Node) Configuration() (Configuration, error) {
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return Configuration{}, proposalError(err)
	}
	_, leader := n.raft.LeaderWithID()
	c := Configuration{Index: future.Index()}
	for _, s := range future.Configuration().Servers {
		c.Servers = append(c.Servers, Server{
			ID: string(s.ID), Address: string(s.Address),
			Voter: s.Suffrage == raft.Voter, Leader: s.ID == leader,
		})
	}
	return c, nil
}

// servers are the members of the latest configuration; none if it cannot be had.
func (n *Node) servers() []raft.Server {
	future := n.raft.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

// server returns one member of the latest configuration.
func (n *Node) server(id string) (raft.Server, bool) {
	for _, s := range n.servers() {
		if string(s.ID) == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// LeaderID is the leader that this node knows of, "" if none.
func (n *Node) LeaderID() string {
	_, id := n.raft.LeaderWithID()
	return string(id)
}

// LeaderAPIAddr is where the leader's API is, "" if that is not known. Like all API addresses it
// comes from the replicated state, never from gossip: bearer tokens are sent there.
func (n *Node) LeaderAPIAddr() string { return n.APIAddr(n.LeaderID()) }

// APIAddr is where a member's API is, "" if that is not known.
func (n *Node) APIAddr(id string) string {
	var node fsm.Node
	n.cfg.State.Read(func(v *fsm.View) { node, _ = v.Node(id) })
	return node.APIAddr
}

// LastContact is how long ago this node heard the leader, and whether it ever did. On the leader
// it is zero.
func (n *Node) LastContact() (time.Duration, bool) {
	if n.IsLeader() {
		return 0, true
	}
	last := n.raft.LastContact()
	if last.IsZero() {
		return 0, false
	}
	return max(n.cfg.Now().Sub(last), 0), true
}

// CommitIndex is the last raft index that this node knows to be committed.
func (n *Node) CommitIndex() uint64 { return n.raft.CommitIndex() }

// AppliedIndex is the last raft index whose effects this node's state shows.
func (n *Node) AppliedIndex() uint64 { return n.cfg.State.Applied() }

// Term is this node's raft term.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// StepDown makes another voter the leader.
func (n *Node) StepDown(ctx context.Context) error {
	if !n.IsLeader() {
		return errNotLeader
	}
	if !n.hasHeirs() {
		return lease.Errorf(lease.Unavailable, "there is no other voter that could take over")
	}
	if err := n.transfer(ctx); err != nil {
		return &lease.Error{Code: lease.Unavailable, Message: "no other node could take over", Err: err}
	}
	return nil
}

// SnapshotMeta describes a snapshot.
type SnapshotMeta struct {
	ID          string
	Index, Term uint64
	Size        int64
}

// Snapshot takes a snapshot of this node's state and opens it. If nothing changed since the last
// one, that one is opened.
func (n *Node) Snapshot() (SnapshotMeta, io.ReadCloser, error) {
	future := n.raft.Snapshot()
	err := future.Error()
	var (
		meta *raft.SnapshotMeta
		body io.ReadCloser
	)
	switch {
	case err == nil:
		meta, body, err = future.Open()
	case errors.Is(err, raft.ErrNothingNewToSnapshot):
		meta, body, err = n.newestSnapshot()
	}
	if err != nil {
		return SnapshotMeta{}, nil, &lease.Error{Code: lease.Internal, Message: "the snapshot could not be taken", Err: err}
	}
	return SnapshotMeta{ID: meta.ID, Index: meta.Index, Term: meta.Term, Size: meta.Size}, body, nil
}

func (n *Node) newestSnapshot() (*raft.SnapshotMeta, io.ReadCloser, error) {
	list, err := n.stores.Snapshots.List()
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, errors.New("there is no snapshot")
	}
	return n.stores.Snapshots.Open(list[0].ID)
}

// DialLeader connects to the leader's PeerListener.
func (n *Node) DialLeader(ctx context.Context) (net.Conn, error) {
	leader := n.leaderAddr()
	if leader.addr == "" {
		return nil, errNoLeader
	}
	return n.dial(ctx, leader, protoHTTP)
}

// DialPeer connects to a member's PeerListener.
func (n *Node) DialPeer(ctx context.Context, id string) (net.Conn, error) {
	s, ok := n.server(id)
	if !ok {
		return nil, lease.Errorf(lease.NotFound, "there is no member %q", id)
	}
	return n.dial(ctx, addrOf(s), protoHTTP)
}

// handlers are the calls that this node answers.
func (n *Node) handlers() map[verb]callHandler {
	return map[verb]callHandler{
		verbTerm:      {quick: true, serve: n.serveTerm},
		verbClock:     {quick: true, serve: n.serveClock},
		verbReadIndex: {serve: n.serveReadIndex},
		verbStats:     {serve: n.serveStats},
		verbJoin:      {serve: n.serveJoin},
		verbLeave:     {serve: n.serveLeave},
		verbFounders:  {serve: n.serveFounders},
		verbMember:    {serve: n.serveMember},
		verbKeyring:   {serve: n.serveKeyring},
	}
}
