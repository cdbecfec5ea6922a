package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// asLeasehold makes the test binary serve as the leasehold command.
const asLeasehold = "TEST_AS_LEASEHOLD"

func TestMain(m *testing.M) {
	if os.Getenv(asLeasehold) != "" {
		os.Exit(run(os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){"leasehold": func() { os.Exit(run(os.Args[1:])) }})
}

// TestScripts runs the scripts in testdata.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		env.Setenv("GORACE", "atexit_sleep_ms=0")
		return nil
	}})
}

// patient bounds every wait of these tests; a condition ends them much earlier.
const patient = 30 * time.Second

// server is a running "leasehold server".
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	code int

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// startServer runs leasehold with args. What it prints, on both outputs, is kept.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	return startTool(t, nil, append([]string{"server"}, args...)...)
}

// startTool runs leasehold with any arguments, and some variables.
func startTool(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	s.cmd.Env = append(append(os.Environ(), asLeasehold+"=1", "GORACE=atexit_sleep_ms=0"), env...)
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		err := s.cmd.Wait()
		s.code = s.cmd.ProcessState.ExitCode()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			s.code = -1
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
	})
	return s
}

// Write implements io.Writer.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// awaitMatch waits until the output matches and returns the submatches.
func (s *server) awaitMatch(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.output()); m != nil {
			return m
		}
		select {
		case <-s.done:
			if m := re.FindStringSubmatch(s.output()); m != nil {
				return m
			}
			s.t.Fatalf("the server ended with %d before it printed %q:\n%s", s.code, pattern, s.output())
		default:
		}
	}
	s.t.Fatalf("the server did not print %q:\n%s", pattern, s.output())
	return nil
}

// awaitEnd waits for the process and returns its exit code.
func (s *server) awaitEnd() int {
	s.t.Helper()
	select {
	case <-s.done:
		return s.code
	case <-time.After(patient):
		s.t.Fatalf("the server does not end:\n%s", s.output())
		return 0
	}
}

// refused runs a server that is to refuse to start, and wants every text in what it says.
func refused(t *testing.T, args []string, texts ...string) {
	t.Helper()
	s := startServer(t, args...)
	if code := s.awaitEnd(); code != 1 {
		t.Errorf("exit code: got %d, want 1", code)
	}
	for _, want := range texts {
		if !strings.Contains(s.output(), want) {
			t.Errorf("got:\n%s\nwant in it:\n%s", s.output(), want)
		}
	}
}

