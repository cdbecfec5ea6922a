package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func leaseTidyCommand(a *app) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "tidy",
		Short: "Revoke leases whose token is gone",
		Long: `Looks for leases whose token is missing, revoked or expired, and revokes them in the ordinary way:
what they stand for is destroyed, and tried again for as long as that fails. It is rarely needed,
and one at a time runs in the cluster. With -wait the command waits for it.`,
		Example: `  leasehold lease tidy
  leasehold lease tidy -wait`,
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when all that was found is revoked, and show how far that is")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		started, err := c.WithWrapTTL(0).TidyLeases(cmd.Context())
		if err != nil {
			return failed(err, "tidying leases")
		}
		if a.format() == formatTable {
			a.warn(started.Warnings)
		}
		if !wait || started.Job() == "" {
			if a.format() != formatTable && len(started.Raw()) > 0 {
				return a.value(started.Raw())
			}
			a.success("Success! Tidying of leases has been started.")
			a.tellJob(started.Job())
			return nil
		}
		job, err := a.follow(cmd.Context(), c, started.Job())
		if err != nil {
			return err
		}
		if a.format() != formatTable {
			return a.marshalled(job)
		}
		a.success("Success! Tidied leases: %d found without a token, %d revoked.", job.Total, job.Done)
		return nil
	})
	return cmd
}

// tellJob says where to look how far a job is.
func (a *app) tellJob(id string) {
	if id != "" {
		fmt.Fprintf(a.Stderr, "How far it is: leasehold read sys/leases/jobs/%s\n", id)
	}
}

// follow waits for a job. A person at a terminal sees how far it is.
func (a *app) follow(ctx context.Context, c *client.Client, id string) (*client.Job, error) {
	shown := terminal(a.Stderr) && a.format() == formatTable && os.Getenv("NO_COLOR") == ""
	show := func(job *client.Job) {
		if shown {
			fmt.Fprintf(a.Stderr, "\r%s: %d found, %d done, %d failed and tried again\x1b[K", job.State, job.Total, job.Done, job.Failed)
		}
	}
	job, err := c.WithWrapTTL(0).WaitJob(ctx, id, show)
	if shown {
		fmt.Fprintln(a.Stderr)
	}
	if err != nil {
		a.tellJob(id)
	}
	return job, failed(err, "waiting for job %s (it goes on)", id)
}
