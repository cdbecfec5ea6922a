package faults

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// T27: the clock that can be set is in no release: neither its code nor the name of its variable. The build for
// tests has both, so that the look would find them.
func TestT27_NoReleaseHasTheFaultClock(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		tags string
		want bool
	}{{"", false}, {ClockTag, true}} {
		bin := filepath.Join(t.TempDir(), "leasehold")
		build := exec.Command("go", "build", "-tags", test.tags, "-o", bin, "./cmd/leasehold")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		symbols, err := exec.Command("go", "tool", "nm", bin).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(symbols), "main.run") {
			t.Fatal("go tool nm shows nothing of package main")
		}
		if got := strings.Contains(string(symbols), "main.faultClock"); got != test.want {
			t.Errorf("tags %q: main.faultClock… among the symbols: got %t, want %t", test.tags, got, test.want)
		}
		if got := exec.Command("grep", "-q", clockVariable, bin).Run() == nil; got != test.want {
			t.Errorf("tags %q: %s in the binary: got %t, want %t", test.tags, clockVariable, got, test.want)
		}
	}
}
