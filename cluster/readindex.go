package cluster

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/lease"
)

const (
	roundLimit  = 500 * time.Millisecond // for one round of asking
	holdPause   = 20 * time.Millisecond  // between tries while there is no leader, plus as much jitter
	applyLimit  = 5 * time.Second        // for a follower to catch up with a read
	handlerHold = 2 * roundLimit         // for a round that a follower asked for, with its wait
)

var errShortCall = lease.Errorf(lease.Invalid, "a call between nodes has the wrong length")

// readPoint is from where on a read is linearizable, and the leader's log time there.
type readPoint struct {
	index uint64
	now   lease.Time
}

// ReadIndex returns when this node's state is at least as new as every write that was acknowledged
// before the call, on whichever node. It returns the leader's log time. While there is no ready
// leader it waits up to ForwardHold, then says lease.Unavailable.
//
// What it rests on is a round of questions sent after the call came in, in which a majority of the
// voters said that they are in no later term than the leader's. A leader that was paused or cut off
// cannot get that, whatever answers were already on their way to it (guarantee S6).
func (n *Node) ReadIndex(ctx context.Context) (lease.Time, error) {
	point, err := n.point(ctx)
	if err != nil {
		return 0, err
	}
	if n.cfg.State.Applied() >= point.index {
		return point.now, nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	if err := n.cfg.State.WaitApplied(ctx, point.index); err != nil {
		return 0, &lease.Error{Code: lease.Unavailable, Message: errLagging.Message, Err: err}
	}
	return point.now, nil
}

// point gets a read point, trying again while the cluster elects a leader.
func (n *Node) point(ctx context.Context) (readPoint, error) {
	start := n.cfg.Now()
	for {
		point, err := n.tryPoint(ctx)
		if err == nil {
			return point, nil
		}
		pause := holdPause + rand.N(holdPause)
		if n.cfg.Now().Sub(start)+pause > n.cfg.ForwardHold {
			return readPoint{}, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return readPoint{}, &lease.Error{Code: lease.Unavailable, Message: errNoLeader.Message, Err: ctx.Err()}
		case <-n.ctx.Done():
			return readPoint{}, errClosed
		}
	}
}

func (n *Node) tryPoint(ctx context.Context) (readPoint, error) {
	if n.IsLeader() {
		return n.leaderReads.join(ctx)
	}
	return n.localReads.join(ctx)
}

// rounds lets many reads share one round of questions. A read that arrives while a round is under
// way joins the next one: its questions must be asked after the read arrived.
type rounds struct {
	run func(context.Context) (readPoint, error)
	wg  sync.WaitGroup

	mu   sync.Mutex // guards next and busy
	next *round     // not begun yet
	busy bool       // somebody runs rounds
}

type round struct {
	done  chan struct{}
	point readPoint
	err   error
}

// join waits for a round that begins after the call.
func (r *rounds) join(ctx context.Context) (readPoint, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	mine := r.next
	if !r.busy {
		r.busy = true
		r.wg.Add(1)
		go r.drive()
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.point, mine.err
	case <-ctx.Done():
		return readPoint{}, &lease.Error{Code: lease.Unavailable, Message: "the read was given up while it waited", Err: ctx.Err()}
	}
}

// drive runs rounds until nobody waits.
func (r *rounds) drive() {
	defer r.wg.Done()
	for {
		r.mu.Lock()
		current := r.next
		r.next = nil
		if current == nil {
			r.busy = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), roundLimit)
		current.point, current.err = r.run(ctx)
		cancel()
		close(current.done)
	}
}

// wait returns when no round is under way.
func (r *rounds) wait() { r.wg.Wait() }

// confirmRound asks the voters whether this node still leads and takes the commit index after they
// said so.
func (n *Node) confirmRound(ctx context.Context) (readPoint, error) {
	lead := n.term.Load()
	if lead == nil {
		return readPoint{}, errNotReady
	}
	if err := n.confirm(ctx, lead.term); err != nil {
		return readPoint{}, err
	}
	point := readPoint{index: n.raft.CommitIndex(), now: n.clock.Now()}
	// Nothing may have happened between the confirmation and the index that makes it another's.
	if n.term.Load() != lead || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != lead.term {
		return readPoint{}, errNotLeader
	}
	return point, nil
}

// confirm returns nil when a majority of the voters is in no later term than the given one.
func (n *Node) confirm(ctx context.Context, term uint64) error {
	need, asked := 1, 0
	servers := n.servers()
	answers := make(chan bool, len(servers))
	voters, agreed := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if string(s.ID) == n.cfg.NodeID {
			agreed++
			continue
		}
		asked++
		go func() {
			body, err := n.calls.call(ctx, addrOf(s), verbTerm, nil)
			answers <- err == nil && len(body) == 8 && binary.BigEndian.Uint64(body) <= term
		}()
	}
	need = voters/2 + 1
	for ; agreed < need && asked > 0; asked-- {
		select {
		case yes := <-answers:
			if yes {
				agreed++
			}
		case <-ctx.Done():
			return errNoLeader
		}
	}
	if agreed < need {
		return errNoLeader
	}
	return nil
}

// serveTerm answers verbTerm. raft raises its term before it votes, so an answer that is not above
// the asker's says that this node has voted for nobody later.
func (n *Node) serveTerm(context.Context, []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, n.raft.CurrentTerm()), nil
}

// askLeaderRound is a follower's round: one question to the leader, whose address raft knows.
func (n *Node) askLeaderRound(ctx context.Context) (readPoint, error) {
	leader := n.leaderAddr()
	if leader.addr == "" || leader.addr == n.peerAddr {
		return readPoint{}, errNoLeader
	}
	body, err := n.calls.call(ctx, leader, verbReadIndex, nil)
	if err != nil {
		return readPoint{}, err
	}
	if len(body) != 16 {
		return readPoint{}, errShortCall
	}
	point := readPoint{
		index: binary.BigEndian.Uint64(body),
		now:   lease.Time(binary.BigEndian.Uint64(body[8:])),
	}
	n.clock.heard(point.now)
	return point, nil
}

// serveReadIndex answers verbReadIndex on the leader. It is not passed on by anybody else.
func (n *Node) serveReadIndex(ctx context.Context, _ []byte) ([]byte, error) {
	if !n.IsLeader() {
		return nil, errNotLeader
	}
	ctx, cancel := context.WithTimeout(ctx, handlerHold)
	defer cancel()
	point, err := n.leaderReads.join(ctx)
	if err != nil {
		return nil, err
	}
	body := binary.BigEndian.AppendUint64(nil, point.index)
	return binary.BigEndian.AppendUint64(body, uint64(point.now)), nil
}
