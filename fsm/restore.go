package fsm

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Restore replaces the whole state by a snapshot, or changes nothing and returns why: the new state
// is built aside, verified against count and checksum, and swapped in (S22).
func (s *State) Restore(r io.Reader) error {
	c := newCore(s)
	if err := c.load(bufio.NewReaderSize(r, 1<<20)); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	s.mu.Lock()
	s.core = c
	s.mu.Unlock()
	s.applied.Store(c.index)
	s.watch.reached(c.index)
	s.watch.all()
	s.attend()
	return nil
}

// aged is a lease's record with its sequence number beside it, for sorting.
type aged struct {
	seq uint64
	rec *record
}

// loader collects what can be linked only when all is read.
type loader struct {
	c      *core
	record command.Lease // reused: a snapshot may hold millions
	leases []aged
}

func (c *core) load(r *bufio.Reader) error {
	sum := sha256.New()
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != snapshotMagic {
		return errors.New("this is no snapshot of leasehold")
	}
	sum.Write(magic)
	l := &loader{c: c}
	var body, frame []byte
	for count := uint64(0); ; count++ {
		kind, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("record %d: %w", count, noEOF(err))
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return fmt.Errorf("record %d: %w", count, noEOF(err))
		}
		if size > maxRecordLength {
			return fmt.Errorf("record %d claims %d bytes", count, size)
		}
		body = slices.Grow(body[:0], int(size))[:size]
		if _, err := io.ReadFull(r, body); err != nil {
			return fmt.Errorf("record %d: %w", count, noEOF(err))
		}
		if kind == recTrailer {
			want := sum.Sum(binary.AppendUvarint(nil, count))
			if !bytes.Equal(body, want) {
				return errors.New("the checksum or the number of records is wrong: the snapshot is damaged")
			}
			return l.finish()
		}
		frame = binary.AppendUvarint(append(frame[:0], kind), size)
		sum.Write(frame)
		sum.Write(body)
		if err := l.take(kind, body, count == 0); err != nil {
			return fmt.Errorf("record %d: %w", count, err)
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (l *loader) take(kind byte, body []byte, first bool) error {
	if first != (kind == recHeader) {
		return errors.New("the header is missing or repeated")
	}
	c := l.c
	switch kind {
	case recHeader:
		return l.head(body)
	case recNode:
		return into(body, &command.PutNode{}, func(m *command.PutNode) {
			c.nodes.Set(m.Id, Node{ID: m.Id, PeerAddr: m.PeerAddr, APIAddr: m.ApiAddr, Version: m.Version, FeatureLevel: m.FeatureLevel})
		})
	case recAutopilot:
		return into(body, &command.SetAutopilot{}, func(m *command.SetAutopilot) { c.autopilot = autopilotFromRecord(m) })
	case recJoinToken:
		return into(body, &command.JoinTokenRecord{}, func(m *command.JoinTokenRecord) {
			c.joinTokens.Set(m.NodeId, JoinToken{NodeID: m.NodeId, Hash: m.Hash, Expires: lease.Time(m.Expires), UsedBy: m.UsedBy})
		})
	case recNamespace:
		return into(body, &command.Namespace{}, func(m *command.Namespace) {
			c.putNamespace(&Namespace{ID: m.Id, Path: m.Path, Metadata: fromPairs(m.Metadata), Seq: m.Seq, Tainted: m.Tainted})
		})
	case recPolicy:
		return into(body, &command.Policy{}, func(m *command.Policy) {
			c.policies.Set(nsKey(m.Namespace, m.Name), &Policy{Namespace: m.Namespace, Name: m.Name, Text: m.Text, Version: m.Version})
		})
	case recMount:
		return into(body, &command.Mount{}, func(m *command.Mount) { c.putMount(mountFromRecord(m)) })
	case recEntry:
		return into(body, &command.Entry{}, func(m *command.Entry) {
			c.putEntry(m.Key, entry{value: m.Value, expires: lease.Time(m.Expires)})
		})
	case recToken:
		return into(body, &command.Token{}, func(m *command.Token) { c.putToken(tokenFromRecord(m)) })
	case recLease:
		if err := proto.Unmarshal(body, &l.record); err != nil {
			return err
		}
		return l.lease(&l.record)
	case recJob:
		return into(body, &command.Job{}, func(m *command.Job) { l.job(jobFromRecord(m)) })
	case recIdempotent:
		return into(body, &command.IdempotencyRecord{}, func(m *command.IdempotencyRecord) {
			c.putIdempotent(&idempotent{key: string(m.Key), body: string(m.Body), leaseID: m.LeaseId, expires: lease.Time(m.Expires)})
		})
	}
	return fmt.Errorf("unknown record type %d: the snapshot was written by a newer leasehold", kind)
}

func into[M proto.Message](body []byte, m M, store func(M)) error {
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	store(m)
	return nil
}

func (l *loader) head(body []byte) error {
	var h command.Header
	if err := proto.Unmarshal(body, &h); err != nil {
		return err
	}
	if h.Format > snapshotFormat {
		return fmt.Errorf("format %d is newer than this build reads (%d): run a newer leasehold", h.Format, snapshotFormat)
	}
	c := l.c
	c.index, c.seq, c.now, c.epoch, c.level = h.Index, h.Seq, lease.Time(h.Now), h.Epoch, h.FeatureLevel
	c.malformed, c.policyAge.floor = h.Malformed, h.Seq
	c.hold, c.lineage = holdFromRecord(h.Hold), h.Lineage
	c.cluster = Cluster{ID: h.ClusterId, Name: h.ClusterName, Created: lease.Time(h.Created), Keyring: h.Keyring,
		TokenMountID: h.TokenMount, Initialized: h.ClusterId != ""}
	c.due.horizon = c.now.Second() + drainAhead
	return nil
}

// lease stores a lease; its strings share memory with what is stored already where they are equal,
// which is most of a lease.
func (l *loader) lease(rec *command.Lease) error {
	if rec.Status == 0 || rec.Status > uint32(lease.Irrevocable) {
		return fmt.Errorf("lease %q has status %d", rec.Id, rec.Status) // damaged: the checksum comes last
	}
	c, v := l.c, leaseFromRecord(rec)
	if len(v.Path) <= len(v.ID) && v.ID[:len(v.Path)] == v.Path {
		v.Path = v.ID[:len(v.Path)]
	}
	if m, ok := c.mounts.Get(v.MountID); ok {
		v.MountID, v.Namespace = m.ID, shared(m.Namespace, v.Namespace)
	}
	if t := c.tokenByHash[v.Owner]; t != nil {
		v.Owner = t.Hash
	}
	r := &record{lease: v}
	c.leases[v.ID] = r
	c.tree.Load(v)
	c.counts.add(v, 1)
	c.sort(v, 1)
	c.due.touch(r)
	l.leases = append(l.leases, aged{v.Seq, r})
	return nil
}

func shared(have, want string) string {
	if have == want {
		return have
	}
	return want
}

func (l *loader) job(j *lease.Job) {
	c := l.c
	c.jobs.Set(j.ID, j)
	c.noteTidy(j)
	switch j.State {
	case lease.JobFinished:
		c.finished.Set(j)
		return
	case lease.JobSweeping:
		c.sweeping.Insert(j.ID)
		if j.Selector.Kind == lease.SelectPrefix {
			key := nsKey(j.Selector.Namespace, j.Selector.Value)
			c.prefixJobs[key] = max(c.prefixJobs[key], j.ID)
		}
	}
	c.openJobs.Insert(j.ID)
	if len(j.Heirs) > 0 {
		c.waiting.Insert(j.ID)
	}
}

// finish links the lists whose order is that of creation, and finds what is told by what is missing.
func (l *loader) finish() error {
	if l.c.seq == 0 && len(l.leases) > 0 {
		return errors.New("the header does not fit the leases")
	}
	slices.SortFunc(l.leases, func(a, b aged) int { return cmp.Compare(a.seq, b.seq) })
	for _, a := range l.leases {
		l.c.own(a.rec)
	}
	l.c.findLeftBehind()
	return nil
}
