package cluster

import "context"

// Confirm is confirm, for tests that ask on behalf of a leader of another term.
func (n *Node) Confirm(ctx context.Context, term uint64) error { return n.confirm(ctx, term) }
