package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// Bounds of the proposer.
const (
	maxBatchCommands = 256
	maxBatchBytes    = 256 << 10 // of an entry's commands, and of one command
	maxOutstanding   = 2         // entries handed to raft and not answered
	secondEntryAt    = 32        // commands that must wait before a second entry is outstanding
	maxQueued        = 8192      // commands that wait
	handoverLimit    = 2 * time.Second
)

// Stages of a proposal. It is taken from waiting to taken or to withdrawn, once.
const (
	waiting   int32 = iota
	taken           // may reach the log: its outcome is what the log says
	withdrawn       // will never be proposed
)

// proposal is a command on its way into the log.
type proposal struct {
	framed []byte
	stage  atomic.Int32
	done   chan outcome // takes one, never blocks
}

type outcome struct {
	result fsm.Result
	err    error
}

// entryLog is what the proposer needs of raft.
type entryLog interface {
	Apply(entry []byte, timeout time.Duration) raft.ApplyFuture
}

// proposer packs the commands that wait into log entries. It takes a free slot first and then what
// has queued meanwhile, so batches form by themselves under load, and a lone command waits for
// nobody. Commands enter the log in the order in which they were queued.
//
// An entry costs three nodes a commit and a sync whatever it holds, so a second one is begun beside
// an unanswered one only for a good load: below that, waiting for the answer packs more commands into
// fewer entries, above it, one batch uses the processors while the other waits for the disks
// (docs/benchmarks.md has the figures).
type proposer struct {
	log   entryLog
	clock *logClock
	level func() uint32 // the cluster's feature level
	slots chan struct{}
	freed chan struct{} // holds a token when a slot was given back
	crowd chan struct{} // holds a token when the queue reached secondEntryAt
	queue chan *proposal
	held  *proposal // taken from the queue, but too large for the last entry; run's alone
	wait  sync.WaitGroup
	gone  chan struct{} // closed when raft is shut down: it may leave futures unanswered

	mu   sync.RWMutex // guards open, and keeps senders out while the queue is emptied
	open bool
}

func newProposer(log entryLog, clock *logClock, level func() uint32) *proposer {
	return &proposer{
		log:   log,
		clock: clock,
		level: level,
		slots: make(chan struct{}, maxOutstanding),
		freed: make(chan struct{}, 1),
		crowd: make(chan struct{}, 1),
		queue: make(chan *proposal, maxQueued),
		gone:  make(chan struct{}),
	}
}

// propose queues cmd and waits for its result.
func (p *proposer) propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	if err := p.awaitLevel(ctx, fsm.LevelOf(cmd)); err != nil {
		return fsm.Result{}, err
	}
	framed, err := fsm.EncodeCommand(cmd)
	if err != nil {
		return fsm.Result{}, &lease.Error{Code: lease.Internal, Message: "the command cannot be encoded", Err: err}
	}
	if len(framed) > maxBatchBytes {
		return fsm.Result{}, lease.Errorf(lease.TooLarge, "the request makes a log entry of %d bytes, at most %d are allowed", len(framed), maxBatchBytes)
	}
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, notQueued(err)
	}
	prop := &proposal{framed: framed, done: make(chan outcome, 1)}
	if err := p.enqueue(prop); err != nil {
		return fsm.Result{}, err
	}
	select {
	case o := <-prop.done:
		return o.result, o.err
	case <-ctx.Done():
	}
	if prop.stage.CompareAndSwap(waiting, withdrawn) {
		return fsm.Result{}, notQueued(ctx.Err())
	}
	select {
	case o := <-prop.done: // both were ready: the truth is better than a doubt
		return o.result, o.err
	default:
		return fsm.Result{}, proposalError(ctx.Err())
	}
}

// notQueued is the answer to a caller that left before its command was handed to raft.
func notQueued(err error) *lease.Error {
	return &lease.Error{Code: lease.Unavailable, Message: "the write was given up while it waited", Err: err}
}

func (p *proposer) enqueue(prop *proposal) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.open {
		return errNotLeader
	}
	select {
	case p.queue <- prop:
		if len(p.queue) >= secondEntryAt {
			signal(p.crowd)
		}
		return nil
	default:
		return errQueueFull
	}
}

// begin lets commands be queued. run must follow.
func (p *proposer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
}

