package cluster

import (
	"context"
	"errors"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/lease"
)

var (
	errNotLeader = lease.ErrNotLeader
	errNotReady  = &lease.Error{Code: lease.Unavailable, Message: "the leader is not ready yet"}
	errNoLeader  = &lease.Error{Code: lease.Unavailable, Message: "the cluster has no leader"}
	errQueueFull = &lease.Error{Code: lease.Unavailable, Message: "too many writes are waiting"}
	errDiskFull  = &lease.Error{Code: lease.Unavailable, Message: "the leader's disk is full: make space below its storage.path"}
	errClosed    = &lease.Error{Code: lease.Unavailable, Message: "this node is shutting down"}
	errLagging   = &lease.Error{Code: lease.Unavailable, Message: "this node is too far behind the leader"}
)

// proposalError says what an error of raft's means to whoever proposed: this is the one table.
// Unavailable promises that the command is not in the log and never will be. Whatever is not known
// to be harmless is Uncertain.
func proposalError(err error) *lease.Error {
	var own *lease.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return &lease.Error{Code: lease.Unavailable, Message: errNotLeader.Message, Err: err}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &lease.Error{Code: lease.Unavailable, Message: "the leader takes no writes at the moment", Err: err}
	case errors.Is(err, errClockJump):
		return &lease.Error{Code: lease.Unavailable, Message: "the leader is giving up leadership", Err: err}
	case errors.Is(err, raft.ErrLeadershipLost):
		return &lease.Error{Code: lease.Uncertain, Message: "leadership was lost while the write was being committed: it may have happened", Err: err}
	case errors.Is(err, raft.ErrRaftShutdown):
		return &lease.Error{Code: lease.Uncertain, Message: "the node stopped while the write was being committed: it may have happened", Err: err}
	case errors.Is(err, raft.ErrAbortedByRestore):
		return &lease.Error{Code: lease.Conflict, Message: "the state was replaced by a restored snapshot", Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &lease.Error{Code: lease.Uncertain, Message: "the write was not committed in time: it may have happened or may still happen", Err: err}
	}
	return &lease.Error{Code: lease.Uncertain, Message: "the write failed while being committed: it may have happened", Err: err}
}

// proposalErrorOrNil keeps a nil *lease.Error from becoming an error that is not nil.
func proposalErrorOrNil(err error) error {
	if e := proposalError(err); e != nil {
		return e
	}
	return nil
}
