package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/leasehold/leasehold/fsm"
)

const (
	// unreachable is the last contact of a member that did not answer: it is never healthy.
	unreachable = -1
)

// runAutopilot is the leader's duty to make non-voters vote once they have been healthy, caught up
// and in touch for long enough. Until then they count for no quorum, so a node that has nothing yet
// cannot be what a majority stands on.
func (n *Node) runAutopilot(ctx context.Context) error {
	pace := min(n.cfg.Stabilization/5, 2*time.Second)
	ctx, cancel := context.WithCancel(ctx)
	view := &pilotView{n: n, ctx: ctx, contacts: newContacts(n.cfg.Now)}
	defer view.removals.Wait()
	defer cancel()
	pilot := autopilot.New(pilotRaft{n.raft, n}, view,
		autopilot.WithLogger(newHclogger(n.cfg.Log, "autopilot")),
		autopilot.WithPromoter(patientPromoter{StablePromoter: new(autopilot.StablePromoter), now: n.cfg.Now}),
		autopilot.WithUpdateInterval(pace),
		autopilot.WithReconcileInterval(pace))
	view.pilot = pilot
	pilot.Start(ctx)
	n.pilot.Store(view)
	defer n.pilot.Store(nil)
	<-ctx.Done()
	<-pilot.Stop()
	return ctx.Err()
}

// pilotRaft is raft as autopilot may use it.
type pilotRaft struct {
	*raft.Raft
	n *Node
}

// AddVoter implements autopilot.Raft. Autopilot promotes by what it saw a while ago; a member that was
// removed since would be let in again, even as a voter, so the promotion is for those of now alone.
func (r pilotRaft) AddVoter(id raft.ServerID, addr raft.ServerAddress, _ uint64, timeout time.Duration) raft.IndexFuture {
	r.n.member.change.Lock()
	defer r.n.member.change.Unlock()
	future := r.GetConfiguration()
	if err := future.Error(); err != nil {
		return refusedChange{err}
	}
	for _, s := range future.Configuration().Servers {
		if s.ID == id && s.Address == addr {
			return r.Raft.AddVoter(id, addr, future.Index(), timeout)
		}
	}
	return refusedChange{fmt.Errorf("%s is no member at %s any more", id, addr)}
}

// refusedChange is the future of a change that raft was not asked for.
type refusedChange struct{ err error }

// Error implements raft.Future.
func (c refusedChange) Error() error { return c.err }

// Index implements raft.IndexFuture.
func (c refusedChange) Index() uint64 { return 0 }

// patientPromoter is autopilot's promoter without its exception for a young leadership: by that
// one, a leader that has just been elected takes every healthy non-voter at once.
type patientPromoter struct {
	*autopilot.StablePromoter
	now func() time.Time
}

// CalculatePromotionsAndDemotions implements autopilot.Promoter.
func (p patientPromoter) CalculatePromotionsAndDemotions(cfg *autopilot.Config, state *autopilot.State) autopilot.RaftChanges {
	var changes autopilot.RaftChanges
	now := p.now()
	for id, s := range state.Servers {
		if s.State == autopilot.RaftNonVoter && s.Health.IsStable(now, cfg.ServerStabilizationTime) {
			changes.Promotions = append(changes.Promotions, id)
		}
	}
	return changes
}

// FilterFailedServerRemovals implements autopilot.Promoter. Autopilot itself counts the voters that would
// stay, dead ones too; here as many as the least quorum must be healthy, which is so when those that take
// the place of the dead vote already.
func (p patientPromoter) FilterFailedServerRemovals(cfg *autopilot.Config, state *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	if healthyVoters(state) < int(cfg.MinQuorum) {
		failed.FailedVoters = nil
	}
	return failed
}

func healthyVoters(state *autopilot.State) (count int) {
	for _, s := range state.Servers {
		if s.HasVotingRights() && s.Health.Healthy {
			count++
		}
	}
	return count
}

