package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

const (
	transportTimeout = 10 * time.Second // of one exchange; raft scales it for snapshots
	transportPool    = 3                // idle connections kept for each peer
	drainLimit       = 2 * time.Second  // for entries still with raft when the node closes
	drainPause       = time.Millisecond // between looks at them
)

// Node is one member of the cluster. Its methods are safe for concurrent use.
type Node struct {
	cfg      Config
	log      *slog.Logger
	peerAddr string // advertised
	fresh    bool   // had no raft state when it was opened

	secure    *secure // nil: the peer port is plain
	mux       *mux
	calls     *callClient
	stores    *Stores
	disk      *diskWatch
	adapter   *adapter
	clock     *logClock
	transport raftTransport
	raft      *raft.Raft
	proposer  *proposer
	gossip    *gossip // nil without GossipBind

	term        atomic.Pointer[leadership] // nil unless ready
	duties      dutyList
	restores    chan *restoreOrder
	restoring   atomic.Pointer[restoreOrder] // taken, to be done when the duties have ended
	leaderReads rounds
	localReads  rounds
	member      memberState
	pilot       atomic.Pointer[pilotView] // nil unless leading

	ctx       context.Context // of everything but raft; ended by Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	fatalOnce sync.Once
	closeOnce sync.Once
	closeErr  error
}

// Open starts a node. It returns when the node takes part in the cluster, not when there is a
// leader.
func Open(cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("cluster configuration: %w", err)
	}
	n := &Node{cfg: cfg, log: cfg.Log.With("component", "cluster"), clock: newLogClock(cfg.Now)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.duties.init(cfg.Duties)
	n.restores = make(chan *restoreOrder)
	n.leaderReads.run = n.confirmRound
	n.localReads.run = n.askLeaderRound
	n.secure = newSecure(cfg)
	n.calls = newCallClient(n.dial, cfg.Now)
	for _, open := range []func() error{n.openStores, n.openPeerPort, n.openRaft, n.found, n.openGossip} {
		if err := open(); err != nil {
			n.Close()
			return nil, err
		}
	}
	n.mux.serve()
	n.start(n.monitor)
	n.start(n.watchDisk)
	n.start(n.tell)
	n.start(n.keepMembership)
	n.start(n.compact)
	n.start(n.keepBallast)
	return n, nil
}

// start runs work until the node closes.
func (n *Node) start(work func(context.Context)) {
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		work(n.ctx)
	}()
}

func (n *Node) openStores() error {
	stores, disk, err := openStores(n.cfg)
	if err != nil {
		return err
	}
	n.stores, n.disk = stores, disk
	last, err := stores.Log.LastIndex()
	if err != nil {
		return fmt.Errorf("read last index of the log: %w", err)
	}
	n.adapter = &adapter{state: n.cfg.State, clock: n.clock, fatal: n.fatal, inherited: last,
		understood: n.cfg.FeatureLevel}
	return nil
}

func (n *Node) openPeerPort() error {
	l, err := n.cfg.Network.Listen(n.cfg.PeerBind)
	if err != nil {
		return fmt.Errorf("listen for peers: %w", err)
	}
	n.peerAddr = n.cfg.PeerAdvertise
	if n.peerAddr == "" {
		n.peerAddr = l.Addr().String()
	}
	if host, _, err := net.SplitHostPort(n.peerAddr); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			l.Close()
			return fmt.Errorf("peer address %q cannot be advertised to others: set one", n.peerAddr)
		}
	}
	server := &callServer{handlers: n.handlers(), now: n.cfg.Now}
	n.mux = newMux(l, n.peerAddr, n.cfg, server.serve)
	n.mux.secure = n.secure
	n.mux.member = func(id string) bool { _, ok := n.server(id); return ok }
	return nil
}

func (n *Node) openRaft() error {
	logger := newHclogger(n.cfg.Log, "raft")
	n.transport = raftTransport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  raftLayer{branch: n.mux.raft, dial: n.dial},
		MaxPool: transportPool,
		// One at a time: a pipeline can wedge after a follower's disk stalled (hashicorp/raft
		// issue 612), and was no faster.
		MaxRPCsInFlight: 1,
		Timeout:         transportTimeout,
		Logger:          logger.Named("net"),
	})}
	rc := n.cfg.raftConfig(logger)
	if err := n.recoverPeers(rc); err != nil {
		return err
	}
	state, err := raft.HasExistingState(n.stores.Log, n.stores.Stable, n.stores.Snapshots)
	if err != nil {
		return fmt.Errorf("look for raft state: %w", err)
	}
	n.fresh = !state
	n.raft, err = raft.NewRaft(rc, n.adapter, n.stores.Log, n.stores.Stable, n.stores.Snapshots, n.transport)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	n.proposer = newProposer(n.raft, n.clock, n.featureLevel)
	n.log.Debug("raft is up", "peer_addr", n.peerAddr, "fresh", n.fresh,
		"heartbeat", rc.HeartbeatTimeout, "election", rc.ElectionTimeout, "leader_lease", rc.LeaderLeaseTimeout,
		"commit", rc.CommitTimeout, "snapshot_interval", rc.SnapshotInterval,
		"snapshot_threshold", rc.SnapshotThreshold, "trailing_logs", rc.TrailingLogs)
	return nil
}

