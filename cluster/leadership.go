package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
)

const (
	barrierLimit   = 30 * time.Second // replaying a long log takes its time
	takeoverLimit  = 10 * time.Second // for the first entries of a leadership
	restartPause   = 5 * time.Second  // before a leadership that failed starts over
	clockInterval  = time.Second
	coldClockLimit = 300 * time.Millisecond
)

// Duty is work of the leader's. It runs until ctx ends and then returns soon: the node cannot lead
// again before. An error, or a return before ctx ends, ends the leadership.
type Duty func(ctx context.Context) error

// leadership is one ready leadership of this node.
type leadership struct{ term uint64 }

// dutyList holds the duties, which may be registered while the node leads.
type dutyList struct {
	mu      sync.Mutex // guards what follows
	list    []Duty
	changed chan struct{} // closed when list grows
}

func (d *dutyList) init(list []Duty) {
	d.list = append([]Duty(nil), list...)
	d.changed = make(chan struct{})
}

// from returns the duties after the first n, and a channel that is closed when there are more.
func (d *dutyList) from(n int) ([]Duty, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Duty(nil), d.list[n:]...), d.changed
}

// Register adds a duty. It starts at once if the node leads.
func (n *Node) Register(d Duty) {
	n.duties.mu.Lock()
	defer n.duties.mu.Unlock()
	n.duties.list = append(n.duties.list, d)
	close(n.duties.changed)
	n.duties.changed = make(chan struct{})
}

// monitor starts a leadership when raft says so and ends it when raft says so. The channel keeps
// the newest word only, so a true that follows a true stands for a loss that went by unseen.
func (n *Node) monitor(ctx context.Context) {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-n.raft.LeaderCh():
			stop()
			stop = func() {}
			if leads {
				stop = n.startLeading(ctx)
			}
		}
	}
}

// startLeading runs lead and returns how to end it and wait for it.
func (n *Node) startLeading(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.lead(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// lead serves as leader until ctx ends. When serving fails, another node is asked to take over; if
// none does, it starts over.
func (n *Node) lead(ctx context.Context) {
	for {
		err := n.serve(ctx)
		if n.restoreTaken(ctx) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		n.log.Error("leadership failed", "error", err)
		if err := n.transfer(ctx); err == nil {
			<-ctx.Done() // raft will say that leadership is lost
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartPause):
		}
	}
}

// serve makes this node ready to lead, runs the duties, and undoes all of it before it returns.
func (n *Node) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	term := n.raft.CurrentTerm()
	if err := n.barrier(ctx); err != nil {
		cancel()
		return err
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		cancel()
		return errNotLeader
	}
	n.clock.lead(n.coldWall(ctx))
	var proposing sync.WaitGroup
	n.proposer.begin()
	proposing.Add(1)
	go func() {
		defer proposing.Done()
		n.proposer.run(ctx)
	}()
	err := n.takeOver(ctx, term)
	if err == nil {
		n.term.Store(&leadership{term: term})
		n.log.Info("leading", "term", term)
		err = n.runDuties(ctx)
		n.term.Store(nil)
		if ctx.Err() != nil { // raft said so, or the node stops
			n.log.Info("leading no more", "term", term)
		} else {
			n.log.Warn("leading no more", "term", term, "reason", err)
		}
	}
	cancel()
	proposing.Wait()
	n.clock.follow()
	return err
}

// barrier waits until the state holds every entry of earlier terms.
func (n *Node) barrier(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- n.raft.Barrier(barrierLimit).Error() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("barrier: %w", err)
		}
		return nil
	case <-time.After(barrierLimit):
		return errors.New("barrier: not applied in time")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeOver proposes the first entries of a leadership: the epoch, which fences what earlier leaders
// left unfinished, and this node's addresses.
func (n *Node) takeOver(ctx context.Context, term uint64) error {
	ctx, cancel := context.WithTimeout(ctx, takeoverLimit)
	defer cancel()
	if err := n.nameLineage(ctx); err != nil {
		return err
	}
	if _, err := n.proposer.propose(ctx, &command.Epoch{Term: term, Leader: n.cfg.NodeID}); err != nil {
		return fmt.Errorf("open epoch %d: %w", term, err)
	}
	if err := n.putNode(ctx, n.self()); err != nil {
		return fmt.Errorf("record own addresses: %w", err)
	}
	return nil
}

// runDuties runs the node's own duties and the registered ones until ctx ends or one of them does.
func (n *Node) runDuties(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	run := func(d Duty) {
		running.Add(1)
		go func() {
			defer running.Done()
			err := d(ctx)
			if err == nil {
				err = errors.New("a duty ended by itself")
			}
			cancel(err)
		}()
	}
	run(n.steerClock)
	run(n.runAutopilot)
	run(n.checkClock)
	run(n.reconcile)
	run(n.raiseFeatureLevel)
	run(n.takeRestores)
	started := 0
	for ctx.Err() == nil {
		more, changed := n.duties.from(started)
		started += len(more)
		for _, d := range more {
			run(d)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	n.term.Store(nil) // before the duties wind down: nothing new is taken in
	running.Wait()
	return context.Cause(ctx)
}

// putNode records a member's addresses in the state if they differ.
func (n *Node) putNode(ctx context.Context, want fsm.Node) error {
	var have fsm.Node
	n.cfg.State.Read(func(v *fsm.View) { have, _ = v.Node(want.ID) })
	if have == want {
		return nil
	}
	_, err := n.proposer.propose(ctx, &command.PutNode{
		Id: want.ID, PeerAddr: want.PeerAddr, ApiAddr: want.APIAddr,
		Version: want.Version, FeatureLevel: want.FeatureLevel,
	})
	return err
}

// self is this node as the state should have it.
func (n *Node) self() fsm.Node {
	return fsm.Node{
		ID: n.cfg.NodeID, PeerAddr: n.peerAddr, APIAddr: n.cfg.APIAddr,
		Version: n.cfg.Version, FeatureLevel: n.cfg.FeatureLevel,
	}
}
