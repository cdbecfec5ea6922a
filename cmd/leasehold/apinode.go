package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lease"
)

// apiNode is the cluster's node in httpapi's words.
type apiNode struct{ *cluster.Node }

// Members implements httpapi.Membership.
func (n apiNode) Members() (httpapi.Members, error) {
	conf, err := n.Configuration()
	if err != nil {
		return httpapi.Members{}, err
	}
	members := httpapi.Members{Index: conf.Index}
	for _, s := range conf.Servers {
		members.Servers = append(members.Servers, httpapi.Member{ID: s.ID, Address: s.Address, Voter: s.Voter, Leader: s.Leader})
	}
	return members, nil
}

// Snapshot implements httpapi.Membership.
func (n apiNode) Snapshot() (httpapi.SnapshotMeta, io.ReadCloser, error) {
	meta, body, err := n.Node.Snapshot()
	return httpapi.SnapshotMeta{ID: meta.ID, Index: meta.Index, Term: meta.Term, Size: meta.Size}, body, err
}

// never is the last contact of a member that is not known to have had any.
const never = "never"

// HAStatus implements httpapi.Membership.
func (n apiNode) HAStatus(ctx context.Context) ([]client.HANode, error) {
	members, err := n.AskMembers(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	nodes := make([]client.HANode, len(members))
	for i, m := range members {
		nodes[i] = client.HANode{
			Hostname: m.ID, NodeID: m.ID, APIAddress: m.APIAddr, ClusterAddress: m.PeerAddr, Version: m.Version, Role: m.Role,
			ActiveNode: m.Role == cluster.RoleLeader, Answered: m.Answered, Term: m.Term, AppliedIndex: m.Applied, Lag: m.Lag,
			EchoMillis: m.RoundTrip.Milliseconds(), SkewMillis: m.ClockSkew.Milliseconds(), LastContact: never,
		}
		if m.EverHeard {
			nodes[i].LastContact = m.LastContact.Truncate(time.Millisecond).String()
		}
		switch {
		case nodes[i].ActiveNode:
		case m.Answered:
			nodes[i].LastEcho = &now
		case m.EverHeard:
			last := now.Add(-m.LastContact)
			nodes[i].LastEcho = &last
		}
	}
	return nodes, nil
}

// Autopilot implements httpapi.Membership.
func (n apiNode) Autopilot() (client.AutopilotState, error) {
	found, err := n.AutopilotState()
	if err != nil {
		return client.AutopilotState{}, err
	}
	state := client.AutopilotState{
		FailureTolerance: found.FailureTolerance, OptimisticFailureTolerance: found.FailureTolerance, Healthy: found.Healthy,
		Leader: found.Leader, Voters: []string{}, NonVoters: []string{},
		Servers: make(map[string]client.AutopilotServer, len(found.Servers)),
	}
	for _, s := range found.Servers {
		if s.Role == cluster.RoleNonVoter {
			state.NonVoters = append(state.NonVoters, s.ID)
		} else {
			state.Voters = append(state.Voters, s.ID)
		}
		shown := client.AutopilotServer{
			ID: s.ID, Name: s.ID, Address: s.Address, NodeStatus: s.NodeStatus, NodeType: s.NodeType, Status: s.Role,
			Version: s.Version, Healthy: s.Healthy, StableSince: s.StableSince.UTC(), LastContact: never,
			LastIndex: s.LastIndex, LastTerm: s.LastTerm,
		}
		if s.LastContact >= 0 {
			shown.LastContact = s.LastContact.String()
		}
		state.Servers[s.ID] = shown
	}
	return state, nil
}

// CreateJoinToken implements httpapi.Membership.
func (n apiNode) CreateJoinToken(ctx context.Context, id string, ttl time.Duration) (httpapi.JoinToken, error) {
	made, err := n.Node.CreateJoinToken(ctx, id, ttl)
	return httpapi.JoinToken{NodeID: made.NodeID, Token: made.Token, Expires: made.Expires}, err
}

// GossipKeyring implements httpapi.Membership.
func (n apiNode) GossipKeyring(ctx context.Context) (httpapi.GossipKeyring, error) {
	return describeKeyring(n.Node.GossipKeyring(ctx))
}

// ChangeGossipKeyring implements httpapi.Membership.
func (n apiNode) ChangeGossipKeyring(ctx context.Context, step, key string) (httpapi.GossipKeyring, error) {
	return describeKeyring(n.Node.ChangeGossipKeyring(ctx, cluster.KeyringStep(step), key))
}

func describeKeyring(ring cluster.GossipKeyring, err error) (httpapi.GossipKeyring, error) {
	shown := httpapi.GossipKeyring{Warnings: ring.Warnings, Keys: client.GossipKeyring{Members: ring.Members, Keys: []client.GossipKey{}}}
	for _, k := range ring.Keys {
		shown.Keys.Keys = append(shown.Keys.Keys, client.GossipKey{Fingerprint: k.Fingerprint, Members: k.Members, PrimaryMembers: k.Primary})
	}
	return shown, err
}

// hashJoinToken hashes a join token as all tokens are hashed, with the cluster's own key.
func (n *node) hashJoinToken(token string) (string, error) {
	hasher := n.hasher.Load()
	if hasher == nil {
		return "", lease.Errorf(lease.Unavailable, "this node is still starting")
	}
	return hasher.HashToken(token)
}

// joinToken is what this node presents when it asks to be let in. A file that is not there yet may come.
func joinToken(c Config) func() (string, error) {
	return func() (string, error) {
		if c.JoinTokenFile == "" {
			return c.JoinToken, nil
		}
		text, err := os.ReadFile(c.JoinTokenFile)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return strings.TrimSpace(string(text)), err
	}
}

// joinTokenRequired says whether a node that nobody knows needs a join token. On one machine, where the
// port for other nodes is on loopback, whoever can ask can as well read this node's files.
func (c Config) joinTokenRequired() bool {
	host, _ := splitAddr(c.Listener.ClusterAddress)
	return c.RequireJoinToken == "true" || c.RequireJoinToken == "" && !loopback(host)
}
