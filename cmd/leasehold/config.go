package main

import (
	"os"
	"strings"
	"time"

	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lessor"
)

// Config is every setting of the server. Settings lists the same by name: what is in one is in the
// other. Below this package nothing reads files, flags or the environment for settings.
type Config struct {
	NodeID                 string
	ClusterName            string
	APIAddr                string // advertised, a URL
	ClusterAddr            string // advertised, host:port
	BootstrapExpect        int
	BootstrapRootToken     string
	BootstrapRootTokenFile string
	JoinToken              string
	JoinTokenFile          string
	RequireJoinToken       string // "true", "false"; "": unless other nodes are on this machine
	MaxClockSkew           time.Duration
	ForwardHold            time.Duration
	IntentDeadline         time.Duration
	LogLevel               string
	LogFormat              string

	Listener struct {
		Address, ClusterAddress                  string
		TLSCertFile, TLSKeyFile, TLSClientCAFile string
	}
	ClusterTLS struct{ CAFile, CertFile, KeyFile string }
	Storage    struct {
		Path                              string
		HeartbeatTimeout, ElectionTimeout time.Duration
		LeaderLeaseTimeout, CommitTimeout time.Duration
		SnapshotInterval                  time.Duration
		SnapshotThreshold, TrailingLogs   int
		SnapshotMaxSize                   int // MiB
	}
	Gossip struct {
		Address, AdvertiseAddr, KeyFile string
		RetryJoin                       []string
	}
	Seal struct{ KeyFile string }

	Dev            bool // -dev: one node, in memory
	DevRootTokenID string
}

// setting is one entry of the table that the file, the environment, the flags and the documents are
// read from and checked against. Into is a pointer to a field of a Config.
type setting struct {
	key  string // "listener.address": attribute address of block listener
	into func(*Config) any
	help string
}

// settings is the table. The environment's name of a key is LEASEHOLD_ and the key in capitals, with
// "__" for the dot; the flag's name has "-" for dot and "_".
var settings = []setting{
	{"node_id", func(c *Config) any { return &c.NodeID }, "stable name of this node"},
	{"cluster_name", func(c *Config) any { return &c.ClusterName }, "name of the cluster"},
	{"api_addr", func(c *Config) any { return &c.APIAddr }, "URL at which clients and nodes reach this node's API"},
	{"cluster_addr", func(c *Config) any { return &c.ClusterAddr }, "host:port at which other nodes reach this node"},
	{"bootstrap_expect", func(c *Config) any { return &c.BootstrapExpect }, "how many new nodes make a new cluster; 0: join an existing one"},
	{"bootstrap_root_token", func(c *Config) any { return &c.BootstrapRootToken }, "root token of a new cluster, which then initialises by itself"},
	{"bootstrap_root_token_file", func(c *Config) any { return &c.BootstrapRootTokenFile }, "file that holds bootstrap_root_token"},
	{"join_token", func(c *Config) any { return &c.JoinToken }, "what this node presents when it asks a cluster to be let in"},
	{"join_token_file", func(c *Config) any { return &c.JoinTokenFile }, "file that holds join_token, read at each attempt; it may come later"},
	{"require_join_token", func(c *Config) any { return &c.RequireJoinToken }, "true: new nodes are let in with a join token alone; default: true unless listener.cluster_address is loopback"},
	{"max_clock_skew", func(c *Config) any { return &c.MaxClockSkew }, "how far apart the nodes' clocks may be and still agree"},
	{"forward_hold", func(c *Config) any { return &c.ForwardHold }, "how long a request waits for a leader"},
	{"intent_deadline", func(c *Config) any { return &c.IntentDeadline }, "after it the leader destroys what may have come of an issue that was never completed"},
	{"log_level", func(c *Config) any { return &c.LogLevel }, "debug, info, warn or error"},
	{"log_format", func(c *Config) any { return &c.LogFormat }, "text or json"},
	{"listener.address", func(c *Config) any { return &c.Listener.Address }, "where the API listens"},
	{"listener.cluster_address", func(c *Config) any { return &c.Listener.ClusterAddress }, "where the port for other nodes listens"},
	{"listener.tls_cert_file", func(c *Config) any { return &c.Listener.TLSCertFile }, "PEM file of the API's certificate; empty: plain http, on loopback only"},
	{"listener.tls_key_file", func(c *Config) any { return &c.Listener.TLSKeyFile }, "PEM file of its key"},
	{"listener.tls_client_ca_file", func(c *Config) any { return &c.Listener.TLSClientCAFile }, "PEM file of the authorities of clients, which must then show a certificate"},
	{"cluster_tls.ca_file", func(c *Config) any { return &c.ClusterTLS.CAFile }, "PEM file of the authorities of the cluster's nodes"},
	{"cluster_tls.cert_file", func(c *Config) any { return &c.ClusterTLS.CertFile }, "PEM file of this node's certificate for the other nodes; empty: plain text, on loopback only"},
	{"cluster_tls.key_file", func(c *Config) any { return &c.ClusterTLS.KeyFile }, "PEM file of its key"},
	{"storage.path", func(c *Config) any { return &c.Storage.Path }, "directory of the raft log and snapshots"},
	{"storage.heartbeat_timeout", func(c *Config) any { return &c.Storage.HeartbeatTimeout }, "silence of the leader after which a node wants an election"},
	{"storage.election_timeout", func(c *Config) any { return &c.Storage.ElectionTimeout }, "how long a candidate waits for votes"},
	{"storage.leader_lease_timeout", func(c *Config) any { return &c.Storage.LeaderLeaseTimeout }, "how long a leader leads without hearing from a majority"},
	{"storage.commit_timeout", func(c *Config) any { return &c.Storage.CommitTimeout }, "how soon idle followers learn what is committed"},
	{"storage.snapshot_interval", func(c *Config) any { return &c.Storage.SnapshotInterval }, "how often a snapshot is considered"},
	{"storage.snapshot_threshold", func(c *Config) any { return &c.Storage.SnapshotThreshold }, "log entries that make a snapshot worth while"},
	{"storage.snapshot_max_size", func(c *Config) any { return &c.Storage.SnapshotMaxSize }, "largest snapshot that may be restored, in MiB"},
	{"storage.trailing_logs", func(c *Config) any { return &c.Storage.TrailingLogs }, "log entries kept behind a snapshot"},
	{"gossip.address", func(c *Config) any { return &c.Gossip.Address }, "where gossip listens; empty: no discovery"},
	{"gossip.advertise_addr", func(c *Config) any { return &c.Gossip.AdvertiseAddr }, "host:port at which others reach gossip"},
	{"gossip.key_file", func(c *Config) any { return &c.Gossip.KeyFile }, "file with the gossip keys, 32 bytes in base64 on each line: the first encrypts, all decrypt"},
	{"gossip.retry_join", func(c *Config) any { return &c.Gossip.RetryJoin }, "gossip addresses of other nodes, tried until one answers"},
	{"seal.key_file", func(c *Config) any { return &c.Seal.KeyFile }, "file with the 32-byte key that seals secrets at rest, in base64"},
}

