package client

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
	if err := verifySnapshot(io.TeeReader(response.Body, w)); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// verifySnapshot reads an archive to its end and compares each part with its checksum.
func verifySnapshot(from io.Reader) error {
	unzipped, err := gzip.NewReader(bufio.NewReader(from))
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	found := map[string]string{}
	var sums []byte
	archive := tar.NewReader(unzipped)
	for {
		part, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if part.Name == "SHA256SUMS" {
			if sums, err = io.ReadAll(io.LimitReader(archive, maxSums)); err != nil {
				return fmt.Errorf("read checksums: %w", err)
			}
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, archive); err != nil {
			return fmt.Errorf("read %s: %w", part.Name, err)
		}
		found[part.Name] = hex.EncodeToString(hash.Sum(nil))
	}
	// What follows the last part matters too: gzip's own checksum stands at the very end.
	if _, err := io.Copy(io.Discard, unzipped); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	return compareSums(string(sums), found)
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
