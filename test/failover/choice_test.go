package failover

import (
	"testing"

	"github.com/leasehold/leasehold/test/failover/faults"
)

// TestChosen: the name of a fault means it alone, any other words all faults whose names hold them.
func TestChosen(t *testing.T) {
	kinds := []faults.Fault{{Name: killLeader}, {Name: killTwo}, {Name: pauseLeader}, {Name: restartAll}}
	for _, test := range []struct {
		only string
		want [4]bool
	}{
		{"", [4]bool{true, true, true, true}},
		{killLeader, [4]bool{true, false, false, false}},
		{"kill", [4]bool{true, true, false, false}},
		{"pause, restart", [4]bool{false, false, true, true}},
		{"nothing", [4]bool{}},
	} {
		only := chosen(test.only, kinds)
		for i, f := range kinds {
			if got := only(f.Name); got != test.want[i] {
				t.Errorf("%q chooses %q: got %t, want %t", test.only, f.Name, got, test.want[i])
			}
		}
	}
}
