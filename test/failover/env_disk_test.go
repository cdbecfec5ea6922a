package failover_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// TestL8_HangingDiskOfTheLeader: the leader gives up and ends itself; the others take writes within 15 s; with
// a disk that works it comes back.
func TestL8_HangingDiskOfTheLeader(t *testing.T) {
	c := envStart(t, faults.Options{})
	ids := []string{c.write(1, envHour)}
	leader := c.leader()
	heal := c.strike("hanging disk of the leader", leader)
	begin := time.Now()
	ids = append(ids, c.write(c.others(leader)[0], envHour))
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("writes are back after %v, want 15 s", took)
	} else {
		t.Logf("writes are back after %v", took)
	}
	if now := c.leads(leader); now == 0 {
		t.Error("no other node leads")
	}
	heal()
	if log := c.log(leader); !strings.Contains(log, "disk") {
		t.Errorf("the log of the node does not say that its disk hung:\n%s", log)
	}
	c.holds(ids)
}

// TestL11_FullDisks: a follower's, then the leader's, then all. (L11, S1)
func TestL11_FullDisks(t *testing.T) {
	c := envStart(t, faults.Options{DiskSize: 64 << 20})
	var ids []string
	many := func(node int) {
		t.Helper()
		for range 60 {
			ids = append(ids, c.write(node, envLarge))
		}
	}
	many(1)

	t.Log("a follower")
	leader := c.leader()
	follower := c.others(leader)[0]
	heal := c.strike("full disk of a follower", follower)
	many(leader)
	if now := c.leader(); now != leader {
		t.Errorf("node %d leads, want %d as before", now, leader)
	}
	c.eventually("the follower's log says what is wrong", func() bool {
		return strings.Contains(c.log(follower), "no space left on device")
	})
	heal()
	c.holds(ids)

	t.Log("the leader")
	leader = c.leader()
	heal = c.strike("full disk of the leader", leader)
	many(c.others(leader)[0])
	if now := c.leader(); now == leader {
		t.Errorf("node %d leads, with a full disk", leader)
	}
	heal()
	c.holds(ids)

	t.Log("all")
	heal = c.strike("full disks of all", 0)
	refused, told := 0, 0
	for deadline := time.Now().Add(envPatience); refused < 10; {
		if time.Now().After(deadline) {
			t.Fatalf("only %d writes are refused, with no space anywhere", refused)
		}
		node := refused%3 + 1
		switch r := c.send(node, "POST", "slots/a", envLarge); r.status {
		case http.StatusOK:
			ids = append(ids, r.field("lease_id"))
		case http.StatusServiceUnavailable:
			if refused++; r.took > 2*time.Second {
				t.Errorf("a write hangs: %v", r)
			}
			if strings.Contains(r.body, "the leader's disk is full") {
				told++
			}
		default:
			t.Fatalf("a write while all disks are full: got %v, want 503", r)
		}
	}
	if told == 0 {
		t.Error("no answer says that the disk is full")
	}
	for node := 1; node <= 3; node++ {
		if c.Pid(node) == 0 {
			t.Errorf("node %d ended", node)
		}
		id := ids[node]
		c.eventually("reads go on", func() bool {
			return c.send(node, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`).status == http.StatusOK
		})
	}
	heal()
	ids = append(ids, c.write(1, envLarge))
	c.holds(ids)
}

// TestS21_PowerCuts: of one node, then of all, with writes under way. What was acknowledged is there. (S1, S21)
func TestS21_PowerCuts(t *testing.T) {
	c := envStart(t, faults.Options{})
	for _, struck := range []string{"leader", "all"} {
		var ids []string
		got := make(chan string)
		stop := make(chan struct{})
		go func() {
			defer close(got)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					if r := c.send(i%3+1, "POST", "slots/a", envHour); r.status == http.StatusOK {
						got <- r.field("lease_id")
					}
				}
			}
		}()
		for range 30 {
			ids = append(ids, <-got)
		}
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			if struck == "all" {
				c.strike("power cut of all", 0)()
			} else {
				c.strike("power cut of the leader", c.leader())()
			}
		}()
		for more := true; more; {
			select {
			case id := <-got:
				ids = append(ids, id)
			case <-healed:
				more = false
			}
		}
		close(stop)
		for id := range got {
			ids = append(ids, id)
		}
		c.leader()
		c.holds(ids)
		t.Logf("%s: %d leases", struck, len(ids))
	}
}

// TestFailingSyncOfTheLeader: nobody is told that a write was done which is not. (S1, S21)
func TestFailingSyncOfTheLeader(t *testing.T) {
	c := envStart(t, faults.Options{})
	ids := []string{c.write(1, envHour)}
	leader := c.leader()
	heal := c.strike("failing sync at the leader", leader)
	for range 10 {
		ids = append(ids, c.write(c.others(leader)[0], envHour))
	}
	if now := c.leads(); now == leader {
		t.Errorf("node %d leads, and its disk fails", leader)
	}
	heal()
	c.holds(ids)
}
