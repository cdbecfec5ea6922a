package policy

import (
	"slices"
	"strings"
)

// fresh is a segment that no pattern spells out: policies are UTF-8, which has no such byte. A path
// with it is matched by wildcards alone.
const fresh = "\xff"

// reachBudget bounds what one Reaches looks at, roughly in bytes of paths: some 50,000 ordinary paths,
// or a tenth of a second with the longest patterns that there can be.
const reachBudget = 4 << 20

// Reaches reports whether there is a path, folder itself or below it, on which anything is granted:
// for which Capabilities names something else than deny. A slash at the end of folder does not matter;
// "" is everything. It costs a few searches, besides those for patterns with "+" that grant something
// below folder and are all overruled by others; if those are tens of thousands, folder counts as out of
// reach.
func (a *ACL) Reaches(folder string) bool {
	if a.Root() {
		return true
	}
	if a.Len() == 0 {
		return false
	}
	folder = strings.TrimSuffix(strings.TrimLeft(folder, "/"), "/")
	r := reach{a, reachBudget}
	if r.on(folder) {
		return true
	}
	if folder != "" {
		folder += "/"
	}
	return a.literalBelow(folder) || r.deep(folder+fresh) || r.plusBelow(folder)
}

// literalBelow reports whether a pattern without "+" that begins with folder grants anything. It does
// so on the path it spells out, or, if it ends in "*", on one that goes on in a way that no pattern
// spells out and with more segments than any has: no other pattern that matches there outranks it.
func (a *ACL) literalBelow(folder string) bool {
	list := a.grantingLiterals()
	i, _ := slices.BinarySearch(list, folder)
	return i < len(list) && strings.HasPrefix(list[i], folder)
}

// grantingLiterals are the patterns without "+" that grant anything, sorted, without their "*". Few
// callers ask, so it is made for the first.
func (a *ACL) grantingLiterals() []string {
	a.literalsOnce.Do(func() {
		for _, r := range a.rules {
			if r.plus == 0 && r.grants() {
				a.literals = append(a.literals, r.body)
			}
		}
		slices.Sort(a.literals)
	})
	return a.literals
}

// reach is one search for a path on which anything is granted.
type reach struct {
	a    *ACL
	left int // of reachBudget
}

// on reports whether anything is granted on a path or on listing it.
func (r *reach) on(path string) bool {
	if r.left -= len(path) + 16; r.left < 0 {
		return false
	}
	return r.a.find(path, true).grants() || !strings.HasSuffix(path, "/") && r.a.find(path, false).grants()
}

// deep reports whether anything is granted on path, or on path with so many more segments that no
// pattern spells out that it makes no difference how many.
func (r *reach) deep(path string) bool {
	for range r.a.depth + 1 {
		if r.on(path) {
			return true
		}
		if r.left < 0 {
			return false
		}
		path += "/" + fresh
	}
	return r.on(path)
}

// plusBelow looks at the patterns with "+" that are longer than folder. Each is tried where its
// wildcards stand for what no other pattern spells out: whatever else matches there, matches on all
// other paths of the pattern too.
func (r *reach) plusBelow(folder string) bool {
	if r.a.segments == nil {
		return false
	}
	nodes := []*segmentTree{r.a.segments}
	for rest := folder; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		var next []*segmentTree
		for _, t := range nodes {
			if child := t.literal[segment]; child != nil {
				next = append(next, child)
			}
			if t.plus != nil {
				next = append(next, t.plus)
			}
		}
		nodes = next
	}
	return slices.ContainsFunc(nodes, func(t *segmentTree) bool { return r.in(t, folder) })
}

// in tries the patterns that go on below a node. path leads to it and ends in a slash, unless it is
// empty.
func (r *reach) in(t *segmentTree, path string) bool {
	if r.left -= 1 + len(path)/32; r.left < 0 {
		return false
	}
	for _, e := range t.globTab.entries {
		if e.rule.grants() && r.deep(path+e.prefix+fresh) {
			return true
		}
	}
	try := func(child *segmentTree, segment string) bool {
		here := path + segment
		return child.exact.grants() && r.on(here) || r.in(child, here+"/")
	}
	for segment, child := range t.literal {
		if try(child, segment) {
			return true
		}
	}
	return t.plus != nil && try(t.plus, fresh)
}
