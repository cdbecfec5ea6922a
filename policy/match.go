package policy

import (
	"cmp"
	"slices"
	"strings"
)

// rule is all that the policies of an ACL say of one pattern, merged, with its rank among patterns.
type rule struct {
	pattern string // as written
	body    string // pattern without its closing "*"
	glob    bool   // the pattern ends in "*"
	wild    int    // where in body its first "+" segment or its end is
	plus    int    // "+" segments

	granted     Capability
	unscoped    Capability // the part of granted that some rule grants without lease_scope
	constraints *constraints
}

// setPattern begins a rule that grants nothing yet.
func (r *rule) setPattern(pattern string) {
	r.pattern = pattern
	r.body, r.glob = strings.CutSuffix(pattern, "*")
	r.wild = len(r.body)
	at := 0
	for segment := range strings.SplitSeq(r.body, "/") {
		if segment == "+" {
			r.plus++
			r.wild = min(r.wild, at)
		}
		at += len(segment) + 1
	}
}

// outranks reports whether r counts when both r and s match a path. It is a total order.
func (r *rule) outranks(s *rule) bool {
	switch {
	case s == nil:
		return true
	case r.wild != s.wild:
		return r.wild > s.wild
	case r.glob != s.glob:
		return s.glob
	case r.plus != s.plus:
		return r.plus < s.plus
	case len(r.body) != len(s.body):
		return len(r.body) > len(s.body)
	default:
		return r.body > s.body
	}
}

// prefixTable finds the longest of many prefixes of a string: a binary search, then a walk from a
// prefix to the next shorter one that begins it.
type prefixTable struct {
	entries []prefixEntry // sorted
	shorter []int32       // the index of the longest other prefix that begins this one; -1 if none
}

type prefixEntry struct {
	prefix string
	rule   *rule
}

// newPrefixTable takes entries over. No two have the same prefix.
func newPrefixTable(entries []prefixEntry) prefixTable {
	slices.SortFunc(entries, func(a, b prefixEntry) int { return cmp.Compare(a.prefix, b.prefix) })
	t := prefixTable{entries: entries, shorter: make([]int32, len(entries))}
	var open []int32 // prefixes of the current one, each beginning the next
	for i := range entries {
		for len(open) > 0 && !strings.HasPrefix(entries[i].prefix, entries[open[len(open)-1]].prefix) {
			open = open[:len(open)-1]
		}
		t.shorter[i] = -1
		if len(open) > 0 {
			t.shorter[i] = open[len(open)-1]
		}
		open = append(open, int32(i))
	}
	return t
}

func (t *prefixTable) longest(s string) *rule {
	// All entries between the longest prefix of s and s itself, in byte order, begin with that
	// prefix. So it is the last entry that does not come after s, or one that this entry begins with.
	i, found := slices.BinarySearchFunc(t.entries, s, func(e prefixEntry, s string) int { return cmp.Compare(e.prefix, s) })
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	shared := commonLength(t.entries[i].prefix, s)
	for j := int32(i); j >= 0; j = t.shorter[j] {
		if len(t.entries[j].prefix) <= shared {
			return t.entries[j].rule
		}
	}
	return nil
}

func commonLength(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// segmentTree holds the patterns with "+" by their segments.
type segmentTree struct {
	literal map[string]*segmentTree
	plus    *segmentTree
	exact   *rule         // the pattern that ends here
	globs   []prefixEntry // while building: patterns that end here in "<prefix>*"
	globTab prefixTable   // the same, once built
}

func (t *segmentTree) insert(r *rule) {
	segments := strings.Split(r.body, "/")
	last := ""
	if r.glob {
		last, segments = segments[len(segments)-1], segments[:len(segments)-1]
	}
	for _, segment := range segments {
		t = t.child(segment)
	}
	if !r.glob {
		t.exact = r
		return
	}
	t.globs = append(t.globs, prefixEntry{last, r})
}

func (t *segmentTree) child(segment string) *segmentTree {
	if segment == "+" {
		if t.plus == nil {
			t.plus = &segmentTree{}
		}
		return t.plus
	}
	next := t.literal[segment]
	if next == nil {
		if t.literal == nil {
			t.literal = map[string]*segmentTree{}
		}
		next = &segmentTree{}
		t.literal[segment] = next
	}
	return next
}

// build makes the tree ready for search.
func (t *segmentTree) build() {
	if t == nil {
		return
	}
	t.globTab, t.globs = newPrefixTable(t.globs), nil
	t.plus.build()
	for _, next := range t.literal {
		next.build()
	}
}

// walk is one search through a segmentTree.
type walk struct {
	path string
	best *rule // the highest-ranking match so far
	// bare: the path is that of a folder to be listed, without its slash, and was searched with it
	// before. Patterns that end in "*" were all found then.
	bare bool
}

func (w *walk) through(t *segmentTree) {
	if t != nil {
		w.visit(t, 0, -1, 0)
	}
}

// visit searches below t. at is where in the path the next segment begins, beyond its end if there
// is none; wild is where the first "+" was taken, -1 if none was; plus counts them.
func (w *walk) visit(t *segmentTree, at, wild, plus int) {
	if at > len(w.path) {
		if !w.bare || t.exact != nil && t.exact.speaksOfList() {
			w.offer(t.exact)
		}
		return
	}
	if !w.bare {
		w.offer(t.globTab.longest(w.path[at:]))
	}
	end := strings.IndexByte(w.path[at:], '/')
	if end < 0 {
		end = len(w.path) - at
	}
	end += at
	if next := t.literal[w.path[at:end]]; next != nil {
		w.visit(next, end+1, wild, plus)
	}
	if t.plus == nil {
		return
	}
	if wild < 0 {
		wild = at
	}
	if w.hopeless(wild, plus+1) {
		return
	}
	w.visit(t.plus, end+1, wild, plus+1)
}

func (w *walk) offer(r *rule) {
	if r != nil && r.outranks(w.best) {
		w.best = r
	}
}

// hopeless reports that no pattern with its first "+" at wild and at least so many of them can
// outrank the best match. Without it, a path of k segments could cost 2^k steps.
func (w *walk) hopeless(wild, plus int) bool {
	b := w.best
	return b != nil && (b.wild > wild || b.wild == wild && !b.glob && b.plus < plus)
}
