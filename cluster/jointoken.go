package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

const (
	// DefaultJoinTokenTTL is how long a join token lives when nobody says otherwise.
	DefaultJoinTokenTTL = fsm.JoinTokenMaxTTL
	joinTokenPrefix     = "join." // so that one is known for what it is
	joinTokenBytes      = 32
)

// JoinToken lets one node be a member, once.
type JoinToken struct {
	NodeID  string
	Token   string // the secret: it is nowhere else
	Expires lease.Time
}

// CreateJoinToken makes a token with which the named node may ask to be a member, once, within ttl
// (zero: DefaultJoinTokenTTL). It voids the token that was made for the node before.
func (n *Node) CreateJoinToken(ctx context.Context, nodeID string, ttl time.Duration) (JoinToken, error) {
	if !n.Ready() {
		return JoinToken{}, errNotLeader
	}
	if _, member := n.server(nodeID); member {
		return JoinToken{}, lease.Errorf(lease.Conflict, "node %q is a member already: it needs no join token; "+
			"to let another node take its place, remove it first", nodeID)
	}
	if ttl == 0 {
		ttl = DefaultJoinTokenTTL
	}
	secret := make([]byte, joinTokenBytes)
	rand.Read(secret)
	token := joinTokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	hash, err := n.hashJoinToken(token)
	if err != nil {
		return JoinToken{}, err
	}
	res, err := n.proposer.propose(ctx, &command.PutJoinToken{NodeId: nodeID, Hash: hash, Ttl: int64(ttl)})
	if err != nil {
		return JoinToken{}, err
	}
	n.log.Info("a join token was made", "id", nodeID, "ttl", ttl)
	return JoinToken{NodeID: nodeID, Token: token, Expires: res.Now.Add(ttl)}, nil
}

func (n *Node) hashJoinToken(token string) (string, error) {
	if n.cfg.HashJoinToken == nil {
		return "", lease.Errorf(lease.Unavailable, "this node has no key for join tokens yet")
	}
	return n.cfg.HashJoinToken(token)
}

// ownJoinToken is what this node presents when it asks to be let in. A node that was a member keeps
// its token to itself: it is asked for none.
func (n *Node) ownJoinToken(was bool) (string, error) {
	if n.cfg.JoinToken == nil || was {
		return "", nil
	}
	token, err := n.cfg.JoinToken()
	if err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	return token, nil
}

// spendJoinToken returns an error unless the node that asks, which is no member, may become one. A
// token that is presented must be good even where none is asked for.
func (n *Node) spendJoinToken(ctx context.Context, req joinRequest) error {
	if req.JoinToken == "" && !n.cfg.RequireJoinToken {
		return nil
	}
	err := n.useJoinToken(ctx, req)
	if err == nil {
		return nil
	}
	e := asLeaseError(err)
	n.log.Warn("a node was not let in", "id", req.ID, "peer_addr", req.PeerAddr, "reason", e.Message, "cause", e.Err)
	return &lease.Error{Code: e.Code, Message: e.Message} // the cause is nothing for a stranger
}

func (n *Node) useJoinToken(ctx context.Context, req joinRequest) error {
	if req.JoinToken == "" {
		return lease.Errorf(lease.Invalid, "node %[1]q is no member and presents no join token: make one with "+
			"'leasehold operator raft join-token %[1]s' and give it to the node as join_token or in join_token_file", req.ID)
	}
	hash, err := n.hashJoinToken(req.JoinToken)
	if err != nil {
		return err
	}
	// What is refused anyway must cost no log entry: anybody may ask.
	n.cfg.State.Read(func(v *fsm.View) { err = v.CheckJoinToken(req.ID, hash, req.PeerAddr) })
	if err != nil {
		return err
	}
	_, err = n.proposer.propose(ctx, &command.UseJoinToken{NodeId: req.ID, Hash: hash, PeerAddr: req.PeerAddr})
	return err
}

// voidJoinToken forgets a node's token once the node is a member or was removed: a token that was
// spent must not let it in a second time. If that fails, the token's own end is near.
func (n *Node) voidJoinToken(ctx context.Context, id string) {
	var there bool
	n.cfg.State.Read(func(v *fsm.View) { _, there = v.JoinToken(id) })
	if !there {
		return
	}
	if _, err := n.proposer.propose(ctx, &command.PutJoinToken{NodeId: id}); err != nil {
		n.log.Warn("a join token was not voided", "id", id, "error", err)
	}
}

// AskToJoin has this node, which belongs to no cluster, ask the node at a peer address to be let in,
// beside those that it knows already, until a cluster has it or JoinTokenMaxTTL has passed. In plain text it
// returns an error but for loopback: whoever is asked is shown the join token, and could be anybody.
func (n *Node) AskToJoin(peerAddr string) error {
	host, _, err := net.SplitHostPort(peerAddr)
	if err != nil {
		return lease.Errorf(lease.Invalid, "the cluster's peer address %q is no host and port", peerAddr)
	}
	if ip := net.ParseIP(host); n.secure == nil && host != "localhost" && !ip.IsLoopback() {
		return lease.Errorf(lease.Invalid, "this node is told of a cluster on another machine, and without cluster_tls it cannot "+
			"know whom it would show its join token: set cluster_tls, or name the others in gossip.retry_join")
	}
	n.member.mu.Lock()
	defer n.member.mu.Unlock()
	const enough = 16
	n.member.ask = slices.DeleteFunc(n.member.ask, func(a namedPeer) bool { return a.addr == peerAddr })
	n.member.ask = append(n.member.ask, namedPeer{peerAddr, n.cfg.Now().Add(fsm.JoinTokenMaxTTL)})
	if len(n.member.ask) > enough {
		n.member.ask = n.member.ask[1:]
	}
	return nil
}

// namedPeer is a peer address that somebody named, who need not have been an operator: it is forgotten.
type namedPeer struct {
	addr  string
	until time.Time
}
