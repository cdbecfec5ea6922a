package client

import (
	"context"
	"net/http"
	"time"
)

// HAStatus asks the leader how the members are.
func (c *Client) HAStatus(ctx context.Context) (*Envelope[HAStatus], error) {
	return call[HAStatus](ctx, c, request{method: http.MethodGet, path: "sys/ha-status"})
}

// AutopilotConfig reads how the leader cares for the members.
func (c *Client) AutopilotConfig(ctx context.Context) (*Envelope[AutopilotConfig], error) {
	return call[AutopilotConfig](ctx, c, request{method: http.MethodGet, path: "sys/storage/raft/autopilot/configuration"})
}

// SetAutopilotConfig changes how the leader cares for the members.
func (c *Client) SetAutopilotConfig(ctx context.Context, in AutopilotInput) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "sys/storage/raft/autopilot/configuration", body: in})
	return err
}

// AutopilotState reads what the leader found when it last looked at the members.
func (c *Client) AutopilotState(ctx context.Context) (*Envelope[AutopilotState], error) {
	return call[AutopilotState](ctx, c, request{method: http.MethodGet, path: "sys/storage/raft/autopilot/state"})
}

// CreateJoinToken makes a token with which the named node may join, once, within ttl; 0: the server's default.
func (c *Client) CreateJoinToken(ctx context.Context, node string, ttl time.Duration) (*Envelope[JoinToken], error) {
	body := struct {
		NodeID string `json:"node_id"`
		TTL    string `json:"ttl,omitempty"`
	}{NodeID: node}
	if ttl != 0 {
		body.TTL = ttl.String()
	}
	return call[JoinToken](ctx, c, request{method: http.MethodPost, path: "sys/storage/raft/join-token", body: body})
}

// RaftJoin has the very node at the Client's address, which belongs to no cluster, ask the cluster whose
// leader is at leaderAPIAddr to be let in; leaderCA, in PEM, is whom to trust there beside the system's.
func (c *Client) RaftJoin(ctx context.Context, leaderAPIAddr, leaderCA string) (*RaftJoin, error) {
	body := struct {
		LeaderAPIAddr string `json:"leader_api_addr"`
		LeaderCACert  string `json:"leader_ca_cert,omitempty"`
	}{leaderAPIAddr, leaderCA}
	return bare[RaftJoin](ctx, c, request{method: http.MethodPost, path: "sys/storage/raft/join", body: body})
}

const gossipKeyring = "sys/storage/raft/gossip-keyring"

// GossipKeyring asks the members, by way of the leader, for their gossip keys.
func (c *Client) GossipKeyring(ctx context.Context) (*Envelope[GossipKeyring], error) {
	return call[GossipKeyring](ctx, c, request{method: http.MethodGet, path: gossipKeyring})
}

// ChangeGossipKeyring has all members carry out a step, "install", "use" or "remove", with a key in
// base64; for the latter two its fingerprint will do. It may be repeated.
func (c *Client) ChangeGossipKeyring(ctx context.Context, step, key string) (*Envelope[GossipKeyring], error) {
	body := struct {
		Key string `json:"key"`
	}{key}
	return call[GossipKeyring](ctx, c, request{method: http.MethodPost, path: gossipKeyring + "/" + step, body: body})
}
