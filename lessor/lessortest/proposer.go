package lessortest

import (
	"context"
	"fmt"
	"sync"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Fate is what becomes of one proposal.
type Fate uint8

// The fates.
const (
	Commit     Fate = iota
	Refuse          // Unavailable: it is not in the log and never will be
	LoseBefore      // Uncertain: it is not in the log
	LoseAfter       // Uncertain: it is in the log
)

// Proposer applies commands to the state at once, each as an entry of its own, through the codec
// of the log. It is safe for concurrent use.
type Proposer struct {
	clock *Clock

	mu       sync.Mutex // guards the fields below, and is held while an entry is applied
	state    *fsm.State
	index    uint64
	term     uint64
	fate     func(fsm.Command) Fate
	commands []fsm.Command
}

func newProposer(state *fsm.State, clock *Clock) *Proposer {
	return &Proposer{state: state, clock: clock}
}

// Propose is that of a leader, unless a fault is set.
func (p *Proposer) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, &lease.Error{Code: lease.Unavailable, Message: "the write was given up while it waited", Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fate := Commit
	if p.fate != nil {
		fate = p.fate(cmd)
	}
	switch fate {
	case Refuse:
		return fsm.Result{}, lease.Errorf(lease.Unavailable, "this node is not the leader")
	case LoseBefore:
		return fsm.Result{}, lease.Errorf(lease.Uncertain, "leadership was lost: it may have happened")
	}
	res := p.apply(cmd)
	if fate == LoseAfter {
		return fsm.Result{}, lease.Errorf(lease.Uncertain, "leadership was lost: it may have happened")
	}
	if res.Err != nil {
		return res, res.Err
	}
	return res, nil
}

func (p *Proposer) apply(cmd fsm.Command) fsm.Result {
	framed, err := fsm.EncodeCommand(cmd)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", cmd, err))
	}
	p.index++
	p.commands = append(p.commands, cmd)
	results, err := p.state.Apply(p.index, fsm.EncodeEntry(p.clock.Now(), [][]byte{framed}))
	if err != nil {
		panic(fmt.Sprintf("apply %T: %v", cmd, err))
	}
	return results[0]
}

// Elect begins a new leadership: faults are gone, and what was claimed is due again.
func (p *Proposer) Elect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = nil
	p.term++
	p.apply(&command.Epoch{Term: p.term, Leader: "n1"})
}

// Term is that of the present leadership.
func (p *Proposer) Term() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term
}

// Commands returns what was applied so far, Init and Epoch included.
func (p *Proposer) Commands() []fsm.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]fsm.Command(nil), p.commands...)
}

// Fault lets fate decide each proposal from now on; nil lets all pass. fate is called by one
// goroutine at a time.
func (p *Proposer) Fault(fate func(fsm.Command) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = fate
}

// CrashAt commits the next n commands, gives the one after them its fate, and refuses all others,
// until Elect.
func (p *Proposer) CrashAt(n int, fate Fate) {
	seen := 0
	p.Fault(func(fsm.Command) Fate {
		seen++
		switch {
		case seen <= n:
			return Commit
		case seen == n+1:
			return fate
		}
		return Refuse
	})
}

// Strike gives the commands of the type of like their fate and lets others pass.
func (p *Proposer) Strike(like fsm.Command, fate Fate) {
	kind := fmt.Sprintf("%T", like)
	p.Fault(func(cmd fsm.Command) Fate {
		if fmt.Sprintf("%T", cmd) == kind {
			return fate
		}
		return Commit
	})
}
