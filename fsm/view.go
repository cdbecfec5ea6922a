package fsm

import (
	"github.com/leasehold/leasehold/lease"
)

// View is a consistent look at the state, valid inside Read only. The values it returns are
// immutable and stay valid.
type View struct{ c *core }

// Now is the log time of the last entry applied.
func (v *View) Now() lease.Time { return v.c.now }

// Index is the raft index of the last entry applied.
func (v *View) Index() uint64 { return v.c.index }

// Seq is the number of commands applied.
func (v *View) Seq() uint64 { return v.c.seq }

// Epoch is the raft term of the last leader that announced itself.
func (v *View) Epoch() uint64 { return v.c.epoch }

// FeatureLevel bounds what commands may be proposed.
func (v *View) FeatureLevel() uint32 { return v.c.level }

// Malformed counts entries and commands that could not be decoded.
func (v *View) Malformed() uint64 { return v.c.malformed }

// Hold is why nothing may be destroyed, nil if it may.
func (v *View) Hold() *Hold { return v.c.hold }

// Lineage is the ID of the restore that the state descends from, "" if it descends from none.
func (v *View) Lineage() string { return v.c.lineage }

// Cluster is what the cluster knows of itself.
func (v *View) Cluster() Cluster { return v.c.cluster }

// Lease returns a lease by ID, whatever its namespace, or nil.
func (v *View) Lease(id string) *lease.Lease {
	if r := v.c.leases[id]; r != nil {
		return r.lease
	}
	return nil
}

// Standing is the status that l has in effect at now: what a revocation job, a disabled mount or a
// dead token covers is Revoking, and so is what is past its end.
func (v *View) Standing(l *lease.Lease, now lease.Time) lease.Status { return v.c.standing(l, now) }

// Nodes returns the members' records by ID.
func (v *View) Nodes() []Node { return v.c.nodes.Values() }

// Node returns a member's record.
func (v *View) Node(id string) (Node, bool) { return v.c.nodes.Get(id) }
