package fsm

import (
	"errors"
	"fmt"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

const (
	// JoinTokenMaxTTL is how long a join token can live.
	JoinTokenMaxTTL = 10 * time.Minute
	// maxJoinTokens bounds the join tokens that live at once.
	maxJoinTokens = 64
)

// Autopilot is how the leader cares for the members. Until Set, and where a field is zero, the
// leader's own defaults hold.
type Autopilot struct {
	Set                   bool
	CleanupDeadServers    bool
	DeadServerLastContact time.Duration // silence after which a member counts as dead
	LastContact           time.Duration // silence after which a member is not healthy
	MaxTrailingLogs       uint64        // entries that a healthy member is behind at most
	MinQuorum             uint          // healthy voters without which no dead voter is removed
	Stabilization         time.Duration // how long a new member must be healthy before it votes
}

// JoinToken lets one node ask once to be a member.
type JoinToken struct {
	NodeID, Hash string
	Expires      lease.Time
	UsedBy       string // peer address; "" while it is not spent
}

func autopilotRecord(a Autopilot) *command.SetAutopilot {
	return &command.SetAutopilot{
		CleanupDeadServers: a.CleanupDeadServers, DeadServerLastContactThreshold: int64(a.DeadServerLastContact),
		LastContactThreshold: int64(a.LastContact), MaxTrailingLogs: a.MaxTrailingLogs, MinQuorum: uint32(a.MinQuorum),
		ServerStabilizationTime: int64(a.Stabilization),
	}
}

// SetAutopilot is the command that makes a the settings of the cluster.
func SetAutopilot(a Autopilot) Command { return autopilotRecord(a) }

func autopilotFromRecord(m *command.SetAutopilot) Autopilot {
	return Autopilot{
		Set: true, CleanupDeadServers: m.CleanupDeadServers, DeadServerLastContact: time.Duration(m.DeadServerLastContactThreshold),
		LastContact: time.Duration(m.LastContactThreshold), MaxTrailingLogs: m.MaxTrailingLogs, MinQuorum: uint(m.MinQuorum),
		Stabilization: time.Duration(m.ServerStabilizationTime),
	}
}

func (c *core) applyPutJoinToken(r *Result, m *command.PutJoinToken) {
	c.forgetJoinTokens()
	if m.Hash == "" {
		c.joinTokens.Delete(m.NodeId)
		return
	}
	ttl := time.Duration(m.Ttl)
	switch _, again := c.joinTokens.Get(m.NodeId); {
	case m.NodeId == "":
		r.Err = lease.Errorf(lease.Invalid, "a join token needs a node_id")
	case ttl <= 0 || ttl > JoinTokenMaxTTL:
		r.Err = lease.Errorf(lease.Invalid, "the ttl of a join token is more than 0 and at most %s, got %s", JoinTokenMaxTTL, ttl)
	case !again && c.joinTokens.Len() >= maxJoinTokens:
		r.Err = lease.Errorf(lease.Limited, "%d join tokens are open: wait until some are used or have expired", maxJoinTokens)
	default:
		c.joinTokens.Set(m.NodeId, JoinToken{NodeID: m.NodeId, Hash: m.Hash, Expires: c.now.Add(ttl)})
	}
}

// forgetJoinTokens removes those that have expired. There are few.
func (c *core) forgetJoinTokens() {
	for _, t := range c.joinTokens.Values() {
		if t.Expires <= c.now {
			c.joinTokens.Delete(t.NodeID)
		}
	}
}

// applyUseJoinToken spends a token. Of all who race with it, the log lets one through.
func (c *core) applyUseJoinToken(r *Result, m *command.UseJoinToken) {
	if r.Err = c.joinTokenFault(m.NodeId, m.Hash, m.PeerAddr); r.Err != nil {
		return
	}
	t, _ := c.joinTokens.Get(m.NodeId)
	t.UsedBy = m.PeerAddr
	c.joinTokens.Set(m.NodeId, t)
}

// joinTokenFault is nil if a token lets the node in. All faults look alike to who presents it; the
// cause is for the leader's log.
func (c *core) joinTokenFault(nodeID, hash, peerAddr string) *lease.Error {
	var reason string
	switch t, ok := c.joinTokens.Get(nodeID); {
	case !ok || t.Hash != hash:
		reason = "it is not the newest token made for this node"
	case t.Expires <= c.now:
		reason = "it has expired"
	case peerAddr == "":
		reason = "it comes without an address"
	case t.UsedBy != "" && t.UsedBy != peerAddr:
		reason = "it was used by " + t.UsedBy
	default:
		return nil
	}
	return &lease.Error{Code: lease.Invalid, Err: errors.New(reason), Message: fmt.Sprintf(
		"the join token is not valid: it lets in the node that it was made for, once, for %s at most; "+
			"make a new one with 'leasehold operator raft join-token NODE'", JoinTokenMaxTTL)}
}

// Autopilot is how the leader is to care for the members.
func (v *View) Autopilot() Autopilot { return v.c.autopilot }

// JoinToken returns the newest token made for a node, used or not, unless it was forgotten.
func (v *View) JoinToken(nodeID string) (JoinToken, bool) { return v.c.joinTokens.Get(nodeID) }

// CheckJoinToken tells whether UseJoinToken would let the node in now.
func (v *View) CheckJoinToken(nodeID, hash, peerAddr string) error {
	if err := v.c.joinTokenFault(nodeID, hash, peerAddr); err != nil {
		return err
	}
	return nil
}
