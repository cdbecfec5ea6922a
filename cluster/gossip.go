package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	joinPauseMin = 200 * time.Millisecond // between tries to find the others
	joinPauseMax = 30 * time.Second
	rejoinPause  = time.Minute      // looks for members lost in a split while not alone
	reclaimTime  = 30 * time.Second // a dead member's name may come back with another address
	updateLimit  = 2 * time.Second
	metaVersion  = 1
)

// gossip is discovery: who else is there, and where to ask to be let in. Whoever has the gossip key
// can say anything here, so nothing that is learned changes raft's configuration or says who leads.
type gossip struct {
	list    *memberlist.Memberlist
	keys    *keyring
	meta    func() gossipMeta
	changed chan struct{} // cap 1: something changed, look again

	// seen is kept from the events, since memberlist changes the nodes that it hands out.
	mu   sync.Mutex // guards seen
	seen map[string]gossipMeta
}

// gossipMeta is what a node says of itself. It must fit in memberlist's 512 bytes.
type gossipMeta struct {
	ID, PeerAddr, APIAddr, Version string
	Expect                         int
	HasState                       bool
}

func (m gossipMeta) encode() []byte {
	b := []byte{metaVersion, 0}
	if m.HasState {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, uint64(m.Expect))
	for _, s := range []string{m.PeerAddr, m.APIAddr, m.Version} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

var errMeta = errors.New("gossip metadata is not understood")

// decodeMeta is the inverse of encode; the ID is the member's name. What a newer version appends
// is ignored.
func decodeMeta(id string, b []byte) (gossipMeta, error) {
	if len(b) < 2 || b[0] < metaVersion {
		return gossipMeta{}, errMeta
	}
	m := gossipMeta{ID: id, HasState: b[1]&1 != 0}
	b = b[2:]
	expect, n := binary.Uvarint(b)
	if n <= 0 || expect > 1<<16 {
		return gossipMeta{}, errMeta
	}
	m.Expect, b = int(expect), b[n:]
	for _, s := range []*string{&m.PeerAddr, &m.APIAddr, &m.Version} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return gossipMeta{}, errMeta
		}
		*s, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	return m, nil
}

// openGossip starts discovery if it is configured.
func (n *Node) openGossip() error {
	if n.cfg.GossipBind == "" {
		return nil
	}
	g := &gossip{changed: make(chan struct{}, 1), meta: n.gossipMeta, seen: make(map[string]gossipMeta)}
	if size := len(g.meta().encode()); size > memberlist.MetaMaxSize {
		return fmt.Errorf("gossip: addresses and version take %d bytes, at most %d are possible", size, memberlist.MetaMaxSize)
	}
	mc, err := n.memberlistConfig()
	if err != nil {
		return err
	}
	if g.keys, err = newKeyring(n.cfg); err != nil {
		return fmt.Errorf("gossip keys: %w", err)
	}
	mc.Keyring = g.keys.ring
	mc.Delegate, mc.Events = g, g
	if g.list, err = memberlist.Create(mc); err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	n.gossip = g
	n.start(n.keepJoined)
	return nil
}

func (n *Node) gossipMeta() gossipMeta {
	return gossipMeta{
		ID: n.cfg.NodeID, PeerAddr: n.peerAddr, APIAddr: n.cfg.APIAddr, Version: n.cfg.Version,
		Expect: n.cfg.BootstrapExpect, HasState: n.hasState(),
	}
}

func (n *Node) memberlistConfig() (*memberlist.Config, error) {
	mc := memberlist.DefaultLANConfig()
	mc.Name = n.cfg.NodeID
	mc.Label = n.cfg.ClusterName
	mc.GossipVerifyIncoming, mc.GossipVerifyOutgoing = true, true
	mc.DeadNodeReclaimTime = reclaimTime
	mc.Logger = newHclogger(n.cfg.Log, "gossip").StandardLogger(nil)
	var err error
	if mc.BindAddr, mc.BindPort, err = splitAddr(n.cfg.GossipBind); err != nil {
		return nil, fmt.Errorf("gossip address: %w", err)
	}
	mc.AdvertisePort = mc.BindPort
	if n.cfg.GossipAdvertise == "" {
		return mc, nil
	}
	host, port, err := splitAddr(n.cfg.GossipAdvertise)
	if err != nil {
		return nil, fmt.Errorf("advertised gossip address: %w", err)
	}
	ips, err := net.DefaultResolver.LookupIP(n.ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return nil, fmt.Errorf("advertised gossip address %q: %w", host, err)
	}
	mc.AdvertiseAddr, mc.AdvertisePort = ips[0].String(), port
	return mc, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// keepJoined looks for the other nodes, for ever: while alone with growing pauses, later now and
// then, in case a split left two groups that each have company.
func (n *Node) keepJoined(ctx context.Context) {
	if len(n.cfg.RetryJoin) == 0 {
		return
	}
	pause := joinPauseMin
	for {
		_, err := n.gossip.list.Join(n.cfg.RetryJoin)
		wait := rejoinPause
		if n.gossip.list.NumMembers() < 2 {
			if err != nil {
				n.log.Info("no other node found yet", "retry_in", pause, "error", err)
			}
			wait = pause
			pause = min(2*pause, joinPauseMax)
		} else {
			pause = joinPauseMin
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// members returns what is known of the members that are alive, this node included, by ID.
func (g *gossip) members() []gossipMeta {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(maps.Values(g.seen), func(a, b gossipMeta) int { return strings.Compare(a.ID, b.ID) })
}

// refresh tells the others that this node's metadata changed.
func (g *gossip) refresh() error { return g.list.UpdateNode(updateLimit) }

// close stops gossiping without a word: the others find out, and a restart is no leave.
func (g *gossip) close() { g.list.Shutdown() }

// note keeps what a member says of itself and has somebody look at it. It is called with
// memberlist's locks held, so it does no more.
func (g *gossip) note(m *memberlist.Node) {
	meta, err := decodeMeta(m.Name, m.Meta)
	g.mu.Lock()
	if err == nil {
		g.seen[m.Name] = meta
	} else {
		delete(g.seen, m.Name)
	}
	g.mu.Unlock()
	g.poke()
}

func (g *gossip) poke() {
	select {
	case g.changed <- struct{}{}:
	default: // a look is due anyway
	}
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(int) []byte { return g.meta().encode() }

// NotifyMsg implements memberlist.Delegate; nodes do not send each other messages by gossip.
func (g *gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (g *gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(m *memberlist.Node) { g.note(m) }

// NotifyLeave implements memberlist.EventDelegate.
func (g *gossip) NotifyLeave(m *memberlist.Node) {
	g.mu.Lock()
	delete(g.seen, m.Name)
	g.mu.Unlock()
	g.poke()
}

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(m *memberlist.Node) { g.note(m) }
