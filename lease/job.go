package lease

// SelectorKind says how a revocation job names what it covers.
type SelectorKind uint8

// The selector kinds.
const (
	SelectPrefix    SelectorKind = iota + 1 // Value is a prefix of lease IDs, matched by segments
	SelectToken                             // Value is a token's hash: it, its descendants, what they leased
	SelectMount                             // Value is a mount's UUID
	SelectNamespace                         // Value is a namespace's ID; Namespace is its parent's
	SelectOwnerless                         // what is in Namespace and whose owner is missing or dead; Value is ""
)

func (k SelectorKind) String() string {
	switch k {
	case SelectPrefix:
		return "prefix"
	case SelectToken:
		return "token"
	case SelectMount:
		return "mount"
	case SelectNamespace:
		return "namespace"
	case SelectOwnerless:
		return "ownerless"
	}
	return "unknown"
}

// Selector names what a job covers: all that it matches and that is older than the job.
type Selector struct {
	Kind      SelectorKind
	Namespace string
	Value     string
	// Show is the selector in users' words: the prefix, the token's accessor, the mount's path.
	Show string
}

// JobState is how far a job has come.
type JobState uint8

// The states of a job.
const (
	JobSweeping JobState = iota + 1 // leases are being marked
	JobRevoking                     // all are marked; targets are being destroyed
	JobFinished                     // nothing is left
)

func (s JobState) String() string {
	switch s {
	case JobSweeping:
		return "sweeping"
	case JobRevoking:
		return "revoking"
	case JobFinished:
		return "finished"
	}
	return "unknown"
}

// Job is a revocation of many: one entry dooms all that the selector covers, the sweep follows.
// Stored values are immutable.
type Job struct {
	ID       uint64 // the sequence number of the command that opened it; it covers what is older
	Selector Selector
	Cause    Cause
	Force    bool
	State    JobState
	Started  Time
	Finished Time

	Total  int // found so far; final once State is past JobSweeping
	Done   int // gone
	Failed int // not gone, last attempt failed

	// FailedLease and Error are those of the first failed attempt, FailedAt how many were done.
	FailedLease string
	Error       string
	FailedAt    int

	// Heirs are newer open jobs that took over leases of this one. It is finished when they are, so
	// that "finished" means "all that this job covered is gone".
	Heirs []uint64

	Cursor string // last lease ID swept
	Tree   string // token whose tree is being swept, "" for none
	At     string // where in that tree the sweep stands
}

// Left is how many of those found so far are not gone.
func (j *Job) Left() int { return j.Total - j.Done }
