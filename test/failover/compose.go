package failover

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// composeProject keeps network and volumes apart from a stack that somebody uses. The names of the
// containers and the ports are those of docker-compose.yml, so that no other stack may run meanwhile.
const composeProject = "leasehold-failover"

// startLimit bounds a start of the stack, or of one container.
const startLimit = 90 * time.Second

// compose is the three containers of docker-compose.yml.
type compose struct {
	root, token, host string
	roots             *x509.CertPool
	scheme            string
	override          string // a file that is read besides docker-compose.yml
}

// startCompose brings up the stack from the image that "make image" made.
func startCompose(root string) (c *compose, err error) {
	c = &compose{root: root, scheme: "http"}
	token, err := os.ReadFile(filepath.Join(root, ".compose/root-token"))
	if err != nil {
		return nil, fmt.Errorf("the secrets of the stack: run 'make image' first (%w)", err)
	}
	c.token = strings.TrimSpace(string(token))
	if text, err := os.ReadFile(filepath.Join(root, ".compose/ca.pem")); err == nil {
		c.scheme, c.roots = "https", x509.NewCertPool()
		if !c.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf(".compose/ca.pem holds no certificate")
		}
	}
	if err := c.writeOverride(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Wipe()
		}
	}()
	c.compose("down", "-v", "--remove-orphans") // what an earlier run left
	if _, err := c.compose("up", "-d", "n1", "n2", "n3"); err != nil {
		return nil, err
	}
	if c.host, err = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", composeProject+"_cluster"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return c, awaitWell(ctx, c)
}

// writeOverride shortens the deadline of intents, as for processes.
func (c *compose) writeOverride() error {
	file, err := os.CreateTemp("", "leasehold-failover-*.yml")
	if err != nil {
		return err
	}
	c.override = file.Name()
	fmt.Fprintln(file, "services:")
	for node := 1; node <= c.Size(); node++ {
		fmt.Fprintf(file, "  n%d:\n    environment:\n      LEASEHOLD_INTENT_DEADLINE: %s\n", node, intentDeadline)
	}
	return file.Close()
}

// compose runs docker-compose, or its successor, for the project.
func (c *compose) compose(args ...string) (string, error) {
	args = append([]string{"--project-name", composeProject, "-f", "docker-compose.yml", "-f", c.override}, args...)
	name := "docker-compose"
	if _, err := exec.LookPath(name); err != nil {
		name, args = "docker", append([]string{"compose"}, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = c.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// docker runs a command of docker and returns what it printed, trimmed.
func docker(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (c *compose) Size() int                 { return 3 }
func (c *compose) API(node int) string       { return fmt.Sprintf("%s://127.0.0.1:82%d0", c.scheme, node) }
func (c *compose) Dir(int) string            { return "" }
func (c *compose) Container(node int) string { return fmt.Sprintf("leasehold-n%d", node) }
func (c *compose) Token() string             { return c.token }
func (c *compose) Roots() *x509.CertPool     { return c.roots }
func (c *compose) Host() string              { return c.host }

func (c *compose) Leader(ctx context.Context) (int, error) { return findLeader(ctx, c) }

func (c *compose) Pid(node int) int {
	out, err := docker("inspect", "-f", "{{.State.Pid}}", c.Container(node))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(out)
	if err != nil {
		return 0
	}
	return pid
}

func (c *compose) Start(ctx context.Context, node int) error {
	if _, err := docker("start", c.Container(node)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	client := probe(c)
	for health(ctx, c, client, node) == 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("node %d does not answer: %w", node, context.Cause(ctx))
		}
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}

// Kill has docker send the signal, so that its restart policy leaves the container alone.
func (c *compose) Kill(_ context.Context, node int) error {
	if c.Pid(node) == 0 {
		return nil
	}
	_, err := docker("kill", "--signal", "KILL", c.Container(node))
	return errors.Join(err, c.awaitEnd(node))
}

func (c *compose) Stop(_ context.Context, node int) error {
	_, err := docker("stop", "-t", "30", c.Container(node))
	return err
}

func (c *compose) awaitEnd(node int) error {
	for end := time.Now().Add(startLimit); c.Pid(node) != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the container of node %d does not end", node)
		}
	}
	return nil
}

func (c *compose) Save(dir string) error {
	var failed error
	for node := 1; node <= c.Size(); node++ {
		to := filepath.Join(dir, fmt.Sprintf("n%d", node))
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		logs, err := docker("logs", c.Container(node))
		failed = errors.Join(failed, err, os.WriteFile(filepath.Join(to, "log"), []byte(logs), 0o600))
		_, err = docker("cp", c.Container(node)+":/var/lib/leasehold", filepath.Join(to, "data"))
		failed = errors.Join(failed, err)
	}
	return failed
}

func (c *compose) Wipe() {
	if _, err := c.compose("down", "-v", "--remove-orphans"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Remove(c.override)
}
