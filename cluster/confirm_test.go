package cluster_test

import (
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/lease"
)

// S6: a voter that is in a later term does not confirm a leader, though it answers. Over the network
// a leader of the past hears of the new term from raft within moments; here it asks as if it had not.
func TestS6_VotersOfALaterTermDoNotConfirm(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	mustPut(t, leader, "p", "text") // so that the others know its term
	c.WaitApplied()
	term := leader.Term()
	if err := leader.Confirm(within(t, 5*time.Second), term); err != nil {
		t.Errorf("term %d: got %v, want it confirmed", term, err)
	}
	if got := code(leader.Confirm(within(t, 5*time.Second), term-1)); got != lease.Unavailable {
		t.Errorf("term %d, when the voters are in %d: got %v, want %v", term-1, term, got, lease.Unavailable)
	}
}
