package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

const (
	memberPauseMin = 200 * time.Millisecond // between looks while not settled
	memberPauseMax = 5 * time.Second
	lonelyAfter    = 5 * time.Second  // without a leader: is this node still a member?
	changeLimit    = 10 * time.Second // for a change of membership
)

var errRemoved = errors.New("this node was removed from the cluster: to let it join again, empty its data directory")

// memberState is what this node knows of its own membership.
type memberState struct {
	change  serial     // leader: one change of membership at a time
	mu      sync.Mutex // guards what follows
	was     bool       // raft's configuration had this node in it at some time
	leaving bool
	told    bool // gossip knows that this node has state
	ask     []namedPeer
}

// joinRequest is a node's own request to be a member under its address, or to have its address
// changed. It is repeated until the state has it.
type joinRequest struct {
	ID           string `json:"id"`
	PeerAddr     string `json:"peer_addr"`
	APIAddr      string `json:"api_addr"`
	Version      string `json:"version"`
	FeatureLevel uint32 `json:"feature_level"`
	// WasMember: the node knows itself as a member; if it is none, it was removed.
	WasMember bool `json:"was_member"`
	// JoinToken is for a node that is no member yet.
	JoinToken string `json:"join_token,omitempty"`
}

// joinAnswer tells a joiner that it is done, or whom to ask.
type joinAnswer struct {
	Done     bool   `json:"done"`
	Leader   string `json:"leader,omitempty"` // its address
	LeaderID string `json:"leader_id,omitempty"`
}

// keepMembership makes this node a member and keeps its addresses in the state up to date.
func (n *Node) keepMembership(ctx context.Context) {
	var changed <-chan struct{}
	if n.gossip != nil {
		changed = n.gossip.changed
	}
	pause := memberPauseMin
	for {
		wait := n.cfg.ReconcileInterval
		settled, err := n.lookAtMembership(ctx)
		if ctx.Err() != nil {
			return
		}
		var refused *lease.Error
		switch {
		case errors.As(err, &refused) && refused.Code == lease.Invalid:
			n.log.Warn("the cluster does not let this node in", "reason", refused.Message)
		case err != nil:
			n.log.Info("waiting for the cluster", "reason", err)
		}
		switch {
		case !settled:
			wait = pause
			pause = min(2*pause, memberPauseMax)
		default:
			pause = memberPauseMin
			wait = min(wait, lonelyAfter)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			pause = memberPauseMin
		case <-time.After(wait):
		}
	}
}

// lookAtMembership does what there is to do for this node's membership. It reports whether all is
// as it should be.
func (n *Node) lookAtMembership(ctx context.Context) (settled bool, err error) {
	if n.raft.State() == raft.Shutdown && ctx.Err() == nil {
		n.removed()
		return true, nil
	}
	n.tellState(ctx)
	if !n.hasState() {
		if err := n.tryFound(ctx); err != nil {
			return false, err
		}
	}
	n.member.mu.Lock()
	self, in := n.server(n.cfg.NodeID)
	n.member.was = n.member.was || in
	n.member.mu.Unlock()
	if in && string(self.Address) == n.peerAddr && n.recorded() && !n.lonely() {
		return true, nil
	}
	if n.IsLeader() {
		return true, nil // it records itself when it takes over
	}
	return n.askToJoin(ctx)
}

// removed ends a node that is no member any more, unless it asked for that.
func (n *Node) removed() {
	n.member.mu.Lock()
	leaving := n.member.leaving
	n.member.mu.Unlock()
	if !leaving {
		n.fatal(errRemoved)
	}
}

// tellState lets gossip know, once, that this node belongs to a cluster now.
func (n *Node) tellState(ctx context.Context) {
	n.member.mu.Lock()
	tell := n.gossip != nil && !n.member.told && n.fresh && n.raft.LastIndex() > 0
	n.member.mu.Unlock()
	if !tell {
		return
	}
	told := make(chan error, 1)
	go func() { told <- n.gossip.refresh() }()
	select {
	case err := <-told:
		if err != nil {
			n.log.Warn("gossip was not told of this node's state", "error", err)
			return
		}
	case <-ctx.Done(): // gossip that was shut down does not answer
		return
	}
	n.member.mu.Lock()
	n.member.told = true
	n.member.mu.Unlock()
}

