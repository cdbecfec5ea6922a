package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	transferTries = 3
	transferPause = 50 * time.Millisecond
	heirLimit     = 200 * time.Millisecond // for the voters to say how far they are
)

// transfer hands leadership to another voter. It returns nil as well when this node does not lead
// any more for another reason.
func (n *Node) transfer(ctx context.Context) error {
	var err error
	for range transferTries {
		if err = n.transferOnce(ctx); err == nil || n.raft.State() != raft.Leader {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(transferPause):
		}
	}
	return fmt.Errorf("transfer leadership: %w", err)
}

func (n *Node) transferOnce(ctx context.Context) error {
	heir, ok := n.heir(ctx)
	if !ok {
		return errors.New("no other voter answers")
	}
	done := make(chan error, 1)
	go func() { done <- n.raft.LeadershipTransferToServer(heir.ID, heir.Address).Error() }()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * n.cfg.ElectionTimeout):
		return errors.New("no answer from raft")
	}
}

// hasHeirs reports whether there is any other voter.
func (n *Node) hasHeirs() bool {
	return slices.ContainsFunc(n.servers(), func(s raft.Server) bool {
		return s.Suffrage == raft.Voter && string(s.ID) != n.cfg.NodeID
	})
}

// heir is the voter that answers now and has the longest log. raft, left to choose, takes one by
// what it last heard, which may be a node that has just been stopped.
func (n *Node) heir(ctx context.Context) (raft.Server, bool) {
	ctx, cancel := context.WithTimeout(ctx, heirLimit)
	defer cancel()
	type claim struct {
		server raft.Server
		last   uint64
		ok     bool
	}
	servers := n.servers()
	claims := make(chan claim, len(servers))
	asked := 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter || string(s.ID) == n.cfg.NodeID {
			continue
		}
		asked++
		go func() {
			body, err := n.calls.call(ctx, addrOf(s), verbStats, nil)
			if err != nil || len(body) != 24 {
				claims <- claim{}
				return
			}
			claims <- claim{server: s, last: binary.BigEndian.Uint64(body[16:]), ok: true}
		}()
	}
	var best claim
	for range asked {
		if c := <-claims; c.ok && (!best.ok || c.last > best.last) {
			best = c
		}
	}
	return best.server, best.ok
}
