package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/leasehold/leasehold/cluster"
	"github.com/leasehold/leasehold/cluster/clustertest"
	"github.com/leasehold/leasehold/fsm"
	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// S5, S7: issue, renew, revoke and look up of one lease are linearizable at the default
// consistency, through partitions, one-way cuts and moved leadership.

type leaseVerb string

const (
	issue  leaseVerb = "issue"
	renew  leaseVerb = "renew"
	revoke leaseVerb = "revoke"
	lookup leaseVerb = "lookup"
)

type leaseInput struct {
	verb leaseVerb
	id   string
}

// leaseOutput is what the caller saw; unknown: it may have happened.
type leaseOutput struct {
	unknown    bool
	refused    bool
	live       bool
	generation uint64
}

// leaseModel is one lease as a caller may expect it.
type leaseModel struct {
	live       bool
	generation uint64
}

// step says what the model becomes when in happens to it, and whether out fits.
func (m leaseModel) step(in leaseInput, out leaseOutput) (bool, leaseModel) {
	next := m
	refused := false
	switch in.verb {
	case issue:
		if refused = m.live; !refused {
			next = leaseModel{live: true}
		}
	case renew:
		if refused = !m.live; !refused {
			next.generation++
		}
	case revoke:
		next = leaseModel{}
	}
	switch {
	case out.unknown:
		return true, next
	case in.verb == revoke:
		return true, next
	case in.verb == lookup:
		return out.live == m.live && out.generation == m.generation, m
	case out.refused || refused:
		return out.refused == refused, m
	}
	return out.generation == next.generation, next
}

