package lease_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lease"
)

const start = lease.Time(1_700_000_000_000_000_000)

// TestGrantArithmetic holds the rules of Vault's TTLs: wanted counts from now, the ceiling from issue.
func TestGrantArithmetic(t *testing.T) {
	cases := []struct {
		name   string
		after  time.Duration // of the renewal, from issue
		want   time.Duration
		limits lease.Limits
		ttl    time.Duration
		cut    bool
		err    error
	}{
		{"the default when nothing is asked for", 0, 0, lease.Limits{Default: time.Hour}, time.Hour, false, nil},
		{"what is asked for", 0, time.Minute, lease.Limits{Default: time.Hour}, time.Minute, false, nil},
		{"a renewal may shorten", time.Minute, time.Second, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, time.Second, false, nil},
		{"an issue is cut at the limit", 0, 24 * time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, 2 * time.Hour, true, nil},
		{"a renewal is cut at what is left", 90 * time.Minute, time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, 30 * time.Minute, true, nil},
		{"at the limit nothing is left", 2 * time.Hour, time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, 0, false, lease.ErrPastMaxTTL},
		{"past the limit nothing is left", 3 * time.Hour, time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, 0, false, lease.ErrPastMaxTTL},
		{"the last nanosecond is granted", 2*time.Hour - 1, time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour}, 1, true, nil},
		{"a negative increment is none", 0, -time.Hour, lease.Limits{Default: time.Minute}, time.Minute, false, nil},
		{"a period beats what is asked for and the limit from issue", 5 * time.Hour, 10 * time.Hour, lease.Limits{Default: time.Hour, Max: 2 * time.Hour, Period: time.Minute}, time.Minute, false, nil},
		{"a period is itself cut at the limit", 0, 0, lease.Limits{Default: time.Hour, Max: time.Minute, Period: time.Hour}, time.Minute, true, nil},
		{"an explicit limit bounds a period", 50 * time.Minute, 0, lease.Limits{Default: time.Hour, Max: 9 * time.Hour, Period: 30 * time.Minute, Hard: time.Hour}, 10 * time.Minute, true, nil},
		{"past an explicit limit a period is refused", time.Hour, 0, lease.Limits{Default: time.Hour, Period: time.Minute, Hard: time.Hour}, 0, false, lease.ErrPastMaxTTL},
	}
	for _, c := range cases {
		ttl, cut, err := lease.Grant(start.Add(c.after), start, c.want, c.limits)
		if ttl != c.ttl || (cut != nil) != c.cut || !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, cut %v, %v, want %v, cut %v, %v", c.name, ttl, cut, err, c.ttl, c.cut, c.err)
		}
	}
}

// FuzzS4_GrantNeverExceedsItsLimits: whatever is asked for, the end lies within every limit and never
// before now; nothing wraps.
func FuzzS4_GrantNeverExceedsItsLimits(f *testing.F) {
	f.Add(int64(start), int64(0), int64(time.Hour), int64(time.Minute), int64(time.Hour), int64(0), int64(0))
	f.Add(int64(start), int64(math.MaxInt64), int64(math.MaxInt64), int64(1), int64(math.MaxInt64), int64(0), int64(math.MaxInt64))
	f.Add(int64(math.MaxInt64-5), int64(3), int64(math.MinInt64), int64(time.Hour), int64(7), int64(9), int64(11))
	f.Fuzz(func(t *testing.T, issued, after, want, fallback, limit, period, hard int64) {
		if issued <= 0 || after < 0 || fallback <= 0 {
			t.Skip("leases are issued after 1970, renewed after that, and mounts have a default")
		}
		now := lease.Time(issued).Add(time.Duration(after))
		l := lease.Limits{Default: time.Duration(fallback), Max: time.Duration(limit), Period: time.Duration(period), Hard: time.Duration(hard)}
		ttl, _, err := lease.Grant(now, lease.Time(issued), time.Duration(want), l)
		if err != nil {
			return
		}
		if ttl <= 0 {
			t.Fatalf("granted %d", ttl)
		}
		end := now.Add(ttl)
		if end < now {
			t.Fatalf("the end %d lies before now %d", end, now)
		}
		if period <= 0 && limit > 0 && end > lease.Time(issued).Add(l.Max) {
			t.Fatalf("the end %d lies beyond the limit %d", end, lease.Time(issued).Add(l.Max))
		}
		if hard > 0 && end > lease.Time(issued).Add(l.Hard) {
			t.Fatalf("the end %d lies beyond the hard limit %d", end, lease.Time(issued).Add(l.Hard))
		}
	})
}

