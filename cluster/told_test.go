package cluster_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/lease"
)

// TestT16_WhatANodeIsToldOf: anybody may tell a node without state of a cluster. In plain text it asks on
// this machine alone, since it shows its join token; it keeps few addresses, and none for long.
func TestT16_WhatANodeIsToldOf(t *testing.T) {
	var ahead atomic.Int64
	n, err := cluster.Open(cluster.Config{NodeID: "n4", PeerBind: "127.0.0.1:0", State: fsm.New(), Log: clustertest.Logger(t),
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, addr := range []string{"10.0.0.1:8201", "n1:8201", "localhost.example:1", "[::]:1", "127.0.0.1", ""} {
		if err := n.AskToJoin(addr); code(err) != lease.Invalid {
			t.Errorf("%q in plain text: got %v, want a refusal", addr, err)
		}
	}
	if got := n.Asked(); len(got) != 0 {
		t.Errorf("asks %v, want nobody", got)
	}
	for _, addr := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1", "127.0.0.1:1"} {
		if err := n.AskToJoin(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if got := n.Asked(); !slices.Equal(got, []string{"[::1]:1", "localhost:1", "127.0.0.1:1"}) {
		t.Errorf("asks %v", got)
	}
	for i := range 100 {
		if err := n.AskToJoin(fmt.Sprintf("127.0.0.1:%d", i+2)); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Asked(); len(got) != 16 || got[15] != "127.0.0.1:101" {
		t.Errorf("asks %v, want the 16 that were named last", got)
	}
	ahead.Store(int64(fsm.JoinTokenMaxTTL - time.Minute))
	if err := n.AskToJoin("127.0.0.1:101"); err != nil { // named again
		t.Fatal(err)
	}
	ahead.Store(int64(fsm.JoinTokenMaxTTL + time.Minute))
	if got := n.Asked(); !slices.Equal(got, []string{"127.0.0.1:101"}) {
		t.Errorf("asks %v, want the one that was named since", got)
	}
}
