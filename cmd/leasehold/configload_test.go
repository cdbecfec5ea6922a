package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const everyHCL = `
node_id = "h1"
cluster_name = "blue"
api_addr = "https://n1.test:443"
cluster_addr = "n1.test:8201"
bootstrap_expect = 3
bootstrap_root_token = "t"
join_token = "j"
require_join_token = false
max_clock_skew = "3s"
forward_hold = 2
intent_deadline = "1m30s"
log_level = "warn"
log_format = "json"
listener "tcp" {
  address = "0.0.0.0:1"
  cluster_address = "0.0.0.0:2"
  tls_cert_file = "/t/api.pem"
  tls_key_file = "/t/api-key.pem"
  tls_client_ca_file = "/t/clients.pem"
}
cluster_tls {
  ca_file = "/t/ca.pem"
  cert_file = "/t/n1.pem"
  key_file = "/t/n1-key.pem"
}
storage "raft" {
  path = "/data"
  heartbeat_timeout = "600ms"
  election_timeout = "700ms"
  leader_lease_timeout = "550ms"
  commit_timeout = "30ms"
  snapshot_interval = "1m"
  snapshot_threshold = 10
  trailing_logs = 20
  snapshot_max_size = 30
}
gossip {
  address = "0.0.0.0:3"
  advertise_addr = "n1.test:3"
  key_file = "/k"
  retry_join = ["n2.test:3", "n3.test:3"]
}
seal "static" {
  key_file = "/seal"
}
`

const everyJSON = `{
  "node_id": "h1", "cluster_name": "blue", "api_addr": "https://n1.test:443", "cluster_addr": "n1.test:8201",
  "bootstrap_expect": 3, "bootstrap_root_token": "t", "join_token": "j", "require_join_token": false, "max_clock_skew": "3s",
  "forward_hold": 2, "intent_deadline": "90s", "log_level": "warn", "log_format": "json",
  "listener": {"tcp": {"address": "0.0.0.0:1", "cluster_address": "0.0.0.0:2", "tls_cert_file": "/t/api.pem",
    "tls_key_file": "/t/api-key.pem", "tls_client_ca_file": "/t/clients.pem"}},
  "cluster_tls": {"ca_file": "/t/ca.pem", "cert_file": "/t/n1.pem", "key_file": "/t/n1-key.pem"},
  "storage": {"raft": {"path": "/data", "heartbeat_timeout": "600ms", "election_timeout": "700ms",
    "leader_lease_timeout": "550ms", "commit_timeout": "30ms", "snapshot_interval": 60, "snapshot_threshold": 10,
    "trailing_logs": "20", "snapshot_max_size": 30}},
  "gossip": {"address": "0.0.0.0:3", "advertise_addr": "n1.test:3", "key_file": "/k",
    "retry_join": ["n2.test:3", "n3.test:3"]},
  "seal": {"static": {"key_file": "/seal"}}
}`

// every is what everyHCL and everyJSON say.
func every() Config {
	c := Config{
		NodeID: "h1", ClusterName: "blue", APIAddr: "https://n1.test:443", ClusterAddr: "n1.test:8201", BootstrapExpect: 3,
		BootstrapRootToken: "t", JoinToken: "j", RequireJoinToken: "false", MaxClockSkew: 3 * time.Second, ForwardHold: 2 * time.Second,
		IntentDeadline: 90 * time.Second,
		LogLevel:       "warn", LogFormat: "json",
	}
	tlsOn(&c)
	c.Listener.Address, c.Listener.ClusterAddress = "0.0.0.0:1", "0.0.0.0:2"
	c.Storage.Path, c.Storage.HeartbeatTimeout, c.Storage.ElectionTimeout = "/data", 600*time.Millisecond, 700*time.Millisecond
	c.Storage.LeaderLeaseTimeout, c.Storage.CommitTimeout = 550*time.Millisecond, 30*time.Millisecond
	c.Storage.SnapshotInterval, c.Storage.SnapshotThreshold, c.Storage.TrailingLogs = time.Minute, 10, 20
	c.Storage.SnapshotMaxSize = 30
	c.Gossip.Address, c.Gossip.AdvertiseAddr, c.Gossip.KeyFile = "0.0.0.0:3", "n1.test:3", "/k"
	c.Gossip.RetryJoin, c.Seal.KeyFile = []string{"n2.test:3", "n3.test:3"}, "/seal"
	return c
}

