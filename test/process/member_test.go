package process

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func decode(t testing.TB, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

// votes reports whether a node is a member, and whether it votes.
func (c *cluster) votes(id string) (member, voter bool) {
	var conf struct {
		Data struct {
			Config struct {
				Servers []struct {
					ID    string `json:"node_id"`
					Voter bool   `json:"voter"`
				} `json:"servers"`
			} `json:"config"`
		} `json:"data"`
	}
	r := c.send(1, "GET", "sys/storage/raft/configuration", "")
	if r.status != 200 {
		return false, false
	}
	decode(c.t, r.body, &conf)
	for _, s := range conf.Data.Config.Servers {
		if s.ID == id {
			return true, s.Voter
		}
	}
	return false, false
}

// addNode writes the files of one more node, which joins the others and founds nothing.
func (c *cluster) addNode(i int) {
	c.t.Helper()
	text, err := os.ReadFile(c.file(1, "config.hcl"))
	if err != nil {
		c.t.Fatal(err)
	}
	addresses := strings.NewReplacer(`"n1"`, fmt.Sprintf(`"n%d"`, i), "/n1/", fmt.Sprintf("/n%d/", i),
		":"+ports+"10", fmt.Sprintf(":%s%d0", ports, i), ":"+ports+"11", fmt.Sprintf(":%s%d1", ports, i),
		`address    = "127.0.0.1:`+ports+`12"`, fmt.Sprintf(`address    = "127.0.0.1:%s%d2"`, ports, i))
	var lines []string
	for line := range strings.Lines(addresses.Replace(string(text))) {
		if !strings.HasPrefix(line, "bootstrap_") {
			lines = append(lines, line)
		}
	}
	if err := os.MkdirAll(c.file(i, "data"), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.file(i, "config.hcl"), []byte(strings.Join(lines, "")), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.Nodes = append(c.Nodes, fmt.Sprintf("http://127.0.0.1:%s%d0", ports, i))
}

// TestFourthNode: a node that finds the others by gossip is let in without a vote, votes when it has
// caught up, and counts from then on. Removed, it ends and says why, and does not come back as it was.
func TestFourthNode(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	id := c.issue(1, "slots/a", `{"ttl":"1h"}`)
	c.addNode(4)
	c.script("start", "4")
	eventually(t, "node 4 is a member", func() bool { member, _ := c.votes("n4"); return member })
	if _, voter := c.votes("n4"); voter {
		t.Error("node 4 votes from the start, want it to catch up first")
	}
	eventually(t, "node 4 votes", func() bool { _, voter := c.votes("n4"); return voter })
	if r := c.lookup(4, id); r.status != 200 {
		t.Errorf("lookup at node 4: got %v, want 200", r)
	}
	c.issue(4, "slots/b", `{"ttl":"1h"}`)
	c.alike(1, 2, 3, 4)

	c.must(204, 2, "PUT", "sys/storage/raft/remove-peer", `{"server_id":"n4"}`)
	const message = "this node was removed from the cluster: to let it join again, empty its data directory"
	eventually(t, "node 4 ends", func() bool { return c.pid(4) == 0 })
	if log := c.log(4); !strings.HasSuffix(strings.TrimSpace(log), "Error: "+message) {
		t.Errorf("the log of the removed node: got %q, want it to end with %q", log[max(0, len(log)-300):], message)
	}
	_, _ = c.Script("start", "4") // it may end before it answers, or after
	eventually(t, "node 4 ends again", func() bool { return c.pid(4) == 0 })
	if got := strings.Count(c.log(4), "Error: "+message); got != 2 {
		t.Errorf("node 4 said that it was removed %d times, want 2", got)
	}
	if member, _ := c.votes("n4"); member {
		t.Error("the removed node is a member again")
	}
	if err := os.RemoveAll(c.file(4, "data")); err != nil {
		t.Fatal(err)
	}
	c.script("start", "4")
	eventually(t, "node 4 is a member, with an empty directory", func() bool { member, _ := c.votes("n4"); return member })
}

// TestWipedFollower: a node that lost its disk is given everything again.
func TestWipedFollower(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	var ids []string
	for i := range 100 {
		ids = append(ids, c.issue(i%3+1, "slots/a", `{"ttl":"1h"}`))
	}
	wiped := c.others(c.leader())[0]
	c.script("kill", fmt.Sprint(wiped))
	if err := os.RemoveAll(c.file(wiped, "data")); err != nil {
		t.Fatal(err)
	}
	c.script("start", fmt.Sprint(wiped))
	begin := time.Now()
	c.alike(1, 2, 3)
	t.Logf("caught up after %v", time.Since(begin))
	for _, id := range ids {
		if r := c.lookup(wiped, id); r.status != 200 {
			t.Fatalf("the wiped node says %v of %s", r, id)
		}
	}
	for _, node := range c.others(wiped, c.leader()) { // the wiped one counts for a majority
		c.script("kill", fmt.Sprint(node))
	}
	eventually(t, "the leader and the wiped node are a majority", func() bool {
		return c.send(wiped, "POST", "slots/b", `{"ttl":"1h"}`).status == 200
	})
}
