package cluster_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
)

// Messages of memberlist, as they are on the wire: a byte that says which, and a map in msgpack.
const (
	forgedSuspect = 3
	forgedAlive   = 4
	forgedDead    = 5
)

// forger sends gossip that it makes up, under the right key.
type forger struct {
	t     *testing.T
	conn  net.PacketConn
	aead  cipher.AEAD
	label string
}

func newForger(t *testing.T, key []byte, label string) *forger {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{t: t, conn: conn, label: label}
	if f.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	return f
}

// send sends a message of pairs of a name and a string, []byte, uint16 or uint32.
func (f *forger) send(to string, kind byte, pairs ...any) {
	f.t.Helper()
	msg := []byte{kind, 0x80 | byte(len(pairs)/2)}
	raw := func(s string) {
		msg = append(binary.BigEndian.AppendUint16(append(msg, 0xda), uint16(len(s))), s...)
	}
	for _, p := range pairs {
		switch v := p.(type) {
		case string:
			raw(v)
		case []byte:
			raw(string(v))
		case uint16:
			msg = binary.BigEndian.AppendUint16(append(msg, 0xcd), v)
		case uint32:
			msg = binary.BigEndian.AppendUint32(append(msg, 0xce), v)
		}
	}
	packet := append([]byte{244, byte(len(f.label))}, f.label...)
	nonce := make([]byte, f.aead.NonceSize())
	rand.Read(nonce)
	packet = append(append(packet, 1), nonce...)
	packet = f.aead.Seal(packet, nonce, msg, []byte(f.label))
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.conn.WriteTo(packet, addr); err != nil {
		f.t.Error(err)
	}
}

// trap listens where forged gossip says that a node is, and counts who comes.
func trap(t *testing.T) (addr string, came *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	came = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			conn.Close()
		}
	}()
	return l.Addr().String(), came
}

// facts is all that gossip must not change.
type facts struct {
	Leader  string
	Term    uint64
	Config  cluster.Configuration
	Records map[string]fsm.Node
	API     string
}

func factsOf(t *testing.T, n *cluster.Node) facts {
	t.Helper()
	conf, err := n.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	f := facts{Leader: n.LeaderID(), Term: n.Term(), Config: conf, Records: make(map[string]fsm.Node), API: n.LeaderAPIAddr()}
	n.State().Read(func(v *fsm.View) {
		for _, id := range []string{"a", "b", "c", "x", "y"} {
			if node, ok := v.Node(id); ok {
				f.Records[id] = node
			}
		}
	})
	return f
}

// T8: whoever has the gossip key can have the nodes believe of each other, by gossip, that they are
// dead or elsewhere, and nothing comes of it: not in raft's configuration, not in the addresses that
// requests are sent to, not in who leads, and no write fails.
func TestT8_ForgedGossip(t *testing.T) {
	k := newKeyholders(t, 3)
	leader := k.started()
	clustertest.Wait(t, "all to vote and be recorded", func() bool {
		f := factsOf(t, leader)
		return len(f.Records) == 3 && !slices.ContainsFunc(f.Config.Servers, func(s cluster.Server) bool { return !s.Voter })
	})
	before := factsOf(t, leader)
	for _, n := range k.nodes {
		clustertest.Wait(t, n.ID()+" to know the same", func() bool { return reflect.DeepEqual(factsOf(t, n), before) })
	}
	victim := k.others(leader)[0]
	evil, came := trap(t)
	lie := cluster.GossipMeta(evil, "http://"+evil)

	// Bare members: one of no name, under the address of the leader; one under the name of a member.
	if _, err := k.stranger("x", k.key, cluster.GossipMeta(leader.PeerAddr(), "http://"+evil)); err != nil {
		t.Fatal(err)
	}
	k.stranger(victim.ID(), k.key, lie)

	f := newForger(t, k.key, t.Name())
	believed := map[string]bool{}
	port := func(addr string) uint16 {
		_, text, _ := net.SplitHostPort(addr)
		n, _ := strconv.ParseUint(text, 10, 16)
		return uint16(n)
	}
	incarnation := uint32(1000)
	deadline := time.Now().Add(clustertest.Patience)
	for round := 0; round < 60 || len(believed) < 3; round++ {
		if time.Now().After(deadline) {
			t.Fatalf("the nodes believed only %v: the forgery proves nothing", believed)
		}
		for i, to := range k.seeds {
			for j, about := range []string{"a", "b", "c"} {
				if i == j {
					continue // a node knows of itself
				}
				incarnation += 10
				switch round % 3 {
				case 0:
					f.send(to, forgedDead, "Incarnation", incarnation, "Node", about, "From", leader.ID())
				case 1:
					f.send(to, forgedSuspect, "Incarnation", incarnation, "Node", about, "From", victim.ID())
				case 2: // alive at its address, of gossip, and with other addresses for the rest
					f.send(to, forgedAlive, "Incarnation", incarnation, "Node", about, "Addr", []byte{127, 0, 0, 1},
						"Port", port(k.seeds[j]), "Meta", lie, "Vsn", []byte{1, 5, 2, 0, 0, 0})
				}
			}
			f.send(to, forgedAlive, "Incarnation", incarnation, "Node", "y", "Addr", []byte{127, 0, 0, 1},
				"Port", port(f.conn.LocalAddr().String()), "Meta", lie, "Vsn", []byte{1, 5, 2, 0, 0, 0})
		}
		time.Sleep(20 * time.Millisecond)
		for _, n := range k.nodes {
			if during := factsOf(t, n); !reflect.DeepEqual(during, before) {
				t.Fatalf("%s: forged gossip changed\n%+v\ninto\n%+v", n.ID(), before, during)
			}
			seen := n.GossipMembers()
			believed["there is an x"] = believed["there is an x"] || slices.Contains(seen, "x")
			if len(slices.DeleteFunc(seen, func(id string) bool { return id > "c" })) < 3 {
				believed["a member is dead"] = true
			}
			if slices.Contains(n.GossipPeerAddrs(), evil) {
				believed["a member is elsewhere"] = true
			}
		}
		for lie, yes := range believed {
			if !yes {
				delete(believed, lie)
			}
		}
		mustPut(t, leader, fmt.Sprintf("p%d", round), "text")
	}
	time.Sleep(1500 * time.Millisecond) // more than one round of the reconciler
	for _, n := range k.nodes {
		mustGet(t, n, "p59", "text")
		if after := factsOf(t, n); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: forged gossip changed\n%+v\ninto\n%+v", n.ID(), before, after)
		}
	}
	if n := came.Load(); n > 0 {
		t.Errorf("%d connections were made to an address that gossip told alone", n)
	}
}
