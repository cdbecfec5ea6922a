package kv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/backend/field"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestList(t *testing.T) {
	m := newMount()
	for _, path := range []string{"ci", "ci/b", "ci/a", "ci/a/x", "ci/a/y", "cine", "z/1/2"} {
		m.write(t, path, map[string]any{"path": path})
	}
	for _, test := range []struct {
		path   string
		params map[string]any
		want   map[string]any // nil: not found
	}{
		{"", nil, map[string]any{"keys": []string{"ci", "ci/", "cine", "z/"}}},
		{"ci", nil, map[string]any{"keys": []string{"a", "a/", "b"}}},
		{"ci/a", nil, map[string]any{"keys": []string{"x", "y"}}},
		{"z", nil, map[string]any{"keys": []string{"1/"}}},
		{"c", nil, nil},
		{"cine", nil, nil},
		{"none", nil, nil},
		{"", map[string]any{"limit": "1"}, map[string]any{"keys": []string{"ci"}, "next": "ci"}},
		{"", map[string]any{"limit": json.Number("2"), "after": "ci"}, map[string]any{"keys": []string{"ci/", "cine"}, "next": "cine"}},
		{"", map[string]any{"limit": "2", "after": "ci/"}, map[string]any{"keys": []string{"cine", "z/"}}},
		{"", map[string]any{"limit": "0"}, map[string]any{"keys": []string{"ci", "ci/", "cine", "z/"}}},
		{"", map[string]any{"limit": "99999999"}, map[string]any{"keys": []string{"ci", "ci/", "cine", "z/"}}},
		{"", map[string]any{"after": "z/"}, nil},
	} {
		resp, err := m.handle(backend.List, test.path, test.params)
		if err != nil || test.want == nil && resp != nil || test.want != nil && (resp == nil || !reflect.DeepEqual(resp.Data, test.want)) {
			t.Errorf("%q %v: got %+v, %v; want %v", test.path, test.params, resp, err, test.want)
		}
		if resp != nil && (resp.Warnings != nil || resp.Duration != 0) {
			t.Errorf("%q %v: got warnings %q and duration %v, want none", test.path, test.params, resp.Warnings, resp.Duration)
		}
	}
	for params, text := range map[string]string{"-1": "limit: -1 is negative", "x": `for field "limit"`} {
		_, err := m.handle(backend.List, "", map[string]any{"limit": params})
		wantCode(t, "limit "+params, err, lease.Invalid, text)
	}
	resp, err := m.handle(backend.List, "", map[string]any{"zebra": "1"})
	if err != nil || !slices.Equal(resp.Warnings, []string{"Endpoint ignored these unrecognized parameters: [zebra]"}) {
		t.Errorf("an unknown parameter: got %v, %v; want a warning", resp, err)
	}
}

func TestAListWithoutLimitIsCutAndSaysSo(t *testing.T) {
	s := &numbers{n: field.MaxPage + 1}
	m := newMount()
	m.store = s
	resp, err := m.handle(backend.List, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := resp.Data["keys"].([]string)
	if len(keys) != field.MaxPage || resp.Data["next"] != keys[field.MaxPage-1] || len(resp.Warnings) != 1 ||
		!strings.Contains(resp.Warnings[0], "only the first 100000 keys are listed") {
		t.Errorf("got %d keys, next %v, warnings %q", len(keys), resp.Data["next"], resp.Warnings)
	}
	for i, key := range keys {
		if key != s.key(i) {
			t.Fatalf("key %d: got %q, want %q", i, key, s.key(i))
		}
	}
	// Each look at the state holds up its writers, and one longer page must not be one longer look.
	if s.longest > 1000 {
		t.Errorf("one look took %d keys, want at most 1000", s.longest)
	}
	*s = numbers{n: field.MaxPage}
	resp, err = m.handle(backend.List, "", nil)
	if err != nil || len(resp.Data["keys"].([]string)) != field.MaxPage || resp.Data["next"] != nil || resp.Warnings != nil {
		t.Errorf("a list that just fits: got next %v, warnings %q, %v", resp.Data["next"], resp.Warnings, err)
	}
	*s = numbers{n: 1 << 30}
	if _, err = m.handle(backend.List, "", map[string]any{"limit": "10", "after": s.key(1 << 20)}); err != nil || s.looks != 1 || s.longest != 11 {
		t.Errorf("a page of 10 out of many: got %d looks, the longest at %d keys, %v; want 1 at 11", s.looks, s.longest, err)
	}
	*s = numbers{n: 1 << 30}
	if _, err = m.handle(backend.List, "", map[string]any{"limit": "-5"}); err == nil || s.longest > 1 {
		t.Errorf("a page of -5: got %v after a look at %d keys, want an error", err, s.longest)
	}
}

// numbers is a store that holds very many keys without any memory.
type numbers struct {
	backend.Store
	n, looks, longest int
}

func (*numbers) key(i int) string { return fmt.Sprintf("%010d", i) }

func (s *numbers) Level(_, after string, limit int) (keys []string, more bool, err error) {
	i := 0
	if after != "" {
		fmt.Sscan(strings.TrimLeft(after, "0"), &i)
		i++
	}
	for ; i < s.n && len(keys) < limit; i++ {
		keys = append(keys, s.key(i))
	}
	s.looks, s.longest = s.looks+1, max(s.longest, limit)
	return keys, i < s.n, nil
}

// TestPagesAgainstANaiveReference: whatever is written and however it is paged, a list shows what a look
// at all paths would, on the replicated store and on that in memory.
func TestPagesAgainstANaiveReference(t *testing.T) {
	w, mounts := lessortest.New(t), 0
	segment := rapid.SampledFrom([]string{"a", "a!", "a.b", "a0", "b", "é", "~", " "})
	rapid.Check(t, func(rt *rapid.T) {
		mounts++
		m := newMount()
		if rapid.Bool().Draw(rt, "replicated") {
			m.store = w.Lessor.Store(w.Enable(fmt.Sprint("m", mounts), "lease", lease.MountConfig{}).ID)
		} else {
			m.store = backendtest.NewStore()
		}
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "segments"), "/")
		})
		there := map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(rt, "changes") {
			p := path.Draw(rt, "path")
			op, params := backend.Write, map[string]any{"at": p}
			if rapid.IntRange(0, 4).Draw(rt, "deletes") == 0 {
				op, params = backend.Delete, nil
			}
			if _, err := m.handle(op, p, params); err != nil {
				rt.Fatalf("operation %d on %q: %v", op, p, err)
			}
			there[p] = op == backend.Write
		}
		for range 4 {
			folder := rapid.OneOf(path, rapid.Just("")).Draw(rt, "folder")
			want := naiveLevel(there, folder)
			after := rapid.OneOf(path, rapid.SampledFrom([]string{"", "a/", "b/", "zz"})).Draw(rt, "after")
			limit := rapid.IntRange(0, 5).Draw(rt, "limit")
			checkPage(rt, m, folder, after, limit, want)
			walkPages(rt, m, folder, limit+1, want)
		}
	})
}

