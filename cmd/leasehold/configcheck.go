package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A fault is what is wrong with one setting: the reason and the remedy, to be read after its name.
type fault struct{ key, text string }

// checker collects faults.
type checker struct {
	*Config
	faults []fault
}

func (c *checker) fault(key, format string, args ...any) {
	c.faults = append(c.faults, fault{key, fmt.Sprintf(format, args...)})
}

// Validate returns every fault at once.
func (c *Config) Validate() []fault {
	check := &checker{Config: c}
	check.names()
	check.founding()
	check.binds()
	check.tls()
	check.advertised()
	check.gossip()
	check.storage()
	check.sealKey()
	check.times()
	check.logs()
	return check.faults
}

// complete derives what was left open from what was said.
func (c *Config) complete() {
	if host, port, err := net.SplitHostPort(c.Listener.Address); err == nil && c.APIAddr == "" && port != "0" {
		if c.Dev && unspecified(host) {
			host = "127.0.0.1"
		}
		c.APIAddr = c.scheme() + net.JoinHostPort(host, port)
	}
	if _, port, err := net.SplitHostPort(c.Listener.ClusterAddress); err == nil && c.ClusterAddr == "" && port != "0" {
		c.ClusterAddr = c.Listener.ClusterAddress
	}
}

const maxName = 128

func (c *checker) names() {
	if !isName(c.NodeID) {
		c.fault("node_id", "%q is no usable name: use 1 to %d letters, digits, dots, dashes and underscores", c.NodeID, maxName)
	}
	if !isName(c.ClusterName) {
		c.fault("cluster_name", "%q is no usable name: use 1 to %d letters, digits, dots, dashes and underscores", c.ClusterName, maxName)
	}
}

func isName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

const maxVoters = 7

func (c *checker) founding() {
	switch n := c.BootstrapExpect; {
	case n < 0 || n > maxVoters:
		c.fault("bootstrap_expect", "%d is out of range: a cluster has 1 to %d voters, best 3 or 5", n, maxVoters)
	case n == 0 && len(c.Gossip.RetryJoin) == 0:
		c.fault("bootstrap_expect", "is 0 and gossip.retry_join is empty, so this node would wait for ever: "+
			"set bootstrap_expect = 1 for a cluster of one, or name other nodes in gossip.retry_join")
	case n > 1 && c.Gossip.Address == "":
		c.fault("gossip.address", "is empty, but %d nodes find each other by gossip: set an address, such as \"127.0.0.1:8301\"", n)
	}
	if c.JoinToken != "" && c.JoinTokenFile != "" {
		c.fault("join_token", "is set beside join_token_file: keep one of them")
	}
	if r := c.RequireJoinToken; r != "" && r != "true" && r != "false" {
		c.fault("require_join_token", "%q is neither true nor false", r)
	}
	if c.BootstrapRootToken != "" && c.BootstrapRootTokenFile != "" {
		c.fault("bootstrap_root_token", "is set beside bootstrap_root_token_file: keep one of them")
	}
}

// binds checks the addresses that this node listens on.
func (c *checker) binds() {
	for _, b := range []struct {
		key, addr string
		safe      bool
		remedy    string
	}{
		{"listener.address", c.Listener.Address, c.Listener.TLSCertFile != "", "set listener.tls_cert_file and listener.tls_key_file"},
		{"listener.cluster_address", c.Listener.ClusterAddress, c.ClusterTLS.CertFile != "",
			"set cluster_tls.ca_file, cluster_tls.cert_file and cluster_tls.key_file"},
		{"gossip.address", c.Gossip.Address, c.Gossip.KeyFile != "", "set gossip.key_file"},
	} {
		if b.addr == "" && b.key == "gossip.address" {
			continue // no discovery
		}
		host, ok := splitAddr(b.addr)
		switch {
		case !ok:
			c.fault(b.key, "%q is no address: write host:port, such as \"127.0.0.1:8200\"", b.addr)
		case !b.safe && !loopback(host):
			c.fault(b.key, "%q is not a loopback address, and what is sent there could be read on the network: %s, or use 127.0.0.1", b.addr, b.remedy)
		}
	}
}

// advertised checks the addresses that this node gives to others.
func (c *checker) advertised() {
	switch u, err := url.Parse(c.APIAddr); {
	case c.APIAddr == "":
		if host, ok := splitAddr(c.Listener.Address); ok && unspecified(host) && !c.Dev {
			c.fault("api_addr", "is missing: nobody can reach %q, where the API listens; "+
				"give the URL of this node, such as \"http://10.0.0.1:8200\"", c.Listener.Address)
		}
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		c.fault("api_addr", "%q is no URL: write one such as \"http://10.0.0.1:8200\"", c.APIAddr)
	case c.Listener.TLSCertFile != "" && u.Scheme == "http":
		c.fault("api_addr", "%q is plain http, and the API speaks TLS: write https://", c.APIAddr)
	case unspecified(u.Hostname()):
		c.fault("api_addr", "%q cannot be reached by others: give this node's own address", c.APIAddr)
	}
	switch host, ok := splitAddr(c.ClusterAddr); {
	case c.ClusterAddr == "":
		if host, ok := splitAddr(c.Listener.ClusterAddress); ok && unspecified(host) && !c.Dev {
			c.fault("cluster_addr", "is missing: nobody can reach %q, where this node listens for others; "+
				"give its own address, such as \"10.0.0.1:8201\"", c.Listener.ClusterAddress)
		}
	case !ok:
		c.fault("cluster_addr", "%q is no address: write host:port, such as \"10.0.0.1:8201\"", c.ClusterAddr)
	case unspecified(host):
		c.fault("cluster_addr", "%q cannot be reached by others: give this node's own address", c.ClusterAddr)
	}
}

