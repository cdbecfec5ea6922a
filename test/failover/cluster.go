package failover

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leasehold/leasehold/test/failover/faults"
	"github.com/leasehold/leasehold/test/harness"
)

// ports are the first two digits of every port of the processes.
const ports = "88"

// intentDeadline of the clusters here: the shortest there may be, so that an audit need not wait two
// minutes for what a dead leader left open.
const intentDeadline = 5 * time.Second

// Cluster is what is struck, and what a run needs of it besides.
type Cluster interface {
	faults.Cluster
	// Token is the root token.
	Token() string
	// Roots are the authorities of the nodes' certificates, nil for plain http.
	Roots() *x509.CertPool
	// Host is the address of this host as the nodes reach it.
	Host() string
	// Save copies the nodes' logs and data to a directory.
	Save(dir string) error
	// Wipe ends all nodes and deletes their data.
	Wipe()
}

// processes is a cluster of processes on loopback, run by scripts/cluster.sh.
type processes struct{ h *harness.Cluster }

// startProcesses starts n nodes. prepare may be nil; see harness.StartPrepared.
func startProcesses(n int, prepare func(dir string) ([]string, error)) (*processes, error) {
	h, err := harness.StartPrepared(n, ports, func(dir string) ([]string, error) {
		env := []string{"LEASEHOLD_INTENT_DEADLINE=" + intentDeadline.String()}
		if prepare == nil {
			return env, nil
		}
		more, err := prepare(dir)
		return append(env, more...), err
	})
	if err != nil {
		return nil, err
	}
	return &processes{h}, nil
}

func (p *processes) Size() int             { return len(p.h.Nodes) }
func (p *processes) API(node int) string   { return p.h.Nodes[node-1] }
func (p *processes) Container(int) string  { return "" }
func (p *processes) Token() string         { return p.h.Token }
func (p *processes) Roots() *x509.CertPool { return nil }
func (p *processes) Host() string          { return "127.0.0.1" }
func (p *processes) Wipe()                 { p.h.Wipe() }

func (p *processes) Dir(node int) string { return filepath.Join(p.h.Dir, fmt.Sprintf("n%d", node)) }

// Pid believes the pid file only while the process is the node's own.
func (p *processes) Pid(node int) int {
	text, err := os.ReadFile(filepath.Join(p.Dir(node), "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte(filepath.Join(p.Dir(node), "config.hcl"))) {
		return 0
	}
	return pid
}

func (p *processes) Leader(ctx context.Context) (int, error) { return findLeader(ctx, p) }

func (p *processes) script(verb string, node int) error {
	_, err := p.h.Script(verb, strconv.Itoa(node))
	return err
}

func (p *processes) Start(_ context.Context, node int) error { return p.script("start", node) }

func (p *processes) Stop(ctx context.Context, node int) error {
	pid := p.Pid(node)
	return errors.Join(p.script("stop", node), closed(ctx, pid))
}

// Kill sends the signal itself, so that the moment is known, and has the script wait until it is gone.
func (p *processes) Kill(ctx context.Context, node int) error {
	pid := p.Pid(node)
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill node %d: %w", node, err)
		}
	}
	return errors.Join(p.script("kill", node), closed(ctx, pid))
}

// closed waits until the last thread of a process that ends has closed its files: its command line, by which
// the script knows it, is gone a moment earlier.
func closed(ctx context.Context, pid int) error {
	for pid != 0 && ctx.Err() == nil {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, _ := strings.Cut(string(text), ") ")
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil || strings.HasPrefix(state, "Z") && len(threads) <= 1 {
			return nil
		}
		pause(ctx, 5*time.Millisecond)
	}
	return ctx.Err()
}

func (p *processes) Save(dir string) error {
	for node := 1; node <= p.Size(); node++ {
		to := filepath.Join(dir, fmt.Sprintf("n%d", node))
		if err := os.CopyFS(to, os.DirFS(p.Dir(node))); err != nil {
			return fmt.Errorf("save node %d: %w", node, err)
		}
	}
	return nil
}

// probe asks for health and nothing else; it keeps no connection to a node that may be struck.
func probe(c Cluster) *http.Client {
	return &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.Roots()},
		DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
	}}
}

// health is the status of a node's health endpoint, 0 if it does not answer.
func health(ctx context.Context, c Cluster, client *http.Client, node int) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.API(node)+"/v1/sys/health", nil)
	if err != nil {
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// findLeader waits until a node leads, those excepted.
func findLeader(ctx context.Context, c Cluster, but ...int) (int, error) {
	client := probe(c)
	for ctx.Err() == nil {
	nodes:
		for node := 1; node <= c.Size(); node++ {
			for _, b := range but {
				if node == b {
					continue nodes
				}
			}
			if health(ctx, c, client, node) == http.StatusOK {
				return node, nil
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
	return 0, fmt.Errorf("no node leads: %w", context.Cause(ctx))
}

// awaitWell waits until one node leads and all others follow it.
func awaitWell(ctx context.Context, c Cluster) error {
	client := probe(c)
	for ctx.Err() == nil {
		leaders, followers := 0, 0
		for node := 1; node <= c.Size(); node++ {
			switch health(ctx, c, client, node) {
			case http.StatusOK:
				leaders++
			case http.StatusTooManyRequests:
				followers++
			}
		}
		if leaders == 1 && followers == c.Size()-1 {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("not every node serves: %w", context.Cause(ctx))
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