// pilotView is the node as autopilot sees it during one leadership.
type pilotView struct {
	n        *Node
	ctx      context.Context // of the leadership
	pilot    *autopilot.Autopilot
	contacts *contacts
	removals sync.WaitGroup
	removing sync.Map // server IDs
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (p *pilotView) AutopilotConfig() *autopilot.Config {
	a := p.n.AutopilotSettings()
	return &autopilot.Config{
		CleanupDeadServers: a.CleanupDeadServers, LastContactThreshold: a.LastContact, MaxTrailingLogs: a.MaxTrailingLogs,
		MinQuorum: a.MinQuorum, ServerStabilizationTime: a.Stabilization,
	}
}

// NotifyState implements autopilot.ApplicationIntegration.
func (p *pilotView) NotifyState(*autopilot.State) {}

// RemoveFailedServer implements autopilot.ApplicationIntegration.
func (p *pilotView) RemoveFailedServer(s *autopilot.Server) {
	if _, already := p.removing.LoadOrStore(s.ID, nil); already {
		return
	}
	p.removals.Add(1)
	go func() {
		defer p.removals.Done()
		defer p.removing.Delete(s.ID)
		silent, _ := p.contacts.silence(s.ID)
		p.n.log.Warn("removing a dead member", "id", s.ID, "silent_for", silent)
		err := p.n.removePeer(p.ctx, string(s.ID), func() error { return p.removable(s.ID) })
		if err != nil && p.ctx.Err() == nil {
			p.n.log.Warn("the dead member was not removed", "id", s.ID, "error", err)
		}
	}()
}

// removable returns an error unless a member may be removed by what is known now: autopilot decided by
// what it saw a while ago, and perhaps on several members at once.
func (p *pilotView) removable(id raft.ServerID) error {
	settings, state := p.n.AutopilotSettings(), p.pilot.GetState()
	member, ok := p.n.server(string(id))
	switch {
	case !ok || !p.dead(id, settings):
		return fmt.Errorf("%s is back or is no member any more", id)
	case member.Suffrage == raft.Voter && healthyVoters(state) < int(settings.MinQuorum):
		return fmt.Errorf("fewer than %d voters are healthy", settings.MinQuorum)
	}
	return nil
}

func (p *pilotView) dead(id raft.ServerID, settings fsm.Autopilot) bool {
	silent, _ := p.contacts.silence(id)
	return settings.CleanupDeadServers && string(id) != p.n.cfg.NodeID && silent > settings.DeadServerLastContact
}

// KnownServers implements autopilot.ApplicationIntegration: those in raft's configuration. Whether
// they are well is for FetchServerStats to say.
func (p *pilotView) KnownServers() map[raft.ServerID]*autopilot.Server {
	known := make(map[raft.ServerID]*autopilot.Server)
	settings, servers := p.n.AutopilotSettings(), p.n.servers()
	p.contacts.expect(servers)
	for _, s := range servers {
		status := autopilot.NodeAlive
		if p.dead(s.ID, settings) {
			status = autopilot.NodeFailed
		}
		known[s.ID] = &autopilot.Server{
			ID: s.ID, Name: string(s.ID), Address: s.Address, NodeType: autopilot.NodeVoter,
			NodeStatus: status, RaftVersion: int(raft.ProtocolVersionMax),
			IsLeader: string(s.ID) == p.n.cfg.NodeID, Version: p.n.record(string(s.ID)).Version,
		}
	}
	return known
}

// FetchServerStats implements autopilot.ApplicationIntegration.
func (p *pilotView) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards stats
		stats = make(map[raft.ServerID]*autopilot.ServerStats, len(servers))
	)
	for id, s := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			found := p.stats(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			stats[id] = found
		}()
	}
	wg.Wait()
	return stats
}

func (p *pilotView) stats(ctx context.Context, s *autopilot.Server) *autopilot.ServerStats {
	ask := func() ([]byte, error) {
		return p.n.calls.call(ctx, nodeAddr{id: string(s.ID), addr: string(s.Address)}, verbStats, nil)
	}
	if s.IsLeader {
		ask = func() ([]byte, error) { return p.n.serveStats(ctx, nil) }
	}
	body, err := ask()
	if err != nil || len(body) != 24 {
		return &autopilot.ServerStats{LastContact: unreachable}
	}
	p.contacts.heard(s.ID)
	return &autopilot.ServerStats{
		LastContact: time.Duration(binary.BigEndian.Uint64(body)),
		LastTerm:    binary.BigEndian.Uint64(body[8:]),
		LastIndex:   binary.BigEndian.Uint64(body[16:]),
	}
}

// serveStats answers verbStats.
func (n *Node) serveStats(context.Context, []byte) ([]byte, error) {
	last, ok := n.LastContact()
	if !ok {
		last = unreachable
	}
	term, err := strconv.ParseUint(n.raft.Stats()["last_log_term"], 10, 64)
	if err != nil {
		return nil, err
	}
	body := binary.BigEndian.AppendUint64(nil, uint64(last))
	body = binary.BigEndian.AppendUint64(body, term)
	return binary.BigEndian.AppendUint64(body, n.raft.LastIndex()), nil
}
