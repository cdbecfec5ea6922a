package fsm

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/tidwall/btree"
	"google.golang.org/protobuf/proto"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// The stream of a snapshot: magic, then records (type byte, uvarint length, body), header first, then
// a trailer record with the number of records and the SHA-256 of all before it.
const (
	snapshotMagic   = "LEASEHLD"
	snapshotFormat  = 1
	maxRecordLength = 16 << 20
)

// The record types. A number is never reused.
const (
	recHeader byte = iota + 1
	recNode
	recNamespace
	recPolicy
	recMount
	recEntry
	recToken
	recLease
	recJob
	recIdempotent
	recAutopilot byte = 30
	recJoinToken byte = 31
	recTrailer   byte = 0xff
)

// Snapshot is the state at one point, frozen by copy-on-write.
type Snapshot struct {
	header     *command.Header
	tree       *leaseTree
	tokens     *btree.Map[string, *lease.Token]
	mounts     *btree.Map[string, *lease.Mount]
	policies   *btree.Map[string, *Policy]
	entries    *btree.Map[string, entry]
	namespaces *btree.Map[string, *Namespace]
	nodes      *btree.Map[string, Node]
	joinTokens *btree.Map[string, JoinToken]
	autopilot  Autopilot
	jobs       *btree.Map[uint64, *lease.Job]
	idem       *btree.Map[string, *idempotent]
}

// Snapshot freezes the state. It copies no lease, so it takes microseconds however many there are.
func (s *State) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.core
	return &Snapshot{
		header: &command.Header{Format: snapshotFormat, Index: c.index, Seq: c.seq, Now: int64(c.now), Epoch: c.epoch,
			FeatureLevel: c.level, ClusterId: c.cluster.ID, ClusterName: c.cluster.Name, Keyring: c.cluster.Keyring,
			TokenMount: c.cluster.TokenMountID, Created: int64(c.cluster.Created), Malformed: c.malformed,
			Hold: c.hold.record(), Lineage: c.lineage},
		tree: c.tree.Copy(), tokens: c.tokens.Copy(), mounts: c.mounts.Copy(), policies: c.policies.Copy(),
		entries: c.entries.Copy(), namespaces: c.namespaces.Copy(), nodes: c.nodes.Copy(), jobs: c.jobs.Copy(),
		idem: c.idem.Copy(), joinTokens: c.joinTokens.Copy(), autopilot: c.autopilot,
	}
}

// Index is the raft index that the snapshot stands at.
func (sn *Snapshot) Index() uint64 { return sn.header.Index }

// Write streams the snapshot. It may run beside Apply.
func (sn *Snapshot) Write(w io.Writer) error {
	buf := bufio.NewWriterSize(w, 1<<20)
	sum := sha256.New()
	rw := &recordWriter{w: io.MultiWriter(buf, sum)}
	if _, err := io.WriteString(rw.w, snapshotMagic); err != nil {
		return err
	}
	rw.write(recHeader, sn.header)
	sn.writeBody(rw)
	rw.trailer(sum)
	if rw.err != nil {
		return fmt.Errorf("write snapshot: %w", rw.err)
	}
	return buf.Flush()
}

// Hash is the SHA-256 of the replicated state at the returned raft index: equal on every node at
// equal indexes (S18), and however the same commands were packed into entries.
func (s *State) Hash() (index uint64, hash string) {
	sn := s.Snapshot()
	sum := sha256.New()
	rw := &recordWriter{w: sum}
	index = sn.header.Index
	sn.header.Index = 0
	rw.write(recHeader, sn.header)
	sn.writeBody(rw)
	return index, hex.EncodeToString(sum.Sum(nil))
}

func (sn *Snapshot) writeBody(rw *recordWriter) {
	sn.nodes.Scan(func(_ string, n Node) bool {
		return rw.write(recNode, &command.PutNode{Id: n.ID, PeerAddr: n.PeerAddr, ApiAddr: n.APIAddr,
			Version: n.Version, FeatureLevel: n.FeatureLevel})
	})
	if sn.autopilot.Set {
		rw.write(recAutopilot, autopilotRecord(sn.autopilot))
	}
	sn.joinTokens.Scan(func(_ string, t JoinToken) bool {
		return rw.write(recJoinToken, &command.JoinTokenRecord{NodeId: t.NodeID, Hash: t.Hash, Expires: int64(t.Expires), UsedBy: t.UsedBy})
	})
	sn.namespaces.Scan(func(_ string, ns *Namespace) bool {
		return rw.write(recNamespace, &command.Namespace{Id: ns.ID, Path: ns.Path, Metadata: toPairs(ns.Metadata), Seq: ns.Seq,
			Tainted: ns.Tainted})
	})
	sn.policies.Scan(func(_ string, p *Policy) bool {
		return rw.write(recPolicy, &command.Policy{Namespace: p.Namespace, Name: p.Name, Text: p.Text, Version: p.Version})
	})
	sn.mounts.Scan(func(_ string, m *lease.Mount) bool { return rw.write(recMount, mountRecord(m)) })
	sn.entries.Scan(func(key string, e entry) bool {
		return rw.write(recEntry, &command.Entry{Key: key, Value: e.value, Expires: int64(e.expires)})
	})
	sn.tokens.Scan(func(_ string, t *lease.Token) bool { return rw.write(recToken, TokenRecord(t)) })
	sn.tree.Scan(func(l *lease.Lease) bool { return rw.write(recLease, leaseRecord(l)) })
	sn.jobs.Scan(func(_ uint64, j *lease.Job) bool { return rw.write(recJob, jobRecord(j)) })
	sn.idem.Scan(func(_ string, i *idempotent) bool {
		return rw.write(recIdempotent, &command.IdempotencyRecord{Key: []byte(i.key), Body: []byte(i.body),
			LeaseId: i.leaseID, Expires: int64(i.expires)})
	})
}

type recordWriter struct {
	w     io.Writer
	buf   []byte
	count uint64
	err   error
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// write appends one record and reports whether all went well so far.
func (rw *recordWriter) write(kind byte, m proto.Message) bool {
	if rw.err != nil {
		return false
	}
	rw.buf = append(rw.buf[:0], kind)
	rw.buf = binary.AppendUvarint(rw.buf, uint64(proto.Size(m)))
	if rw.buf, rw.err = deterministic.MarshalAppend(rw.buf, m); rw.err != nil {
		return false
	}
	rw.count++
	_, rw.err = rw.w.Write(rw.buf)
	return rw.err == nil
}

func (rw *recordWriter) trailer(sum hash.Hash) {
	if rw.err != nil {
		return
	}
	body := binary.AppendUvarint(nil, rw.count)
	body = sum.Sum(body)
	rec := append([]byte{recTrailer}, binary.AppendUvarint(nil, uint64(len(body)))...)
	_, rw.err = rw.w.Write(append(rec, body...))
}
