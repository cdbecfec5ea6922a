package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func opsCommand(t *target) *cobra.Command {
	var clients int
	var duration time.Duration
	cmd := &cobra.Command{
		Use:     "ops",
		Short:   "Issue, renew, look up and revoke at the leader with many clients",
		Example: "  leasehold bench ops -clients=64 -duration=10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ops(cmd, t, clients, duration)
		},
	}
	cmd.Flags().IntVar(&clients, "clients", 64, "connections, each with one request at a time")
	cmd.Flags().DurationVar(&duration, "duration", 10*time.Second, "of each operation")
	return cmd
}

func ops(cmd *cobra.Command, t *target, clients int, duration time.Duration) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := t.leaderFirst(ctx); err != nil {
		return err
	}
	if err := t.enable(); err != nil {
		return err
	}
	at := t.first()
	ids := make([][]string, clients)
	of := func(path, more string, code int) work {
		return work{
			next:     func(w, n int) (request, bool) { return byID(path, ids[w][n%len(ids[w])], more), true },
			answered: func(_, status int, body []byte) error { return want(status, body, nil, code) },
		}
	}
	issuing := issueRequest(t.mount+"/ops", 3600)
	steps := []struct {
		name string
		do   work
	}{
		{"issue", work{
			next: func(int, int) (request, bool) { return issuing, true },
			answered: func(w, status int, body []byte) error {
				id, err := issued(status, body)
				if err == nil {
					ids[w] = append(ids[w], id)
				}
				return err
			},
		}},
		{"renew", of("renew", `,"increment":3600`, 200)},
		{"look up", of("lookup", "", 200)},
		{"revoke", of("revoke", "", 202)},
	}
	fmt.Fprintf(out, "%d clients at %s, %s each\n", clients, at.addresses[0], duration)
	for _, step := range steps {
		limited, cancel := context.WithTimeout(ctx, duration)
		s, err := load(limited, at, clients, step.do)
		cancel()
		if err != nil {
			return err
		}
		s.print(out, step.name)
		if step.name == "issue" && (len(s.each) == 0 || anyEmpty(ids)) {
			return fmt.Errorf("too few leases were issued to go on")
		}
	}
	return t.disable()
}

func anyEmpty(ids [][]string) bool {
	for _, part := range ids {
		if len(part) == 0 {
			return true
		}
	}
	return false
}

func fillCommand(t *target) *cobra.Command {
	var leases, clients, ttl int
	cmd := &cobra.Command{
		Use:     "fill",
		Short:   "Make many leases and leave them there",
		Example: "  leasehold bench fill -leases=1000000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.leaderFirst(cmd.Context()); err != nil {
				return err
			}
			if err := t.enable(); err != nil {
				return err
			}
			_, s, err := fill(cmd.Context(), t.first(), t.mount+"/fill", leases, clients, ttl)
			if err != nil {
				return err
			}
			s.print(cmd.OutOrStdout(), "issue")
			return nil
		},
	}
	cmd.Flags().IntVar(&leases, "leases", 100_000, "how many")
	cmd.Flags().IntVar(&clients, "clients", 64, "connections")
	cmd.Flags().IntVar(&ttl, "ttl", 86400, "of each lease, in seconds")
	return cmd
}