// recorded reports whether the state has this node with its present addresses.
func (n *Node) recorded() bool {
	var have fsm.Node
	n.cfg.State.Read(func(v *fsm.View) { have, _ = v.Node(n.cfg.NodeID) })
	return have == n.self()
}

// lonely reports whether no leader was heard for long.
func (n *Node) lonely() bool {
	last, ok := n.LastContact()
	return !ok || last > lonelyAfter
}

// askToJoin asks whoever might lead to have this node as a member. Gossip says only whom to ask;
// the one that is asked names the leader from raft.
func (n *Node) askToJoin(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	targets := n.joinTargets()
	asked := make(map[nodeAddr]bool)
	var last error
	for len(targets) > 0 {
		to := targets[0]
		targets = targets[1:]
		if to.addr == "" || to.addr == n.peerAddr || asked[to] {
			continue
		}
		asked[to] = true
		answer, err := n.requestJoin(ctx, to)
		var refused *lease.Error
		switch {
		case errors.As(err, &refused) && refused.Code == lease.Denied:
			n.removed()
			return true, nil
		case errors.As(err, &refused) && refused.Code == lease.Invalid:
			return false, err // the leader's word: nobody else is to be asked
		case err != nil:
			last = fmt.Errorf("ask %s to join: %w", to.addr, err)
		case answer.Done:
			return true, nil
		case answer.Leader != "":
			targets = append([]nodeAddr{{id: answer.LeaderID, addr: answer.Leader}}, targets...)
		}
	}
	return false, last
}

// joinTargets lists the nodes to ask, the most promising first. Gossip may lie about who is where;
// under TLS no node answers at another's address.
func (n *Node) joinTargets() []nodeAddr {
	targets := []nodeAddr{n.leaderAddr()}
	for _, s := range n.servers() {
		targets = append(targets, addrOf(s))
	}
	for _, addr := range n.cfg.AskPeers {
		targets = append(targets, nodeAddr{addr: addr})
	}
	n.member.mu.Lock()
	for _, a := range n.member.ask {
		if n.cfg.Now().Before(a.until) {
			targets = append(targets, nodeAddr{addr: a.addr})
		}
	}
	n.member.mu.Unlock()
	if n.gossip != nil {
		for _, m := range n.gossip.members() {
			if m.HasState {
				targets = append(targets, nodeAddr{id: m.ID, addr: m.PeerAddr})
			}
		}
	}
	return targets
}

func (n *Node) requestJoin(ctx context.Context, to nodeAddr) (joinAnswer, error) {
	n.member.mu.Lock()
	// Entries come to members alone. A node that has some and is not in them was removed as well: it may
	// have been started again after it got the entry that removed it.
	was := n.member.was || n.hasState()
	n.member.mu.Unlock()
	token, err := n.ownJoinToken(was)
	if err != nil {
		return joinAnswer{}, err
	}
	self := n.self()
	body, err := json.Marshal(joinRequest{
		ID: self.ID, PeerAddr: self.PeerAddr, APIAddr: self.APIAddr,
		Version: self.Version, FeatureLevel: self.FeatureLevel, WasMember: was, JoinToken: token,
	})
	if err != nil {
		return joinAnswer{}, err
	}
	reply, err := n.calls.call(ctx, to, verbJoin, body)
	if err != nil {
		return joinAnswer{}, err
	}
	var answer joinAnswer
	return answer, json.Unmarshal(reply, &answer)
}

// Leave takes this node out of the cluster for good. Close still has to follow.
func (n *Node) Leave(ctx context.Context) error {
	n.member.mu.Lock()
	n.member.leaving = true
	n.member.mu.Unlock()
	if n.IsLeader() {
		if err := n.transfer(ctx); err != nil {
			return asLeaseError(err)
		}
	}
	for {
		leader := n.leaderAddr()
		if leader.addr != "" && leader.addr != n.peerAddr {
			_, err := n.calls.call(ctx, leader, verbLeave, []byte(n.cfg.NodeID))
			var refused *lease.Error
			if err == nil || errors.As(err, &refused) && refused.Code != lease.Unavailable {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return &lease.Error{Code: lease.Unavailable, Message: errNoLeader.Message, Err: ctx.Err()}
		case <-time.After(transferPause):
		}
	}
}
