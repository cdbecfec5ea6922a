package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// raftLayer is raft's side of the peer port.
type raftLayer struct {
	*branch
	dial func(ctx context.Context, to nodeAddr, proto byte) (net.Conn, error)
}

// Dial implements raft.StreamLayer.
func (l raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	to, err := unpin(address)
	if err != nil {
		return nil, err
	}
	return l.dial(ctx, to, protoRaft)
}

// raftTransport is raft's network transport with two changes.
//
// It does without the fast path for heartbeats. The path handles them beside raft's main loop, where
// they may change term and state under its feet; without it they wait their turn (hashicorp/raft
// issue 695). It is exercised by every election test here.
//
// And it does not forget which server a call is for. Raft names the server, but its transport hands
// on the address alone; so the server goes along in the address, up to the dial, where its
// certificate is held against it. That also keeps apart the pooled connections to two servers that
// had one address after each other.
type raftTransport struct{ *raft.NetworkTransport }

// SetHeartbeatHandler implements raft.Transport and leaves the handler unset on purpose.
func (raftTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntriesPipeline implements raft.Transport.
func (t raftTransport) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	return t.NetworkTransport.AppendEntriesPipeline(id, pin(id, to))
}

// AppendEntries implements raft.Transport.
func (t raftTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	return t.NetworkTransport.AppendEntries(id, pin(id, to), req, resp)
}

// RequestVote implements raft.Transport.
func (t raftTransport) RequestVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, pin(id, to), req, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t raftTransport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, pin(id, to), req, resp)
}

// InstallSnapshot implements raft.Transport.
func (t raftTransport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, pin(id, to), req, resp, data)
}

// TimeoutNow implements raft.Transport.
func (t raftTransport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, req *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, pin(id, to), req, resp)
}

func pin(id raft.ServerID, addr raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + addr
}

var errUnpinned = errors.New("dial: raft did not say which server it means")

// unpin is the inverse of pin. An address has no "@" in it.
func unpin(addr raft.ServerAddress) (nodeAddr, error) {
	i := strings.LastIndexByte(string(addr), '@')
	if i <= 0 {
		return nodeAddr{}, errUnpinned
	}
	return nodeAddr{id: string(addr[:i]), addr: string(addr[i+1:])}, nil
}