func (c *checker) gossip() {
	if c.Gossip.AdvertiseAddr != "" {
		if host, ok := splitAddr(c.Gossip.AdvertiseAddr); !ok || unspecified(host) {
			c.fault("gossip.advertise_addr", "%q cannot be reached by others: write host:port, such as \"10.0.0.1:8301\"", c.Gossip.AdvertiseAddr)
		}
	}
	if len(c.Gossip.RetryJoin) > 0 && c.Gossip.Address == "" && c.BootstrapExpect <= 1 {
		c.fault("gossip.retry_join", "needs gossip.address: set one, such as \"127.0.0.1:8301\"")
	}
	for _, addr := range c.Gossip.RetryJoin {
		if host, ok := splitAddr(addr); !ok || unspecified(host) {
			c.fault("gossip.retry_join", "names %q, which is no address: write host:port, such as \"10.0.0.2:8301\"", addr)
			return
		}
	}
}

func (c *checker) storage() {
	if c.Storage.Path == "" && !c.Dev {
		c.fault("storage.path", "is empty: name the directory that this node keeps its data in")
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"storage.snapshot_threshold", c.Storage.SnapshotThreshold},
		{"storage.trailing_logs", c.Storage.TrailingLogs},
		{"storage.snapshot_max_size", c.Storage.SnapshotMaxSize},
	} {
		if n.value < 1 {
			c.fault(n.key, "%d is too few: at least 1", n.value)
		}
	}
}

func (c *checker) sealKey() {
	switch {
	case c.Seal.KeyFile != "":
		if c.Storage.Path != "" && inside(c.Storage.Path, c.Seal.KeyFile) {
			c.fault("seal.key_file", "%q lies in storage.path, where whoever takes the data takes the key along: keep it elsewhere", c.Seal.KeyFile)
		}
	case !c.Dev:
		c.fault("seal.key_file", "is missing: secrets at rest are sealed with a key of 32 bytes; make one with "+
			"'head -c 32 /dev/urandom | base64 > seal.key', give every node the same, and keep it out of storage.path")
	}
}

// inside reports whether path lies below dir.
func inside(dir, path string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func (c *checker) times() {
	const least, longestHold = 5 * time.Millisecond, 30 * time.Second
	const leastIntent, longestIntent = 5 * time.Second, 10 * time.Minute
	s := c.Storage
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"storage.heartbeat_timeout", s.HeartbeatTimeout},
		{"storage.election_timeout", s.ElectionTimeout},
		{"storage.leader_lease_timeout", s.LeaderLeaseTimeout},
		{"storage.commit_timeout", s.CommitTimeout},
		{"storage.snapshot_interval", s.SnapshotInterval},
		{"max_clock_skew", c.MaxClockSkew},
		{"forward_hold", c.ForwardHold},
	} {
		if d.value < least {
			c.fault(d.key, "%s is too short: at least %s", d.value, least)
		}
	}
	if c.ForwardHold > longestHold {
		c.fault("forward_hold", "%s is too long, callers would think the node dead: at most %s", c.ForwardHold, longestHold)
	}
	if c.IntentDeadline < leastIntent || c.IntentDeadline > longestIntent {
		c.fault("intent_deadline", "%s is out of range: a target gets up to half of it, at most 30s, to make a credential; use %s to %s",
			c.IntentDeadline, leastIntent, longestIntent)
	}
	if s.HeartbeatTimeout < least {
		return // the others follow from it
	}
	if s.LeaderLeaseTimeout > s.HeartbeatTimeout {
		c.fault("storage.leader_lease_timeout", "%s is longer than storage.heartbeat_timeout, which is %s: "+
			"two nodes could lead at once; make it at most as long", s.LeaderLeaseTimeout, s.HeartbeatTimeout)
	}
	if s.ElectionTimeout < s.HeartbeatTimeout {
		c.fault("storage.election_timeout", "%s is shorter than storage.heartbeat_timeout, which is %s: make it at least as long",
			s.ElectionTimeout, s.HeartbeatTimeout)
	}
}

func (c *checker) logs() {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		c.fault("log_level", "%q is unknown: use debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		c.fault("log_format", "%q is unknown: use text or json", c.LogFormat)
	}
}

// splitAddr returns the host of host:port, and whether it is one.
func splitAddr(addr string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return host, err == nil
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