// dial connects to another node's peer port. When the node closes, the attempt ends and so does the
// connection: raft would otherwise wait for an answer on it until its time-out.
func (n *Node) dial(ctx context.Context, to nodeAddr, proto byte) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	raw, err := dialRaw(ctx, n.cfg.Network, to.addr)
	if err != nil {
		return nil, err
	}
	if raw, err = n.mux.track(raw); err != nil {
		return nil, err
	}
	conn := raw
	if n.secure != nil {
		conn, err = n.secure.dial(ctx, raw, to)
	}
	if err == nil {
		err = greet(ctx, conn, n.cfg.Now, proto)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("dial %s: %w", to.addr, err)
	}
	return conn, nil
}

// addrOf is where raft's configuration has a server.
func addrOf(s raft.Server) nodeAddr { return nodeAddr{id: string(s.ID), addr: string(s.Address)} }

// leaderAddr is the leader that this node knows of; its address is "" if there is none.
func (n *Node) leaderAddr() nodeAddr {
	addr, id := n.raft.LeaderWithID()
	return nodeAddr{id: string(id), addr: string(addr)}
}

// fatal reports why the node must not go on, once.
func (n *Node) fatal(err error) {
	n.fatalOnce.Do(func() {
		n.log.Error("the node cannot go on", "error", err)
		if n.cfg.Fatal != nil {
			go n.cfg.Fatal(err)
		}
	})
}

// Close hands leadership over if it can, stops all that Open started and waits for it. Stopping is
// not leaving: the node stays a member.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	if n.raft != nil && n.raft.State() == raft.Leader && n.hasHeirs() && !n.diskHangs() {
		if err := n.transfer(n.ctx); err != nil {
			n.log.Warn("leadership was not handed over", "error", err)
		}
	}
	n.cancel()
	if n.gossip != nil {
		n.gossip.close()
	}
	err := n.stopRaft()
	if n.mux != nil {
		n.mux.close()
	}
	n.calls.close()
	n.leaderReads.wait()
	n.localReads.wait()
	if n.stores == nil || errors.Is(err, errNotStopped) { // raft still uses them
		return err
	}
	return errors.Join(err, n.stores.shut())
}

var errNotStopped = errors.New("raft did not stop: its disk does not finish a write")

// diskHangs reports whether an append is outstanding for so long that raft's main loop will hardly
// answer.
func (n *Node) diskHangs() bool { return n.disk.outstanding() > min(n.cfg.StallLimit, time.Second) }

// stopRaft ends raft and everything that works with it.
func (n *Node) stopRaft() error {
	if n.raft == nil {
		return nil
	}
	n.awaitDrained()
	stopped := make(chan error, 1)
	future := n.raft.Shutdown()
	n.transport.Close()
	n.mux.close() // or raft would wait for the rest of a snapshot
	go func() { stopped <- future.Error() }()
	var err error
	select {
	case err = <-stopped:
	case <-time.After(n.cfg.StopLimit):
		err = errNotStopped
	}
	n.wg.Wait()
	n.proposer.close()
	return err
}

// awaitDrained waits a little for raft to answer for what it was given, since it leaves some
// futures unanswered when it is shut down.
func (n *Node) awaitDrained() { n.awaitIdle(min(drainLimit, n.cfg.StopLimit)) }

// awaitIdle waits until raft has answered for what it was given, or the limit is over.
func (n *Node) awaitIdle(limit time.Duration) {
	deadline := n.cfg.Now().Add(limit)
	for n.proposer.outstanding() > 0 && n.cfg.Now().Before(deadline) {
		time.Sleep(drainPause)
	}
}

// Propose has cmd committed and applied and returns its result. The error is a *lease.Error: one
// that the state refused the command with, or Unavailable (nothing happened), Uncertain (it may
// have happened), TooLarge.
func (n *Node) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	if n.term.Load() == nil {
		if n.IsLeader() {
			return fsm.Result{}, errNotReady
		}
		return fsm.Result{}, errNotLeader
	}
	if n.stores.ballast.short() {
		return fsm.Result{}, errDiskFull
	}
	return n.proposer.propose(ctx, cmd)
}

// Now is log time: exact on the leader; on a follower the last that was heard, plus this node's own
// monotonic time since.
func (n *Node) Now() lease.Time { return n.clock.Now() }

// State is the replicated state.
func (n *Node) State() *fsm.State { return n.cfg.State }

// IsLeader reports whether this node believes to lead.
func (n *Node) IsLeader() bool { return n.raft.State() == raft.Leader }

// Ready reports whether this node leads and its state holds all that its predecessors committed.
func (n *Node) Ready() bool { return n.IsLeader() && n.term.Load() != nil }

// ID is this node's ID.
func (n *Node) ID() string { return n.cfg.NodeID }

// PeerAddr is the advertised address of the peer port.
func (n *Node) PeerAddr() string { return n.peerAddr }

// PeerListener accepts the connections on which other nodes forward HTTP requests. What arrives
// here comes from a node of the cluster, whatever its headers say.
func (n *Node) PeerListener() net.Listener { return n.mux.http }
