package failover

import (
	"os"
	"testing"

	"github.com/leasehold/leasehold/test/failover/history"
)

// TestStoredHistory judges the history in the file that LEASEHOLD_HISTORY names, as the run did that
// wrote it.
func TestStoredHistory(t *testing.T) {
	name := os.Getenv("LEASEHOLD_HISTORY")
	if name == "" {
		t.Skip("LEASEHOLD_HISTORY names no file")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := history.NewChecker()
	err = history.Read(file, func(e history.Event) {
		for _, v := range c.Add(e) {
			t.Errorf("%v\n", v)
			for _, e := range v.Events {
				t.Logf("  %+v", e)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d calls checked, %d leases expired by themselves, %d undecided", c.Checked, c.Expired, c.Undecided)
}