// TestT15_PathsAreAllowListed names what may be part of a lease ID.
func TestT15_PathsAreAllowListed(t *testing.T) {
	for _, good := range []string{"a", "aws/creds/deploy", "a.b/c:d@e=f+g-h_i", "auth/token/create/h0123", strings.Repeat("a", lease.MaxIDLen)} {
		if err := lease.CheckPath(good); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", good, err)
		}
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\nb", "a\x00b", "a%2Fb", "ä",
		"a\u2028b", "a\x1b[0m", strings.Repeat("a", lease.MaxIDLen+1)} {
		if err := lease.CheckPath(bad); err == nil {
			t.Errorf("CheckPath(%q) = nil, want an error", bad)
		}
	}
}

// FuzzT15_PathRoundTrip: a path that is accepted splits into segments that are accepted, and joins again.
func FuzzT15_PathRoundTrip(f *testing.F) {
	f.Add("aws/creds/deploy")
	f.Add("a/../b")
	f.Add("%2e%2e/a")
	f.Fuzz(func(t *testing.T, p string) {
		if lease.CheckPath(p) != nil {
			return
		}
		segments := strings.Split(p, "/")
		for _, s := range segments {
			if err := lease.CheckPath(s); err != nil {
				t.Fatalf("%q is accepted, its segment %q is not: %v", p, s, err)
			}
		}
		if strings.Join(segments, "/") != p {
			t.Fatalf("%q does not survive being split", p)
		}
	})
}

func TestTimeSaturates(t *testing.T) {
	if got := start.Add(math.MaxInt64); got != math.MaxInt64 {
		t.Errorf("Add(max) = %d, want %d", got, int64(math.MaxInt64))
	}
	if got := lease.Time(-5).Add(math.MinInt64); got != math.MinInt64 {
		t.Errorf("Add(min) = %d, want %d", got, int64(math.MinInt64))
	}
	if got := lease.Time(math.MaxInt64).Sub(-1); got != math.MaxInt64 {
		t.Errorf("Sub = %d, want %d", got, int64(math.MaxInt64))
	}
	if at := lease.At(time.Time{}); at != 0 || !at.Std().IsZero() {
		t.Errorf("the zero time becomes %d and %v, want 0 and the zero time", at, at.Std())
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	if got := lease.At(now).Std(); !got.Equal(now) {
		t.Errorf("got %v, want %v", got, now)
	}
}

func TestErrorTextIsCutByCharacters(t *testing.T) {
	if got := lease.CutError(""); got != "unknown" {
		t.Errorf("got %q, want unknown", got)
	}
	if got := lease.CutError(strings.Repeat("ü", 300)); got != strings.Repeat("ü", lease.MaxErrorText) {
		t.Errorf("got %d characters, want %d", len([]rune(got)), lease.MaxErrorText)
	}
}

// TestWordsOfTheAPI holds the words that jobs show for what they cover, and no two alike.
func TestWordsOfTheAPI(t *testing.T) {
	seen := map[string]bool{}
	for kind, want := range map[lease.SelectorKind]string{
		lease.SelectPrefix: "prefix", lease.SelectToken: "token", lease.SelectMount: "mount",
		lease.SelectNamespace: "namespace", lease.SelectOwnerless: "ownerless", 0: "unknown", 200: "unknown",
	} {
		if got := kind.String(); got != want || seen[got] && got != "unknown" {
			t.Errorf("selector %d is called %q, want %q", kind, got, want)
		}
		seen[want] = true
	}
}

// TestOnlyTheWrappingPathWraps: a path that looks like it, or lies below it, makes ordinary tokens.
func TestOnlyTheWrappingPathWraps(t *testing.T) {
	for path, want := range map[string]bool{
		lease.WrappingPath: true, "": false, "sys/wrapping": false, lease.WrappingPath + "/": false, lease.WrappingPath + "/x": false,
		"team/" + lease.WrappingPath: false, "auth/token/create": false,
	} {
		if got := (&lease.Token{Path: path}).Wrapping(); got != want {
			t.Errorf("a token made at %q wraps: %v, want %v", path, got, want)
		}
	}
	if root := (&lease.Token{Policies: []string{"default", "root"}}); !root.Root() || !root.Orphan() {
		t.Error("a token with the policy root among others and without a parent is a root token and an orphan")
	}
	if t2 := (&lease.Token{Policies: []string{"roots"}, Parent: "x"}); t2.Root() || t2.Orphan() {
		t.Error("a token with another policy and a parent is neither a root token nor an orphan")
	}
}
