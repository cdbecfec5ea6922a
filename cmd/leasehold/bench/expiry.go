package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func expiryCommand(t *target) *cobra.Command {
	var live, probes int
	cmd := &cobra.Command{
		Use:   "expiry",
		Short: "Time from a lease's end until it is gone on every node",
		Long: `Fills the store with live leases, then issues probes that live 2 seconds, spread over 10 seconds, and
asks every node for each of them, from its own state, until it is gone there. The time counts from
the lease's expire_time by this machine's clock, so run it where the nodes' clocks are this one's.`,
		Example: "  leasehold bench expiry -live=100000 -node=http://127.0.0.1:8210 -node=http://127.0.0.1:8220",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return expiry(cmd, t, live, probes) },
	}
	cmd.Flags().IntVar(&live, "live", 100_000, "leases that live on meanwhile")
	cmd.Flags().IntVar(&probes, "probes", 400, "leases whose end is watched")
	return cmd
}

func expiry(cmd *cobra.Command, t *target, live, probes int) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := t.leaderFirst(ctx); err != nil {
		return err
	}
	if err := t.enable(); err != nil {
		return err
	}
	if live > 0 {
		if _, _, err := fill(ctx, t.first(), t.mount+"/live", live, 64, 86400); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var lags []time.Duration
	var failures []error
	var wg sync.WaitGroup
	for i := range probes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(time.Duration(i) * 10 * time.Second / time.Duration(probes))
			lag, err := watchEnd(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			lags = append(lags, lag)
		}()
	}
	wg.Wait()
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d probes failed, the first: %w", len(failures), probes, failures[0])
	}
	slices.Sort(lags)
	fmt.Fprintf(out, "expiry to gone on %d nodes, %d live leases, %d probes: p50 %s, p99 %s, max %s\n",
		len(t.addresses), live, len(lags), round(quantile(lags, 0.5)), round(quantile(lags, 0.99)), round(lags[len(lags)-1]))
	return t.disable()
}

// watchEnd issues a lease of two seconds and returns how long after its end the last node forgot it.
func watchEnd(ctx context.Context, t *target) (time.Duration, error) {
	conns := make([]*conn, len(t.addresses))
	for i, addr := range t.addresses {
		c, err := newConn(addr, t.token, 10*time.Second)
		if err != nil {
			return 0, err
		}
		defer c.close()
		conns[i] = c
	}
	id, err := issue(conns[0], t.mount+"/probe", 2)
	if err != nil {
		return 0, err
	}
	ask := fmt.Appendf(nil, `{"lease_id":%q}`, id)
	status, body, err := conns[0].do("PUT", "/v1/sys/leases/lookup", ask)
	if err := want(status, body, err, 200); err != nil {
		return 0, err
	}
	var found struct {
		Data struct {
			ExpireTime time.Time `json:"expire_time"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return 0, err
	}
	end := found.Data.ExpireTime
	time.Sleep(time.Until(end) - 5*time.Millisecond)
	for _, c := range conns {
		for {
			status, body, err := c.do("PUT", "/v1/sys/leases/lookup?consistency=stale", ask)
			if err := want(status, body, err, 200, 400); err != nil {
				return 0, err
			}
			if status == 400 {
				if early := time.Until(end); early > 2*time.Second {
					return 0, fmt.Errorf("lease %s was gone %s before its end", id, early)
				}
				break
			}
			if time.Since(end) > time.Minute || ctx.Err() != nil {
				return 0, fmt.Errorf("lease %s is still there a minute after its end", id)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return time.Since(end), nil
}
