package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// sound is a configuration without a fault.
func sound() Config {
	c := defaultConfig()
	c.NodeID, c.BootstrapExpect, c.Seal.KeyFile = "n1", 1, "/etc/leasehold/seal.key"
	return c
}

// tlsOn names all files of TLS.
func tlsOn(c *Config) {
	c.Listener.TLSCertFile, c.Listener.TLSKeyFile, c.Listener.TLSClientCAFile = "/t/api.pem", "/t/api-key.pem", "/t/clients.pem"
	c.ClusterTLS.CAFile, c.ClusterTLS.CertFile, c.ClusterTLS.KeyFile = "/t/ca.pem", "/t/n1.pem", "/t/n1-key.pem"
}

// put writes a configuration file and returns its path.
func put(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreSound(t *testing.T) {
	for name, c := range map[string]Config{"server": sound(), "-dev": devConfig()} {
		if faults := c.Validate(); len(faults) != 0 {
			t.Errorf("%s: got faults %v, want none", name, faults)
		}
	}
}

func TestEveryFault(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string // the setting and the beginning of what is said of it
		remedy string
	}{
		{"empty name", func(c *Config) { c.NodeID = "" }, `node_id "" is no usable name`, "use 1 to 128 letters"},
		{"name with a slash", func(c *Config) { c.NodeID = "a/b" }, `node_id "a/b" is no usable name`, "letters, digits, dots"},
		{"name with an escape", func(c *Config) { c.NodeID = "n\x1b[2J" }, `node_id "n\x1b[2J" is no usable name`, "letters"},
		{"long name", func(c *Config) { c.NodeID = strings.Repeat("n", 129) }, `node_id "nnn`, "1 to 128"},
		{"cluster's name", func(c *Config) { c.ClusterName = "a b" }, `cluster_name "a b" is no usable name`, "letters"},
		{"waits for ever", func(c *Config) { c.BootstrapExpect = 0 }, "bootstrap_expect is 0 and gossip.retry_join is empty", "set bootstrap_expect = 1"},
		{"too many", func(c *Config) { c.BootstrapExpect = 8; c.Gossip.Address = "127.0.0.1:1" }, "bootstrap_expect 8 is out of range", "best 3 or 5"},
		{"negative", func(c *Config) { c.BootstrapExpect = -1 }, "bootstrap_expect -1 is out of range", "1 to 7 voters"},
		{"three without gossip", func(c *Config) { c.BootstrapExpect = 3 }, "gossip.address is empty, but 3 nodes", `"127.0.0.1:8301"`},
		{"two join tokens", func(c *Config) { c.JoinToken, c.JoinTokenFile = "a", "b" }, "join_token is set beside", "keep one"},
		{"join tokens perhaps", func(c *Config) { c.RequireJoinToken = "maybe" }, "require_join_token", "neither true nor false"},
		{"two root tokens", func(c *Config) { c.BootstrapRootToken, c.BootstrapRootTokenFile = "a", "b" }, "bootstrap_root_token is set beside", "keep one"},
		{"no address", func(c *Config) { c.Listener.Address = "8200" }, `listener.address "8200" is no address`, "write host:port"},
		{"no port", func(c *Config) { c.Listener.ClusterAddress = "127.0.0.1:raft" }, `listener.cluster_address "127.0.0.1:raft" is no address`, "host:port"},
		{"port too large", func(c *Config) { c.Gossip.Address = "127.0.0.1:65536" }, `gossip.address "127.0.0.1:65536" is no address`, "host:port"},
		{"plain text on a network", func(c *Config) { c.Listener.Address = "10.0.0.1:8200" }, `listener.address "10.0.0.1:8200" is not a loopback address`, "set listener.tls_cert_file and listener.tls_key_file, or use 127.0.0.1"},
		{"plain text everywhere", func(c *Config) { c.Listener.ClusterAddress = ":8201"; c.ClusterAddr = "10.0.0.1:8201" }, `listener.cluster_address ":8201" is not a loopback`, "set cluster_tls.ca_file, cluster_tls.cert_file and cluster_tls.key_file, or use 127.0.0.1"},
		{"plain gossip", func(c *Config) { c.Gossip.Address = "[2001:db8::1]:8301" }, `gossip.address "[2001:db8::1]:8301" is not a loopback`, "set gossip.key_file, or use 127.0.0.1"},
		{"API address is no URL", func(c *Config) { c.APIAddr = "10.0.0.1:8200" }, `api_addr "10.0.0.1:8200" is no URL`, `"http://10.0.0.1:8200"`},
		{"API address of no node", func(c *Config) { c.APIAddr = "http://0.0.0.0:8200" }, `api_addr "http://0.0.0.0:8200" cannot be reached`, "own address"},
		{"API address missing", func(c *Config) { c.Listener.Address = "0.0.0.0:8200"; tlsOn(c) }, "api_addr is missing", `"http://10.0.0.1:8200"`},
		{"certificate without key", func(c *Config) { tlsOn(c); c.Listener.TLSKeyFile = "" }, "listener.tls_key_file is missing beside listener.tls_cert_file", "name the key"},
		{"key without certificate", func(c *Config) { tlsOn(c); c.Listener.TLSCertFile = "" }, "listener.tls_cert_file is missing beside listener.tls_key_file", "name the certificate"},
		{"clients' authority alone", func(c *Config) { c.Listener.TLSClientCAFile = "/ca" }, "listener.tls_client_ca_file has no use without TLS", "set listener.tls_cert_file"},
		{"no authority of nodes", func(c *Config) { tlsOn(c); c.ClusterTLS.CAFile = "" }, "cluster_tls.ca_file is missing", "name the file"},
		{"no certificate of the node", func(c *Config) { tlsOn(c); c.ClusterTLS.CertFile = "" }, "cluster_tls.cert_file is missing", `"leasehold tls" makes them`},
		{"no key of the node", func(c *Config) { tlsOn(c); c.ClusterTLS.KeyFile = "" }, "cluster_tls.key_file is missing", "name the file"},
		{"name too long for a certificate", func(c *Config) { tlsOn(c); c.NodeID = strings.Repeat("n", 64) }, "node_id \"nnn", "1 to 63 letters"},
		{"plain URL of a TLS listener", func(c *Config) { tlsOn(c); c.APIAddr = "http://n1:8200" }, `api_addr "http://n1:8200" is plain http`, "write https://"},
		{"peer address", func(c *Config) { c.ClusterAddr = "n1" }, `cluster_addr "n1" is no address`, "host:port"},
		{"peer address of no node", func(c *Config) { c.ClusterAddr = "0.0.0.0:8201" }, `cluster_addr "0.0.0.0:8201" cannot be reached`, "own address"},
		{"peer address missing", func(c *Config) { c.Listener.ClusterAddress = "[::]:8201"; tlsOn(c) }, "cluster_addr is missing", `"10.0.0.1:8201"`},
		{"gossip to no node", func(c *Config) { c.Gossip.AdvertiseAddr = "0.0.0.0:1" }, `gossip.advertise_addr "0.0.0.0:1" cannot be reached`, "host:port"},
		{"join without gossip", func(c *Config) { c.Gossip.RetryJoin = []string{"10.0.0.2:8301"} }, "gossip.retry_join needs gossip.address", "set one"},
		{"join what", func(c *Config) { c.Gossip.Address, c.Gossip.RetryJoin = "127.0.0.1:1", []string{"n2:1", "n2"} }, `gossip.retry_join names "n2"`, "host:port"},
		{"no directory", func(c *Config) { c.Storage.Path = "" }, "storage.path is empty", "name the directory"},
		{"short heartbeat", func(c *Config) {
			c.Storage.HeartbeatTimeout, c.Storage.LeaderLeaseTimeout = 4*time.Millisecond, 5*time.Millisecond
		}, "storage.heartbeat_timeout 4ms is too short", "at least 5ms"},
		{"election first", func(c *Config) { c.Storage.ElectionTimeout = 400 * time.Millisecond }, "storage.election_timeout 400ms is shorter than storage.heartbeat_timeout", "at least as long"},
		{"two leaders", func(c *Config) { c.Storage.LeaderLeaseTimeout = 501 * time.Millisecond }, "storage.leader_lease_timeout 501ms is longer than", "at most as long"},
		{"commit", func(c *Config) { c.Storage.CommitTimeout = 0 }, "storage.commit_timeout 0s is too short", "at least 5ms"},
		{"snapshot interval", func(c *Config) { c.Storage.SnapshotInterval = -1 }, "storage.snapshot_interval -1ns is too short", "at least 5ms"},
		{"threshold", func(c *Config) { c.Storage.SnapshotThreshold = 0 }, "storage.snapshot_threshold 0 is too few", "at least 1"},
		{"trailing", func(c *Config) { c.Storage.TrailingLogs = -1 }, "storage.trailing_logs -1 is too few", "at least 1"},
		{"skew", func(c *Config) { c.MaxClockSkew = -time.Second }, "max_clock_skew -1s is too short", "at least"},
		{"hold", func(c *Config) { c.ForwardHold = 0 }, "forward_hold 0s is too short", "at least"},
		{"long hold", func(c *Config) { c.ForwardHold = time.Minute }, "forward_hold 1m0s is too long", "at most 30s"},
		{"short intents", func(c *Config) { c.IntentDeadline = 4999 * time.Millisecond }, "intent_deadline 4.999s is out of range", "use 5s to 10m0s"},
		{"long intents", func(c *Config) { c.IntentDeadline = 10*time.Minute + 1 }, "intent_deadline 10m0.000000001s is out of range", "use 5s to 10m0s"},
		{"no key", func(c *Config) { c.Seal.KeyFile = "" }, "seal.key_file is missing", "head -c 32 /dev/urandom | base64"},
		{"key beside the data", func(c *Config) { c.Storage.Path, c.Seal.KeyFile = "/var/lib/lh", "/var/lib/lh/../lh/k" }, `seal.key_file "/var/lib/lh/../lh/k" lies in storage.path`, "keep it elsewhere"},
		{"level", func(c *Config) { c.LogLevel = "loud" }, `log_level "loud" is unknown`, "debug, info, warn or error"},
		{"format", func(c *Config) { c.LogFormat = "xml" }, `log_format "xml" is unknown`, "text or json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sound()
			tt.change(&c)
			faults := c.Validate()
			if len(faults) != 1 {
				t.Fatalf("faults: got %q, want one", faults)
			}
			got := faults[0].key + " " + faults[0].text
			if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, tt.remedy) {
				t.Errorf("got %q, want %q with the remedy %q", got, tt.want, tt.remedy)
			}
			if _, ok := findSetting(faults[0].key); !ok {
				t.Errorf("got a fault of %q, want one of a setting", faults[0].key)
			}
		})
	}
}

