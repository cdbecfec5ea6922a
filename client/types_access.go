package client

import "time"

// TokenRoleInput makes or changes a role that tokens are made by. Durations are in Go's form
// ("10m"). What is left out, which is nil or "", stays as it is.
type TokenRoleInput struct {
	AllowedPolicies        []string `json:"allowed_policies,omitzero"`
	AllowedPoliciesGlob    []string `json:"allowed_policies_glob,omitzero"`
	DisallowedPolicies     []string `json:"disallowed_policies,omitzero"`
	DisallowedPoliciesGlob []string `json:"disallowed_policies_glob,omitzero"`
	Orphan                 *bool    `json:"orphan,omitempty"`
	PathSuffix             string   `json:"path_suffix,omitempty"`
	Renewable              *bool    `json:"renewable,omitempty"`
	BoundCIDRs             []string `json:"token_bound_cidrs,omitzero"`
	ExplicitMaxTTL         string   `json:"token_explicit_max_ttl,omitempty"`
	NoDefaultPolicy        *bool    `json:"token_no_default_policy,omitempty"`
	NumUses                *int     `json:"token_num_uses,omitempty"`
	Period                 string   `json:"token_period,omitempty"`
	Type                   string   `json:"token_type,omitempty"`
}

// TokenRole is a role that tokens are made by.
type TokenRole struct {
	AllowedEntityAliases   []string `json:"allowed_entity_aliases"`
	AllowedPolicies        []string `json:"allowed_policies"`
	AllowedPoliciesGlob    []string `json:"allowed_policies_glob"`
	DisallowedPolicies     []string `json:"disallowed_policies"`
	DisallowedPoliciesGlob []string `json:"disallowed_policies_glob"`
	Name                   string   `json:"name"`
	Orphan                 bool     `json:"orphan"`
	PathSuffix             string   `json:"path_suffix"`
	Renewable              bool     `json:"renewable"`
	BoundCIDRs             []string `json:"token_bound_cidrs,omitempty"`
	ExplicitMaxTTL         int64    `json:"token_explicit_max_ttl"` // seconds; 0: none
	NoDefaultPolicy        bool     `json:"token_no_default_policy"`
	NumUses                int      `json:"token_num_uses,omitempty"` // 0: any number
	Period                 int64    `json:"token_period"`             // seconds; 0: not periodic
	Type                   string   `json:"token_type"`
}

// Namespace is a part of the cluster that is closed in itself: what it holds is unknown outside.
type Namespace struct {
	CustomMetadata map[string]string `json:"custom_metadata"`
	ID             string            `json:"id"` // ends the IDs of its leases
	Locked         bool              `json:"locked"`
	Path           string            `json:"path"`    // from the root, with a slash at its end
	Tainted        bool              `json:"tainted"` // it is being deleted: it serves nothing any more
	UUID           string            `json:"uuid,omitempty"`
}

// NamespaceList lists the namespaces directly below one. Keys are the last segments of their paths,
// with their slash; KeyInfo tells more about each.
type NamespaceList struct {
	Keys    []string             `json:"keys"`
	KeyInfo map[string]Namespace `json:"key_info"`
	Next    string               `json:"next,omitempty"` // where to go on (as "after"), empty on the last page
}

// WrapLookup is what is known of an answer that was put aside.
type WrapLookup struct {
	CreationPath string    `json:"creation_path"` // whose answer it is
	CreationTime time.Time `json:"creation_time"`
	CreationTTL  int64     `json:"creation_ttl"` // seconds
}

// MountAt is the mount that serves a path, as everybody who may use the path can ask.
type MountAt struct {
	Mount
	Path string `json:"path"`
}
