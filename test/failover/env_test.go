package failover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
	"github.com/leasehold/leasehold/test/harness"
)

// envPorts are the first two digits of every port of the tests of the environment.
const envPorts = "89"

// envPatience bounds every wait; a condition ends it much earlier.
const envPatience = 60 * time.Second

// envNodes is a cluster of processes in an environment that faults can reach. It implements faults.Cluster.
type envNodes struct {
	*harness.Cluster
	t   testing.TB
	env *faults.Processes
}

// envStart starts three nodes. settings are added to their environment.
func envStart(t *testing.T, o faults.Options, settings ...string) *envNodes {
	t.Helper()
	if err := faults.Missing(); err != nil && os.Getenv(faults.WithoutRoot) == "1" {
		t.Skipf("%s=1: %v", faults.WithoutRoot, err)
	} else if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o.Root, o.Ports = root, envPorts
	c := &envNodes{t: t, env: faults.NewProcesses(o)}
	t.Cleanup(func() {
		if err := c.env.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Cluster, err = harness.StartPrepared(3, envPorts, func(dir string) ([]string, error) {
		env, err := c.env.Prepare(t.Context(), dir, 3)
		return append(env, settings...), err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(25))
		}
		c.Wipe()
	})
	if r := c.send(1, "POST", "sys/mounts/slots", `{"type":"lease"}`); r.status != http.StatusNoContent {
		t.Fatalf("mount: got %v", r)
	}
	return c
}

func (c *envNodes) Size() int           { return len(c.Nodes) }
func (c *envNodes) API(node int) string { return c.Nodes[node-1] }
func (c *envNodes) Dir(node int) string {
	return filepath.Join(c.Cluster.Dir, fmt.Sprintf("n%d", node))
}
func (c *envNodes) Container(int) string { return "" }

func (c *envNodes) Pid(node int) int {
	text, err := os.ReadFile(filepath.Join(c.Dir(node), "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte(filepath.Join(c.Dir(node), "config.hcl"))) {
		return 0
	}
	return pid
}

func (c *envNodes) script(verb string, node int) error {
	_, err := c.Script(verb, strconv.Itoa(node))
	return err
}

func (c *envNodes) Start(_ context.Context, node int) error { return c.script("start", node) }
func (c *envNodes) Stop(_ context.Context, node int) error  { return c.script("stop", node) }
func (c *envNodes) Kill(_ context.Context, node int) error  { return c.script("kill", node) }

// Leader is the node that leads.
func (c *envNodes) Leader(ctx context.Context) (int, error) {
	for ctx.Err() == nil {
		if n := c.leads(); n != 0 {
			return n, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, ctx.Err()
}

// leads is a node that says that it leads, none of those excepted, 0 if none does.
func (c *envNodes) leads(but ...int) int {
	for _, node := range c.others(but...) {
		if c.health(node) == http.StatusOK {
			return node
		}
	}
	return 0
}

func (c *envNodes) health(node int) int { return c.send(node, "GET", "sys/health", "").status }

func (c *envNodes) leader() int {
	c.t.Helper()
	node := 0
	c.eventually("a node leads", func() bool { node = c.leads(); return node != 0 })
	return node
}

func (c *envNodes) others(but ...int) (nodes []int) {
next:
	for node := 1; node <= 3; node++ {
		for _, b := range but {
			if b == node {
				continue next
			}
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func (c *envNodes) eventually(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(envPatience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s", envPatience, what)
		}
	}
}

// strike does a fault, which is healed by the returned function, and at the latest when the test ends.
func (c *envNodes) strike(name string, node int) (heal func()) {
	c.t.Helper()
	for _, f := range c.env.Faults(c) {
		if f.Name != name {
			continue
		}
		undo, err := f.Strike(c.t.Context(), node)
		if err != nil {
			c.t.Fatalf("%s: %v", name, err)
		}
		done := false
		heal = func() {
			c.t.Helper()
			if done {
				return
			}
			done = true
			if err := undo(); err != nil {
				c.t.Errorf("heal %s: %v", name, err)
			}
		}
		c.t.Cleanup(heal)
		return heal
	}
	c.t.Fatalf("there is no fault %q", name)
	return nil
}

// envReply is what a node answered; status 0 means that it did not.
type envReply struct {
	status int
	body   string
	took   time.Duration
	err    error
}

func (r envReply) String() string {
	return fmt.Sprintf("%d %s (%v) after %v", r.status, r.body, r.err, r.took)
}

// field is a text at the top level of the body, or below data.
func (r envReply) field(name string) string {
	var body map[string]any
	if json.Unmarshal([]byte(r.body), &body) != nil {
		return ""
	}
	if data, ok := body["data"].(map[string]any); ok && data[name] != nil {
		body = data
	}
	text, _ := body[name].(string)
	return text
}

var envClient = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

func (c *envNodes) send(node int, method, path, body string) envReply {
	begin := time.Now()
	req, err := http.NewRequest(method, c.API(node)+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		return envReply{err: err}
	}
	req.Header.Set("X-Vault-Token", c.Token)
	resp, err := envClient.Do(req)
	if err != nil {
		return envReply{err: err, took: time.Since(begin)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return envReply{err: err, took: time.Since(begin)}
	}
	return envReply{status: resp.StatusCode, body: string(text), took: time.Since(begin)}
}

const envHour = `{"ttl":"1h"}`

// envLarge is a lease of some kilobytes, so that the log cannot go on in the pages that it has.
var envLarge = `{"ttl":"1h","keep_data":true,"data":{"k":"` + strings.Repeat("x", 8000) + `"}}`

// write tries through a node until a lease is acknowledged.
func (c *envNodes) write(node int, body string) (id string) {
	c.t.Helper()
	var r envReply
	c.eventually("a write is acknowledged", func() bool {
		r = c.send(node, "POST", "slots/a", body)
		return r.status == http.StatusOK
	})
	return r.field("lease_id")
}

func (c *envNodes) lookup(node int, id string) envReply {
	return c.send(node, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
}

// holds waits until every node has the same state, and fails if a lease is missing anywhere.
func (c *envNodes) holds(ids []string) {
	c.t.Helper()
	c.eventually("the states are alike", func() bool {
		first := c.send(1, "GET", "sys/internal/state-hash", "")
		return first.status == http.StatusOK &&
			c.send(2, "GET", "sys/internal/state-hash", "").body == first.body &&
			c.send(3, "GET", "sys/internal/state-hash", "").body == first.body
	})
	for i, id := range ids {
		if r := c.lookup(i%3+1, id); r.status != http.StatusOK {
			c.t.Fatalf("an acknowledged lease is lost: node %d says %v of %s", i%3+1, r, id)
		}
	}
}

func (c *envNodes) log(node int) string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir(node), "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}
