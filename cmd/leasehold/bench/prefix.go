package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func prefixCommand(t *target) *cobra.Command {
	var leases, clients int
	cmd := &cobra.Command{
		Use:     "revoke-prefix",
		Short:   "Revoke a large tree with one call while other leases are renewed",
		Example: "  leasehold bench revoke-prefix -leases=100000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return revokePrefix(cmd, t, leases, clients)
		},
	}
	cmd.Flags().IntVar(&leases, "leases", 100_000, "in the tree")
	cmd.Flags().IntVar(&clients, "clients", 16, "that renew other leases meanwhile")
	return cmd
}

func revokePrefix(cmd *cobra.Command, t *target, leases, clients int) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := t.leaderFirst(ctx); err != nil {
		return err
	}
	if err := t.enable(); err != nil {
		return err
	}
	at := t.first()
	made, _, err := fill(ctx, at, t.mount+"/tree", leases, 64, 86400)
	if err != nil {
		return err
	}
	others, _, err := fill(ctx, at, t.mount+"/others", 1000, 16, 3600)
	if err != nil {
		return err
	}
	renewing, stop := context.WithCancel(ctx)
	defer stop()
	renewals := make(chan *sample, 1)
	go func() {
		s, err := load(renewing, at, clients, work{
			next: func(w, n int) (request, bool) {
				return byID("renew", others[(w+n*clients)%len(others)], `,"increment":3600`), true
			},
			answered: func(_, status int, body []byte) error { return want(status, body, nil, 200) },
		})
		if err != nil {
			s = &sample{first: err.Error()}
		}
		renewals <- s
	}()
	time.Sleep(200 * time.Millisecond) // renewals are under way
	ack, gone, err := revokeTree(t, t.mount+"/tree", made)
	if err != nil {
		return err
	}
	stop()
	s := <-renewals
	fmt.Fprintf(out, "revoke-prefix over %d leases: acknowledged after %s, all gone after %s\n", len(made), round(ack), round(gone))
	s.print(out, "renew beside")
	return t.disable()
}

// revokeTree revokes prefix and waits until its list is empty at every node.
func revokeTree(t *target, prefix string, ids []string) (ack, gone time.Duration, err error) {
	c, err := t.control()
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	begin := time.Now()
	status, body, err := c.do("PUT", "/v1/sys/leases/revoke-prefix/"+prefix, []byte(`{"sync":false}`))
	if err := want(status, body, err, 202); err != nil {
		return 0, 0, err
	}
	ack = time.Since(begin)
	// A renewal of any of them must fail from now on, however far the sweep is.
	status, body, err = c.do("PUT", "/v1/sys/leases/renew", fmt.Appendf(nil, `{"lease_id":%q}`, ids[len(ids)-1]))
	if err := want(status, body, err, 400); err != nil {
		return 0, 0, fmt.Errorf("a lease of the revoked tree could be renewed: %w", err)
	}
	for _, addr := range t.addresses {
		node, err := newConn(addr, t.token, 30*time.Second)
		if err != nil {
			return 0, 0, err
		}
		defer node.close()
		for {
			status, body, err := node.do("GET", "/v1/sys/leases/lookup/"+prefix+"?list=true&limit=1", nil)
			if err := want(status, body, err, 200, 404); err != nil {
				return 0, 0, err
			}
			if status == 404 {
				break
			}
			if time.Since(begin) > 5*time.Minute {
				return 0, 0, fmt.Errorf("leases are left after 5 minutes")
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return ack, time.Since(begin), nil
}