func TestKeyBesideTheDataIsFine(t *testing.T) {
	c := sound()
	c.Storage.Path, c.Seal.KeyFile = ".cluster/n1/data", ".cluster/seal.key"
	if faults := c.Validate(); len(faults) != 0 {
		t.Errorf("got faults %q, want none", faults)
	}
}

func TestDerivedAddresses(t *testing.T) {
	tests := []struct {
		name, listener, peers string
		dev                   bool
		wantAPI, wantCluster  string
	}{
		{"as they listen", "127.0.0.1:1", "127.0.0.1:2", false, "http://127.0.0.1:1", "127.0.0.1:2"},
		{"-dev on all addresses", "0.0.0.0:1", "127.0.0.1:0", true, "http://127.0.0.1:1", ""},
		{"ports that the system chooses", "127.0.0.1:0", "127.0.0.1:0", false, "", ""},
		{"IPv6", "[::1]:1", "[::1]:2", false, "http://[::1]:1", "[::1]:2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sound()
			c.Dev, c.Listener.Address, c.Listener.ClusterAddress = tt.dev, tt.listener, tt.peers
			c.complete()
			if c.APIAddr != tt.wantAPI || c.ClusterAddr != tt.wantCluster {
				t.Errorf("got %q and %q, want %q and %q", c.APIAddr, c.ClusterAddr, tt.wantAPI, tt.wantCluster)
			}
		})
	}
}

