package cluster

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// The leader's side of membership. Nothing here listens to gossip: a node asks for itself.

// serveJoin answers verbJoin.
func (n *Node) serveJoin(ctx context.Context, body []byte) ([]byte, error) {
	var req joinRequest
	if err := json.Unmarshal(body, &req); err != nil || req.ID == "" || req.PeerAddr == "" {
		return nil, lease.Errorf(lease.Invalid, "a join request needs an id and a peer_addr")
	}
	if !speaksFor(ctx, req.ID) {
		return nil, notInTheNameOf(ctx, req.ID)
	}
	if !n.Ready() {
		leader := n.leaderAddr()
		if leader.addr == n.peerAddr {
			leader = nodeAddr{}
		}
		return json.Marshal(joinAnswer{Leader: leader.addr, LeaderID: leader.id})
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	if err := n.admit(ctx, req); err != nil {
		return nil, err
	}
	return json.Marshal(joinAnswer{Done: true})
}

// admit makes the asking node a member, as a non-voter until it has caught up, or moves its
// address.
func (n *Node) admit(ctx context.Context, req joinRequest) error {
	n.member.change.Lock()
	defer n.member.change.Unlock()
	if level := n.featureLevel(); req.FeatureLevel < level {
		return lease.Errorf(lease.Invalid, "%s", tooOld(level, req.FeatureLevel).Error())
	}
	var current *raft.Server
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return proposalError(err)
	}
	for _, s := range future.Configuration().Servers {
		switch {
		case string(s.ID) == req.ID:
			current = &s
		case string(s.Address) == req.PeerAddr:
			return lease.Errorf(lease.Conflict, "address %s belongs to node %s: remove that one first", req.PeerAddr, s.ID)
		}
	}
	if current == nil && req.WasMember {
		// The node will stop at this word, so it must not come from a leader of the past.
		if _, err := n.leaderReads.join(ctx); err != nil {
			return err
		}
		n.log.Warn("a removed node asks to be let in again", "id", req.ID, "peer_addr", req.PeerAddr)
		return &lease.Error{Code: lease.Denied, Message: errRemoved.Error()}
	}
	if current == nil {
		if err := n.spendJoinToken(ctx, req); err != nil {
			return err
		}
	}
	if err := n.putNode(ctx, fsm.Node{
		ID: req.ID, PeerAddr: req.PeerAddr, APIAddr: req.APIAddr,
		Version: req.Version, FeatureLevel: req.FeatureLevel,
	}); err != nil {
		return err
	}
	if current != nil && string(current.Address) == req.PeerAddr {
		return nil
	}
	n.log.Info("member joins or moves", "id", req.ID, "peer_addr", req.PeerAddr, "known", current != nil)
	// For a voter this changes the address alone.
	change := n.raft.AddNonvoter(raft.ServerID(req.ID), raft.ServerAddress(req.PeerAddr), future.Index(), changeLimit)
	if err := change.Error(); err != nil {
		return proposalError(err)
	}
	if current == nil {
		n.voidJoinToken(ctx, req.ID)
	}
	return nil
}

// RemovePeer takes a member out of the cluster. The member stops.
func (n *Node) RemovePeer(ctx context.Context, id string) error {
	return n.removePeer(ctx, id, func() error { return nil })
}

// removePeer is RemovePeer if check, which is called while nobody else changes the membership, lets it.
func (n *Node) removePeer(ctx context.Context, id string, check func() error) error {
	if !n.Ready() {
		return errNotLeader
	}
	n.member.change.Lock()
	defer n.member.change.Unlock()
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return proposalError(err)
	}
	if _, ok := n.server(id); !ok {
		return lease.Errorf(lease.NotFound, "there is no member %q", id)
	}
	if err := check(); err != nil {
		return err
	}
	n.voidJoinToken(ctx, id)
	forget := func() error {
		_, err := n.proposer.propose(ctx, &command.DeleteNode{Id: id})
		return err
	}
	if id == n.cfg.NodeID {
		if err := forget(); err != nil { // afterwards it could not
			return err
		}
	}
	n.log.Info("removing member", "id", id)
	if err := n.raft.RemoveServer(raft.ServerID(id), future.Index(), changeLimit).Error(); err != nil {
		return proposalError(err)
	}
	if id == n.cfg.NodeID {
		return nil
	}
	return forget()
}

// serveLeave answers verbLeave.
func (n *Node) serveLeave(ctx context.Context, body []byte) ([]byte, error) {
	if !speaksFor(ctx, string(body)) {
		return nil, notInTheNameOf(ctx, string(body))
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	return nil, n.RemovePeer(ctx, string(body))
}

// reconcile is the leader's duty to forget the addresses of nodes that are no members (a leader may
// have stopped between the two steps of a removal) and to correct its own.
func (n *Node) reconcile(ctx context.Context) error {
	tick := time.NewTicker(n.cfg.ReconcileInterval)
	defer tick.Stop()
	for {
		err := n.forgetStrangers(ctx)
		if err == nil {
			err = n.moveSelf()
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("members were not reconciled", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (n *Node) forgetStrangers(ctx context.Context) error {
	n.member.change.Lock()
	defer n.member.change.Unlock()
	var nodes []fsm.Node
	n.cfg.State.Read(func(v *fsm.View) { nodes = v.Nodes() })
	for _, node := range nodes {
		if _, ok := n.server(node.ID); ok {
			continue
		}
		if _, err := n.proposer.propose(ctx, &command.DeleteNode{Id: node.ID}); err != nil {
			return err
		}
	}
	return nil
}

// moveSelf corrects the leader's own address in raft's configuration after a start elsewhere.
func (n *Node) moveSelf() error {
	n.member.change.Lock()
	defer n.member.change.Unlock()
	self, ok := n.server(n.cfg.NodeID)
	if !ok || string(self.Address) == n.peerAddr {
		return nil
	}
	return n.raft.AddNonvoter(self.ID, raft.ServerAddress(n.peerAddr), 0, changeLimit).Error()
}
