package client

import "time"

// HAStatus is the answer of sys/ha-status.
type HAStatus struct {
	Nodes []HANode `json:"nodes"`
}

// HANode is a member as the leader finds it. The fields from NodeID on are not Vault's.
type HANode struct {
	Hostname       string     `json:"hostname"`
	APIAddress     string     `json:"api_address"`
	ClusterAddress string     `json:"cluster_address"`
	ActiveNode     bool       `json:"active_node"`
	LastEcho       *time.Time `json:"last_echo"` // when it last answered the leader; nil for the leader itself
	EchoMillis     int64      `json:"echo_duration_ms"`
	SkewMillis     int64      `json:"clock_skew_ms"` // of its wall clock
	Version        string     `json:"version"`
	UpgradeVersion string     `json:"upgrade_version"`
	RedundancyZone string     `json:"redundancy_zone"`

	NodeID       string `json:"node_id"`
	Role         string `json:"role"` // leader, voter, non-voter
	Answered     bool   `json:"answered"`
	Term         uint64 `json:"term"`
	AppliedIndex uint64 `json:"applied_index"`
	Lag          uint64 `json:"lag"`          // entries of the leader's log that it has not applied
	LastContact  string `json:"last_contact"` // since it heard the leader; "never"
}

// AutopilotConfig is how the leader cares for the members. Durations are in Go's form.
type AutopilotConfig struct {
	CleanupDeadServers             bool   `json:"cleanup_dead_servers"`
	DeadServerLastContactThreshold string `json:"dead_server_last_contact_threshold"`
	DisableUpgradeMigration        bool   `json:"disable_upgrade_migration"` // always false
	LastContactThreshold           string `json:"last_contact_threshold"`
	MaxTrailingLogs                uint64 `json:"max_trailing_logs"`
	MinQuorum                      uint   `json:"min_quorum"`
	ServerStabilizationTime        string `json:"server_stabilization_time"`
}

// AutopilotInput changes the settings that are given and leaves the others alone.
type AutopilotInput struct {
	CleanupDeadServers             *bool   `json:"cleanup_dead_servers,omitempty"`
	DeadServerLastContactThreshold string  `json:"dead_server_last_contact_threshold,omitempty"`
	LastContactThreshold           string  `json:"last_contact_threshold,omitempty"`
	MaxTrailingLogs                *uint64 `json:"max_trailing_logs,omitempty"`
	MinQuorum                      *uint   `json:"min_quorum,omitempty"`
	ServerStabilizationTime        string  `json:"server_stabilization_time,omitempty"`
}

// AutopilotState is what the leader found when it last looked at the members.
type AutopilotState struct {
	FailureTolerance           int                        `json:"failure_tolerance"`
	Healthy                    bool                       `json:"healthy"`
	Leader                     string                     `json:"leader"`
	NonVoters                  []string                   `json:"non_voters"`
	OptimisticFailureTolerance int                        `json:"optimistic_failure_tolerance"`
	Servers                    map[string]AutopilotServer `json:"servers"`
	Voters                     []string                   `json:"voters"`
}

// AutopilotServer is one member in an AutopilotState.
type AutopilotServer struct {
	Address     string    `json:"address"`
	Healthy     bool      `json:"healthy"`
	ID          string    `json:"id"`
	LastContact string    `json:"last_contact"` // "never" if it did not answer
	LastIndex   uint64    `json:"last_index"`
	LastTerm    uint64    `json:"last_term"`
	Name        string    `json:"name"`
	NodeStatus  string    `json:"node_status"`
	NodeType    string    `json:"node_type"`
	StableSince time.Time `json:"stable_since"`
	Status      string    `json:"status"` // leader, voter, non-voter
	Version     string    `json:"version"`
}

// JoinToken lets one node ask once to be a member.
type JoinToken struct {
	ExpireTime time.Time `json:"expire_time"`
	NodeID     string    `json:"node_id"`
	Token      string    `json:"token"`
	TTL        int64     `json:"ttl"` // seconds
}

// GossipKeyring is which gossip keys the members have.
type GossipKeyring struct {
	Members int         `json:"members"` // that gossip
	Keys    []GossipKey `json:"keys"`
}

// GossipKey is one key of a GossipKeyring, never shown itself.
type GossipKey struct {
	Fingerprint    string `json:"fingerprint"`     // first 8 hex digits of its SHA-256
	Members        int    `json:"members"`         // that have it
	PrimaryMembers int    `json:"primary_members"` // that encrypt with it
}

// RaftJoin is the bare answer of sys/storage/raft/join.
type RaftJoin struct {
	Joined bool `json:"joined"` // it is a member; false: it asks until it is one
}
