package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk moves a node's data, while it is down, to a file system with little space.
func (c *cluster) smallDisk(node int) {
	c.t.Helper()
	data := c.file(node, "data")
	kept := data + ".kept"
	if err := os.Rename(data, kept); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Mount("leasehold-test", data, "tmpfs", 0, "size=24m"); err != nil {
		c.t.Skipf("no small file system can be mounted here: %v", err)
	}
	c.t.Cleanup(func() {
		_, _ = c.Script("kill", fmt.Sprint(node)) // it may be down; what is mounted must not be in use
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			c.t.Errorf("unmount: %v", err)
		}
	})
	if out, err := exec.Command("cp", "-a", kept+"/.", data).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}

// fill leaves no space on a node's disk; empty gives it back.
func (c *cluster) fill(node int) (empty func()) {
	c.t.Helper()
	path := filepath.Join(c.file(node, "data"), "filler")
	f, err := os.Create(path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			c.t.Fatal(err)
		}
		err = nil
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestFullDisk: one node has no space left, first as a follower, then as the leader. The cluster goes
// on, nothing acknowledged is lost, the node's log says what is wrong, and space is all it needs.
func TestFullDisk(t *testing.T) {
	c := start(t, 3)
	c.mount("slots")
	node := c.others(c.leader())[0]
	c.script("stop", fmt.Sprint(node))
	c.smallDisk(node)
	c.script("start", fmt.Sprint(node))
	c.alike(1, 2, 3)
	var ids []string
	// Each lease is some kilobytes, so that the log cannot go on in the pages that it has.
	body := `{"ttl":"1h","keep_data":true,"data":{"k":"` + strings.Repeat("x", 4000) + `"}}`
	write := func(at int) {
		t.Helper()
		for range 60 {
			var r reply
			for deadline := time.Now().Add(patient); r.status != 200; {
				if r = c.send(at, "POST", "slots/a", body); time.Now().After(deadline) {
					t.Fatalf("writes are not taken: got %v", r)
				}
			}
			ids = append(ids, r.field("lease_id"))
		}
	}
	empty := c.fill(node)
	write(c.others(node)[0])
	eventually(t, "the log says what is wrong", func() bool { return strings.Contains(c.log(node), "no space left on device") })
	empty()
	c.back(node)

	for range 5 {
		if c.leader() == node {
			break
		}
		c.must(204, c.leader(), "PUT", "sys/step-down", "")
		eventually(t, "somebody leads", func() bool { _, err := c.Leader(); return err == nil })
	}
	if c.leader() != node {
		t.Fatalf("node %d does not come to lead", node)
	}
	empty = c.fill(node)
	begin := time.Now()
	write(c.others(node)[0])
	t.Logf("60 writes while the leader's disk filled up: %v", time.Since(begin))
	if leader := c.leader(); leader == node {
		t.Errorf("node %d leads, with a full disk", node)
	}
	empty()
	c.back(node)
	for i, id := range ids {
		if r := c.lookup(i%3+1, id); r.status != 200 {
			t.Fatalf("an acknowledged lease is lost: node %d says %v of %s", i%3+1, r, id)
		}
	}
}

// back waits for a node whose disk has space again. One that ended itself is started.
func (c *cluster) back(node int) {
	c.t.Helper()
	if c.pid(node) == 0 {
		c.script("start", fmt.Sprint(node))
	}
	c.alike(1, 2, 3)
}
