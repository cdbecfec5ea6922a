package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestScript goes through the verbs of cluster.sh: each may be repeated, is true when it returns, and
// says why when it cannot be.
func TestScript(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	id := c.issue(1, "slots/a", `{"ttl":"1h"}`)
	t.Run("up", func(t *testing.T) { c.up(t) })
	t.Run("kill and start", func(t *testing.T) { c.endAndStart(t, "kill") })
	t.Run("stop and start", func(t *testing.T) { c.endAndStart(t, "stop") })
	t.Run("pause and resume", func(t *testing.T) { c.pauseAndResume(t) })
	t.Run("what cannot be", func(t *testing.T) { c.impossible(t) })
	t.Run("down and up", func(t *testing.T) {
		c.script("down")
		c.script("down")
		if got, want := c.script("status"), "n1  down\nn2  down\nn3  down\n"; got != want {
			t.Errorf("status: got %q, want %q", got, want)
		}
		out := c.script("up")
		if !strings.Contains(out, "export VAULT_TOKEN="+c.Token+"\n") {
			t.Errorf("up after down: got %q, want the token of before", out)
		}
		for node := range c.Nodes {
			eventually(t, "the lease of before is there", func() bool { return c.lookup(node+1, id).status == 200 })
		}
	})
	t.Run("wipe", func(t *testing.T) { c.wipe(t) })
}

func (c *cluster) up(t *testing.T) {
	before := c.pid(2)
	want := fmt.Sprintf("export VAULT_ADDR=%s\nexport VAULT_TOKEN=%s\n", c.Nodes[0], c.Token)
	for _, args := range [][]string{{"up"}, {"up", "3"}} {
		if got := c.script(args...); got != want {
			t.Errorf("%q again: got %q, want %q", args, got, want)
		}
	}
	if got := c.pid(2); got != before {
		t.Errorf("up again: node 2 has pid %d, want %d as before", got, before)
	}
	if strings.Contains(c.log(1), "environment variable") {
		t.Errorf("a node warns of the script's own variables:\n%s", c.log(1))
	}
	lines := strings.Split(c.script("status"), "\n")
	leaders, followers := 0, 0
	for i, line := range lines[:3] {
		address, pid := c.Nodes[i], fmt.Sprintf("pid %d", c.pid(i+1))
		if !strings.HasPrefix(line, fmt.Sprintf("n%d  ", i+1)) || !strings.Contains(line, address) || !strings.HasSuffix(line, pid) {
			t.Errorf("status: got %q, want node %d at %s with %s", line, i+1, address, pid)
		}
		if strings.Contains(line, "  leader  ") {
			leaders++
		}
		if strings.Contains(line, "  follower  ") {
			followers++
		}
	}
	if leaders != 1 || followers != 2 {
		t.Errorf("status: got %d leaders and %d followers, want 1 and 2:\n%s", leaders, followers, strings.Join(lines, "\n"))
	}
}

func (c *cluster) endAndStart(t *testing.T, verb string) {
	before := c.pid(2)
	c.script(verb, "2")
	if pid := c.pid(2); pid != 0 {
		t.Errorf("%s returned and the process %d is there", verb, pid)
	}
	c.script(verb, "2")
	if !strings.Contains(c.script("status"), "n2  down\n") {
		t.Errorf("status after %s: got %q, want node 2 down", verb, c.script("status"))
	}
	ended := strings.HasSuffix(strings.TrimSpace(c.log(2)), "msg=stopped node=n2")
	if want := verb == "stop"; ended != want {
		t.Errorf("after %s: the log ends with an orderly stop: got %t, want %t", verb, ended, want)
	}
	c.script("start", "2")
	if r := c.send(2, "GET", "sys/health", ""); r.status == 0 {
		t.Errorf("start returned and the node does not answer: %v", r)
	}
	first := c.pid(2)
	c.script("start", "2")
	if got := c.pid(2); got != first || got == 0 || got == before {
		t.Errorf("start twice: pids %d, %d, %d: want the last two alike and new", before, first, got)
	}
}

func (c *cluster) pauseAndResume(t *testing.T) {
	c.script("pause", "3")
	c.script("pause", "3")
	if !strings.Contains(c.script("status"), "n3  paused") {
		t.Errorf("status: got %q, want node 3 paused", c.script("status"))
	}
	c.refused("node 3 is paused: run 'cluster.sh resume 3'", "start", "3")
	c.refused("node 3 is paused", "up")
	c.script("resume", "3")
	c.script("resume", "3")
	if r := c.send(3, "GET", "sys/health", ""); r.status == 0 {
		t.Errorf("resume returned and the node does not answer: %v", r)
	}
	c.script("pause", "3")
	c.script("stop", "3") // ends a paused node as well
	c.refused("node 3 is down: run 'cluster.sh start 3'", "pause", "3")
	c.refused("node 3 is down: run 'cluster.sh start 3'", "resume", "3")
	c.script("start", "3")
}

func (c *cluster) impossible(t *testing.T) {
	for _, args := range [][]string{{"kill"}, {"stop", "x"}, {"start", "0"}, {"pause", "12"}, {"resume", "-1"}} {
		c.refused("name a node: a number from 1 to 9", args...)
	}
	c.refused("there is no node 7", "kill", "7")
	c.refused("is no number of nodes: use 1 to 9", "up", "many")
	c.refused("is no number of nodes: use 1 to 9", "up", "0")
	c.refused("holds a cluster of 3 nodes: run 'cluster.sh wipe' before 'cluster.sh up 5'", "up", "5")
	c.refused("scripts/cluster.sh up [N]", "dance")
	c.refused("scripts/cluster.sh up [N]")
}

func (c *cluster) wipe(t *testing.T) {
	own := filepath.Join(c.Dir, "notes")
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.script("wipe")
	c.script("wipe")
	c.script("down")
	if got, want := c.script("status"), "no cluster in "+c.Dir+"\n"; got != want {
		t.Errorf("status: got %q, want %q", got, want)
	}
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) != 1 || left[0].Name() != "notes" {
		t.Errorf("left after wipe: got %v, %v, want the file that was not the script's", left, err)
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	c.script("wipe")
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("wipe leaves an empty directory: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:"+ports+"10")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	begin := time.Now()
	c.refused("address already in use", "up", "1")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("a node that cannot start was noticed after %v", took)
	}
	c.script("wipe")
}

// TestSizes: one node and five.
func TestSizes(t *testing.T) {
	for _, n := range []int{1, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := start(t, n)
			c.mount("slots")
			id := c.issue(n, "slots/a", `{"ttl":"1h"}`)
			c.alike(c.others()...)
			var conf struct {
				Data struct {
					Config struct {
						Servers []struct {
							Voter bool `json:"voter"`
						} `json:"servers"`
					} `json:"config"`
				} `json:"data"`
			}
			body := c.must(200, 1, "GET", "sys/storage/raft/configuration", "").body
			if err := json.Unmarshal([]byte(body), &conf); err != nil {
				t.Fatal(err)
			}
			if got := len(conf.Data.Config.Servers); got != n {
				t.Errorf("members: got %d, want %d", got, n)
			}
			for i, s := range conf.Data.Config.Servers {
				if !s.Voter {
					t.Errorf("member %d does not vote", i)
				}
			}
			c.script("down")
			c.script("up")
			eventually(t, "the lease is there", func() bool { return c.lookup(1, id).status == 200 })
			if n == 5 { // any two may fail
				c.script("kill", "1")
				c.script("kill", "2")
				eventually(t, "three of five serve", func() bool { return c.send(4, "POST", "slots/b", `{"ttl":"1h"}`).status == 200 })
			}
		})
	}
}