// get sends a request and returns status and body; status 0 if there is no answer.
func get(url, token string) (int, string) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// TestDevServes: from the start of the process to a lease in hand, under a second on a machine with
// nothing else to do. The bound here is for one that runs all other tests at the same time.
func TestDevServes(t *testing.T) {
	begin := time.Now()
	s := startServer(t, "-dev", "-dev-listen-address=127.0.0.1:0", "-dev-root-token-id=it-is-me")
	addr := s.awaitMatch(`export VAULT_ADDR=(http://127\.0\.0\.1:\d+)\n`)[1]
	s.awaitMatch(`export VAULT_TOKEN=it-is-me\n`)
	req, err := http.NewRequest("POST", addr+"/v1/demo/first", strings.NewReader(`{"ttl":"10m"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", "it-is-me")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("the server printed its address and does not serve there: %v", err)
	}
	defer resp.Body.Close()
	var issued struct {
		ID       string `json:"lease_id"`
		Duration int    `json:"lease_duration"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&issued); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	t.Logf("a lease after %v", took)
	if !strings.HasPrefix(issued.ID, "demo/first/") || issued.Duration != 600 {
		t.Errorf("got %+v, want a lease of demo/first for 600 s", issued)
	}
	if took > 5*time.Second {
		t.Errorf("a lease after %v, want it within 5 s", took)
	}
	if status, body := get(addr+"/v1/sys/leader", "it-is-me"); status != 200 || !strings.Contains(body, `"leader_address":"`+addr) {
		t.Errorf("sys/leader: got %d %s, want the address %s", status, body, addr)
	}
	if status, _ := get(addr+"/v1/auth/token/lookup-self", "it-is-not-me"); status != 403 {
		t.Errorf("another token: got %d, want 403", status)
	}
}

func TestDevMakesItsToken(t *testing.T) {
	s := startServer(t, "-dev", "-dev-listen-address=127.0.0.1:0")
	addr := s.awaitMatch(`export VAULT_ADDR=(\S+)\n`)[1]
	token := s.awaitMatch(`export VAULT_TOKEN=(root-[a-z2-7]{26})\n`)[1]
	if status, body := get(addr+"/v1/auth/token/lookup-self", token); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

// TestStopSaysSo: SIGTERM and SIGINT end a server with 0, within its grace, and it says that it
// stopped. A signal that comes twice at once, as "timeout" sends it, is one.
func TestStopSaysSo(t *testing.T) {
	for _, signals := range [][]os.Signal{{syscall.SIGTERM}, {os.Interrupt}, {syscall.SIGTERM, syscall.SIGTERM}} {
		s := startServer(t, "-dev", "-dev-listen-address=127.0.0.1:0")
		s.awaitMatch(`export VAULT_TOKEN`)
		begin := time.Now()
		for _, sig := range signals {
			if err := s.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		if code := s.awaitEnd(); code != 0 {
			t.Errorf("%v: exit code: got %d, want 0:\n%s", signals, code, s.output())
		}
		if took := time.Since(begin); took > stopGrace {
			t.Errorf("%v: stopped after %v, want at most %v", signals, took, stopGrace)
		}
		out := s.output()
		for _, want := range []string{"msg=stopping node=dev reason=", "signal received", "msg=stopped node=dev\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: got:\n%s\nwant in it:\n%s", signals, out, want)
			}
		}
		if strings.Contains(out, "level=WARN") || strings.Contains(out, "level=ERROR") {
			t.Errorf("%v: an ordinary start and stop warns:\n%s", signals, out)
		}
		for line := range strings.Lines(out) {
			if strings.Count(line, "node=") > 1 || strings.Count(line, "component=") > 1 {
				t.Errorf("an attribute twice: %s", line)
			}
		}
	}
}

// TestJSONLog: with log_format = json every line of the error output is an object, the start too.
func TestJSONLog(t *testing.T) {
	s := startServer(t, "-dev", "-dev-listen-address=127.0.0.1:0", "-log-format=json")
	s.awaitMatch(`export VAULT_TOKEN`)
	var served map[string]any
	lines := bufio.NewScanner(strings.NewReader(s.output()))
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "{") {
			break // the lines for people, on the other output
		}
		var fields map[string]any
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		if fields["msg"] == "serving" {
			served = fields
		}
	}
	for _, name := range []string{"time", "level", "node", "version", "api", "data", "tls"} {
		if _, ok := served[name]; !ok {
			t.Errorf("the line \"serving\" lacks %q: %v", name, served)
		}
	}
}

// single is a configuration of a cluster of one in a directory of the test.
func single(t *testing.T, key string) (args []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	keyFile := filepath.Join(dir, "seal.key")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"-node-id=s1", "-bootstrap-expect=1", "-bootstrap-root-token=root-of-s1", "-listener-address=127.0.0.1:0",
		"-listener-cluster-address=127.0.0.1:0", "-storage-path=" + filepath.Join(dir, "data"), "-seal-key-file=" + keyFile}, dir
}

func key(fill byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)) }

// serves waits until a single server is initialised and returns its address.
func (s *server) serves() string {
	s.t.Helper()
	addr := s.awaitMatch(`listening on (127\.0\.0\.1:\d+)`)[1]
	for deadline := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		if status, _ := get("http://"+addr+"/v1/auth/token/lookup-self", "root-of-s1"); status == 200 {
			return addr
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the server is not initialised:\n%s", s.output())
		}
	}
}

// TestStartBlock: what a new user wants to know of a node, in one block.
func TestStartBlock(t *testing.T) {
	args, dir := single(t, key(1))
	s := startServer(t, args...)
	s.serves()
	got := s.awaitMatch(`(?s)Leasehold v.*\n\n  api .*?\n\n`)[0]
	for _, want := range []string{"Leasehold v" + version + ", node s1 of cluster leasehold\n", "\n  api     http://127.0.0.1:",
		"\n  peers   127.0.0.1:", "\n  gossip  off\n", "\n  data    " + dir + "/data\n", "\n  join    a cluster of one\n",
		"\n  seal    " + dir + "/seal.key\n", "\n  tls     off: everything is sent in plain text\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got:\n%s\nwant in it: %q", got, want)
		}
	}
	if strings.Contains(s.output(), "root-of-s1") {
		t.Errorf("the root token is printed:\n%s", s.output())
	}
}

