package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/leasehold/leasehold/fsm"
)

// Autopilot's settings while nobody has set others.
const (
	// defaultLastContact is how long ago a healthy member heard the leader at most.
	defaultLastContact = 2 * time.Second
	// defaultTrailingLogs is how many entries a healthy member is behind at most. Entries are batches.
	defaultTrailingLogs = 250
	defaultDeadContact  = 24 * time.Hour
	defaultMinQuorum    = 3
)

// AutopilotSettings is how the leader cares for the members, with the defaults filled in. Dead members
// are not removed unless somebody asked for it: during a partition that destroys clusters.
func (n *Node) AutopilotSettings() fsm.Autopilot {
	var a fsm.Autopilot
	n.cfg.State.Read(func(v *fsm.View) { a = v.Autopilot() })
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&a.DeadServerLastContact, defaultDeadContact},
		{&a.LastContact, defaultLastContact},
		{&a.Stabilization, n.cfg.Stabilization},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if a.MaxTrailingLogs == 0 {
		a.MaxTrailingLogs = defaultTrailingLogs
	}
	if a.MinQuorum == 0 {
		a.MinQuorum = defaultMinQuorum
	}
	return a
}

// SetAutopilot replaces the settings on all nodes.
func (n *Node) SetAutopilot(ctx context.Context, a fsm.Autopilot) error {
	_, err := n.Propose(ctx, fsm.SetAutopilot(a))
	return err
}

// AutopilotState is what autopilot found of the members.
type AutopilotState struct {
	Healthy          bool
	FailureTolerance int // voters that may fail
	Leader           string
	Servers          []AutopilotServer // by ID
}

// AutopilotServer is what autopilot found of one member.
type AutopilotServer struct {
	ID, Address, NodeStatus, NodeType, Role, Version string
	Healthy                                          bool
	StableSince                                      time.Time
	LastContact                                      time.Duration // negative: it did not answer
	LastTerm, LastIndex                              uint64
}

// AutopilotState is what autopilot found when it last looked, a few seconds ago at most. It is the
// leader's.
func (n *Node) AutopilotState() (AutopilotState, error) {
	found, err := n.autopilotState()
	if err != nil {
		return AutopilotState{}, err
	}
	state := AutopilotState{Healthy: found.Healthy, FailureTolerance: found.FailureTolerance, Leader: string(found.Leader)}
	for id, s := range found.Servers {
		state.Servers = append(state.Servers, AutopilotServer{
			ID: string(id), Address: string(s.Server.Address), NodeStatus: string(s.Server.NodeStatus),
			NodeType: string(s.Server.NodeType), Role: string(s.State), Version: s.Server.Version,
			Healthy: s.Health.Healthy, StableSince: s.Health.StableSince,
			LastContact: s.Stats.LastContact, LastTerm: s.Stats.LastTerm, LastIndex: s.Stats.LastIndex,
		})
	}
	slices.SortFunc(state.Servers, func(a, b AutopilotServer) int { return strings.Compare(a.ID, b.ID) })
	return state, nil
}

func (n *Node) autopilotState() (*autopilot.State, error) {
	view := n.pilot.Load()
	if view == nil || !n.Ready() {
		return nil, errNotLeader
	}
	state := view.pilot.GetState()
	if state == nil || state.Leader == "" {
		return nil, errNotReady
	}
	return state, nil
}

// contacts remembers when each member last answered this leader. A member that never did counts from
// when this leader first knew of it, so that neither a new leader nor a new member is declared dead.
type contacts struct {
	now func() time.Time

	mu   sync.Mutex // guards what follows
	last map[raft.ServerID]contact
}

type contact struct {
	at       time.Time
	answered bool
}

func newContacts(now func() time.Time) *contacts {
	return &contacts{now: now, last: make(map[raft.ServerID]contact)}
}

// expect begins to count for members that are new and forgets those that are none any more.
func (c *contacts) expect(servers []raft.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[raft.ServerID]contact, len(servers))
	for _, s := range servers {
		last, known := c.last[s.ID]
		if !known {
			last.at = c.now()
		}
		next[s.ID] = last
	}
	c.last = next
}

func (c *contacts) heard(id raft.ServerID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.last[id]; known {
		c.last[id] = contact{c.now(), true}
	}
}

// silence is how long a member has not answered; answered, whether it ever did. It is zero for one that
// is not known yet.
func (c *contacts) silence(id raft.ServerID) (silent time.Duration, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.last[id]
	if !known {
		return 0, false
	}
	return c.now().Sub(last.at), last.answered
}
