// Package credentials holds three real node processes and a real PostgreSQL against the promise that
// leases make: a login works while its lease lives, is gone soon after, and none is ever left behind,
// whatever is killed, stopped or hangs meanwhile.
//
// The tests are short enough for every change. For long runs:
//
//	LEASEHOLD_KILLS=500 go test -timeout=2h -run=TestNoOrphan -v ./test/credentials
//	LEASEHOLD_OUTAGE=10m LEASEHOLD_LEASES=10000 go test -timeout=1h -run=TestTargetDown -v ./test/credentials
//
// LEASEHOLD_SEED repeats the chances of a run. The benchmarks are run by scripts/bench.sh.
package credentials

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leasehold/leasehold/test/harness"
)

// ports are the first two digits of every port here.
const ports = "87"

// cluster is a running cluster and the test that it belongs to. Its nodes are counted from 1.
type cluster struct {
	*harness.Cluster
	t testing.TB
}

// start brings up three nodes for one test.
func start(t testing.TB) *cluster {
	t.Helper()
	h, err := harness.Start(3, ports)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{h, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(40))
		}
		c.Wipe()
	})
	return c
}

// script runs a verb of cluster.sh that is to succeed.
func (c *cluster) script(args ...string) {
	c.t.Helper()
	if _, err := c.Script(args...); err != nil {
		c.t.Fatal(err)
	}
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

// strike ends a node with SIGKILL at this very moment.
func (c *cluster) strike(node int) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, fmt.Sprintf("n%d", node), "pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatalf("kill node %d: %v", node, err)
	}
	c.script("kill", strconv.Itoa(node)) // waits until it is gone
}

// logged counts the lines of all nodes' logs that hold all texts.
func (c *cluster) logged(texts ...string) int {
	n := 0
	for i := range c.Nodes {
		data, err := os.ReadFile(filepath.Join(c.Dir, fmt.Sprintf("n%d", i+1), "log"))
		if err != nil {
			c.t.Fatal(err)
		}
	lines:
		for line := range strings.Lines(string(data)) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			n++
		}
	}
	return n
}

// reply is what a node answered; status 0 means that it did not, and err says why.
type reply struct {
	status int
	body   string
	err    error
}

func (r reply) String() string { return fmt.Sprintf("%d %s (%v)", r.status, r.body, r.err) }

// known reports whether the answer tells what happened: calls that are not answered, or with a server's
// error, may or may not have been carried out.
func (r reply) known() bool { return r.err == nil && r.status < 500 }

// into decodes the answer.
func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%v: %v", r, err)
	}
}

// api sends requests without retries, and gives up as impatient clients do.
var api = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
}

// send sends a request to a node with the root token.
func (c *cluster) send(node int, method, path, body string) reply {
	return c.sendWithin(context.Background(), node, method, path, body)
}

func (c *cluster) sendWithin(ctx context.Context, node int, method, path, body string) reply {
	req, err := http.NewRequestWithContext(ctx, method, c.Nodes[node-1]+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("X-Vault-Token", c.Token)
	resp, err := api.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{err: err}
	}
	return reply{status: resp.StatusCode, body: string(text)}
}

// must sends a request that is to succeed with one of two statuses.
func (c *cluster) must(node int, method, path, body string) reply {
	c.t.Helper()
	r := c.send(node, method, path, body)
	if r.err != nil || r.status > 204 {
		c.t.Fatalf("node %d: %s %s: got %v, want success", node, method, path, r)
	}
	return r
}

// eventually waits until what holds does, and returns how long that took.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !holds() {
		if time.Since(begun) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begun)
}

// number is a whole number from the environment.
func number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s is no number", name, text)
	}
	return n
}

// length is a duration from the environment.
func length(t testing.TB, name string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%s is no duration", name, text)
	}
	return d
}
