package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Health asks the node at the Client's address how it is. It is an answer, not an error, that the
// node follows, is sealed, is not initialized or has no leader: see the fields and the status,
// which is 200 on the leader, 429 on a follower, 501 before initialization and else 503.
func (c *Client) Health(ctx context.Context) (health *Health, status int, err error) {
	answer, err := c.do(ctx, request{method: http.MethodGet, path: "sys/health", any: true})
	if err != nil {
		return nil, 0, err
	}
	var shape map[string]json.RawMessage
	if json.Unmarshal(answer.body, &shape) != nil || shape["initialized"] == nil {
		return nil, answer.status, errorOf(answer.method, answer.url, answer.status, answer.header, answer.body)
	}
	health = new(Health)
	return health, answer.status, answer.decode(health)
}

// Leader asks which node leads.
func (c *Client) Leader(ctx context.Context) (*Leader, error) {
	return bare[Leader](ctx, c, request{method: http.MethodGet, path: "sys/leader"})
}

// SealStatus asks whether the node can open its secrets, and what it is.
func (c *Client) SealStatus(ctx context.Context) (*SealStatus, error) {
	return bare[SealStatus](ctx, c, request{method: http.MethodGet, path: "sys/seal-status"})
}

// InitStatus asks whether the cluster is initialized.
func (c *Client) InitStatus(ctx context.Context) (*InitStatus, error) {
	return bare[InitStatus](ctx, c, request{method: http.MethodGet, path: "sys/init"})
}

// Init initializes the cluster and returns its root token, which is shown only this once.
func (c *Client) Init(ctx context.Context) (*InitResponse, error) {
	return bare[InitResponse](ctx, c, request{method: http.MethodPut, path: "sys/init", body: struct{}{}})
}

// RaftConfiguration lists the members of the cluster.
func (c *Client) RaftConfiguration(ctx context.Context) (*Envelope[RaftConfiguration], error) {
	return call[RaftConfiguration](ctx, c, request{method: http.MethodGet, path: "sys/storage/raft/configuration"})
}

// RemovePeer takes a node out of the cluster.
func (c *Client) RemovePeer(ctx context.Context, node string) error {
	body := struct {
		ServerID string `json:"server_id"`
	}{node}
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/storage/raft/remove-peer", body: body})
	return err
}

// StepDown makes the leader hand over to another node.
func (c *Client) StepDown(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodPut, path: "sys/step-down"})
	return err
}

// StateHash asks the very node at the Client's address what it has applied.
func (c *Client) StateHash(ctx context.Context) (*StateHash, error) {
	return bare[StateHash](ctx, c, request{method: http.MethodGet, path: "sys/internal/state-hash"})
}
