package client

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxSums bounds, in bytes, the list of checksums in a snapshot.
const maxSums = 1 << 16

// Snapshot writes the cluster's state to w, as a gzipped tar archive. The archive carries the
// checksums of its parts; Snapshot checks them on the way through, so that after a nil error what
// w got is whole. It is sent once, and takes as long as ctx allows.
func (c *Client) Snapshot(ctx context.Context, w io.Writer) error {
	r := request{method: http.MethodGet, path: "sys/storage/raft/snapshot"}
	target, err := c.locate(r)
	if err != nil {
		return err
	}
	response, err := c.send(ctx, r, target, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxShownBody)) // best effort: the status is the error
		return errorOf(r.method, target.String(), response.StatusCode, response.Header, body)
	}
	if _, err := ReadSnapshot(io.TeeReader(response.Body, w)); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// RestoreSnapshot replaces the cluster's state by a snapshot of it. The state is held: nothing is destroyed
// until ReleaseHold. With force the snapshot may be another cluster's, sealed with the same key. It is sent
// once, and takes as long as ctx allows.
func (c *Client) RestoreSnapshot(ctx context.Context, from io.Reader, force bool) error {
	path := "sys/storage/raft/snapshot"
	if force {
		path += "-force"
	}
	r := request{method: http.MethodPost, path: path, stream: from}
	target, err := c.locate(r)
	if err != nil {
		return err
	}
	response, err := c.send(ctx, r, target, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 300 {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxShownBody)) // best effort: the status is the error
	return errorOf(r.method, target.String(), response.StatusCode, response.Header, body)
}

// Hold asks whether the cluster destroys nothing since a snapshot was restored.
func (c *Client) Hold(ctx context.Context) (*Envelope[HoldStatus], error) {
	return call[HoldStatus](ctx, c, request{method: http.MethodGet, path: "sys/storage/raft/hold"})
}

// ReleaseHold ends the hold of a restore, "" for whichever there is.
func (c *Client) ReleaseHold(ctx context.Context, restore string) error {
	query := url.Values{}
	if restore != "" {
		query.Set("restore", restore)
	}
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "sys/storage/raft/hold", query: query})
	return err
}

// SnapshotInfo is what a snapshot says of itself. That it is true only a cluster with the seal key can tell.
type SnapshotInfo struct {
	Version     int       `json:"version"`
	ID          string    `json:"id"`
	Index       uint64    `json:"index"`
	Term        uint64    `json:"term"`
	Size        int64     `json:"size"` // of the state, in bytes
	ClusterID   string    `json:"cluster_id"`
	ClusterName string    `json:"cluster_name"`
	Created     time.Time `json:"created"`
}

// ReadSnapshot reads an archive to its end and compares each part with its checksum.
func ReadSnapshot(from io.Reader) (*SnapshotInfo, error) {
	unzipped, err := gzip.NewReader(bufio.NewReader(from))
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	found, kept := map[string]string{}, map[string][]byte{}
	archive := tar.NewReader(unzipped)
	for {
		part, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		hash := sha256.New()
		var start bytes.Buffer
		_, err = io.CopyN(io.MultiWriter(hash, &start), archive, maxSums)
		if err == nil {
			start.Reset()
			_, err = io.Copy(hash, archive)
		} else if errors.Is(err, io.EOF) {
			kept[part.Name], err = start.Bytes(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", part.Name, err)
		}
		found[part.Name] = hex.EncodeToString(hash.Sum(nil))
	}
	// What follows the last part matters too: gzip's own checksum stands at the very end.
	if _, err := io.Copy(io.Discard, unzipped); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if err := compareSums(string(kept["SHA256SUMS"]), found); err != nil {
		return nil, err
	}
	info := new(SnapshotInfo)
	line, _, _ := bytes.Cut(kept["SHA256SUMS.sealed"], []byte("\n"))
	_ = json.Unmarshal(line, info) // another server's is of another form, and not for us
	if err := json.Unmarshal(kept["meta.json"], info); err != nil {
		return nil, fmt.Errorf("read meta.json: %w", err)
	}
	return info, nil
}

// compareSums checks lines of "<hex>  <name>" against what was found.
func compareSums(sums string, found map[string]string) error {
	if strings.TrimSpace(sums) == "" {
		return errors.New("the archive has no checksums: it was cut short")
	}
	for line := range strings.Lines(sums) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		sum, name := fields[0], strings.TrimPrefix(fields[1], "*")
		switch found[name] {
		case sum:
		case "":
			return fmt.Errorf("%s is missing", name)
		default:
			return fmt.Errorf("%s does not match its checksum", name)
		}
	}
	return nil
}