// naiveLevel looks at every path.
func naiveLevel(there map[string]bool, folder string) []string {
	level := map[string]bool{}
	for path, ok := range there {
		rest := path
		if folder != "" {
			var below bool
			if rest, below = strings.CutPrefix(path, folder+"/"); !below {
				continue
			}
		}
		if i := strings.Index(rest, "/"); i >= 0 {
			rest = rest[:i+1]
		}
		if ok {
			level[rest] = true
		}
	}
	var keys []string
	for key := range level {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// checkPage compares one page with the part of all that it should show.
func checkPage(t *rapid.T, m *mount, folder, after string, limit int, all []string) {
	want := slices.DeleteFunc(slices.Clone(all), func(key string) bool { return key <= after })
	var next any
	if limit > 0 && limit < len(want) {
		want, next = want[:limit], want[limit-1]
	}
	resp, err := m.handle(backend.List, folder, map[string]any{"after": after, "limit": json.Number(fmt.Sprint(limit))})
	switch {
	case err != nil:
		t.Fatalf("list %q: %v", folder, err)
	case len(want) == 0 && resp != nil:
		t.Fatalf("list %q behind %q: got %v, want nothing", folder, after, resp)
	case len(want) > 0 && (resp == nil || !reflect.DeepEqual(resp.Data["keys"], want) || resp.Data["next"] != next):
		t.Fatalf("list %q behind %q, %d keys: got %+v, want %q, next %v", folder, after, limit, resp, want, next)
	}
}

// walkPages goes from page to page by what the answers say.
func walkPages(t *rapid.T, m *mount, folder string, limit int, want []string) {
	var got []string
	params := map[string]any{"limit": fmt.Sprint(limit)}
	for range len(want) + 2 {
		resp, err := m.handle(backend.List, folder, params)
		if err != nil {
			t.Fatalf("list %q: %v", folder, err)
		}
		if resp == nil {
			break
		}
		got = append(got, resp.Data["keys"].([]string)...)
		if resp.Data["next"] == nil {
			break
		}
		params["after"] = resp.Data["next"]
	}
	if !slices.Equal(got, want) {
		t.Fatalf("pages of %d of %q: got %q, want %q", limit, folder, got, want)
	}
}

// TestAPageCostsWhatItShows: folders are stepped over, however much is in them.
func TestAPageCostsWhatItShows(t *testing.T) {
	w := lessortest.New(t)
	cost := func(name string, below int) float64 {
		m := newMount()
		m.store = w.Lessor.Store(w.Enable(name, "lease", lease.MountConfig{}).ID)
		for _, folder := range []string{"a", "b", "c"} {
			for i := range below {
				if err := m.store.Put(context.Background(), fmt.Sprintf("%s/%06d", folder, i), []byte("{}")); err != nil {
					t.Fatal(err)
				}
			}
		}
		return testing.AllocsPerRun(10, func() {
			if resp, err := m.handle(backend.List, "", nil); err != nil || len(resp.Data["keys"].([]string)) != 3 {
				t.Fatalf("got %v, %v; want three folders", resp, err)
			}
			if resp, err := m.handle(backend.List, "b", map[string]any{"limit": "5", "after": "000002"}); err != nil || len(resp.Data["keys"].([]string)) != 5 {
				t.Fatalf("got %v, %v; want five keys", resp, err)
			}
		})
	}
	if small, large := cost("small", 20), cost("large", 2000); large > small+2 {
		t.Errorf("the same pages allocate %.0f times among 20 values a folder, %.0f among 2000", small, large)
	}
}
