// Package process holds clusters of real node processes against what happens to machines and what
// strangers send: signals, wiped and full disks, joins and removals, hostile requests. Each test starts
// a cluster of its own through scripts/cluster.sh.
package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/harness"
)

// ports are the first two digits of every port here.
const ports = "86"

// patient bounds every wait; a condition ends it much earlier.
const patient = 30 * time.Second

// cluster is a running cluster and the test that it belongs to. Its nodes are counted from 1.
type cluster struct {
	*harness.Cluster
	t testing.TB
}

// start brings up n nodes for one test.
func start(t testing.TB, n int) *cluster {
	t.Helper()
	h, err := harness.Start(n, ports)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{h, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(25))
		}
		c.Wipe()
	})
	return c
}

// script runs a verb that is to succeed and returns what it printed.
func (c *cluster) script(args ...string) string {
	c.t.Helper()
	out, err := c.Script(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// refused runs a verb that is to fail with a reason.
func (c *cluster) refused(reason string, args ...string) {
	c.t.Helper()
	out, err := c.Script(args...)
	if err == nil {
		c.t.Errorf("cluster.sh %s: got success, want a refusal", strings.Join(args, " "))
	} else if !strings.Contains(out, reason) {
		c.t.Errorf("cluster.sh %s: got %q, want %q in it", strings.Join(args, " "), out, reason)
	}
}

// reply is what a node answered; status 0 means that it did not, and err says why.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (r reply) String() string { return fmt.Sprintf("%d %s (%v)", r.status, r.body, r.err) }

// field returns a text of the body, such as "lease_id" or "data.state".
func (r reply) field(path string) string {
	var at any
	if json.Unmarshal([]byte(r.body), &at) != nil {
		return ""
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	text, _ := at.(string)
	return text
}

// api sends requests without retries; a connection to a node that is gone is not kept.
var api = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 32, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
}

// send sends a request to a node; edit may change it. Without an edit it bears the root token.
func (c *cluster) send(node int, method, path, body string, edit ...func(*http.Request)) reply {
	req, err := http.NewRequest(method, c.Nodes[node-1]+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("X-Vault-Token", c.Token)
	for _, e := range edit {
		e(req)
	}
	resp, err := api.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{err: err}
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

// must sends a request that is to be answered with a status.
func (c *cluster) must(status, node int, method, path, body string) reply {
	c.t.Helper()
	r := c.send(node, method, path, body)
	if r.status != status {
		c.t.Fatalf("node %d: %s %s: got %v, want %d", node, method, path, r, status)
	}
	return r
}

// mount enables a lease engine.
func (c *cluster) mount(path string) {
	c.t.Helper()
	c.must(204, 1, "POST", "sys/mounts/"+path, `{"type":"lease"}`)
}

// issue makes a lease and returns its ID.
func (c *cluster) issue(node int, path, body string) string {
	c.t.Helper()
	return c.must(200, node, "POST", path, body).field("lease_id")
}

func (c *cluster) lookup(node int, id string) reply {
	return c.send(node, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
}

// leader is the node that leads.
func (c *cluster) leader() int {
	c.t.Helper()
	i, err := c.Leader()
	if err != nil {
		c.t.Fatal(err)
	}
	return i + 1
}

// others are all nodes but those given.
func (c *cluster) others(but ...int) []int {
	var nodes []int
next:
	for i := range c.Nodes {
		for _, b := range but {
			if i+1 == b {
				continue next
			}
		}
		nodes = append(nodes, i+1)
	}
	return nodes
}

// eventually waits until what holds does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patient, what)
		}
	}
}

// alike waits until all nodes given show the same state at the same index.
func (c *cluster) alike(nodes ...int) {
	c.t.Helper()
	var states []string
	same := func() bool {
		states = states[:0]
		for _, n := range nodes {
			r := c.send(n, "GET", "sys/internal/state-hash", "")
			if r.status != 200 {
				return false
			}
			states = append(states, strings.TrimSpace(r.body))
		}
		for _, s := range states {
			if s != states[0] {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(patient); !same(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("states of nodes %v: got %q, want them alike", nodes, states)
		}
	}
}

func (c *cluster) file(node int, name string) string {
	return filepath.Join(c.Dir, fmt.Sprintf("n%d", node), name)
}

func (c *cluster) log(node int) string {
	c.t.Helper()
	text, err := os.ReadFile(c.file(node, "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// pid is a node's process, 0 if it is down.
func (c *cluster) pid(node int) int {
	text, err := os.ReadFile(c.file(node, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte(c.file(node, "config.hcl"))) {
		return 0
	}
	return pid
}
