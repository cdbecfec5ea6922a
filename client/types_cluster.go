package client

import "time"

// MountInput enables a secrets engine.
type MountInput struct {
	Type                  string            `json:"type"`
	Description           string            `json:"description"`
	Config                MountConfigInput  `json:"config"`
	Local                 bool              `json:"local"`
	SealWrap              bool              `json:"seal_wrap"`
	ExternalEntropyAccess bool              `json:"external_entropy_access"`
	Options               map[string]string `json:"options"`
}

// MountConfigInput is what can be set when a mount is enabled or tuned. Durations are in Go's
// form ("10m0s"). What is nil or "" leaves the setting alone; a 0 or "0s" sets the default again.
type MountConfigInput struct {
	Options           map[string]string `json:"options"`
	DefaultLeaseTTL   string            `json:"default_lease_ttl"`
	Description       *string           `json:"description,omitempty"`
	MaxLeaseTTL       string            `json:"max_lease_ttl"`
	ForceNoCache      bool              `json:"force_no_cache"`
	RevokeAttempts    *int              `json:"revoke_attempts,omitempty"`
	RevokeBackoff     string            `json:"revoke_backoff,omitempty"`
	RevokeBackoffMax  string            `json:"revoke_backoff_max,omitempty"`
	RevokeTimeout     string            `json:"revoke_timeout,omitempty"`
	RevokeConcurrency *int              `json:"revoke_concurrency,omitempty"`
	RevokeRate        *int              `json:"revoke_rate,omitempty"`        // calls a second; 0: no limit
	ReconcileInterval string            `json:"reconcile_interval,omitempty"` // between comparisons with the target; "0s": none
}

// Mount is a secrets engine at a path, as sys/mounts lists it.
type Mount struct {
	Accessor              string            `json:"accessor"`
	Config                MountConfig       `json:"config"`
	DeprecationStatus     string            `json:"deprecation_status"`
	Description           string            `json:"description"`
	ExternalEntropyAccess bool              `json:"external_entropy_access"`
	Local                 bool              `json:"local"`
	Options               map[string]string `json:"options"`
	PluginVersion         string            `json:"plugin_version"`
	RunningPluginVersion  string            `json:"running_plugin_version"`
	RunningSHA256         string            `json:"running_sha256"`
	SealWrap              bool              `json:"seal_wrap"`
	Type                  string            `json:"type"`
	UUID                  string            `json:"uuid"`
	Frozen                *Frozen           `json:"frozen,omitempty"`      // nothing that was leased is destroyed
	TargetDown            *TargetDown       `json:"target_down,omitempty"` // its target does not answer
	MovingTo              string            `json:"moving_to,omitempty"`   // the path it takes once it is empty
}

// Frozen says why and until when nothing that a mount leased is destroyed; no Until is until it is thawed.
type Frozen struct {
	Reason string     `json:"reason"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`
}

// TargetDown says since when a mount's target has not answered, and the last error.
type TargetDown struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// MountConfig is how a mount is tuned. In a list of mounts a TTL of 0 means the system's default;
// an answer to reading the tuning has the values in force.
type MountConfig struct {
	DefaultLeaseTTL   int64  `json:"default_lease_ttl"` // seconds
	Description       string `json:"description,omitempty"`
	ForceNoCache      bool   `json:"force_no_cache"`
	MaxLeaseTTL       int64  `json:"max_lease_ttl"`        // seconds
	TokenType         string `json:"token_type,omitempty"` // of auth methods
	RevokeAttempts    int    `json:"revoke_attempts,omitempty"`
	RevokeBackoff     int64  `json:"revoke_backoff,omitempty"`     // seconds
	RevokeBackoffMax  int64  `json:"revoke_backoff_max,omitempty"` // seconds
	RevokeTimeout     int64  `json:"revoke_timeout,omitempty"`     // seconds
	RevokeConcurrency int    `json:"revoke_concurrency,omitempty"`
	RevokeRate        int    `json:"revoke_rate,omitempty"`        // calls a second
	ReconcileInterval int64  `json:"reconcile_interval,omitempty"` // seconds
}

// InitStatus is the bare answer of GET sys/init.
type InitStatus struct {
	Initialized bool `json:"initialized"`
}

