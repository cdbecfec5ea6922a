package lessor

// These look at what no caller sees: the bound on waiting callers, the bias of random text, the
// words for durations.

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leasehold/leasehold/lease"
)

func TestTurnsAreBoundedAndLeaveNothingBehind(t *testing.T) {
	turns := newTurns(2)
	a, err := turns.take(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := turns.take(context.Background(), "b")
	if err != nil {
		t.Fatal(err)
	}
	var own *lease.Error
	if _, err := turns.take(context.Background(), "c"); !errors.As(err, &own) || own.Code != lease.Unavailable {
		t.Errorf("beyond the limit: got %v, want Unavailable", err)
	}
	a()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := turns.take(ctx, "b"); !errors.As(err, &own) || own.Code != lease.Unavailable {
		t.Errorf("a caller that left: got %v, want Unavailable", err)
	}
	b()
	if len(turns.lines) != 0 || turns.count != 0 {
		t.Errorf("left behind: %d lines, %d callers", len(turns.lines), turns.count)
	}
}

func TestRandomTextIsFair(t *testing.T) {
	const n = 62 * 2000
	text, err := randomText(rand.Reader, n)
	if err != nil || len(text) != n {
		t.Fatalf("got %d characters, %v", len(text), err)
	}
	for _, c := range base62 {
		if got := strings.Count(text, string(c)); got < 1700 || got > 2300 { // more than six sigma
			t.Errorf("%q occurs %d times in %d, want about 2000", c, got, n)
		}
	}
	if _, err := randomText(bytes.NewReader(nil), 10); err == nil {
		t.Error("got text without randomness")
	}
}

func TestHumanDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		2 * time.Hour: "2h", 10 * time.Minute: "10m", 8 * time.Second: "8s", 100_059 * time.Second: "27h47m39s",
		time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1s", 0: "0s", 90 * time.Minute: "1h30m",
	} {
		if got := human(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}