// TestWrongSealKey: a node with another key than its cluster's does not start, says so, and names the
// key that it needs. With the right one again it has its data.
func TestWrongSealKey(t *testing.T) {
	args, dir := single(t, key(1))
	s := startServer(t, args...)
	s.serves()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.awaitEnd(); code != 0 {
		t.Fatalf("exit code: got %d, want 0", code)
	}
	keyFile := filepath.Join(dir, "seal.key")
	if err := os.WriteFile(keyFile, []byte(key(2)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, args, "seal.key_file: this node cannot open the cluster's keyring: the keyring needs the static key with ID ", "; the one given has ID ")
	if err := os.WriteFile(keyFile, []byte(key(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	startServer(t, args...).serves()
}

func TestUnusableKeyFiles(t *testing.T) {
	args, dir := single(t, "")
	file := filepath.Join(dir, "seal.key")
	for text, want := range map[string]string{
		"":                                    "is empty: expected 32 bytes in base64",
		"c2hvcnQ=":                            "has 5 bytes: expected 32 bytes in base64",
		"this is no key":                      "is not base64: expected 32 bytes in base64",
		strings.Repeat("0123456789abcdef", 4): "looks like hex: expected 32 bytes in base64",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, args, "Error: seal.key_file: ", file, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused(t, args, "seal.key_file: ", file, "does not exist", "openssl rand -base64 32")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, args, "seal.key_file: ", file, "is a directory")
}

func TestOpenKeyFileWarns(t *testing.T) {
	args, dir := single(t, key(1))
	if err := os.Chmod(filepath.Join(dir, "seal.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	startServer(t, args...).awaitMatch(`level=WARN msg="seal key file .* is open to others than its owner \(mode 0644\): chmod 600 it"`)
}

func TestUnusableRootTokens(t *testing.T) {
	args, dir := single(t, key(1))
	withFile := append(args[:2:2], args[3:]...)
	file := filepath.Join(dir, "token")
	withFile = append(withFile, "-bootstrap-root-token-file="+file)
	refused(t, withFile, "bootstrap_root_token_file: open "+file, "no such file")
	if err := os.WriteFile(file, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, withFile, "bootstrap_root_token_file: "+file+" is empty")
	args[2] = "-bootstrap-root-token=two words"
	refused(t, args, "the root token of the configuration cannot be used: ", "printable ASCII characters without spaces")
}

func TestUnusableGossipKey(t *testing.T) {
	args, dir := single(t, key(1))
	args = append(args, "-gossip-address=127.0.0.1:0", "-gossip-key-file="+filepath.Join(dir, "gossip.key"))
	refused(t, args, "gossip.key_file: open ", "no such file")
	if err := os.WriteFile(filepath.Join(dir, "gossip.key"), []byte("c2hvcnQ="), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, args, "gossip.key_file: ", "line 1: the key has 5 bytes and not 32")
}

// TestAddressTaken: the setting is named, and nothing is touched before the address is ours.
func TestAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	args, dir := single(t, key(1))
	refused(t, append(args, "-listener-address="+taken.Addr().String()), "listener.address: listen tcp "+taken.Addr().String(),
		"address already in use", "another process listens there; end it, or choose another address")
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory was made: %v", err)
	}
	refused(t, append(args, "-listener-cluster-address="+taken.Addr().String()), "listen for peers", "address already in use",
		"another process listens there")
	refused(t, append(args, "-gossip-address="+taken.Addr().String()), "gossip", "address already in use")
}

// TestDataDirectory: one that cannot be written, and one that another node has open.
func TestDataDirectory(t *testing.T) {
	args, dir := single(t, key(1))
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, append(args, "-storage-path="+file+"/data"), "storage.path: ", file, "not a directory")
	if os.Getuid() != 0 { // to root every directory is open
		closed := filepath.Join(dir, "closed")
		if err := os.Mkdir(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		refused(t, append(args, "-storage-path="+closed+"/data"), "storage.path: ", closed, "permission denied")
	}
	startServer(t, args...).serves()
	refused(t, args, fmt.Sprintf("storage.path: another process uses %s/data", dir))
}

func TestPlainTextOnTheNetworkIsRefused(t *testing.T) {
	args, _ := single(t, key(1))
	refused(t, append(args, "-listener-address=0.0.0.0:0"), `-listener-address "0.0.0.0:0" is not a loopback address`, "set listener.tls_cert_file")
	refused(t, []string{"-dev", "-dev-listen-address=0.0.0.0:0"}, `-dev-listen-address "0.0.0.0:0" is not a loopback address`)
}
