package cluster

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/lease"
)

// steerClock is the leader's duty to tell the others its log time, and to steer it towards the
// wall time that a majority of the voters agrees on.
func (n *Node) steerClock(ctx context.Context) error {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		ahead, ok := n.wallAhead(ctx, clockInterval/2)
		n.clock.steer(ahead, ok)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// checkClock ends the leadership when an entry's log time turned out to be far ahead of the
// leader's clock, as after a restore: the next leadership starts from the log's.
func (n *Node) checkClock(ctx context.Context) error {
	tick := time.NewTicker(clockInterval / 10)
	defer tick.Stop()
	for {
		if _, err := n.clock.stamp(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// coldWall is the wall time for a leadership on a cold start; zero if it is not one. The voters
// that answer are asked, so that one node whose clock is off does not decide alone when it has
// company.
func (n *Node) coldWall(ctx context.Context) lease.Time {
	if !n.clock.cold() {
		return 0
	}
	ahead, ok := n.wallAhead(ctx, coldClockLimit)
	if !ok {
		n.log.Warn("cold start: the voters' clocks do not agree", "max_clock_skew", n.cfg.MaxClockSkew)
	}
	return n.clock.Now().Add(ahead)
}

// wallAhead asks all members for their wall clocks and returns how far the voters' median is ahead
// of log time, and whether a majority agrees on it.
func (n *Node) wallAhead(ctx context.Context, limit time.Duration) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	servers := n.servers()
	voters := 0
	answers := make(chan *time.Duration, len(servers))
	asked := 0
	var offsets []time.Duration
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
		if string(s.ID) == n.cfg.NodeID {
			offsets = append(offsets, lease.At(n.cfg.Wall()).Sub(n.clock.Now()))
			continue
		}
		asked++
		go func() {
			offset, err := n.askWall(ctx, addrOf(s))
			if err != nil || s.Suffrage != raft.Voter {
				answers <- nil
				return
			}
			answers <- &offset
		}()
	}
	for range asked {
		if offset := <-answers; offset != nil {
			offsets = append(offsets, *offset)
		}
	}
	return agreement(offsets, voters, n.cfg.MaxClockSkew)
}

// askWall tells a node log time and returns how far its wall clock is ahead of it. Half
// of the round trip is taken for the way there.
func (n *Node) askWall(ctx context.Context, to nodeAddr) (time.Duration, error) {
	before := n.clock.Now()
	body := binary.BigEndian.AppendUint64(nil, n.raft.CurrentTerm())
	warm := before
	if n.clock.cold() {
		warm = 0 // not settled yet: nobody should take it over
	}
	body = binary.BigEndian.AppendUint64(body, uint64(warm))
	answer, err := n.calls.call(ctx, to, verbClock, body)
	if err != nil {
		return 0, err
	}
	if len(answer) != 8 {
		return 0, errShortCall
	}
	after := n.clock.Now()
	wall := lease.Time(binary.BigEndian.Uint64(answer))
	return wall.Sub(before.Add(after.Sub(before) / 2)), nil
}

// serveClock answers a leader's verbClock.
func (n *Node) serveClock(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) != 16 {
		return nil, errShortCall
	}
	term := binary.BigEndian.Uint64(body)
	now := lease.Time(binary.BigEndian.Uint64(body[8:]))
	// A leader of an older term may have been paused for long with these words on its tongue.
	// Nor is log time believed from a node that does not lead.
	if now > 0 && term >= n.raft.CurrentTerm() && speaksFor(ctx, n.LeaderID()) {
		n.clock.heard(now)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(lease.At(n.cfg.Wall()))), nil
}
