package httpapi

import (
	"net/http"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/snapshot"
)

// DefaultMaxSnapshot bounds what may be restored, in bytes.
const DefaultMaxSnapshot = 16 << 30

// snapshotRoutes save the state of the cluster and replace it.
var snapshotRoutes = []route{
	{verbs: read, path: "sys/storage/raft/snapshot", access: sudo, handler: (*Server).snapshot, slow: true,
		help: "A snapshot of the whole state, as a gzipped tar archive."},
	{verbs: write, path: "sys/storage/raft/snapshot", where: onLeader, access: sudo, handler: (*Server).restore, slow: true, stream: true,
		help: "Replaces the whole state by a snapshot of this cluster, held."},
	{verbs: write, path: "sys/storage/raft/snapshot-force", where: onLeader, access: sudo, handler: (*Server).restoreForced, slow: true, stream: true,
		help: "Replaces the whole state by a snapshot of any cluster with the same seal key, held."},
	{verbs: read, path: "sys/storage/raft/hold", access: sudo, handler: (*Server).readHold,
		help: "Whether nothing is destroyed since a snapshot was restored."},
	{verbs: remove, path: "sys/storage/raft/hold", where: onLeader, access: sudo, handler: (*Server).releaseHold,
		help: "Releases the hold: what has ended is destroyed from here on."},
}

// snapshot serves sys/storage/raft/snapshot.
func (s *Server) snapshot(*call) (answer, error) {
	ring, err := s.lessor.Keyring()
	if err != nil {
		return answer{}, err
	}
	meta, body, err := s.node.Snapshot()
	if err != nil {
		return answer{}, err
	}
	return answer{stream: func(w http.ResponseWriter) error {
		defer body.Close()
		h := w.Header()
		h.Set("Content-Type", "application/gzip")
		h.Set("Content-Disposition", `attachment; filename="raft-`+meta.ID+`.snap"`)
		cluster := s.cluster()
		err := snapshot.Write(w, snapshot.Meta{ID: meta.ID, Index: meta.Index, Term: meta.Term, Size: meta.Size}, body,
			snapshot.Cluster{ID: cluster.ID, Name: cluster.Name}, ring, s.now())
		if err != nil {
			s.log.Error("snapshot was not sent whole", "err", err)
			panic(http.ErrAbortHandler) // the client must see that it is cut short
		}
		return nil
	}}, nil
}

// restore serves sys/storage/raft/snapshot with POST.
func (s *Server) restore(c *call) (answer, error) { return s.restoreSnapshot(c, false) }

// restoreForced serves sys/storage/raft/snapshot-force.
func (s *Server) restoreForced(c *call) (answer, error) { return s.restoreSnapshot(c, true) }

// restoreSnapshot reads the whole snapshot, finds it right, and only then touches anything (T11).
func (s *Server) restoreSnapshot(c *call, force bool) (answer, error) {
	archive, err := snapshot.Read(c.r.Body, s.maxSnapshot)
	if err != nil {
		return answer{}, err
	}
	if err := s.lessor.Verify(archive); err != nil {
		return answer{}, err
	}
	here, there := s.cluster().ID, archive.Manifest.ClusterID
	if here != there && !force {
		return answer{}, lease.Errorf(lease.Invalid, "the snapshot is of the cluster %s and this is %s: "+
			"restore it with -force if all that this cluster holds is to be replaced by it", there, here)
	}
	reason := "restored from the snapshot of " + archive.Manifest.Created.Format(time.RFC3339)
	s.log.Warn("a snapshot is about to be restored", "request_id", c.id, "cluster_id", there, "index", archive.Meta.Index,
		"created", archive.Manifest.Created, "force", force)
	state := archive.State
	archive.State = nil // it is large, and raft makes its own
	return done, s.node.Restore(c.ctx, state, reason)
}

func (s *Server) hold() *fsm.Hold {
	var hold *fsm.Hold
	s.state.Read(func(v *fsm.View) { hold = v.Hold() })
	return hold
}

// describeHold is the hold on the wire, nil for none.
func describeHold(h *fsm.Hold) *client.Hold {
	if h == nil {
		return nil
	}
	return &client.Hold{Reason: h.Reason, Since: h.Since.Std().UTC(), Restore: h.Restore, SnapshotIndex: h.SnapshotIndex,
		SnapshotTime: h.SnapshotNow.Std().UTC(), FormerCluster: h.Cluster}
}

// readHold serves sys/storage/raft/hold.
func (s *Server) readHold(*call) (answer, error) {
	hold := describeHold(s.hold())
	return answer{data: client.HoldStatus{Held: hold != nil, Hold: hold}, mountType: systemType}, nil
}

// releaseHold serves sys/storage/raft/hold with DELETE.
func (s *Server) releaseHold(c *call) (answer, error) {
	in := c.reader()
	restore := in.String("restore")
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	return done, s.lessor.ReleaseHold(c.ctx, restore)
}

// heldWarning is what a lookup adds while nothing is destroyed.
const heldWarning = "a snapshot was restored: nothing is destroyed until an operator releases the hold"

func (s *Server) warnHeld(warnings []string) []string {
	if s.hold() != nil {
		warnings = append(warnings, heldWarning)
	}
	return warnings
}
