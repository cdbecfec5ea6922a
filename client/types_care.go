package client

// ReconcileRequest asks for a mount's leases to be compared with what is at its target.
type ReconcileRequest struct {
	Mount string `json:"mount"` // its path
	// Fix destroys what is at the target and in no lease, once it is certain that none will follow.
	Fix bool `json:"fix"`
}

// Reconciliation is what came of comparing a mount's leases with its target. The lists of names may
// be cut, with a warning; the counts are of all.
type Reconciliation struct {
	Mount        string   `json:"mount"`
	Items        int      `json:"items"`   // at the target, with this cluster's mark
	Leases       int      `json:"leases"`  // of the mount, that stand for something at the target
	Orphans      []string `json:"orphans"` // names at the target that are in no lease
	OrphanCount  int      `json:"orphan_count"`
	Young        int      `json:"young"`     // orphans that may belong to an issue that is under way
	Destroyed    int      `json:"destroyed"` // orphans, with Fix
	Failed       int      `json:"failed"`    // orphans that could not be destroyed, with Fix
	Missing      []string `json:"missing"`   // IDs of active leases of which the target shows nothing
	MissingCount int      `json:"missing_count"`
	Error        string   `json:"error,omitempty"` // of the first of Failed
}

// RetryRequest says which failed revocations are tried again at once: those that all given fields
// match. At least one is given.
type RetryRequest struct {
	LeaseID string `json:"lease_id,omitempty"`
	Prefix  string `json:"prefix,omitempty"` // of lease IDs, by whole names
	Mount   string `json:"mount,omitempty"`  // its path
	Error   string `json:"error,omitempty"`  // a part of the last attempt's error
}

// RetryCount is of how many leases the revocation is tried again.
type RetryCount struct {
	LeaseCount int `json:"lease_count"`
}

// How far a Migration has come, as MigrationInfo.Status has it.
const (
	MigrationInProgress = "in-progress"
	MigrationSucceeded  = "success"
	// MigrationFailed means that something leased there cannot be destroyed. It goes on being tried,
	// and the move with it.
	MigrationFailed = "failure"
)

// Migration is the move of a mount to another path.
type Migration struct {
	ID   string        `json:"migration_id"`
	Info MigrationInfo `json:"migration_info"` // empty in the answer that starts it
}

// MigrationInfo is how far a Migration has come.
type MigrationInfo struct {
	SourceMount string `json:"source_mount"`
	Status      string `json:"status"` // MigrationInProgress and so on
}
