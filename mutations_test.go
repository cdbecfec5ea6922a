package leasehold

import (
	"os/exec"
	"testing"
)

// TestMutationsFitTheCode: a bug that can no longer be planted proves nothing, so each replacement of
// scripts/mutate must still find its text, each test that it names must exist, and docs/mutations.md
// must say what the list says. The bugs themselves are planted by scripts/mutations.sh.
func TestMutationsFitTheCode(t *testing.T) {
	if out, err := exec.Command("go", "run", "./scripts/mutate", "-check").CombinedOutput(); err != nil {
		t.Errorf("scripts/mutations.sh -check: %v\n%s", err, out)
	}
}
