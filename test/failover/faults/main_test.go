package faults

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ports are the first two digits of every port here.
const ports = "89"

// standIn makes the test binary a stand-in for a node: it answers calls at the peer's and the gossip's
// port, and calls others when it is told to at the API's.
const standIn = "LEASEHOLD_TEST_STAND_IN"

func TestMain(m *testing.M) {
	if node := os.Getenv(standIn); node != "" {
		beNode(node)
		return
	}
	os.Exit(m.Run())
}

// needRoot fails, unless it was said that there is none.
func needRoot(t *testing.T) {
	t.Helper()
	if err := Missing(); err != nil && os.Getenv(WithoutRoot) == "1" {
		t.Skipf("%s=1: %v", WithoutRoot, err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func port(node string, digit int) string { return fmt.Sprintf("127.0.0.1:%s%s%d", ports, node, digit) }

// stand is what a stand-in knows.
type stand struct {
	datagrams net.PacketConn
	got       sync.Map // how many datagrams came, by the sender's port

	mu   sync.Mutex // guards what follows
	kept map[string]net.Conn
	said byte
}

func beNode(node string) {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	s := &stand{kept: map[string]net.Conn{}}
	for _, digit := range []int{1, 2} {
		l, err := net.Listen("tcp", port(node, digit))
		must(err)
		go func() {
			for {
				c, err := l.Accept()
				must(err)
				go io.Copy(c, c)
			}
		}()
	}
	var err error
	s.datagrams, err = net.ListenPacket("udp", port(node, 2))
	must(err)
	go func() {
		for buf := make([]byte, 100); ; {
			_, from, err := s.datagrams.ReadFrom(buf)
			must(err)
			count, _ := s.got.LoadOrStore(from.String(), new(atomic.Int64))
			count.(*atomic.Int64).Add(1)
		}
	}()
	must(http.ListenAndServe(port(node, 0), http.HandlerFunc(s.serve)))
}

// serve does /new/J and /kept/J: says something to node J on a new or on the kept connection and waits for
// its echo; /send/J/N: sends N datagrams; /got/J: says how many came from J;
// /sync/PATH: writes to a file and syncs it.
func (s *stand) serve(w http.ResponseWriter, r *http.Request) {
	words := append(strings.Split(strings.Trim(r.URL.Path, "/"), "/"), "")
	to := words[1]
	switch words[0] {
	case "new", "kept":
		if err := s.call(to, words[0] == "kept"); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	case "send":
		addr, _ := net.ResolveUDPAddr("udp", port(to, 2))
		n, _ := strconv.Atoi(words[2])
		for range n {
			if _, err := s.datagrams.WriteTo([]byte("x"), addr); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			time.Sleep(20 * time.Microsecond)
		}
	case "sync":
		if err := writeAndSync(strings.TrimPrefix(r.URL.Path, "/sync")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	case "got":
		count, _ := s.got.LoadOrStore(port(to, 2), new(atomic.Int64))
		fmt.Fprint(w, count.(*atomic.Int64).Load())
	}
}

// writeAndSync writes to a file and syncs it, once.
func writeAndSync(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("x"); err != nil {
		return err
	}
	return f.Sync()
}

// patience is how long an echo may take: longer than two times the delay, shorter than a test.
const patience = 700 * time.Millisecond

func (s *stand) call(to string, keep bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.kept[to]
	if !keep || c == nil {
		var err error
		if c, err = net.DialTimeout("tcp", port(to, 1), patience); err != nil {
			return err
		}
		if keep {
			s.kept[to] = c
		} else {
			defer c.Close()
		}
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	s.said++
	if _, err := c.Write([]byte{s.said}); err != nil {
		return err
	}
	for heard := make([]byte, 1); heard[0] != s.said; { // echoes of what was lost before come first
		if _, err := io.ReadFull(c, heard); err != nil {
			return err
		}
	}
	return nil
}

// rig is stand-ins in an environment.
type rig struct {
	t *testing.T
	p *Processes
}

func newRig(t *testing.T, nodes int) *rig {
	t.Helper()
	needRoot(t)
	p := NewProcesses(Options{Ports: ports, Binary: os.Args[0], DiskSize: 64 << 20})
	dir := t.TempDir()
	env, err := p.Prepare(t.Context(), dir, nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t)
	})
	r := &rig{t, p}
	for i := range nodes {
		node := strconv.Itoa(i + 1)
		_, wrapper, _ := strings.Cut(env[0], "=")
		cmd := exec.Command(wrapper, filepath.Join(dir, "n"+node, "config.hcl"))
		cmd.Env = append(os.Environ(), standIn+"="+node)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go cmd.Wait() // Close kills it
	}
	for i := range nodes {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := r.ask(i+1, "got/1"); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	return r
}

// ask tells a stand-in what to do.
func (r *rig) ask(node int, what string) (string, error) {
	resp, err := http.Get("http://" + port(strconv.Itoa(node), 0) + "/" + what)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", text)
	}
	return string(text), err
}

// got is how many datagrams came from a node.
func (r *rig) got(at, from int) int {
	r.t.Helper()
	text, err := r.ask(at, fmt.Sprintf("got/%d", from))
	if err != nil {
		r.t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// datagrams sends some and returns how many came.
func (r *rig) datagrams(w wire, n int) int {
	r.t.Helper()
	before := r.got(w.to, w.from)
	if _, err := r.ask(w.from, fmt.Sprintf("send/%d/%d", w.to, n)); err != nil {
		r.t.Fatalf("a sender notices that its datagrams are lost: %v", err)
	}
	time.Sleep(250 * time.Millisecond)
	return r.got(w.to, w.from) - before
}

// nothingLeft fails if anything that bears the ports' name is there.
func nothingLeft(t *testing.T) {
	t.Helper()
	if pids := inGroups(ports); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), "leasehold-faults-"+ports) {
		t.Errorf("mounts are left (%v):\n%s", err, mounts)
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if text, err := os.ReadFile(l); err == nil && strings.Contains(string(text), "leasehold-faults-"+ports) {
			t.Errorf("a loop device is left: %s of %s", l, text)
		}
	}
	tables, err := exec.CommandContext(context.Background(), "nft", "list", "tables").Output()
	if err != nil || strings.Contains(string(tables), tableName(ports)) {
		t.Errorf("a table is left (%v):\n%s", err, tables)
	}
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "leasehold-faults-"+ports+"-*"))
	for _, d := range dirs {
		if !strings.HasSuffix(d, "lock") {
			t.Errorf("a directory is left: %s", d)
		}
	}
}