// TestDocumentsNameEverySetting holds docs/configuration.md and the table of settings together.
func TestDocumentsNameEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	rows := make(map[string][]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		key := strings.Trim(cells[0], "`")
		documented = append(documented, key)
		rows[key] = cells
	}
	var keys []string
	base := defaultConfig()
	for _, s := range settings {
		keys = append(keys, s.key)
		cells := rows[s.key]
		if cells == nil {
			continue
		}
		if got, want := cells[1], "`"+envName(s.key)+"`"; got != want {
			t.Errorf("%s: got the variable %s, want %s", s.key, got, want)
		}
		if got, want := cells[3], s.help; got != want {
			t.Errorf("%s: got the meaning %q, want %q", s.key, got, want)
		}
		value := reflect.ValueOf(s.into(&base)).Elem()
		if s.key == "node_id" || value.IsZero() {
			continue // named in words
		}
		text := fmt.Sprint(value)
		if d, ok := value.Interface().(time.Duration); ok {
			text = strings.TrimSuffix(d.String(), "0s")
			if text == "1m3" {
				text = "90s"
			}
		}
		if got, want := cells[2], "`"+text+"`"; got != want {
			t.Errorf("%s: got the default %s, want %s", s.key, got, want)
		}
	}
	slices.Sort(documented)
	slices.Sort(keys)
	if !slices.Equal(documented, keys) {
		t.Errorf("documented: got %q, want %q", documented, keys)
	}
}

// TestDocumentedFileIsSound: the sample can be copied.
func TestDocumentedFileIsSound(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```hcl\n")
	sample, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/configuration.md has no sample")
	}
	if _, _, err := readConfig(defaultConfig(), put(t, "leasehold.hcl", sample), nil, nil); err != nil {
		t.Errorf("the sample: %v", err)
	}
}

func TestCollectorHeadroom(t *testing.T) {
	tests := []struct {
		live uint64
		want int
	}{
		{0, 2000},
		{1 << 20, 2000},            // no more than this, however little there is
		{96 << 20, 100},            // the least headroom is as much again
		{48 << 20, 200},            //
		{192 << 20, headroomShare}, // from here on a share
		{1 << 30, headroomShare},
	}
	for _, tt := range tests {
		if got := gcPercent(tt.live); got != tt.want {
			t.Errorf("gcPercent(%d MiB): got %d, want %d", tt.live>>20, got, tt.want)
		}
	}
	for live := uint64(5 << 20); live < 2<<30; live += 7 << 20 {
		if headroom := live * uint64(gcPercent(live)) / 100; headroom < minHeadroom*98/100 {
			t.Errorf("headroom of %d MiB: got %d MiB, want at least %d", live>>20, headroom>>20, minHeadroom>>20)
		}
	}
}
