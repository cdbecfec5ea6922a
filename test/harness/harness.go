// Package harness runs a cluster of real node processes for tests, through the script that people
// use. Each test binary gets ports of its own, so that a cluster started by hand is left alone.
package harness

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cluster is a running local cluster.
type Cluster struct {
	Root  string   // of the repository
	Dir   string   // of the cluster's files
	Nodes []string // API addresses; node i+1 of the script is at place i
	Token string   // root token
	Bin   string   // the binary that runs, as a path
	ports string
	extra []string // environment of the script and of the nodes
}

// Start brings up n nodes on ports that begin with the two digits given, such as "83". They run the
// binary that LEASEHOLD_BIN names, or bin/leasehold, which "make build" makes.
func Start(n int, ports string) (*Cluster, error) { return StartPrepared(n, ports, nil) }

// StartPrepared is Start after prepare, which is told where the cluster's files will lie and returns
// what the script and the nodes find in their environment besides what is there. It may be nil.
func StartPrepared(n int, ports string, prepare func(dir string) (env []string, err error)) (*Cluster, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	bin := cmp.Or(os.Getenv("LEASEHOLD_BIN"), "bin/leasehold")
	if !filepath.IsAbs(bin) {
		bin = filepath.Join(root, bin)
	}
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("%s is missing: run 'make build' first (%w)", bin, err)
	}
	dir, err := os.MkdirTemp("", "leasehold-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Root: root, Dir: filepath.Join(dir, "cluster"), Bin: bin, ports: ports}
	if prepare != nil {
		if c.extra, err = prepare(c.Dir); err != nil {
			os.RemoveAll(dir)
			return nil, err
		}
	}
	if _, err := c.Script("up", strconv.Itoa(n)); err != nil {
		c.Wipe()
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(c.Dir, "root-token"))
	if err != nil {
		c.Wipe()
		return nil, err
	}
	c.Token = strings.TrimSpace(string(token))
	for i := range n {
		c.Nodes = append(c.Nodes, fmt.Sprintf("http://127.0.0.1:%s%d0", ports, i+1))
	}
	return c, nil
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = parent
	}
}

// Env is the environment in which commands reach this cluster through node 1.
func (c *Cluster) Env() []string {
	env := append(os.Environ(), "LEASEHOLD_CLUSTER_DIR="+c.Dir, "LEASEHOLD_CLUSTER_PORTS="+c.ports,
		"LEASEHOLD_BIN="+c.Bin)
	env = append(env, c.extra...)
	if len(c.Nodes) > 0 {
		env = append(env, "VAULT_ADDR="+c.Nodes[0], "VAULT_TOKEN="+c.Token)
	}
	return env
}

// Script runs scripts/cluster.sh with a verb and returns what it printed.
func (c *Cluster) Script(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(c.Root, "scripts/cluster.sh"), args...)
	cmd.Dir, cmd.Env = c.Root, c.Env()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cluster.sh %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// CLI runs the binary against node 1 and returns its output and exit code.
func (c *Cluster) CLI(args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(c.Bin, args...)
	cmd.Env = c.Env()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code = cmd.ProcessState.ExitCode()
	if err != nil && code < 0 {
		errs.WriteString(err.Error())
	}
	return out.String(), errs.String(), code
}

// Do sends one request with the root token to node i and returns status and body.
func (c *Cluster) Do(i int, method, path, body string) (int, string, error) {
	req, err := http.NewRequest(method, c.Nodes[i]+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Vault-Token", c.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// Leader is the place of the node that leads. It waits for one up to ten seconds.
func (c *Cluster) Leader() (int, error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for i := range c.Nodes {
			if status, _, err := c.Do(i, "GET", "/v1/sys/health", ""); err == nil && status == http.StatusOK {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("no node leads after 10 s")
}

// Wipe ends all nodes and deletes their data.
func (c *Cluster) Wipe() {
	if _, err := c.Script("wipe"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.RemoveAll(filepath.Dir(c.Dir))
}

// Logs returns the last lines of every node's log, for the report of a failed test.
func (c *Cluster) Logs(lines int) string {
	var all strings.Builder
	for i := range c.Nodes {
		data, err := os.ReadFile(filepath.Join(c.Dir, fmt.Sprintf("n%d", i+1), "log"))
		if err != nil {
			continue
		}
		rows := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Fprintf(&all, "--- node %d\n%s\n", i+1, strings.Join(rows[max(0, len(rows)-lines):], "\n"))
	}
	return all.String()
}