var leaseChecker = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byID := map[string][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(leaseInput).id
			byID[id] = append(byID[id], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byID {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return leaseModel{} },
	Step: func(state, in, out any) (bool, any) {
		return state.(leaseModel).step(in.(leaseInput), out.(leaseOutput))
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// leaseClient calls a node that it is given and records what it saw.
type leaseClient struct {
	id    int
	start time.Time
	ops   []porcupine.Operation
}

func (lc *leaseClient) do(n *cluster.Node, in leaseInput) {
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	called := time.Since(lc.start)
	out, happened := call(ctx, n, in)
	returned := time.Since(lc.start)
	if !happened {
		return
	}
	if out.unknown {
		returned = time.Hour // at any time after the call
	}
	lc.ops = append(lc.ops, porcupine.Operation{
		ClientId: lc.id, Input: in, Call: int64(called), Output: out, Return: int64(returned),
	})
}

// call reports as well whether anything can have happened.
func call(ctx context.Context, n *cluster.Node, in leaseInput) (out leaseOutput, happened bool) {
	if in.verb == lookup {
		if _, err := n.ReadIndex(ctx); err != nil {
			return out, false
		}
		n.State().Read(func(v *fsm.View) {
			if l := v.Lease(in.id); l != nil {
				out = leaseOutput{live: true, generation: l.Generation}
			}
		})
		return out, true
	}
	res, err := n.Propose(ctx, leaseCommand(in))
	switch {
	case code(err) == lease.Unavailable:
		return out, false
	case code(err) == lease.Uncertain:
		return leaseOutput{unknown: true}, true
	case err != nil:
		return leaseOutput{refused: true}, true
	case res.Lease != nil:
		out.generation = res.Lease.Generation
	}
	return out, true
}

func leaseCommand(in leaseInput) fsm.Command {
	switch in.verb {
	case issue:
		return &command.Issue{Grant: &command.Grant{
			Id: in.id, MountId: "m1", Path: "locks/a", Owner: "root", Ttl: int64(time.Hour), Renewable: true,
		}}
	case renew:
		return &command.Renew{Id: in.id, Increment: int64(time.Hour)}
	default:
		return &command.Revoke{Ids: []string{in.id}, Cause: "test"}
	}
}

// prepare makes the cluster ready for leases.
func prepare(t *testing.T, n *cluster.Node) {
	t.Helper()
	for _, cmd := range []fsm.Command{
		&command.Init{
			ClusterId: "c1", ClusterName: "test", Keyring: []byte("wrapped"),
			TokenMount: &command.EnableMount{Id: "m0", Accessor: "token_1", Path: "auth/token/", Type: "token"},
			Root: fsm.TokenRecord(&lease.Token{
				Hash: "root", Accessor: "acc", LeaseID: "auth/token/root/hroot",
				Path: "auth/token/root", Policies: []string{"root"},
			}),
		},
		&command.EnableMount{Id: "m1", Accessor: "lease_1", Path: "locks/", Type: "lease"},
	} {
		if _, err := n.Propose(within(t, 5*time.Second), cmd); err != nil {
			t.Fatalf("%T: %v", cmd, err)
		}
	}
}

func TestS5_LeasesAreLinearizableUnderPartitions(t *testing.T) {
	length, clients, leases := 6*time.Second, 6, 4
	if testing.Short() {
		length = 2 * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := clustertest.Start(t, 3, clustertest.Options{})
	prepare(t, c.WaitLeader())
	c.WaitApplied()

	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	start := time.Now()
	all := make([]*leaseClient, clients)
	for i := range all {
		lc := &leaseClient{id: i, start: start}
		all[i] = lc
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for ctx.Err() == nil {
				id := fmt.Sprintf("locks/a/%d", rng.IntN(leases))
				verb := []leaseVerb{issue, renew, renew, revoke, lookup, lookup, lookup}[rng.IntN(7)]
				nodes := c.Nodes()
				lc.do(nodes[rng.IntN(len(nodes))], leaseInput{verb, id})
				time.Sleep(time.Duration(rng.IntN(int(4 * time.Millisecond))))
			}
		})
	}
	faults := harass(ctx, c, rand.New(rand.NewPCG(seed, 99)))
	wg.Wait()
	c.Heal()

	var history []porcupine.Operation
	seen := map[leaseVerb]int{}
	for _, lc := range all {
		for _, op := range lc.ops {
			if !op.Output.(leaseOutput).unknown {
				seen[op.Input.(leaseInput).verb]++
			}
		}
		history = append(history, lc.ops...)
	}
	for _, verb := range []leaseVerb{issue, renew, revoke, lookup} {
		if seen[verb] < 20 {
			t.Errorf("only %d calls of %s were answered: the run shows nothing", seen[verb], verb)
		}
	}
	t.Logf("%d faults, %d calls: %v", faults, len(history), seen)
	if got := porcupine.CheckOperationsTimeout(leaseChecker, history, time.Minute); got != porcupine.Ok {
		t.Errorf("history of %d calls: %v, want %v (seed %d)", len(history), got, porcupine.Ok, seed)
	}
	checkHashes(t, c)
}

// harass makes a fault after the other until ctx ends and says how many.
func harass(ctx context.Context, c *clustertest.Cluster, rng *rand.Rand) int {
	ids := []string{"n1", "n2", "n3"}
	count := 0
	pause := func(least, most time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(least + time.Duration(rng.Int64N(int64(most-least)))):
		}
	}
	for ctx.Err() == nil {
		count++
		leader := c.Leader()
		switch kind := rng.IntN(4); {
		case kind == 0 && leader != nil:
			c.Isolate(leader.ID())
		case kind == 1:
			c.Cut(ids[rng.IntN(3)], ids[rng.IntN(3)])
		case kind == 2 && leader != nil:
			leader.StepDown(ctx)
		default:
			c.Network.Break(ids[rng.IntN(3)], ids[rng.IntN(3)])
		}
		pause(200*time.Millisecond, 900*time.Millisecond)
		c.Heal()
		pause(300*time.Millisecond, time.Second)
	}
	return count
}

// The checker itself finds a lost renewal, a stale read and a renewal after a revocation.
func TestTheCheckerFindsPlantedFaults(t *testing.T) {
	op := func(call, ret int64, v leaseVerb, out leaseOutput) porcupine.Operation {
		return porcupine.Operation{Input: leaseInput{v, "x"}, Output: out, Call: call, Return: ret}
	}
	gen := func(g uint64) leaseOutput { return leaseOutput{generation: g} }
	seen := func(g uint64) leaseOutput { return leaseOutput{live: true, generation: g} }
	tests := []struct {
		name string
		ops  []porcupine.Operation
		want bool
	}{
		{"in order", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, renew, gen(1)), op(4, 5, lookup, seen(1))}, true},
		{"an unknown revoke that happened", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 99, revoke, leaseOutput{unknown: true}), op(4, 5, lookup, leaseOutput{})}, true},
		{"an unknown revoke that did not", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 99, revoke, leaseOutput{unknown: true}), op(4, 5, lookup, seen(0))}, true},
		{"a stale read", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, renew, gen(1)), op(4, 5, lookup, seen(0))}, false},
		{"a lost renewal", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, renew, gen(1)), op(4, 5, renew, gen(1))}, false},
		{"a lost lease", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, lookup, leaseOutput{})}, false},
		{"a renewal after a revocation", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, revoke, leaseOutput{}), op(4, 5, renew, gen(1))}, false},
		{"two live leases of one ID", []porcupine.Operation{op(0, 1, issue, gen(0)), op(2, 3, issue, gen(0))}, false},
	}
	for _, tt := range tests {
		if got := porcupine.CheckOperations(leaseChecker, tt.ops); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
