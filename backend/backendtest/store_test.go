package backendtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasehold/leasehold/backend"
	"github.com/leasehold/leasehold/backend/backendtest"
	"github.com/leasehold/leasehold/lease"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

func TestReplicatedStore(t *testing.T) {
	backendtest.RunStore(t, func(t *testing.T) backend.Store {
		w := lessortest.New(t)
		return w.Lessor.Store(w.Enable("m", "lease", lease.MountConfig{}).ID)
	})
}

func TestTTLIsThatOfTheValue(t *testing.T) {
	ctx, s := context.Background(), backendtest.NewStore()
	want := func(what string, d time.Duration) {
		t.Helper()
		if got := s.TTL("a"); got != d {
			t.Errorf("after %s: got %v, want %v", what, got, d)
		}
	}
	swap := func(value []byte, ttl time.Duration) {
		t.Helper()
		_, version, _ := s.Look("a")
		if err := s.Swap(ctx, "a", version, value, ttl); err != nil {
			t.Fatal(err)
		}
	}
	want("nothing", 0)
	swap([]byte("1"), time.Hour)
	want("a swap", time.Hour)
	if err := s.Swap(ctx, "a", "stranger", []byte("2"), time.Minute); err == nil {
		t.Fatal("a swap of what nobody saw: got no error")
	}
	want("a swap that failed", time.Hour)
	if err := s.Put(ctx, "a", []byte("3")); err != nil {
		t.Fatal(err)
	}
	want("a put", 0)
	swap([]byte("4"), time.Minute)
	swap(nil, time.Hour)
	want("a swap that deletes", 0)
	swap([]byte("5"), time.Minute)
	if err := s.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want("a delete", 0)
}

// TestLevelsAgree: whoever tests with the store in memory tests what the replicated one does.
func TestLevelsAgree(t *testing.T) {
	ctx, w, mounts := context.Background(), lessortest.New(t), 0
	segment := rapid.SampledFrom([]string{"a", "a!", "a.b", "a0", "a-", "b", "é", "~", ""})
	rapid.Check(t, func(t *rapid.T) {
		mounts++
		replicated := w.Lessor.Store(w.Enable(fmt.Sprint("m", mounts), "lease", lease.MountConfig{}).ID)
		memory := backendtest.NewStore()
		key := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "segments"), "/")
		})
		for _, k := range rapid.SliceOfN(key, 0, 12).Draw(t, "keys") {
			for _, s := range []backend.Store{replicated, memory} {
				if err := s.Put(ctx, k, []byte(k)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 8 {
			prefix := rapid.SampledFrom([]string{"", "a/", "a!/", "a/a/", "b/", "/"}).Draw(t, "prefix")
			after := rapid.OneOf(key, rapid.SampledFrom([]string{"", "a/", "a/b", "a/b/", "zz"})).Draw(t, "after")
			limit := rapid.IntRange(0, 6).Draw(t, "limit")
			want, wantMore, err := replicated.Level(prefix, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			got, more, err := memory.Level(prefix, after, limit)
			if err != nil || !slices.Equal(got, want) || more != wantMore {
				t.Fatalf("level %q behind %q, %d keys:\nmemory     %q, more %v, %v\nreplicated %q, more %v",
					prefix, after, limit, got, more, err, want, wantMore)
			}
		}
	})
}
