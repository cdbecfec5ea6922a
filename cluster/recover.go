package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
)

// peersFile is where an operator writes, below the data directory, who is left of a cluster that lost its
// majority for good. Consul, Nomad and Vault read the same at the same place.
const peersFile = "raft/peers.json"

// recoverPeers makes the membership that of peersFile, if there is one, before raft starts. All entries
// of this node's log count as committed then: they are the best there is. The file is renamed away when
// it is done; a crash before that repeats the same.
func (n *Node) recoverPeers(rc *raft.Config) error {
	if n.cfg.DataDir == "" {
		return nil
	}
	path := filepath.Join(n.cfg.DataDir, peersFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	configuration, err := raft.ReadConfigJSON(path)
	if err != nil {
		return fmt.Errorf("%s cannot be used: %w: write a list such as [{\"id\": %q, \"address\": %q}], or remove the file",
			path, err, n.cfg.NodeID, n.peerAddr)
	}
	in := false
	for _, s := range configuration.Servers {
		in = in || string(s.ID) == n.cfg.NodeID && s.Suffrage == raft.Voter
	}
	if !in {
		return fmt.Errorf("%s does not name this node, %q, as a voter: a node that is not to be a member must not be started", path, n.cfg.NodeID)
	}
	n.log.Warn("recovering the cluster: this node's log counts as committed", "file", path, "servers", configuration.Servers)
	var broken error
	// raft fills this state to take a snapshot of it, which the node's own state is made of afterwards.
	scratch := &adapter{state: fsm.New(), clock: newLogClock(n.cfg.Now), fatal: func(err error) { broken = err }, understood: n.cfg.FeatureLevel}
	err = raft.RecoverCluster(rc, scratch, n.stores.Log, n.stores.Stable, n.stores.Snapshots, n.transport, configuration)
	if err = errors.Join(err, broken); err != nil {
		return fmt.Errorf("recover the cluster by %s: %w", path, err)
	}
	done := path + "." + n.cfg.Wall().UTC().Format("20060102T150405.000") + ".done"
	if err := os.Rename(path, done); err != nil {
		return fmt.Errorf("the cluster is recovered, but the file that asked for it cannot be put away: %w", err)
	}
	n.log.Warn("the cluster is recovered", "file_is_now", done)
	return nil
}