// InitResponse is the bare answer of PUT sys/init. There are no unseal keys: the lists are empty.
type InitResponse struct {
	Keys       []string `json:"keys"`
	KeysBase64 []string `json:"keys_base64"`
	RootToken  string   `json:"root_token"`
}

// SealStatus is the bare answer of sys/seal-status.
type SealStatus struct {
	Type         string `json:"type"`
	Initialized  bool   `json:"initialized"`
	Sealed       bool   `json:"sealed"`
	T            int    `json:"t"`
	N            int    `json:"n"`
	Progress     int    `json:"progress"`
	Nonce        string `json:"nonce"`
	RecoverySeal bool   `json:"recovery_seal"`
	Version      string `json:"version"`
	BuildDate    string `json:"build_date"`
	CommitDate   string `json:"commit_date"`
	Migration    bool   `json:"migration"`
	ClusterName  string `json:"cluster_name,omitempty"`
	ClusterID    string `json:"cluster_id,omitempty"`
	StorageType  string `json:"storage_type"`
}

// Leader is the bare answer of sys/leader. The addresses are empty while nobody leads.
type Leader struct {
	HAEnabled            bool      `json:"ha_enabled"`
	IsSelf               bool      `json:"is_self"`
	ActiveTime           time.Time `json:"active_time,omitzero"` // since when this node leads
	LeaderAddress        string    `json:"leader_address"`
	LeaderClusterAddress string    `json:"leader_cluster_address"`
	PerformanceStandby   bool      `json:"performance_standby"`
	PerfStandbyLastWAL   uint64    `json:"performance_standby_last_remote_wal"`
	RaftCommittedIndex   uint64    `json:"raft_committed_index"`
	RaftAppliedIndex     uint64    `json:"raft_applied_index"`
	Hold                 *Hold     `json:"hold,omitempty"` // nothing is destroyed since a snapshot was restored
}

// Health is the bare answer of sys/health.
type Health struct {
	Initialized                bool   `json:"initialized"`
	Sealed                     bool   `json:"sealed"`
	Standby                    bool   `json:"standby"`
	PerformanceStandby         bool   `json:"performance_standby"`
	ReplicationPerformanceMode string `json:"replication_performance_mode"`
	ReplicationDRMode          string `json:"replication_dr_mode"`
	ServerTimeUTC              int64  `json:"server_time_utc"` // Unix seconds
	Version                    string `json:"version"`
	ClusterName                string `json:"cluster_name,omitempty"`
	ClusterID                  string `json:"cluster_id,omitempty"`
	Hold                       *Hold  `json:"hold,omitempty"` // nothing is destroyed since a snapshot was restored
}

// RaftConfiguration lists the members of the cluster.
type RaftConfiguration struct {
	Config RaftConfig `json:"config"`
}

// RaftConfig is the replicated membership; Index is where it was last changed.
type RaftConfig struct {
	Index   uint64       `json:"index"`
	Servers []RaftServer `json:"servers"`
}

// RaftServer is one member.
type RaftServer struct {
	Address         string `json:"address"`
	Leader          bool   `json:"leader"`
	NodeID          string `json:"node_id"`
	ProtocolVersion string `json:"protocol_version"`
	Voter           bool   `json:"voter"`
}

// StateHash is the bare answer of sys/internal/state-hash: nodes that applied the same entries
// have the same hash.
type StateHash struct {
	AppliedIndex uint64 `json:"applied_index"`
	Hash         string `json:"hash"`
}

// Hold says why nothing is destroyed: a snapshot was restored, and what was renewed after it was taken looks
// expired.
type Hold struct {
	Reason        string    `json:"reason"`
	Since         time.Time `json:"since"`
	Restore       string    `json:"restore"`        // ID
	SnapshotIndex uint64    `json:"snapshot_index"` // raft index that the snapshot stood at
	SnapshotTime  time.Time `json:"snapshot_time"`  // what time it was then
	// FormerCluster is the cluster that the snapshot replaced, if that was not the one that made it.
	FormerCluster string `json:"former_cluster_id,omitempty"`
}

// HoldStatus says whether the cluster is held.
type HoldStatus struct {
	Held bool  `json:"held"`
	Hold *Hold `json:"hold"`
}
