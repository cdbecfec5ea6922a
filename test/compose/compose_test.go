// Package compose plays docker-compose.yml as a reader would: "make image", "docker-compose up", a lease,
// the leader's container killed, a node made anew at another address. The ports are those of the file,
// so that nothing else may use them meanwhile.
package compose

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// project keeps the containers, the network and the volumes apart from a stack that somebody uses.
const project = "leasehold-test"

// skipWithoutDocker is the one way to run the gate without this test: on purpose.
const skipWithoutDocker = "LEASEHOLD_NO_DOCKER"

var (
	root  string // of the repository
	nodes = []string{"https://127.0.0.1:8210", "https://127.0.0.1:8220", "https://127.0.0.1:8230"}
)

const fourthNode = "https://127.0.0.1:8240" // of the profile "extra"

// command runs a command at the root of the repository.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// compose runs docker-compose for the project; v2 of it is a plug-in of docker.
func compose(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"--project-name", project}, args...)
	if _, err := exec.LookPath("docker-compose"); err != nil {
		return command(t, "docker", append([]string{"compose"}, args...)...)
	}
	return command(t, "docker-compose", args...)
}

// needDocker fails, unless it was said that there is none.
func needDocker(t *testing.T) {
	t.Helper()
	out, err := exec.Command("docker", "info").CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv(skipWithoutDocker) == "1" {
		t.Skipf("%s=1, and docker does not answer: %v", skipWithoutDocker, err)
	}
	t.Fatalf("docker does not answer; set %s=1 to go without this test: %v\n%s", skipWithoutDocker, err, out)
}

func needPorts(t *testing.T) {
	t.Helper()
	for _, node := range append(slices.Clone(nodes), fourthNode) {
		address := strings.TrimPrefix(node, "https://")
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("docker-compose.yml needs %s, which is in use: end what uses it ('scripts/cluster.sh down', or another stack)", address)
		}
		l.Close()
	}
}

var client *http.Client // believes the authority of the compose file, once that is made

// believe makes the client of what "make image" has made.
func believe(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".compose/ca.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no authority in .compose/ca.pem: %v", err)
	}
	client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
	}}
}

// ask sends a request and returns the status, 0 if there was no answer, and the decoded body.
func ask(token, method, url string, body any) (int, map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer := make(map[string]any)
	if text, err := io.ReadAll(resp.Body); err != nil || len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s\n%s", limit, what, compose(t, "logs", "--tail=20"))
		}
	}
}

// leader returns the place of the node that leads, -1 if none does.
func leader() int {
	for i, node := range nodes {
		if status, _ := ask("", "GET", node+"/v1/sys/health", nil); status == http.StatusOK {
			return i
		}
	}
	return -1
}

// stack is a running project.
type stack struct {
	t     *testing.T
	token string
	ids   []string // leases that were acknowledged
}

// issue makes n leases through a node, trying again until each is acknowledged.
func (s *stack) issue(node, n int) {
	s.t.Helper()
	for range n {
		eventually(s.t, 20*time.Second, fmt.Sprintf("a lease is issued through node %d", node+1), func() bool {
			status, answer := ask(s.token, "POST", nodes[node]+"/v1/jobs/a", map[string]any{"ttl": "1h"})
			id, _ := answer["lease_id"].(string)
			if status != http.StatusOK || id == "" {
				return false
			}
			s.ids = append(s.ids, id)
			return true
		})
	}
}

// check looks every lease up through the nodes given.
func (s *stack) check(through ...int) {
	s.t.Helper()
	for i, id := range s.ids {
		node := through[i%len(through)]
		status, answer := ask(s.token, "PUT", nodes[node]+"/v1/sys/leases/lookup", map[string]any{"lease_id": id})
		if data, _ := answer["data"].(map[string]any); status != http.StatusOK || data["status"] != "active" {
			s.t.Errorf("through node %d, %s: %d %v, want it alive", node+1, id, status, answer)
		}
	}
}

