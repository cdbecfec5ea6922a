package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// What a follower sends by DialLeader comes out of the leader's PeerListener, and what arrives there
// came from the peer port.
func TestForwardedConnections(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	go func() {
		for {
			conn, err := leader.PeerListener().Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	for _, dial := range []func(*cluster.Node) (net.Conn, error){
		func(n *cluster.Node) (net.Conn, error) { return n.DialLeader(within(t, 5*time.Second)) },
		func(n *cluster.Node) (net.Conn, error) { return n.DialPeer(within(t, 5*time.Second), leader.ID()) },
	} {
		for _, n := range c.Nodes() {
			c.Wait("the leader to be known", func() bool { return n.LeaderID() == leader.ID() })
			conn, err := dial(n)
			if err != nil {
				t.Fatalf("dial from %s: %v", n.ID(), err)
			}
			want := "hello from " + n.ID()
			fmt.Fprint(conn, want)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Errorf("echo to %s: got %q, %v, want %q", n.ID(), got, err, want)
			}
			conn.Close()
		}
	}
	if _, err := leader.DialPeer(within(t, time.Second), "nobody"); code(err) != lease.NotFound {
		t.Errorf("dial a stranger: got %v, want %v", err, lease.NotFound)
	}
}

// Whoever speaks no protocol of ours is cut off, and nobody else is disturbed.
func TestPeerPortCutsStrangers(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) { cfg.Network = cluster.TCP{} }})
	leader := c.WaitLeader()
	for _, words := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00", "C\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "C\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		conn, err := net.Dial("tcp", leader.PeerAddr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, words)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("after %q: got %d bytes, want to be cut off", words, n)
		} else if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("after %q: still connected", words)
		}
		conn.Close()
	}
	mustPut(t, leader, "p", "served")
}

// Close ends connections that nobody reads, and waits for nobody.
func TestCloseCutsIdleConnections(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Options{Configure: func(cfg *cluster.Config) { cfg.Network = cluster.TCP{} }})
	leader := c.WaitLeader()
	var conns []net.Conn
	for _, first := range []string{"", "R", "C", "H"} {
		conn, err := net.Dial("tcp", leader.PeerAddr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, first)
		conns = append(conns, conn)
	}
	start := time.Now()
	c.Stop("n1")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("close took %v with idle connections, want at most 3 s", took)
	}
	for i, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("connection %d is still open", i)
		}
		conn.Close()
	}
}

// An address that others cannot use is refused at the start.
func TestUnspecifiedAddressIsNotAdvertised(t *testing.T) {
	cfg := cluster.Config{NodeID: "n", PeerBind: "0.0.0.0:0", Now: time.Now, Log: clustertest.Logger(t), State: fsm.New()}
	if n, err := cluster.Open(cfg); err == nil {
		n.Close()
		t.Error("0.0.0.0 was advertised")
	}
	cfg.PeerAdvertise = "localhost:1"
	n, err := cluster.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}

// Every fault of a configuration is named at once.
func TestConfigFaults(t *testing.T) {
	_, err := cluster.Open(cluster.Config{GossipKeys: [][]byte{[]byte("short")}, RetryJoin: []string{"x"}, BootstrapExpect: 3})
	if err == nil {
		t.Fatal("an empty configuration was accepted")
	}
	for _, want := range []string{"node ID", "peer address", "clock", "logger", "state", "gossip key", "retry_join", "bootstrap_expect"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("faults %q do not name %q", err, want)
		}
	}
}

// S11: one node's wall clock is off by an hour, or jumps while it leads. Log time follows the
// others, through failovers to that node and away from it.
func TestS11_OneWallClockIsOff(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			c := clustertest.Start(t, 3, clustertest.Options{Configure: func(cfg *cluster.Config) {
				if cfg.NodeID == "n1" {
					cfg.Wall = func() time.Time { return time.Now().Add(off) }
				}
			}})
			c.WaitLeader()
			led := map[string]bool{}
			var last lease.Time
			for i := 0; len(led) < 3 && i < 30; i++ {
				leader := c.WaitLeader()
				led[leader.ID()] = true
				mustPut(t, leader, "p", "text")
				var now lease.Time
				leader.State().Read(func(v *fsm.View) { now = v.Now() })
				if now < last {
					t.Fatalf("log time went from %v back to %v", last, now)
				}
				last = now
				// The first leader may have heard nobody's clock but its own and n1's, and takes
				// the earlier of the two; no later one moves it by more than the time that passed.
				if d := now.Sub(lease.At(time.Now())); d > time.Minute {
					t.Fatalf("log time is %v ahead of the majority's clocks", d)
				}
				term := leader.Term()
				leader.StepDown(within(t, 5*time.Second))
				c.Wait("another leadership", func() bool { l := c.Leader(); return l != nil && l.Term() > term })
			}
			if !led["n1"] {
				t.Error("n1 never led: the run shows nothing")
			}
		})
	}
}

// Followers know log time, also while nothing is written.
func TestFollowersKnowLogTime(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	for _, n := range c.Nodes() {
		c.Wait("log time on "+n.ID(), func() bool {
			behind := leader.Now().Sub(n.Now())
			return behind > -100*time.Millisecond && behind < 500*time.Millisecond
		})
		now, err := n.ReadIndex(within(t, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if behind := leader.Now().Sub(now); behind < 0 || behind > time.Second {
			t.Errorf("log time of a read on %s is %v behind the leader's", n.ID(), behind)
		}
	}
}

// A node that is stopped while it waits for a leader answers soon.
func TestReadHoldsForALeader(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "text")
	c.WaitApplied()
	id := others(c, leader.ID())[0]
	read := make(chan error, 1)
	c.Isolate(leader.ID())
	go func() {
		_, err := c.Node(id).ReadIndex(context.Background())
		read <- err
	}()
	if err := <-read; err != nil {
		t.Errorf("a read during an election: got %v, want it to wait for the new leader", err)
	}
}
