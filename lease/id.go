package lease

import (
	"fmt"
	"strings"
)

// Bounds of lease IDs and paths, in bytes (T15).
const (
	MaxIDLen     = 512
	RandomLen    = 24 // base62 characters at the end of a secret's lease ID
	namespaceSep = "."
)

// NewID joins the parts of a lease ID: path (mount included, no slash at its end), the random
// part, and the namespace's ID when it is not the root.
func NewID(path, random, namespace string) string {
	id := path + "/" + random
	if namespace != "" {
		id += namespaceSep + namespace
	}
	return id
}

// CheckPath returns an error that names the fault when p cannot be (part of) a lease ID: each
// segment is made of [A-Za-z0-9._:@=+-], is not empty, "." or "..", and the whole is at most
// MaxIDLen bytes. p is taken as it is: nothing is decoded or cleaned.
func CheckPath(p string) error {
	if len(p) > MaxIDLen {
		return fmt.Errorf("path is %d bytes long, at most %d are allowed", len(p), MaxIDLen)
	}
	for _, seg := range strings.Split(p, "/") {
		switch seg {
		case "":
			return fmt.Errorf("path %q has an empty segment", p)
		case ".", "..":
			return fmt.Errorf("relative paths not supported: %q", p)
		}
		for i := 0; i < len(seg); i++ {
			if !pathByte(seg[i]) {
				return fmt.Errorf("path %q holds %q: only letters, digits and ._:@=+- are allowed", p, seg[i])
			}
		}
	}
	return nil
}

func pathByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("._:@=+-", c) >= 0
}