// run proposes what is queued until ctx ends, then refuses what is left. raft may still have to
// answer for what it was given. Not for use by two at once.
func (p *proposer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !p.takeSlot(ctx) {
			continue
		}
		if !p.proposeNext(ctx) {
			p.giveSlot()
		}
	}
	p.mu.Lock()
	p.open = false
	p.mu.Unlock()
	p.refuseQueued()
}

// outstanding is how many entries raft has not answered for.
func (p *proposer) outstanding() int { return len(p.slots) }

// takeSlot waits for a slot, and for the second one also until it is worth while.
func (p *proposer) takeSlot(ctx context.Context) bool {
	for len(p.slots) > 0 && len(p.queue) < secondEntryAt {
		select {
		case <-p.freed:
		case <-p.crowd:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *proposer) giveSlot() {
	<-p.slots
	signal(p.freed)
}

// signal leaves a token in ch, which holds one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// close gives up on what raft has not answered. raft must be shut down and run have returned.
func (p *proposer) close() {
	close(p.gone)
	p.wait.Wait()
}

// refuseQueued answers everything that was queued and will not be proposed.
func (p *proposer) refuseQueued() {
	refuse := func(prop *proposal) {
		if prop.stage.CompareAndSwap(waiting, withdrawn) {
			prop.done <- outcome{err: errNotLeader}
		}
	}
	if p.held != nil {
		refuse(p.held)
		p.held = nil
	}
	for {
		select {
		case prop := <-p.queue:
			refuse(prop)
		default:
			return
		}
	}
}

// proposeNext hands one entry to raft. It reports whether the slot is used: then it is given back
// when raft has answered.
func (p *proposer) proposeNext(ctx context.Context) bool {
	batch := p.gather(ctx)
	if len(batch) == 0 {
		return false
	}
	framed := make([][]byte, len(batch))
	for i, prop := range batch {
		framed[i] = prop.framed
	}
	// The one line where time enters the log.
	now, err := p.clock.stamp()
	if err != nil {
		fail(batch, proposalError(err))
		return false
	}
	future := p.log.Apply(fsm.EncodeEntry(now, framed), handoverLimit)
	p.wait.Add(1)
	go func() {
		defer p.wait.Done()
		p.deliver(batch, future)
		p.giveSlot()
	}()
	return true
}

// gather waits for a command and takes those queued behind it, as many as an entry may hold. Those
// whose callers left are dropped here and nowhere else: what is in the batch will be proposed.
func (p *proposer) gather(ctx context.Context) []*proposal {
	var batch []*proposal
	size := 0
	for len(batch) < maxBatchCommands {
		prop := p.next(ctx, len(batch) == 0)
		if prop == nil {
			break
		}
		if size+len(prop.framed) > maxBatchBytes {
			p.held = prop
			break
		}
		if !prop.stage.CompareAndSwap(waiting, taken) {
			continue
		}
		size += len(prop.framed)
		batch = append(batch, prop)
	}
	return batch
}

// next takes the command that was held back or the first of the queue. If there is none it
// returns nil, or blocks until there is one or ctx ends.
func (p *proposer) next(ctx context.Context, block bool) *proposal {
	if prop := p.held; prop != nil {
		p.held = nil
		return prop
	}
	select {
	case prop := <-p.queue:
		return prop
	default:
	}
	if !block {
		return nil
	}
	select {
	case prop := <-p.queue:
		return prop
	case <-ctx.Done():
		return nil
	}
}

// deliver waits for raft's answer and gives each command its own.
func (p *proposer) deliver(batch []*proposal, future raft.ApplyFuture) {
	answered := make(chan error, 1)
	go func() { answered <- future.Error() }()
	var err error
	select {
	case err = <-answered:
	case <-p.gone:
		err = raft.ErrRaftShutdown
	}
	if err != nil {
		fail(batch, proposalError(err))
		return
	}
	results, ok := future.Response().([]fsm.Result)
	if !ok || len(results) != len(batch) {
		err, _ := future.Response().(error)
		if err == nil {
			err = fmt.Errorf("got %d results for %d commands", len(results), len(batch))
		}
		fail(batch, proposalError(err))
		return
	}
	for i, prop := range batch {
		o := outcome{result: results[i]}
		if results[i].Err != nil {
			o.err = results[i].Err
		}
		prop.done <- o
	}
}

func fail(batch []*proposal, err *lease.Error) {
	for _, prop := range batch {
		prop.done <- outcome{err: err}
	}
}
