package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// within is a context for one call of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// put writes a policy: the simplest command that can be read back.
func put(ctx context.Context, n *cluster.Node, name, text string) error {
	_, err := n.Propose(ctx, &command.PutPolicy{Name: name, Text: text})
	return err
}

// get reads a policy, linearizably.
func get(ctx context.Context, n *cluster.Node, name string) (string, error) {
	if _, err := n.ReadIndex(ctx); err != nil {
		return "", err
	}
	var text string
	n.State().Read(func(v *fsm.View) {
		if p := v.Policy("", name); p != nil {
			text = p.Text
		}
	})
	return text, nil
}

func mustPut(t *testing.T, n *cluster.Node, name, text string) {
	t.Helper()
	if err := put(within(t, 5*time.Second), n, name, text); err != nil {
		t.Fatalf("put %s on %s: %v", name, n.ID(), err)
	}
}

func mustGet(t *testing.T, n *cluster.Node, name, want string) {
	t.Helper()
	got, err := get(within(t, 10*time.Second), n, name)
	if err != nil || got != want {
		t.Fatalf("get %s on %s: got %q, %v, want %q", name, n.ID(), got, err, want)
	}
}

func code(err error) lease.Code {
	var e *lease.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestEveryNodeReadsWhatTheLeaderAcknowledged(t *testing.T) {
	c := clustertest.Start(t, 3, clustertest.Options{})
	leader := c.WaitLeader()
	for i := range 50 {
		name, text := fmt.Sprintf("p%d", i), fmt.Sprintf("text %d", i)
		mustPut(t, leader, name, text)
		for _, n := range c.Nodes() {
			mustGet(t, n, name, text)
		}
	}
}