// address is a container's on the project's network.
func (s *stack) address(name string) string {
	s.t.Helper()
	return strings.TrimSpace(command(s.t, "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name))
}

// voters counts the voters as a node sees them.
func (s *stack) voters(node int) int {
	_, answer := ask(s.token, "GET", nodes[node]+"/v1/sys/storage/raft/configuration", nil)
	return strings.Count(fmt.Sprint(answer["data"]), "voter:true")
}

func start(t *testing.T) *stack {
	t.Helper()
	needDocker(t)
	needPorts(t)
	command(t, "make", "-s", "image")
	believe(t)
	t.Cleanup(func() { compose(t, "--profile", "extra", "down", "-v", "--remove-orphans", "--timeout", "5") })
	compose(t, "up", "-d")
	token, err := os.ReadFile(filepath.Join(root, ".compose/root-token"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{t: t, token: strings.TrimSpace(string(token))}
	eventually(t, 60*time.Second, "all three nodes serve", func() bool {
		for _, node := range nodes {
			if status, _ := ask(s.token, "GET", node+"/v1/auth/token/lookup-self", nil); status != http.StatusOK {
				return false
			}
		}
		return leader() >= 0
	})
	return s
}

func TestMain(m *testing.M) {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	root = filepath.Dir(filepath.Dir(dir)) // test/compose lies two folders below it
	os.Exit(m.Run())
}

// TestThreeContainers plays the life of the stack.
func TestThreeContainers(t *testing.T) {
	s := start(t)
	if status, answer := ask(s.token, "POST", nodes[0]+"/v1/sys/mounts/jobs", map[string]any{"type": "lease"}); status != http.StatusNoContent {
		t.Fatalf("enable: %d %v", status, answer)
	}
	for node := range nodes {
		s.issue(node, 5)
	}

	t.Log("the leader's container is killed")
	lead := leader()
	killed := fmt.Sprintf("leasehold-n%d", lead+1)
	compose(t, "kill", fmt.Sprintf("n%d", lead+1))
	others := []int{(lead + 1) % 3, (lead + 2) % 3}
	s.issue(others[0], 5)
	s.issue(others[1], 5)
	s.check(others...)
	compose(t, "up", "-d")
	eventually(t, 30*time.Second, killed+" is back", func() bool {
		status, _ := ask(s.token, "GET", nodes[lead]+"/v1/auth/token/lookup-self", nil)
		return status == http.StatusOK && leader() >= 0
	})
	s.check(lead)

	t.Log("a node is made anew, and has another address")
	s.anew((leader() + 1) % 3)
	s.issue(leader(), 5)
	s.check(0, 1, 2)

	t.Log("all nodes are made anew, and all have other addresses")
	s.anew(0, 1, 2)
	s.issue(0, 5)
	s.check(0, 1, 2)

	t.Log("who shows no certificate is refused between the nodes, and plain http by the API")
	peer := s.address("leasehold-n1") + ":8201"
	conn, err := tls.Dial("tcp", peer, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: got %v, want it required", err)
	}
	eventually(t, 10*time.Second, "the refusal is logged", func() bool {
		return strings.Contains(compose(t, "logs", "n1"), "didn't provide a certificate")
	})
	resp, err := http.Get("http" + strings.TrimPrefix(nodes[0], "https") + "/v1/sys/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("in plain http: got %d, want 400", resp.StatusCode)
	}
	for node := range nodes {
		eventually(t, 30*time.Second, "the container is healthy", func() bool {
			return strings.TrimSpace(command(t, "docker", "inspect", "-f", "{{.State.Health.Status}}", fmt.Sprintf("leasehold-n%d", node+1))) == "healthy"
		})
	}

	t.Log("a fourth node of the profile extra asks to be let in")
	s.fourth()
}

// fourth has n4 join as docs/membership.md says, T9: refused without a token, a voter with one.
func (s *stack) fourth() {
	s.t.Helper()
	file := filepath.Join(root, ".compose/n4/join-token")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { os.Remove(file) }) // it is spent
	compose(s.t, "--profile", "extra", "up", "-d", "n4")
	eventually(s.t, 30*time.Second, "both sides say that n4 is not let in", func() bool {
		newcomer, others := compose(s.t, "logs", "n4"), compose(s.t, "logs", "n1", "n2", "n3")
		return strings.Contains(newcomer, "the cluster does not let this node in") && strings.Contains(newcomer, "presents no join token") &&
			strings.Contains(others, "a node was not let in")
	})
	if got := s.voters(0); got != 3 {
		s.t.Errorf("%d voters before there is a token, want 3", got)
	}
	s.cli("operator", "raft", "autopilot", "set-config", "-server-stabilization-time=1s") // not to wait for it here
	token := s.cli("operator", "raft", "join-token", "-field=token", "n4")
	if err := os.WriteFile(file, []byte(token), 0o644); err != nil { // as a shell's redirection does
		s.t.Fatal(err)
	}
	eventually(s.t, 30*time.Second, "n4 votes", func() bool { return s.voters(0) == 4 })
	if status, answer := ask(s.token, "PUT", fourthNode+"/v1/sys/leases/lookup", map[string]any{"lease_id": s.ids[0]}); status != http.StatusOK {
		s.t.Errorf("a lease, through n4: %d %v", status, answer)
	}
	if strings.Contains(compose(s.t, "--profile", "extra", "logs"), strings.TrimSpace(token)) {
		s.t.Error("the join token is in a log")
	}
}

// cli runs the command line on this machine against the first node and returns what it prints.
func (s *stack) cli(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(root, "bin/leasehold"), args...)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+nodes[0], "VAULT_CACERT="+filepath.Join(root, ".compose/ca.pem"), "VAULT_TOKEN="+s.token)
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("leasehold %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// anew replaces the containers of nodes. Something else takes their addresses meanwhile, so that they
// come back at others, as they may after any restart of a host.
func (s *stack) anew(which ...int) {
	s.t.Helper()
	var names, before []string
	for _, node := range which {
		names = append(names, fmt.Sprintf("n%d", node+1))
		before = append(before, s.address("leasehold-"+names[len(names)-1]))
	}
	compose(s.t, append([]string{"rm", "-sf"}, names...)...)
	occupied := s.occupy(before)
	compose(s.t, append([]string{"up", "-d"}, names...)...)
	for _, name := range names {
		if after := s.address("leasehold-" + name); slices.Contains(before, after) {
			s.t.Errorf("%s came back at %s, want another address than any before", name, after)
		}
	}
	command(s.t, "docker", append([]string{"rm", "-f"}, occupied...)...)
	for i, node := range which {
		eventually(s.t, 60*time.Second, names[i]+" serves again", func() bool {
			status, _ := ask(s.token, "GET", nodes[node]+"/v1/auth/token/lookup-self", nil)
			return status == http.StatusOK && s.voters(node) == 3
		})
	}
}

// occupy starts containers on the project's network until all the addresses are taken.
func (s *stack) occupy(addresses []string) []string {
	s.t.Helper()
	var names []string
	free := slices.Clone(addresses)
	for i := range 4 + len(addresses) {
		name := fmt.Sprintf("%s-other-%d", project, i)
		s.t.Cleanup(func() { exec.Command("docker", "rm", "-f", name).Run() }) // may be gone
		command(s.t, "docker", "run", "-d", "--name", name, "--network", project+"_cluster", "leasehold:latest", "server", "-dev")
		names = append(names, name)
		taken := s.address(name)
		if free = slices.DeleteFunc(free, func(a string) bool { return a == taken }); len(free) == 0 {
			return names
		}
	}
	s.t.Fatalf("no container got the address %s", free[0])
	return nil
}

// TestContainersAreConfined: what the image and the compose file promise of a container's rights.
func TestContainersAreConfined(t *testing.T) {
	needDocker(t)
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"read_only: true", "cap_drop: [ALL]", `security_opt: ["no-new-privileges:true"]`, `"127.0.0.1:8210:8200"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docker-compose.yml has no %s", want)
		}
	}
	if regexp.MustCompile(`(?m)^ +- \./\.compose(/ca\S*)?:`).Match(text) || strings.Count(string(text), "- ./.compose/n1:") != 1 {
		t.Error("docker-compose.yml gives a node the authority's key, or another node's")
	}
	command(t, "make", "-s", "image")
	if info, err := os.Stat(filepath.Join(root, ".compose/ca-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v, want mode 600", info.Mode(), err)
	}
	if got := strings.TrimSpace(command(t, "docker", "image", "inspect", "-f", "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Healthcheck.Test}}", "leasehold:latest")); got !=
		"65532:65532 [/leasehold] [CMD /leasehold status]" {
		t.Errorf("the image runs as, runs and is checked by %q", got)
	}
}
