package cluster_test

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// setAutopilot waits until the cluster knows the command, too.
func setAutopilot(t *testing.T, c *clustertest.Cluster, a fsm.Autopilot) {
	t.Helper()
	c.Wait("autopilot's settings", func() bool {
		return c.WaitLeader().SetAutopilot(within(t, 5*time.Second), a) == nil
	})
}

func voters(t *testing.T, n *cluster.Node) (count int) {
	t.Helper()
	cfg, err := n.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cfg.Servers {
		if s.Voter {
			count++
		}
	}
	return count
}

// TestDeadMembersAreKeptByDefault: during a partition that is what keeps the cluster.
func TestDeadMembersAreKeptByDefault(t *testing.T) {
	c := clustertest.Start(t, 4, clustertest.Options{})
	setAutopilot(t, c, fsm.Autopilot{DeadServerLastContact: 300 * time.Millisecond, MinQuorum: 3})
	leader := c.WaitLeader()
	id := others(c, leader.ID())[0]
	c.Kill(id)
	time.Sleep(1500 * time.Millisecond) // long enough to do the wrong thing
	if _, member := voter(t, c.WaitLeader(), id); !member {
		t.Errorf("%s was removed although nobody asked for it", id)
	}
}

// TestDeadMemberIsReplaced: a dead voter goes once enough others are healthy voters, and not before.
func TestDeadMemberIsReplaced(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	setAutopilot(t, c, fsm.Autopilot{CleanupDeadServers: true, DeadServerLastContact: 500 * time.Millisecond, MinQuorum: 3})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "text")
	dead := others(c, leader.ID())[0]
	c.Kill(dead)
	time.Sleep(2 * time.Second) // long enough to do the wrong thing
	if _, member := voter(t, c.WaitLeader(), dead); !member {
		t.Fatal("the dead voter was removed before another took its place")
	}
	n4 := c.Join()
	sawFour := false
	c.Wait("the dead voter to be replaced", func() bool {
		n := c.WaitLeader()
		v, _ := voter(t, n, n4.ID())
		_, there := voter(t, n, dead)
		if !there && !v {
			t.Fatal("the dead voter was removed before the new one voted")
		}
		sawFour = sawFour || voters(t, n) == 4
		return !there
	})
	if got := voters(t, c.WaitLeader()); got != 3 || !sawFour {
		t.Errorf("%d voters, want 3, and 4 on the way there (seen: %v)", got, sawFour)
	}
	mustGet(t, n4, "p", "text")
	c.Restart(dead) // it comes back with what it has, and is told
	c.Wait("the removed node to stop", func() bool { return c.Fatal(dead) != nil })
}

// TestDeadMembersLeaveAQuorum: however many are silent, as many healthy voters as the least quorum must
// be there before one of them goes; and a dead non-voter goes without that.
func TestDeadMembersLeaveAQuorum(t *testing.T) {
	c := clustertest.Start(t, 5, clustertest.Options{})
	setAutopilot(t, c, fsm.Autopilot{CleanupDeadServers: true, DeadServerLastContact: 500 * time.Millisecond, MinQuorum: 4,
		Stabilization: time.Hour}) // nobody new votes
	leader := c.WaitLeader()
	newcomer := c.Join()
	c.Wait("the non-voter", func() bool { _, member := voter(t, c.WaitLeader(), newcomer.ID()); return member })
	c.Kill(newcomer.ID())
	dead := others(c, leader.ID())[:2]
	for _, id := range dead {
		c.Kill(id)
	}
	c.Wait("the dead non-voter to go", func() bool {
		_, member := voter(t, c.WaitLeader(), newcomer.ID())
		return !member
	})
	time.Sleep(1500 * time.Millisecond) // long enough to do the wrong thing
	for _, id := range dead {
		if _, member := voter(t, c.WaitLeader(), id); !member {
			t.Errorf("%s was removed although only three voters are healthy", id)
		}
	}
	setAutopilot(t, c, fsm.Autopilot{CleanupDeadServers: true, DeadServerLastContact: 500 * time.Millisecond, MinQuorum: 3})
	c.Wait("both to go", func() bool { return voters(t, c.WaitLeader()) == 3 })
}

// TestAutopilotState: what it is told of, it shows.
func TestAutopilotState(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	id := others(c, leader.ID())[0]
	c.Wait("a healthy state", func() bool {
		state, err := c.WaitLeader().AutopilotState()
		return err == nil && state.Healthy && state.FailureTolerance == 1 && len(state.Servers) == 3
	})
	c.Kill(id)
	c.Wait("an unhealthy state", func() bool {
		state, err := c.WaitLeader().AutopilotState()
		return err == nil && !state.Healthy && state.FailureTolerance == 0
	})
	follower := c.Node(others(c, c.WaitLeader().ID())[0])
	if follower == nil {
		follower = c.Node(others(c, c.WaitLeader().ID())[1])
	}
	if _, err := follower.AutopilotState(); code(err) != lease.Unavailable {
		t.Errorf("on a follower: got %v, want %v", err, lease.Unavailable)
	}
}

// TestMembersTellHowTheyAre: the leader asks all of them, and says what it knows of those that are silent.
func TestMembersTellHowTheyAre(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	silent := others(c, leader.ID())[0]
	n4 := c.Join()
	mustPut(t, leader, "p", "text")
	mustGet(t, n4, "p", "text")
	c.WaitApplied()
	find := func(id string) cluster.Member {
		t.Helper()
		members, err := c.WaitLeader().AskMembers(within(t, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.ID == id {
				return m
			}
		}
		t.Fatalf("%s is not among the members", id)
		return cluster.Member{}
	}
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		want := cluster.RoleVoter
		switch id {
		case leader.ID():
			want = cluster.RoleLeader
		case "n4":
			want = "" // depends on how long it is there
		}
		c.Wait(id+" to be known", func() bool { return find(id).APIAddr != "" })
		m := find(id)
		if want != "" && m.Role != want || !m.Answered || m.Term != leader.Term() || m.Applied == 0 || !m.EverHeard || m.Version != "test" ||
			m.APIAddr != "http://"+id+".test" {
			t.Errorf("%s, want role %q: %+v", id, want, m)
		}
	}
	c.Isolate(silent)
	for i := range 20 {
		mustPut(t, c.WaitLeaderOtherThan(silent), "p", string(rune('a'+i)))
	}
	c.Wait("its silence", func() bool {
		m := find(silent)
		return !m.Answered && m.Version == "test"
	})
	c.Rejoin(silent)
	c.Wait("its return", func() bool { m := find(silent); return m.Answered && m.Lag == 0 })
	if _, err := c.Node("n4").AskMembers(within(t, time.Second)); code(err) != lease.Unavailable {
		t.Errorf("on a follower: got %v, want %v", err, lease.Unavailable)
	}
}
