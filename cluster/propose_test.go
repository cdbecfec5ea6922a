package cluster

// These tests are inside the package: they hold the log still to see what is packed into an entry,
// which cannot be seen from outside.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// stillLog keeps entries until they are answered one by one.
type stillLog struct {
	state   *fsm.State
	entries chan *stillEntry
	index   uint64
}

type stillEntry struct {
	data   []byte
	answer chan error
	result any
}

func newStillLog() *stillLog {
	return &stillLog{state: fsm.New(), entries: make(chan *stillEntry, 100)}
}

func (l *stillLog) Apply(data []byte, _ time.Duration) raft.ApplyFuture {
	e := &stillEntry{data: data, answer: make(chan error, 1)}
	l.entries <- e
	return e
}

// commit applies the next entry and answers it.
func (l *stillLog) commit(t *testing.T) []fsm.Result {
	t.Helper()
	e := <-l.entries
	l.index++
	results, err := l.state.Apply(l.index, e.data)
	if err != nil {
		t.Fatal(err)
	}
	e.result = results
	e.answer <- nil
	return results
}

func (e *stillEntry) Error() error  { return <-e.answer }
func (e *stillEntry) Response() any { return e.result }
func (e *stillEntry) Index() uint64 { return 0 }

func policy(i, size int) *command.PutPolicy {
	return &command.PutPolicy{Name: fmt.Sprintf("p%05d", i), Text: strings.Repeat("x", size)}
}

// run starts a proposer inside a synctest bubble and stops it at its end.
func runProposer(t *testing.T, log entryLog) *proposer {
	p := newProposer(log, newLogClock(time.Now), func() uint32 { return fsm.FeatureLevel })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	p.begin()
	wg.Go(func() { p.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		p.close()
	})
	return p
}

func TestProposerPacksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newStillLog()
		p := runProposer(t, log)
		var wg sync.WaitGroup
		seqs := make([]uint64, 600)
		for i := range seqs {
			wg.Go(func() {
				res, err := p.propose(t.Context(), policy(i, 10))
				if err != nil {
					t.Errorf("propose %d: %v", i, err)
				}
				seqs[i] = res.Seq
			})
			synctest.Wait() // one after the other into the queue
		}
		// One entry is outstanding with what was there when its slot was free, a second one with what it
		// takes for a second one; what came later waits.
		if got := len(log.entries); got != maxOutstanding {
			t.Fatalf("%d entries outstanding, want %d", got, maxOutstanding)
		}
		var sizes []int
		for range 5 {
			sizes = append(sizes, len(log.commit(t)))
			synctest.Wait()
		}
		wg.Wait()
		if got, want := fmt.Sprint(sizes), "[1 32 256 256 55]"; got != want {
			t.Errorf("commands per entry: got %s, want %s", got, want)
		}
		for i := 1; i < len(seqs); i++ {
			if seqs[i] != seqs[i-1]+1 {
				t.Fatalf("command %d has number %d after %d: order was lost", i, seqs[i], seqs[i-1])
			}
		}
	})
}

func TestProposerBoundsEntriesByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newStillLog()
		p := runProposer(t, log)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { p.propose(t.Context(), policy(i, 100<<10)) })
			synctest.Wait()
		}
		var sizes []int
		for range 5 {
			sizes = append(sizes, len(log.commit(t)))
			synctest.Wait()
		}
		wg.Wait()
		if got, want := fmt.Sprint(sizes), "[1 2 2 2 1]"; got != want {
			t.Errorf("commands of 100 KiB per entry: got %s, want %s", got, want)
		}
		_, err := p.propose(t.Context(), policy(9, maxBatchBytes))
		var e *lease.Error
		if !errors.As(err, &e) || e.Code != lease.TooLarge {
			t.Errorf("command over the bound: got %v, want %v", err, lease.TooLarge)
		}
	})
}

