package httpapi_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/httpapi"
	"github.com/leasehold/leasehold/lessor/lessortest"
)

// restarted is a node whose own state is empty.
type restarted struct {
	*node
	commit uint64
}

func (n restarted) CommitIndex() uint64  { return n.commit }
func (n restarted) AppliedIndex() uint64 { return 0 }

// TestHealthOfARestartedNode: a node that has not replayed its log does not know whether the cluster
// is initialised, so it must not say that it is not: whoever believed it would initialise it.
func TestHealthOfARestartedNode(t *testing.T) {
	for _, tt := range []struct {
		name         string
		term, commit uint64
		leader       string
		ready        bool
		health, init int
	}{
		{"never in a cluster", 0, 0, "", false, 501, 200},
		{"restarted, no leader heard", 3, 0, "", false, 503, 503},
		{"restarted, leader heard, nothing committed that it knows of", 3, 0, "n2", false, 503, 503},
		{"restarted, log not replayed", 3, 9, "n2", false, 503, 503},
		{"leads, log not replayed", 3, 9, "n1", false, 503, 503},
		{"leads, nothing there", 3, 9, "n1", true, 501, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := lessortest.New(t)
			n := &node{id: "n1", world: w, state: fsm.New(), term: tt.term, leader: tt.leader, ready: tt.ready}
			server := httpapi.New(httpapi.Config{
				Node: restarted{n, tt.commit}, State: n.state, Lessor: w.Lessor, Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
			})
			if got := ask(t, server.Handler(), "GET", "sys/health", "", ""); got.status != tt.health {
				t.Errorf("sys/health: got %d, want %d", got.status, tt.health)
			}
			if got := ask(t, server.Handler(), "GET", "sys/init", "", ""); got.status != tt.init {
				t.Errorf("sys/init: got %d %s, want %d", got.status, got.text, tt.init)
			}
		})
	}
}
