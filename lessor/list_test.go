package lessor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// put stores plain leases by ID, in one namespace.
func put(t testing.TB, w *lessortest.World, m *lease.Mount, ids ...string) {
	t.Helper()
	owner := w.Root().Hash
	for _, id := range ids {
		path := id[:max(strings.LastIndexByte(id, '/'), 0)]
		cmd := &command.Issue{Grant: &command.Grant{Id: id, MountId: m.ID, Path: path, Owner: owner}}
		if _, err := w.Proposer.Propose(context.Background(), cmd); err != nil {
			t.Fatalf("issue %s: %v", id, err)
		}
	}
}

// naiveKeys is what a list must show, by the book.
func naiveKeys(ids []string, dir, after string) []string {
	seen := map[string]bool{}
	for _, id := range ids {
		rest, ok := strings.CutPrefix(id, dir)
		if !ok {
			continue
		}
		if name, _, isDir := strings.Cut(rest, "/"); isDir {
			rest = name + "/"
		}
		seen[rest] = true
	}
	var keys []string
	for k := range seen {
		if k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestListOneLevel(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("m", "lease", lease.MountConfig{})
	ids := []string{"m/a", "m/a-b/1", "m/a/1", "m/a/2", "m/a/sub/1", "m/a0", "m/ab"}
	put(t, w, m, ids...)
	for _, other := range []string{"mm", "n"} {
		put(t, w, w.Enable(other, "lease", lease.MountConfig{}), other+"/x")
		ids = append(ids, other+"/x")
	}
	ids = append(ids, w.Root().LeaseID)
	for _, prefix := range []string{"", "m", "m/a", "m/a/sub", "m/a-b", "m/nothing", "n/x", "auth", "auth/token/root"} {
		dir := strings.TrimSuffix(prefix, "/") + "/"
		if prefix == "" {
			dir = ""
		}
		want := naiveKeys(ids, dir, "")
		for _, asked := range []string{prefix, dir} {
			got, more, err := w.Lessor.List("", asked, "", 0)
			if err != nil || more || !slices.Equal(got, want) {
				t.Errorf("list %q: got %q, %v, %v; want %q", asked, got, more, err, want)
			}
		}
	}
	if got, _, _ := w.Lessor.List("", "m/nothing", "", 0); got != nil {
		t.Errorf("nothing: got %v, want nil", got)
	}
	if got, _, _ := w.Lessor.List("elsewhere", "m", "", 0); got != nil {
		t.Errorf("another namespace: got %v, want nil", got)
	}
	_, _, err := w.Lessor.List("", "m/../n", "", 0)
	wantError(t, err, lease.Invalid, "relative paths not supported")
}

// Random trees, walked in pages of every size from every starting point, show what a naive list of
// all IDs shows.
func TestListPages(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for range 20 {
		w := lessortest.New(t)
		m := w.Enable("m", "lease", lease.MountConfig{})
		var ids []string
		for range 60 {
			id := "m"
			for range 1 + r.IntN(3) {
				id += "/" + []string{"a", "a-", "a0", "a.b", "A", "z", "aa"}[r.IntN(7)]
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		put(t, w, m, ids...)
		for _, dir := range []string{"m/", "m/a/", "m/a/a/"} {
			for _, after := range append(naiveKeys(ids, dir, ""), "", "a/x", "a-", "0", "~", "a/a/a", "aaaa") {
				want := naiveKeys(ids, dir, strings.TrimRight(firstKey(after), "\x00"))
				limit := 1 + r.IntN(5)
				got := pages(t, w, dir, after, limit)
				if !slices.Equal(got, want) {
					t.Fatalf("list %q after %q by %d: got %q, want %q; IDs %q", dir, after, limit, got, want, ids)
				}
			}
		}
	}
}

// firstKey is the key that after stands for: what is inside a directory counts as the directory.
func firstKey(after string) string {
	if name, _, isDir := strings.Cut(after, "/"); isDir {
		return name + "/"
	}
	return after
}

func pages(t *testing.T, w *lessortest.World, dir, after string, limit int) []string {
	t.Helper()
	var all []string
	for {
		keys, more, err := w.Lessor.List("", dir, after, limit)
		if err != nil || len(keys) > limit || more && len(keys) != limit {
			t.Fatalf("list %q after %q: got %d keys, more %v, %v; limit %d", dir, after, len(keys), more, err, limit)
		}
		all = append(all, keys...)
		if !more {
			return all
		}
		after = keys[len(keys)-1]
	}
}

func TestListHidesIntents(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("db", "fake", lease.MountConfig{})
	reserve := func(id string) {
		_, err := w.Proposer.Propose(context.Background(), &command.Reserve{Deadline: int64(time.Hour), ExternalName: id,
			Grant: &command.Grant{Id: id, MountId: m.ID, Path: "db", Owner: w.Root().Hash}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3000 { // more than one look under the lock
		reserve(fmt.Sprintf("db/creds/only/%04d", i))
	}
	reserve("db/creds/some/0")
	put(t, w, m, "db/creds/some/1", "db/creds/zz/1")
	if got, _, err := w.Lessor.List("", "db/creds", "", 0); err != nil || !slices.Equal(got, []string{"some/", "zz/"}) {
		t.Errorf("got %q, %v; want some/ and zz/", got, err)
	}
	if got, _, err := w.Lessor.List("", "db/creds/some", "", 0); err != nil || !slices.Equal(got, []string{"1"}) {
		t.Errorf("got %q, %v; want 1", got, err)
	}
}

// A page out of a directory of very many leases, and a list of directories that hold very many,
// cost what they show.
func TestListCostsItsPage(t *testing.T) {
	w := lessortest.New(t)
	m := w.Enable("m", "lease", lease.MountConfig{})
	const big = 20_000
	for i := range big {
		put(t, w, m, fmt.Sprintf("m/big/%06d", i))
	}
	put(t, w, m, "m/a", "m/z/1")
	if got, more, err := w.Lessor.List("", "m", "", 0); err != nil || more || !slices.Equal(got, []string{"a", "big/", "z/"}) {
		t.Errorf("got %q, %v, %v", got, more, err)
	}
	if got, more, _ := w.Lessor.List("", "m/big", "019899", 100); len(got) != 100 || more || got[0] != "019900" {
		t.Errorf("the last page: got %d keys from %q, more %v", len(got), got[0], more)
	}
	if got, more, _ := w.Lessor.List("", "m/big", "", 0); len(got) != big || more {
		t.Errorf("all: got %d keys, more %v; want %d", len(got), more, big)
	}
	cost := func(dir string) float64 {
		return testing.AllocsPerRun(10, func() {
			if _, _, err := w.Lessor.List("", dir, "000500", 100); err != nil {
				t.Fatal(err)
			}
		})
	}
	put(t, w, m, numbered("m/small", 700)...)
	if a, b := cost("m/big"), cost("m/small"); a > 2*b {
		t.Errorf("a page of a big directory allocates %.0f times, of a small one %.0f", a, b)
	}
}

func numbered(dir string, n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s/%06d", dir, i))
	}
	return ids
}

func BenchmarkListPage(b *testing.B) {
	w := lessortest.New(b)
	m := w.Enable("m", "lease", lease.MountConfig{})
	put(b, w, m, numbered("m/big", 100_000)...)
	for b.Loop() {
		if _, _, err := w.Lessor.List("", "m/big", "050000", 100); err != nil {
			b.Fatal(err)
		}
	}
}
