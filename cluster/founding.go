package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/lease"
)

// Founding a cluster. Two groups that found one each cannot be joined again, so a node founds only
// when it sees exactly the expected nodes, all of which expect as many, none of which has state,
// and each of which, asked on its peer port, sees the same.

// hasState reports whether this node belongs to a cluster already.
func (n *Node) hasState() bool { return !n.fresh || n.raft.LastIndex() > 0 }

// found makes a new cluster at once where the configuration names its servers, or wants one node.
func (n *Node) found() error {
	if !n.fresh {
		return nil
	}
	servers := n.cfg.Bootstrap
	if len(servers) == 0 && n.cfg.BootstrapExpect == 1 {
		servers = []Server{{ID: n.cfg.NodeID, Address: n.peerAddr, Voter: true}}
	}
	if len(servers) == 0 {
		return nil
	}
	return n.bootstrap(servers)
}

func (n *Node) bootstrap(servers []Server) error {
	var configuration raft.Configuration
	for _, s := range servers {
		configuration.Servers = append(configuration.Servers, raft.Server{
			ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address), Suffrage: raft.Voter,
		})
	}
	n.log.Info("founding a cluster", "servers", servers)
	err := n.raft.BootstrapCluster(configuration).Error()
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("found a cluster: %w", err)
	}
	return nil
}

// founders picks the servers of a new cluster from what gossip shows. ok is false while they are
// not all there, or when there is a cluster already, which is to be joined instead.
func founders(seen []gossipMeta, expect int) (servers []Server, ok bool, why string) {
	for _, m := range seen {
		switch {
		case m.HasState:
			return nil, false, fmt.Sprintf("node %s belongs to a cluster", m.ID)
		case m.Expect == 0:
			continue // joins only
		case m.Expect != expect:
			return nil, false, fmt.Sprintf("node %s expects %d nodes, this one %d", m.ID, m.Expect, expect)
		}
		servers = append(servers, Server{ID: m.ID, Address: m.PeerAddr, Voter: true})
	}
	if len(servers) != expect {
		return nil, false, fmt.Sprintf("%d nodes of %d are there", len(servers), expect)
	}
	return servers, true, ""
}

// charter is a founders' list as nodes compare it.
func charter(servers []Server) string {
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "%q %q\n", s.ID, s.Address)
	}
	return b.String()
}

// tryFound founds a cluster if all founders agree. seen is sorted by ID, so that all of them
// propose the same list.
func (n *Node) tryFound(ctx context.Context) error {
	if n.gossip == nil || n.cfg.BootstrapExpect < 1 {
		return nil
	}
	servers, ok, why := founders(n.gossip.members(), n.cfg.BootstrapExpect)
	if !ok {
		n.log.Debug("no cluster founded yet", "reason", why)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callDialWait)
	defer cancel()
	for _, s := range servers {
		if s.ID == n.cfg.NodeID {
			continue
		}
		if _, err := n.calls.call(ctx, nodeAddr{id: s.ID, addr: s.Address}, verbFounders, []byte(charter(servers))); err != nil {
			return fmt.Errorf("ask node %s to found a cluster: %w", s.ID, err)
		}
	}
	return n.bootstrap(servers)
}

// serveFounders answers verbFounders: nil if this node sees the same founders. A node that founded
// the same cluster a moment ago agrees as well.
func (n *Node) serveFounders(ctx context.Context, body []byte) ([]byte, error) {
	if peer, known := peerOf(ctx); known && !strings.Contains("\n"+string(body), fmt.Sprintf("\n%q ", peer)) {
		return nil, lease.Errorf(lease.Invalid, "node %s is none of the founders that it names", peer)
	}
	if n.hasState() {
		var own []Server
		for _, s := range n.servers() {
			own = append(own, Server{ID: string(s.ID), Address: string(s.Address)})
		}
		if charter(own) == string(body) {
			return nil, nil
		}
		return nil, lease.Errorf(lease.Conflict, "node %s belongs to a cluster", n.cfg.NodeID)
	}
	if n.gossip == nil {
		return nil, lease.Errorf(lease.Conflict, "node %s does not gossip", n.cfg.NodeID)
	}
	servers, ok, why := founders(n.gossip.members(), n.cfg.BootstrapExpect)
	if !ok {
		return nil, lease.Errorf(lease.Conflict, "not yet: %s", why)
	}
	if charter(servers) != string(body) {
		return nil, lease.Errorf(lease.Conflict, "node %s sees other founders", n.cfg.NodeID)
	}
	return nil, nil
}
