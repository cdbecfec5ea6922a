package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
)

// memberLimit is how long the leader waits for a member's word on itself.
const memberLimit = time.Second

// Roles of a member.
const (
	RoleLeader   = "leader"
	RoleVoter    = "voter"
	RoleNonVoter = "non-voter"
)

// Member is how a member is, by its own word where it answered.
type Member struct {
	ID, PeerAddr, APIAddr, Role string
	Version                     string // by its record if it did not answer
	Answered                    bool
	Term, Applied, LastIndex    uint64
	Lag                         uint64        // entries of the leader's log that it has not applied
	LastContact                 time.Duration // since it heard the leader, or else since it last answered
	EverHeard                   bool          // LastContact says something
	RoundTrip                   time.Duration // of the question
	ClockSkew                   time.Duration // its wall clock less the leader's
}

// memberWord is a member's answer to verbMember. Durations are nanoseconds.
type memberWord struct {
	Version   string        `json:"version"`
	Term      uint64        `json:"term"`
	Applied   uint64        `json:"applied"`
	LastIndex uint64        `json:"last_index"`
	Contact   time.Duration `json:"contact"` // since it heard the leader; negative: never
	Wall      int64         `json:"wall"`    // nanoseconds since the epoch
}

// serveMember answers verbMember.
func (n *Node) serveMember(context.Context, []byte) ([]byte, error) {
	last, ok := n.LastContact()
	if !ok {
		last = unreachable
	}
	return json.Marshal(memberWord{
		Version: n.cfg.Version, Term: n.Term(), Applied: n.AppliedIndex(), LastIndex: n.raft.LastIndex(),
		Contact: last, Wall: n.cfg.Wall().UnixNano(),
	})
}

// AskMembers asks all members how they are. It is the leader's.
func (n *Node) AskMembers(ctx context.Context) ([]Member, error) {
	if !n.Ready() {
		return nil, errNotLeader
	}
	ctx, cancel := context.WithTimeout(ctx, memberLimit)
	defer cancel()
	servers := n.servers()
	members := make([]Member, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			members[i] = n.askMember(ctx, s)
		}()
	}
	wg.Wait()
	head := n.raft.LastIndex()
	for i := range members {
		if m := &members[i]; m.Answered && head > m.Applied {
			m.Lag = head - m.Applied
		}
	}
	return members, nil
}

// askMember asks one member.
func (n *Node) askMember(ctx context.Context, s raft.Server) Member {
	record := n.record(string(s.ID))
	m := Member{ID: string(s.ID), PeerAddr: string(s.Address), APIAddr: record.APIAddr, Version: record.Version, Role: RoleNonVoter}
	self := m.ID == n.cfg.NodeID
	switch {
	case self:
		m.Role = RoleLeader
	case s.Suffrage == raft.Voter:
		m.Role = RoleVoter
	}
	before, wall := n.cfg.Now(), n.cfg.Wall()
	var (
		body []byte
		err  error
		word memberWord
	)
	if self {
		body, err = n.serveMember(ctx, nil)
	} else {
		body, err = n.calls.call(ctx, addrOf(s), verbMember, nil)
	}
	if err != nil || json.Unmarshal(body, &word) != nil {
		if view := n.pilot.Load(); view != nil {
			m.LastContact, m.EverHeard = view.contacts.silence(s.ID)
		}
		return m
	}
	m.RoundTrip = n.cfg.Now().Sub(before)
	m.Answered, m.Version, m.Term, m.Applied, m.LastIndex = true, word.Version, word.Term, word.Applied, word.LastIndex
	m.LastContact, m.EverHeard = max(word.Contact, 0), word.Contact >= 0
	if !self {
		m.ClockSkew = time.Unix(0, word.Wall).Sub(wall.Add(m.RoundTrip / 2))
	}
	return m
}

// record is what the state knows of a member.
func (n *Node) record(id string) (node fsm.Node) {
	n.cfg.State.Read(func(v *fsm.View) { node, _ = v.Node(id) })
	return node
}
