package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// announce tells whoever started this node what runs here: in a block for people, or as one line of
// the log where logs are read by machines. For a -dev server it waits until that serves.
func (n *node) announce(ctx context.Context, w io.Writer) error {
	if n.config.Dev {
		if err := n.enableDevMount(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	facts := n.facts()
	if n.config.LogFormat == "json" {
		args := []any{"version", version}
		for _, f := range facts {
			args = append(args, f[0], f[1])
		}
		n.log.Info("serving", args...)
	} else {
		var block strings.Builder
		fmt.Fprintf(&block, "Leasehold v%s, node %s of cluster %s\n\n", version, n.config.NodeID, n.config.ClusterName)
		for _, f := range facts {
			fmt.Fprintf(&block, "  %-8s%s\n", f[0], f[1])
		}
		if _, err := fmt.Fprintln(w, block.String()); err != nil {
			return err
		}
	}
	if !n.config.Dev {
		return nil
	}
	_, err := fmt.Fprintf(w, `In another terminal:

  export VAULT_ADDR=%s%s
  export VAULT_TOKEN=%s
  leasehold write %sfirst ttl=10m

`, n.config.scheme(), reachable(n.listener.Addr().String()), n.rootToken, devMount)
	return err
}

// facts are the lines of the block, each a name and a text.
func (n *node) facts() [][2]string {
	c := n.config
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	facts := [][2]string{
		{"api", fmt.Sprintf("%s (listening on %s)", c.APIAddr, n.listener.Addr())},
		{"peers", fmt.Sprintf("%s (listening on %s)", n.cluster.PeerAddr(), c.Listener.ClusterAddress)},
		{"gossip", or(c.Gossip.Address, "off")},
		{"data", or(c.Storage.Path, "in memory: everything is gone when this node stops")},
		{"join", n.joinFact()},
		{"seal", or(c.Seal.KeyFile, "a random key, for as long as this node runs")},
		{"tls", n.certs.fact()},
	}
	if c.Dev {
		return append(facts[:1:1], facts[3], facts[6])
	}
	return facts
}

// joinFact says how this node comes to its cluster.
func (n *node) joinFact() string {
	others := strings.Join(n.config.Gossip.RetryJoin, ", ")
	switch expect := n.config.BootstrapExpect; {
	case n.cluster.HasState() && expect != 1:
		return "a member already"
	case expect == 1:
		return "a cluster of one"
	case expect == 0:
		return "the cluster of " + others
	default:
		return fmt.Sprintf("a new cluster of %d nodes, found through %s; or theirs, if they have one", expect, others)
	}
}

// reachable is an address to type for one that a server listens on.
func reachable(addr string) string {
	for _, all := range []string{"0.0.0.0:", "[::]:"} {
		if port, ok := strings.CutPrefix(addr, all); ok {
			return "127.0.0.1:" + port
		}
	}
	return addr
}
