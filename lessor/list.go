package lessor

import (
	"strings"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

const (
	// MaxListKeys is how many keys one List returns at most.
	MaxListKeys = 100_000
	// listSteps bounds what is looked at under one read lock, so that a long list holds up no
	// writer.
	listSteps = 1000
)

// List returns one level of the leases below prefix, in byte order: the rest of a lease's ID, or a
// directory, with a slash at its end. It begins behind the key after and returns at most limit keys
// (zero: MaxListKeys) and whether there are more. Directories are not walked, so a page costs what
// is on it. No keys at all is nil.
func (l *Lessor) List(ns, prefix, after string, limit int) (keys []string, more bool, err error) {
	dir := ""
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		if err := lease.CheckPath(prefix); err != nil {
			return nil, false, lease.Errorf(lease.Invalid, "invalid prefix: %v", err)
		}
		dir = prefix + "/"
	}
	if limit <= 0 || limit > MaxListKeys {
		limit = MaxListKeys
	}
	w := lister{ns: ns, dir: dir, from: dir + behind(after), want: limit + 1} // one more tells of more
	for !w.done {
		l.state.Read(w.walk)
	}
	if len(w.keys) > limit {
		return w.keys[:limit], true, nil
	}
	return w.keys, false, nil
}

// behind is the first text that may begin an ID and whose key follows the key after.
func behind(after string) string {
	if after == "" {
		return ""
	}
	if name, _, isDir := strings.Cut(after, "/"); isDir {
		return name + pastSlash
	}
	return after + "\x00"
}

// pastSlash follows the slash in byte order: nothing below a directory d is behind d + pastSlash.
const pastSlash = "0"

// lister is a list on its way through the tree.
type lister struct {
	ns, dir string
	from    string // where the next look begins
	want    int
	keys    []string
	done    bool
}

// walk goes on from w.from for at most listSteps.
func (w *lister) walk(v *fsm.View) {
	for steps := 0; steps < listSteps && !w.done; {
		again := false
		v.Ascend(w.ns, w.from, func(le *lease.Lease) bool {
			if !strings.HasPrefix(le.ID, w.dir) {
				return false
			}
			steps++
			again = true
			return !w.take(le) && steps < listSteps && len(w.keys) < w.want
		})
		w.done = !again || len(w.keys) >= w.want
	}
}

// take notes what le shows at this level. It reports whether the walk has to leave a directory: a
// seek behind it is cheaper than what may be in it. Intents are not shown.
func (w *lister) take(le *lease.Lease) (leave bool) {
	w.from = le.ID + "\x00"
	if le.Status == lease.Pending {
		return false
	}
	rest := le.ID[len(w.dir):]
	name, _, isDir := strings.Cut(rest, "/")
	if !isDir {
		w.keys = append(w.keys, rest)
		return false
	}
	w.keys = append(w.keys, rest[:len(name)+1])
	w.from = w.dir + name + pastSlash
	return true
}
