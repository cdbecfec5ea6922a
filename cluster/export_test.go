package cluster

import "context"

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
