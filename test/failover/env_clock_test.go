package failover_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// TestS11_Clocks: each node's clock in turn, the leader's among them, jumps an hour ahead or back. No lease
// ends early, and none lives on. (S2, S11)
func TestS11_Clocks(t *testing.T) {
	c := envStart(t, faults.Options{Clocks: true})
	const ttl, slack = 4 * time.Second, 2 * time.Second
	for node := 1; node <= 3; node++ {
		for _, way := range []string{"ahead", "behind"} {
			kind := "a follower"
			if c.leader() == node {
				kind = "the leader"
			}
			before := c.write(1, fmt.Sprintf(`{"ttl":%q}`, ttl))
			begin := time.Now()
			heal := c.strike(fmt.Sprintf("clock of %s an hour %s", kind, way), node)
			after := c.write(2, fmt.Sprintf(`{"ttl":%q}`, ttl))
			for _, id := range []string{before, after} {
				for time.Since(begin) < ttl-slack {
					if r := c.lookup(node, id); r.status != http.StatusOK {
						t.Fatalf("clock of %s %s: a lease ends %v after it was given for %v: %v", kind, way, time.Since(begin), ttl, r)
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
			c.eventually("the leases end", func() bool {
				return c.lookup(node, before).status != http.StatusOK && c.lookup(node, after).status != http.StatusOK
			})
			if took := time.Since(begin); took > ttl+3*slack {
				t.Errorf("clock of %s %s: leases of %v live for %v", kind, way, ttl, took)
			}
			heal()
		}
	}
	// The clock is what the node goes by: when all of them start with it, nobody knows a better time.
	if _, err := c.Script("down"); err != nil {
		t.Fatal(err)
	}
	var heals []func()
	for node := 1; node <= 3; node++ {
		heals = append(heals, c.strike("clock of a follower an hour ahead", node))
	}
	if _, err := c.Script("up"); err != nil {
		t.Fatal(err)
	}
	id := c.write(1, envHour)
	end, err := time.Parse(time.RFC3339Nano, c.lookup(1, id).field("expire_time"))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(end); left < 110*time.Minute || left > 130*time.Minute {
		t.Errorf("three clocks an hour ahead from the start: a lease of an hour ends in %v, want two hours", left)
	}
	for _, heal := range heals {
		heal()
	}
}