// A caller that leaves while its command waits: nothing happened, and nothing may happen later. One
// that leaves after it was handed over does not know.
func TestProposerContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newStillLog()
		p := runProposer(t, log)
		var wg sync.WaitGroup
		codes := make([]lease.Code, 4)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range codes {
			wg.Go(func() {
				_, err := p.propose(ctx, policy(i, 1))
				var e *lease.Error
				if errors.As(err, &e) {
					codes[i] = e.Code
				}
			})
			synctest.Wait()
		}
		cancel()
		wg.Wait()
		want := []lease.Code{lease.Uncertain, lease.Unavailable, lease.Unavailable, lease.Unavailable}
		if fmt.Sprint(codes) != fmt.Sprint(want) {
			t.Errorf("codes: got %v, want %v", codes, want)
		}
		log.commit(t)
		synctest.Wait()
		if got := len(log.entries); got != 0 {
			t.Errorf("%d entries were proposed for callers that had left, want 0", got)
		}
	})
}

func TestProposerQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newStillLog()
		p := runProposer(t, log)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		const handedOver = 1 + secondEntryAt
		for i := range handedOver + maxQueued {
			wg.Go(func() { p.propose(ctx, policy(i, 1)) })
			if i < handedOver {
				synctest.Wait()
			}
		}
		synctest.Wait()
		_, err := p.propose(t.Context(), policy(0, 1))
		if !errors.Is(err, errQueueFull) {
			t.Errorf("with a full queue: got %v, want %v", err, errQueueFull)
		}
		cancel()
		wg.Wait()
		log.commit(t)
		log.commit(t)
	})
}

// When leadership ends, what waits is refused and what raft has is uncertain.
func TestProposerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newStillLog()
		p := newProposer(log, newLogClock(time.Now), func() uint32 { return fsm.FeatureLevel })
		ctx, cancel := context.WithCancel(t.Context())
		p.begin()
		var wg sync.WaitGroup
		wg.Go(func() { p.run(ctx) })
		codes := make([]lease.Code, 1+secondEntryAt+1) // in the first entry, in the second, waiting
		for i := range codes {
			wg.Go(func() {
				_, err := p.propose(t.Context(), policy(i, 1))
				var e *lease.Error
				if errors.As(err, &e) {
					codes[i] = e.Code
				}
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		if _, err := p.propose(t.Context(), policy(9, 1)); !errors.Is(err, errNotLeader) {
			t.Errorf("after the end: got %v, want %v", err, errNotLeader)
		}
		(<-log.entries).answer <- raft.ErrLeadershipLost
		second := <-log.entries
		p.close() // raft has not answered for it
		wg.Wait()
		second.answer <- nil
		for i, got := range codes {
			want := lease.Uncertain
			if i == len(codes)-1 {
				want = lease.Unavailable
			}
			if got != want {
				t.Errorf("command %d: got %v, want %v", i, got, want)
			}
		}
	})
}

func TestProposalErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want lease.Code
	}{
		{"not the leader", raft.ErrNotLeader, lease.Unavailable},
		{"handing over, before the append", raft.ErrLeadershipTransferInProgress, lease.Unavailable},
		{"raft did not take it in time", raft.ErrEnqueueTimeout, lease.Unavailable},
		{"the clock jumped, nothing proposed", errClockJump, lease.Unavailable},
		{"leadership lost after the append", raft.ErrLeadershipLost, lease.Uncertain},
		{"shut down while waiting", raft.ErrRaftShutdown, lease.Uncertain},
		{"context ended while waiting", context.DeadlineExceeded, lease.Uncertain},
		{"context cancelled while waiting", context.Canceled, lease.Uncertain},
		{"the log store failed", errors.New("no space left on device"), lease.Uncertain},
		{"wrapped", fmt.Errorf("apply: %w", raft.ErrNotLeader), lease.Unavailable},
		{"replaced by a restore", raft.ErrAbortedByRestore, lease.Conflict},
		{"has a code already", lease.Errorf(lease.TooLarge, "big"), lease.TooLarge},
	}
	for _, tt := range tests {
		if got := proposalError(tt.err); got.Code != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got.Code, tt.want)
		}
	}
	if err := proposalErrorOrNil(nil); err != nil {
		t.Errorf("no error: got %v, want nil", err)
	}
}

