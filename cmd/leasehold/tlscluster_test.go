package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/leasehold/leasehold/cert"
)

// freeAddr is an address of this machine that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// T7: three processes found a cluster under TLS, and the unmodified Go client of Vault and the command
// line work against each of them: what a follower gets it forwards over the peer port. A fourth node whose certificate
// is of another authority stays outside.
func TestT7_ThreeNodesUnderTLS(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	gossipKey := make([]byte, 32)
	if _, err := rand.Read(gossipKey); err != nil {
		t.Fatal(err)
	}
	var gossip []string
	for range 4 {
		gossip = append(gossip, freeAddr(t))
	}
	run := func(of pki, i, expect int) *server {
		id := fmt.Sprintf("n%d", i)
		of.issue(id, cert.Request{Node: id})
		p.put(id+"-gossip.key", []byte(base64.StdEncoding.EncodeToString(gossipKey)))
		args, _ := single(t, key(1))
		return startServer(t, append(args, "-node-id="+id, fmt.Sprintf("-bootstrap-expect=%d", expect), "-bootstrap-root-token=root-of-three",
			"-listener-tls-cert-file="+of.path(id+".pem"), "-listener-tls-key-file="+of.path(id+"-key.pem"),
			"-cluster-tls-ca-file="+of.path("ca.pem"), "-cluster-tls-cert-file="+of.path(id+".pem"), "-cluster-tls-key-file="+of.path(id+"-key.pem"),
			"-gossip-address="+gossip[i-1], "-gossip-key-file="+p.path(id+"-gossip.key"), "-gossip-retry-join="+strings.Join(gossip, ","))...)
	}
	var nodes []*server
	for i := range 3 {
		nodes = append(nodes, run(p, i+1, 3))
	}
	var ids []string
	for i, n := range nodes {
		conf := vault.DefaultConfig()
		conf.Address = n.awaitURL()
		if err := conf.ConfigureTLS(&vault.TLSConfig{CACert: p.path("ca.pem")}); err != nil {
			t.Fatal(err)
		}
		c, err := vault.NewClient(conf)
		if err != nil {
			t.Fatal(err)
		}
		c.SetToken("root-of-three")
		for deadline := time.Now().Add(patient); ; time.Sleep(50 * time.Millisecond) {
			if _, err = c.Auth().Token().LookupSelf(); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d does not serve: %v\n%s", i+1, err, n.output())
			}
		}
		if i == 0 {
			if err := c.Sys().Mount("slots", &vault.MountInput{Type: "lease"}); err != nil {
				t.Fatal(err)
			}
		}
		secret, err := c.Logical().Write("slots/a", map[string]any{"ttl": "1h"})
		if err != nil {
			t.Fatalf("issue through node %d: %v", i+1, err)
		}
		ids = append(ids, secret.LeaseID)
		if _, err := c.Sys().Renew(ids[0], 600); err != nil {
			t.Errorf("renew through node %d: %v", i+1, err)
		}
		tool := startTool(t, []string{"BAO_ADDR=" + conf.Address, "BAO_CACERT=" + p.path("ca.pem"), "BAO_TOKEN=root-of-three"}, "operator", "raft", "list-peers")
		if code := tool.awaitEnd(); code != 0 || strings.Count(tool.output(), "true") != 3 {
			t.Errorf("list-peers through node %d: got %d\n%s", i+1, code, tool.output())
		}
	}
	stranger := run(other, 4, 0)
	stranger.awaitMatch(`the node that answered was refused.*signed by an authority that this node does not know`)
	tool := startTool(t, []string{"VAULT_ADDR=" + nodes[0].awaitURL(), "VAULT_TOKEN=root-of-three"}, "operator", "raft", "list-peers", "-ca-cert="+p.path("ca.pem"))
	if code := tool.awaitEnd(); code != 0 || strings.Contains(tool.output(), "n4") {
		t.Errorf("members: got %d\n%s\nwant the three", code, tool.output())
	}
	rotateGossipKey(t, p, nodes[1].awaitURL())
}

// rotateGossipKey has the command line replace the gossip key of three nodes (T8): it reaches the file of each.
func rotateGossipKey(t *testing.T, p pki, addr string) {
	t.Helper()
	text := func(name string) string {
		content, err := os.ReadFile(p.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(content))
	}
	fingerprint := func(key string) string {
		raw, _ := base64.StdEncoding.DecodeString(key)
		sum := sha256.Sum256(raw)
		return hex.EncodeToString(sum[:4])
	}
	old, made := text("n1-gossip.key"), base64.StdEncoding.EncodeToString([]byte("a gossip key of thirty-two bytes"))
	for _, step := range []struct{ name, key, shows string }{
		{"install", made, fingerprint(made) + ` +3 of 3 +0 of 3`},
		{"use", fingerprint(made), fingerprint(made) + ` +3 of 3 +3 of 3`},
		{"remove", fingerprint(old), fingerprint(made) + ` +3 of 3 +3 of 3`},
	} {
		tool := startTool(t, []string{"VAULT_ADDR=" + addr, "VAULT_TOKEN=root-of-three"}, "operator", "gossip", step.name, "-ca-cert="+p.path("ca.pem"), step.key)
		if code := tool.awaitEnd(); code != 0 || !regexp.MustCompile(step.shows).MatchString(tool.output()) {
			t.Fatalf("%s: got %d\n%s\nwant a line %q", step.name, code, tool.output(), step.shows)
		}
	}
	for _, name := range []string{"n1-gossip.key", "n2-gossip.key", "n3-gossip.key"} {
		if text(name) != made {
			t.Errorf("%s does not hold the new key alone", name)
		}
	}
}