const envPrefix = "LEASEHOLD_"

// envName is the environment variable of a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// flagName is the flag of a key.
func flagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

func defaultConfig() Config {
	var c Config
	c.NodeID, _ = os.Hostname()
	c.ClusterName = "leasehold"
	c.LogLevel, c.LogFormat = "info", "text"
	c.MaxClockSkew, c.ForwardHold = 2*time.Second, 1500*time.Millisecond
	c.IntentDeadline = lessor.DefaultIntentDeadline
	c.Listener.Address, c.Listener.ClusterAddress = "127.0.0.1:8200", "127.0.0.1:8201"
	c.Storage.Path = "/var/lib/leasehold"
	c.Storage.HeartbeatTimeout, c.Storage.ElectionTimeout = 500*time.Millisecond, 500*time.Millisecond
	c.Storage.LeaderLeaseTimeout, c.Storage.CommitTimeout = 500*time.Millisecond, 20*time.Millisecond
	c.Storage.SnapshotInterval = 90 * time.Second
	c.Storage.SnapshotThreshold, c.Storage.TrailingLogs = 32768, 20480
	c.Storage.SnapshotMaxSize = httpapi.DefaultMaxSnapshot >> 20
	return c
}

// devConfig is the configuration of leasehold server -dev before flags: everything in memory, and
// time-outs under which a lone node serves at once (settled decision 11).
func devConfig() Config {
	c := defaultConfig()
	c.Dev, c.NodeID, c.BootstrapExpect, c.Storage.Path = true, "dev", 1, ""
	c.Listener.ClusterAddress = "127.0.0.1:0"
	c.Storage.HeartbeatTimeout, c.Storage.ElectionTimeout = 50*time.Millisecond, 50*time.Millisecond
	c.Storage.LeaderLeaseTimeout, c.Storage.CommitTimeout = 50*time.Millisecond, 10*time.Millisecond
	return c
}
