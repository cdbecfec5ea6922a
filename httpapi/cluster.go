package httpapi

import (
	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
)

// stepDown serves sys/step-down.
func (s *Server) stepDown(c *call) (answer, error) {
	return done, s.node.StepDown(c.ctx)
}

// raftConfiguration serves sys/storage/raft/configuration.
func (s *Server) raftConfiguration(*call) (answer, error) {
	members, err := s.node.Members()
	if err != nil {
		return answer{}, err
	}
	config := client.RaftConfig{Index: members.Index, Servers: []client.RaftServer{}}
	for _, m := range members.Servers {
		config.Servers = append(config.Servers, client.RaftServer{
			Address: m.Address, Leader: m.Leader, NodeID: m.ID, ProtocolVersion: "3", Voter: m.Voter,
		})
	}
	return answer{data: client.RaftConfiguration{Config: config}, mountType: systemType}, nil
}

// removePeer serves sys/storage/raft/remove-peer.
func (s *Server) removePeer(c *call) (answer, error) {
	in := c.reader()
	id := in.String("server_id")
	in.Has("dr_operation_token") // the stock client sends it along
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if id == "" {
		return answer{}, lease.Errorf(lease.Invalid, "no server id provided: name the member in server_id")
	}
	return done, s.node.RemovePeer(c.ctx, id)
}

// stateHash serves sys/internal/state-hash.
func (s *Server) stateHash(*call) (answer, error) {
	index, hash := s.state.Hash()
	return answer{bare: client.StateHash{AppliedIndex: index, Hash: hash}}, nil
}
