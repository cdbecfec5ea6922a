package cluster

import (
	"context"
	"encoding/json"
)

// Confirm is confirm, for tests that ask on behalf of a leader of another term.
func (n *Node) Confirm(ctx context.Context, term uint64) error { return n.confirm(ctx, term) }

// Asked lists the peer addresses that this node was told of and would ask to be let in.
func (n *Node) Asked() []string {
	var addrs []string
	for _, to := range n.joinTargets() {
		if to.addr != "" {
			addrs = append(addrs, to.addr)
		}
	}
	return addrs
}

// GossipMembers are the nodes that this one sees by gossip, itself included.
func (n *Node) GossipMembers() []string {
	var ids []string
	for _, m := range n.gossip.members() {
		ids = append(ids, m.ID)
	}
	return ids
}

// GossipPeerAddrs are the peer addresses that the nodes have by gossip.
func (n *Node) GossipPeerAddrs() []string {
	var addrs []string
	for _, m := range n.gossip.members() {
		addrs = append(addrs, m.PeerAddr)
	}
	return addrs
}

// GossipMeta is what a node that says this of itself gossips.
func GossipMeta(peerAddr, apiAddr string) []byte {
	return gossipMeta{PeerAddr: peerAddr, APIAddr: apiAddr, Version: "test", Expect: 3, HasState: true}.encode()
}

// AskKeyring has n ask a member to install a gossip key, as if leader asked.
func (n *Node) AskKeyring(ctx context.Context, member, leader string, key []byte) error {
	s, _ := n.server(member)
	body, err := json.Marshal(keyringRequest{Leader: leader, Step: KeyringInstall, Key: key})
	if err != nil {
		return err
	}
	_, err = n.calls.call(ctx, addrOf(s), verbKeyring, body)
	return err
}
