package httpapi

import (
	"strings"
	"time"

	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
)

// Bounds of autopilot's settings, which are Vault's.
const (
	leastQuorum      = 3
	leastDeadContact = time.Minute
)

// haStatus serves sys/ha-status.
func (s *Server) haStatus(c *call) (answer, error) {
	nodes, err := s.node.HAStatus(c.ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{data: client.HAStatus{Nodes: nodes}, top: true, mountType: systemType}, nil
}

// readAutopilot serves sys/storage/raft/autopilot/configuration.
func (s *Server) readAutopilot(*call) (answer, error) {
	a := s.node.AutopilotSettings()
	return answer{mountType: systemType, data: client.AutopilotConfig{
		CleanupDeadServers: a.CleanupDeadServers, DeadServerLastContactThreshold: a.DeadServerLastContact.String(),
		LastContactThreshold: a.LastContact.String(), MaxTrailingLogs: a.MaxTrailingLogs, MinQuorum: a.MinQuorum,
		ServerStabilizationTime: a.Stabilization.String(),
	}}, nil
}

// writeAutopilot serves the same with POST. What is not given stays.
func (s *Server) writeAutopilot(c *call) (answer, error) {
	in := c.reader()
	a := s.node.AutopilotSettings()
	for _, d := range []struct {
		name  string
		field *time.Duration
	}{
		{"dead_server_last_contact_threshold", &a.DeadServerLastContact},
		{"last_contact_threshold", &a.LastContact},
		{"server_stabilization_time", &a.Stabilization},
	} {
		if !in.Has(d.name) {
			continue
		}
		if *d.field = in.Duration(d.name); *d.field <= 0 && in.Err() == nil {
			in.Failf("%s is %s: give a duration above 0, such as \"10s\"", d.name, *d.field)
		}
	}
	a.CleanupDeadServers = in.Bool("cleanup_dead_servers", a.CleanupDeadServers)
	a.MaxTrailingLogs = positive(in, "max_trailing_logs", a.MaxTrailingLogs)
	a.MinQuorum = uint(positive(in, "min_quorum", uint64(a.MinQuorum)))
	if in.Bool("disable_upgrade_migration", false) {
		in.Failf("disable_upgrade_migration cannot be set: there are no upgrade migrations")
	}
	switch {
	case in.Err() != nil:
	case a.CleanupDeadServers && a.MinQuorum < leastQuorum:
		in.Failf("min_quorum must be at least %d when cleanup_dead_servers is set, got %d: make it the number of voters that the cluster is to have",
			leastQuorum, a.MinQuorum)
	case a.DeadServerLastContact < leastDeadContact:
		in.Failf("dead_server_last_contact_threshold should not be less than %s, got %s: a node that restarts is not dead",
			leastDeadContact, a.DeadServerLastContact)
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	return done, s.node.SetAutopilot(c.ctx, a)
}

// positive reads a number above 0.
func positive(in *field.Reader, name string, old uint64) uint64 {
	if !in.Has(name) {
		return old
	}
	n := in.Int(name, 0)
	if n <= 0 && in.Err() == nil {
		in.Failf("%s is %d: give a number above 0", name, n)
	}
	return uint64(max(n, 0))
}

// autopilotState serves sys/storage/raft/autopilot/state.
func (s *Server) autopilotState(*call) (answer, error) {
	state, err := s.node.Autopilot()
	return answer{data: state, mountType: systemType}, err
}

// maxNodeID bounds, in bytes, the name of a node to come.
const maxNodeID = 64

// createJoinToken serves sys/storage/raft/join-token.
func (s *Server) createJoinToken(c *call) (answer, error) {
	in := c.reader()
	node, ttl := in.String("node_id"), in.Duration("ttl")
	switch {
	case in.Err() != nil:
	case node == "" || len(node) > maxNodeID || strings.Trim(node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "":
		in.Failf("node_id is to name the node that may join: 1 to %d letters, digits, dots, dashes and underscores", maxNodeID)
	case in.Has("ttl") && (ttl <= 0 || ttl > fsm.JoinTokenMaxTTL):
		in.Failf("ttl is %s: a join token lives for more than 0s and at most %s", ttl, fsm.JoinTokenMaxTTL)
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	made, err := s.node.CreateJoinToken(c.ctx, node, ttl)
	if err != nil {
		return answer{}, err
	}
	return answer{mountType: systemType, data: client.JoinToken{
		ExpireTime: made.Expires.Std(), NodeID: made.NodeID, Token: made.Token,
		TTL: int64(made.Expires.Sub(c.now) / time.Second),
	}}, nil
}