// An entry of a version that this node does not know stops it, and nothing after it is applied
// (S19).
func TestS19_UnknownEntryStopsTheNode(t *testing.T) {
	fatal := make(chan error, 1)
	state := fsm.New()
	a := &adapter{state: state, clock: newLogClock(time.Now), fatal: func(err error) { fatal <- err }}
	good := func(i int) []byte {
		framed, err := fsm.EncodeCommand(policy(i, 1))
		if err != nil {
			t.Fatal(err)
		}
		return fsm.EncodeEntry(lease.Time(1e18), [][]byte{framed})
	}
	if _, ok := a.Apply(&raft.Log{Index: 1, Data: good(1)}).([]fsm.Result); !ok {
		t.Fatal("a good entry was refused")
	}
	unknown := good(2)
	unknown[0] = 250
	if err, ok := a.Apply(&raft.Log{Index: 2, Data: unknown}).(error); !ok || err == nil {
		t.Fatal("an entry of version 250 was applied")
	}
	if err := <-fatal; err == nil {
		t.Fatal("the node was not told to stop")
	}
	if err, ok := a.Apply(&raft.Log{Index: 3, Data: good(3)}).(error); !ok || !errors.Is(err, errStopped) {
		t.Errorf("entry after it: got %v, want %v", err, errStopped)
	}
	if got := state.Applied(); got != 1 {
		t.Errorf("applied: got %d, want 1", got)
	}
	if _, err := a.Snapshot(); err == nil {
		t.Error("a stopped node took a snapshot")
	}
	if _, err := a.state.Hash(); err == "" {
		t.Error("no hash")
	}
}

func BenchmarkPack(b *testing.B) {
	log := instantLog{}
	p := newProposer(log, newLogClock(time.Now), func() uint32 { return fsm.FeatureLevel })
	ctx, cancel := context.WithCancel(b.Context())
	p.begin()
	go p.run(ctx)
	defer cancel()
	cmd := policy(1, 100)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.propose(ctx, cmd); err != nil {
				b.Error(err)
			}
		}
	})
}

// instantLog commits at once.
type instantLog struct{}

type instantEntry struct{ results []fsm.Result }

func (instantLog) Apply(data []byte, _ time.Duration) raft.ApplyFuture {
	count, _ := binary.Uvarint(data[2:])
	return instantEntry{make([]fsm.Result, count)}
}

func (e instantEntry) Error() error  { return nil }
func (e instantEntry) Response() any { return e.results }
func (e instantEntry) Index() uint64 { return 0 }

// TestT30_NoCommandAboveTheLevel: what some member may not understand is not proposed; it waits a little for
// the last of them.
func TestT30_NoCommandAboveTheLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var level atomic.Uint32
		log := newStillLog()
		p := newProposer(log, newLogClock(time.Now), level.Load)
		p.begin()
		ctx, cancel := context.WithCancel(t.Context())
		go p.run(ctx)
		defer func() { cancel(); synctest.Wait() }()
		newer := &command.SetAutopilot{}
		level.Store(fsm.LevelOf(newer) - 1)
		_, err := p.propose(ctx, newer)
		if e, ok := errors.AsType[*lease.Error](err); !ok || e.Code != lease.Unavailable || !strings.Contains(e.Message, "upgrade them all") {
			t.Errorf("got %v, want Unavailable and what to do", err)
		}
		if len(log.entries) > 0 {
			t.Error("it was proposed")
		}
		proposed := make(chan error, 1)
		go func() {
			_, err := p.propose(ctx, newer)
			proposed <- err
		}()
		time.Sleep(levelWait / 2)
		level.Store(fsm.LevelOf(newer))
		log.commit(t)
		if err := <-proposed; err != nil {
			t.Errorf("a level that comes in time: %v", err)
		}
	})
}
