package httpapi

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/leasehold/leasehold/client"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/seal"
)

// stepDown serves sys/step-down.
func (s *Server) stepDown(c *call) (answer, error) {
	return done, s.node.StepDown(c.ctx)
}

// raftConfiguration serves sys/storage/raft/configuration.
func (s *Server) raftConfiguration(*call) (answer, error) {
	members, err := s.node.Members()
	if err != nil {
		return answer{}, err
	}
	config := client.RaftConfig{Index: members.Index, Servers: []client.RaftServer{}}
	for _, m := range members.Servers {
		config.Servers = append(config.Servers, client.RaftServer{
			Address: m.Address, Leader: m.Leader, NodeID: m.ID, ProtocolVersion: "3", Voter: m.Voter,
		})
	}
	return answer{data: client.RaftConfiguration{Config: config}, mountType: systemType}, nil
}

// removePeer serves sys/storage/raft/remove-peer.
func (s *Server) removePeer(c *call) (answer, error) {
	in := c.reader()
	id := in.String("server_id")
	in.Has("dr_operation_token") // the stock client sends it along
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	if id == "" {
		return answer{}, lease.Errorf(lease.Invalid, "no server id provided: name the member in server_id")
	}
	return done, s.node.RemovePeer(c.ctx, id)
}

// stateHash serves sys/internal/state-hash.
func (s *Server) stateHash(*call) (answer, error) {
	index, hash := s.state.Hash()
	return answer{bare: client.StateHash{AppliedIndex: index, Hash: hash}}, nil
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
		if err := writeArchive(w, meta, body, ring, s.now()); err != nil {
			s.log.Error("snapshot was not sent whole", "err", err)
			panic(http.ErrAbortHandler) // the client must see that it is cut short
		}
		return nil
	}}, nil
}

// archiveMeta is meta.json of a snapshot, in the words of raft's own tools.
type archiveMeta struct {
	Version            int
	ID                 string
	Index, Term        uint64
	Size               int64
	ConfigurationIndex uint64
}

// sealedSums is where the sealed checksums of a snapshot belong, in the words of package seal.
const sealedSums = "snapshot/SHA256SUMS"

// writeArchive writes a snapshot as the stock clients check it: a gzipped tar of meta.json,
// state.bin and the SHA-256 of both, last. The checksums come a second time, sealed, which only a
// node of the cluster can do: the clients take an archive without them for one that was cut short.
func writeArchive(w io.Writer, meta SnapshotMeta, body io.Reader, ring *seal.Keyring, now time.Time) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	text, err := json.Marshal(archiveMeta{Version: 1, ID: meta.ID, Index: meta.Index, Term: meta.Term, Size: meta.Size})
	if err != nil {
		return fmt.Errorf("encode snapshot's meta data: %w", err)
	}
	if err := addFile(archive, "meta.json", text, now); err != nil {
		return err
	}
	if err := addHeader(archive, "state.bin", meta.Size, now); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(archive, io.TeeReader(body, hash)); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	sums := fmt.Appendf(nil, "%x  meta.json\n%x  state.bin\n", sha256.Sum256(text), hash.Sum(nil))
	if err := addFile(archive, "SHA256SUMS", sums, now); err != nil {
		return err
	}
	sealed, err := ring.Seal(sealedSums, sums)
	if err != nil {
		return fmt.Errorf("seal snapshot's checksums: %w", err)
	}
	if err := addFile(archive, "SHA256SUMS.sealed", sealed, now); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end snapshot: %w", err)
	}
	return zipped.Close()
}

func addHeader(archive *tar.Writer, name string, size int64, now time.Time) error {
	return archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: now})
}

func addFile(archive *tar.Writer, name string, content []byte, now time.Time) error {
	if err := addHeader(archive, name, int64(len(content)), now); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
