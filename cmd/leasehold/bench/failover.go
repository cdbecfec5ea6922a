package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func failoverCommand(t *target) *cobra.Command {
	var runs int
	var script, how string
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Time from the leader's end until a survivor acknowledges a write",
		Long: `Ends the leader of the local cluster again and again, each time measures how long writes through the
survivors go unacknowledged, starts the node again and waits until all are well. One writer per
survivor issues leases without pause; the time counts from the moment the signal is sent to the first
issue, begun after it, that is acknowledged. Every lease acknowledged in the run is looked up at its end.`,
		Example: "  leasehold bench failover -runs=20 -how=kill",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return failover(cmd, t, runs, script, how) },
	}
	cmd.Flags().IntVar(&runs, "runs", 20, "how often")
	cmd.Flags().StringVar(&script, "script", "scripts/cluster.sh", "script that runs the local cluster")
	cmd.Flags().StringVar(&how, "how", "kill", "kill (SIGKILL) or stop (SIGTERM)")
	return cmd
}

func failover(cmd *cobra.Command, t *target, runs int, script, how string) error {
	if how != "kill" && how != "stop" {
		return errors.New(`-how is "kill" or "stop"`)
	}
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := t.enable(); err != nil {
		return err
	}
	nodes := t.addresses
	if len(nodes) < 3 {
		nodes = []string{"http://127.0.0.1:8210", "http://127.0.0.1:8220", "http://127.0.0.1:8230"}
	}
	var gaps []time.Duration
	var acked []string
	for run := range runs {
		gap, ids, err := failoverOnce(ctx, t, nodes, script, how)
		if err != nil {
			return fmt.Errorf("run %d: %w", run+1, err)
		}
		fmt.Fprintf(out, "run %2d: %s\n", run+1, round(gap))
		gaps = append(gaps, gap)
		acked = append(acked, ids...)
	}
	lost, err := countLost(t, nodes[0], acked)
	if err != nil {
		return err
	}
	report(out, how, gaps, len(acked), lost)
	t.addresses = nodes
	if lost > 0 {
		return fmt.Errorf("%d acknowledged leases are lost", lost)
	}
	return t.disable()
}

func report(out io.Writer, how string, gaps []time.Duration, acked, lost int) {
	slices.Sort(gaps)
	fmt.Fprintf(out, "%s of the leader to next acknowledged write, %d runs: median %s, p90 %s, max %s; %d acknowledged leases looked up, %d lost\n",
		how, len(gaps), round(quantile(gaps, 0.5)), round(quantile(gaps, 0.9)), round(gaps[len(gaps)-1]), acked, lost)
}

// failoverOnce ends the leader and returns how long the survivors acknowledged nothing, and the IDs
// of all leases acknowledged meanwhile.
func failoverOnce(ctx context.Context, t *target, nodes []string, script, how string) (time.Duration, []string, error) {
	leader, err := awaitSettled(ctx, t, nodes)
	if err != nil {
		return 0, nil, err
	}
	acks := make(chan ack, 1<<16)
	stopWriters := writeThrough(t, slices.Delete(slices.Clone(nodes), leader, leader+1), acks)
	defer stopWriters()
	time.Sleep(300 * time.Millisecond)
	ended := time.Now()
	signal := exec.CommandContext(ctx, script, how, strconv.Itoa(leader+1))
	signalled := make(chan error, 1)
	go func() { signalled <- signal.Run() }()
	gap, ids, err := longestSilence(acks, ended, how)
	if err != nil {
		return 0, nil, err
	}
	stopWriters()
	for len(acks) > 0 {
		ids = append(ids, (<-acks).id)
	}
	if err := <-signalled; err != nil {
		return 0, nil, fmt.Errorf("%s %s %d: %w", script, how, leader+1, err)
	}
	if err := exec.CommandContext(ctx, script, "start", strconv.Itoa(leader+1)).Run(); err != nil {
		return 0, nil, fmt.Errorf("%s start %d: %w", script, leader+1, err)
	}
	return gap, ids, nil
}

// writeThrough issues leases through each of nodes without pause, reports those acknowledged, and
// returns the function that ends it.
func writeThrough(t *target, nodes []string, acks chan<- ack) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, addr := range nodes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := newConn(addr, t.token, 5*time.Second)
			if err != nil {
				return
			}
			defer c.close()
			for ctx.Err() == nil {
				if id, err := issue(c, t.mount+"/failover", 3600); err == nil {
					acks <- ack{time.Now(), id}
				}
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// Bounds of the watch over acknowledgements after the leader was ended.
const (
	watchAtLeast = 2500 * time.Millisecond // no silence begins later than this
	watchAtMost  = time.Minute
	takenAsGap   = 200 * time.Millisecond // a killed leader leaves at least this much silence
)

// longestSilence reads acknowledgements until the cluster serves again and returns the longest time
// without one since the leader was ended.
func longestSilence(acks <-chan ack, ended time.Time, how string) (time.Duration, []string, error) {
	var gap time.Duration
	var ids []string
	last := ended
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case a := <-acks:
			ids = append(ids, a.id)
			gap = max(gap, a.done.Sub(last))
			last = a.done
		case now := <-ticker.C:
			since := now.Sub(ended)
			served := now.Sub(last) < takenAsGap && (how == "stop" || gap >= takenAsGap)
			if since > watchAtLeast && served {
				return gap, ids, nil
			}
			if since > watchAtMost {
				return 0, nil, fmt.Errorf("no write was acknowledged for %s", now.Sub(last))
			}
		}
	}
}

// ack is an acknowledged issue.
type ack struct {
	done time.Time
	id   string
}

// awaitSettled waits until one node leads and the others follow, and returns the leader's place.
func awaitSettled(ctx context.Context, t *target, nodes []string) (int, error) {
	deadline := time.Now().Add(60 * time.Second)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		leader, followers := -1, 0
		for i, addr := range nodes {
			c, err := newConn(addr, t.token, 2*time.Second)
			if err != nil {
				return 0, err
			}
			status, _, err := c.do("GET", "/v1/sys/health", nil)
			c.close()
			switch {
			case err == nil && status == 200:
				leader = i
			case err == nil && status == 429:
				followers++
			}
		}
		if leader >= 0 && followers == len(nodes)-1 {
			time.Sleep(time.Second) // let the returned node catch up
			return leader, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, errors.New("the cluster does not settle: not every node is up with one leader")
}

func countLost(t *target, addr string, ids []string) (int, error) {
	c, err := newConn(addr, t.token, 30*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.close()
	lost := 0
	for _, id := range ids {
		status, body, err := c.do("PUT", "/v1/sys/leases/lookup", fmt.Appendf(nil, `{"lease_id":%q}`, id))
		if err != nil {
			return 0, err
		}
		if status == 400 && strings.Contains(string(body), "invalid lease") {
			lost++
		}
	}
	return lost, nil
}