func TestSourcesSayTheSame(t *testing.T) {
	variables := []string{"LEASEHOLD_NODE_ID=h1", "LEASEHOLD_CLUSTER_NAME=blue", "LEASEHOLD_API_ADDR=https://n1.test:443",
		"LEASEHOLD_CLUSTER_ADDR=n1.test:8201", "LEASEHOLD_BOOTSTRAP_EXPECT=3", "LEASEHOLD_BOOTSTRAP_ROOT_TOKEN=t",
		"LEASEHOLD_LISTENER__TLS_CERT_FILE=/t/api.pem", "LEASEHOLD_LISTENER__TLS_KEY_FILE=/t/api-key.pem",
		"LEASEHOLD_LISTENER__TLS_CLIENT_CA_FILE=/t/clients.pem", "LEASEHOLD_CLUSTER_TLS__CA_FILE=/t/ca.pem",
		"LEASEHOLD_CLUSTER_TLS__CERT_FILE=/t/n1.pem", "LEASEHOLD_CLUSTER_TLS__KEY_FILE=/t/n1-key.pem",
		"LEASEHOLD_MAX_CLOCK_SKEW=3s", "LEASEHOLD_FORWARD_HOLD=2", "LEASEHOLD_INTENT_DEADLINE=90",
		"LEASEHOLD_JOIN_TOKEN=j", "LEASEHOLD_REQUIRE_JOIN_TOKEN=false",
		"LEASEHOLD_LOG_LEVEL=warn", "LEASEHOLD_LOG_FORMAT=json", "LEASEHOLD_LISTENER__ADDRESS=0.0.0.0:1",
		"LEASEHOLD_LISTENER__CLUSTER_ADDRESS=0.0.0.0:2", "LEASEHOLD_STORAGE__PATH=/data",
		"LEASEHOLD_STORAGE__HEARTBEAT_TIMEOUT=600ms", "LEASEHOLD_STORAGE__ELECTION_TIMEOUT=700ms",
		"LEASEHOLD_STORAGE__LEADER_LEASE_TIMEOUT=550ms", "LEASEHOLD_STORAGE__COMMIT_TIMEOUT=30ms",
		"LEASEHOLD_STORAGE__SNAPSHOT_INTERVAL=60", "LEASEHOLD_STORAGE__SNAPSHOT_THRESHOLD=10",
		"LEASEHOLD_STORAGE__TRAILING_LOGS=20", "LEASEHOLD_STORAGE__SNAPSHOT_MAX_SIZE=30", "LEASEHOLD_GOSSIP__ADDRESS=0.0.0.0:3",
		"LEASEHOLD_GOSSIP__ADVERTISE_ADDR=n1.test:3", "LEASEHOLD_GOSSIP__KEY_FILE=/k",
		"LEASEHOLD_GOSSIP__RETRY_JOIN=n2.test:3, n3.test:3,", "LEASEHOLD_SEAL__KEY_FILE=/seal"}
	flags := make(map[string]string)
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		for _, s := range settings {
			if envName(s.key) == name {
				flags[s.key] = value
			}
		}
	}
	if got, want := len(flags), len(settings)-2; got != want { // all but the two files that exclude their siblings
		t.Fatalf("settings that the test names: got %d, want %d", got, want)
	}
	for name, source := range map[string]struct {
		file    string
		environ []string
		flags   map[string]string
	}{
		"HCL":             {file: put(t, "c.hcl", everyHCL)},
		"JSON":            {file: put(t, "c.json", everyJSON)},
		"JSON by content": {file: put(t, "conf", everyJSON)},
		"environment":     {environ: variables},
		"flags":           {flags: flags},
	} {
		t.Run(name, func(t *testing.T) {
			got, unknown, err := readConfig(defaultConfig(), source.file, source.environ, source.flags)
			if err != nil || unknown != nil {
				t.Fatalf("got %v and unknown %q, want neither", err, unknown)
			}
			if want := every(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestLaterSourceWins(t *testing.T) {
	file := put(t, "c.hcl", `node_id = "file"
cluster_name = "file"
log_level = "error"
bootstrap_expect = 1
seal "static" {
  key_file = "/k"
}`)
	c, _, err := readConfig(defaultConfig(), file, []string{"LEASEHOLD_CLUSTER_NAME=variable", "LEASEHOLD_LOG_LEVEL=warn"},
		map[string]string{"log_level": "debug"})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Storage.Path, c.NodeID, c.ClusterName, c.LogLevel}
	want := []string{"/var/lib/leasehold", "file", "variable", "debug"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("default, file, environment, flag: got %q, want %q", got, want)
	}
}

func TestFileFaults(t *testing.T) {
	const rest = "bootstrap_expect = 1\nseal \"static\" {\n  key_file = \"/k\"\n}\n"
	tests := []struct{ name, file, text, want string }{
		{"unknown setting", "c.hcl", "nod_id = \"x\"\n" + rest, `c.hcl:1:1: An argument named "nod_id" is not expected here. Did you mean "node_id"?
  nod_id = "x"
  ^^^^^^`},
		{"unknown block", "c.hcl", rest + "lisener \"tcp\" {\n}\n", `c.hcl:5:1: Blocks of type "lisener" are not expected here. Did you mean "listener"?
  lisener "tcp" {
  ^^^^^^^`},
		{"setting of a block outside", "c.hcl", "heartbeat_timeout = \"1s\"\n" + rest, `c.hcl:1:1: An argument named "heartbeat_timeout" is not expected here. Did you mean "heartbeat_timeout" in block "storage"?
  heartbeat_timeout = "1s"
  ^^^^^^^^^^^^^^^^^`},
		{"block's name in front", "c.hcl", "storage_path = \"/d\"\n" + rest, `Did you mean "path" in block "storage"?`},
		{"outer setting in a block", "c.hcl", rest + "storage \"raft\" {\n\tnode_id = \"x\"\n}\n", `c.hcl:6:2: An argument named "node_id" is not expected here. Did you mean "node_id" outside of any block?
  ` + "\t" + `node_id = "x"
  ` + "\t" + `^^^^^^^`},
		{"block of another type", "c.hcl", rest + "listener \"unix\" {\n}\n", `c.hcl:5:10: listener "unix" is unknown: the only type there is is "tcp"
  listener "unix" {
           ^^^^^^`},
		{"block twice", "c.hcl", rest + "seal \"static\" {\n}\n", `c.hcl:5:1: a second block "seal"`},
		{"no number", "c.hcl", "max_clock_skew = \"soon\"\n" + rest, `c.hcl:1:18: max_clock_skew "soon" is no duration: write a number with a unit, such as "500ms" or "2s", or a number of seconds
  max_clock_skew = "soon"
                   ^^^^^^`},
		{"no whole number", "c.hcl", rest + "storage \"raft\" {\n trailing_logs = 1.5\n}\n", `storage.trailing_logs "1.5" is no whole number`},
		{"no list", "c.hcl", rest + "gossip {\n  retry_join = \"a:1\"\n}\n", `gossip.retry_join is to be a list of strings, such as ["10.0.0.2:8301", "10.0.0.3:8301"]`},
		{"list of another thing", "c.hcl", rest + "gossip {\n  retry_join = [1]\n}\n", `gossip.retry_join is to be a list of strings`},
		{"list for a value", "c.hcl", "node_id = [\"a\"]\n" + rest, `node_id is to be a single value`},
		{"reference", "c.hcl", "node_id = env.HOME\n" + rest, `c.hcl:1:11: Variables may not be used here.`},
		{"value out of range", "c.hcl", "log_level = \"loud\"\n" + rest, `c.hcl:1:13: log_level "loud" is unknown: use debug, info, warn or error
  log_level = "loud"
              ^^^^^^`},
		{"not closed", "c.hcl", "node_id = \"a\n", `c.hcl:1:13: Quoted strings may not be split over multiple lines.`},
		{"JSON", "c.json", `{"node_id": "a",}`, `c.json:1:16: JSON does not permit a trailing comma after the final property in an object.
  {"node_id": "a",}
                 ^`},
		{"JSON, unknown setting", "c.json", `{"listener": {"tcp": {"adress": "127.0.0.1:1"}}}`, `c.json:1:23: No argument or block type is named "adress". Did you mean "address"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := put(t, tt.file, tt.text)
			_, _, err := readConfig(defaultConfig(), path, nil, nil)
			if err == nil {
				t.Fatal("got no error")
			}
			got := strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
			if !strings.Contains(got, tt.want) {
				t.Errorf("got:\n%s\nwant in it:\n%s", got, tt.want)
			}
		})
	}
}

// TestAllFaultsAtOnce has faults in every source: each is told once, with the place it is at.
func TestAllFaultsAtOnce(t *testing.T) {
	path := put(t, "c.hcl", "nod_id = \"x\"\nforward_hold = \"long\"\napi_addr = \"nowhere\"\n")
	_, _, err := readConfig(defaultConfig(), path, []string{"LEASEHOLD_MAX_CLOCK_SKEW=x", "LEASEHOLD_BOOTSTRAP_EXPECT=9"},
		map[string]string{"log_format": "xml"})
	if err == nil {
		t.Fatal("got no error")
	}
	got := err.Error()
	for _, want := range []string{"has 7 faults", path + ":1:1: ", path + ":2:16: forward_hold", path + ":3:12: api_addr",
		"\nLEASEHOLD_MAX_CLOCK_SKEW \"x\" is no duration", "\nLEASEHOLD_BOOTSTRAP_EXPECT 9 is out of range",
		"\n-log-format \"xml\" is unknown", "\nseal.key_file is missing"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("got:\n%s\nwant in it, once:\n%s", got, want)
		}
	}
}

// TestVariableOverFileIsNamed: who overrides the file must be told where to look.
func TestVariableOverFileIsNamed(t *testing.T) {
	path := put(t, "c.hcl", "log_level = \"info\"\nbootstrap_expect = 1\nseal \"static\" {\n  key_file = \"/k\"\n}\n")
	_, _, err := readConfig(defaultConfig(), path, []string{"LEASEHOLD_LOG_LEVEL=loud"}, nil)
	if err == nil || !strings.Contains(err.Error(), "\nLEASEHOLD_LOG_LEVEL \"loud\" is unknown") {
		t.Errorf("got %v, want the variable named", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.hcl")
	if err := os.WriteFile(large, make([]byte, maxConfigFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing.hcl"): "no such file",
		dir:                               "is a directory",
		large:                             "is larger than 1048576 bytes",
	} {
		if _, _, err := readConfig(defaultConfig(), path, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", filepath.Base(path), err, want)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	_, unknown, err := readConfig(sound(), "", []string{"LEASEHOLD_STORAGE_PATH=/x", "LEASEHOLD_LOGLEVEL=x", "LEASEHOLD_COLOUR_OF_MOON=x", "PATH=/bin"}, nil)
	if err != nil {
		t.Fatalf("an unknown variable stops a node: %v", err)
	}
	got := make(map[string]string)
	for _, name := range unknown {
		got[name] = unknownVariable(name)
	}
	want := map[string]string{
		"LEASEHOLD_STORAGE_PATH":   "LEASEHOLD_STORAGE_PATH is no setting; is LEASEHOLD_STORAGE__PATH meant?",
		"LEASEHOLD_LOGLEVEL":       "LEASEHOLD_LOGLEVEL is no setting; is LEASEHOLD_LOG_LEVEL meant?",
		"LEASEHOLD_COLOUR_OF_MOON": "LEASEHOLD_COLOUR_OF_MOON is no setting",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"A__B", "A_B", 1}, {"ab", "ba", 2}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q): got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
