package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func secretsMoveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move FROM TO",
		Short: "Revoke all that an engine leased, and give it another path",
		Long: `Revokes everything leased at a path, and then has the engine serve another one, with all that was
configured. Until then it issues nothing. The command waits for it, with a frozen engine until that
is thawed. If something cannot be destroyed it says so and exits with 2: destroying is tried again,
and the move goes on. Moving again to the same path tries at once.`,
		Example: `  leasehold secrets move hooks webhooks
  leasehold secrets move auth/staff auth/people`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if len(args) < 2 {
			return usagef("Not enough arguments (expected 2, got %d): from which path to which?", len(args))
		}
		if len(args) > 2 {
			return usagef("Too many arguments (expected 2, got %d).", len(args))
		}
		from, to := cleanPath(args[0]), cleanPath(args[1])
		if from == "" || to == "" {
			return usagef("A path of nothing is no engine's: name both.")
		}
		return a.move(cmd, c.WithWrapTTL(0), from+"/", to+"/")
	})
	return cmd
}

// move starts a move and waits for it. The words are those that scripts know from Vault's CLI.
func (a *app) move(cmd *cobra.Command, c *client.Client, from, to string) error {
	started, err := c.MoveMount(cmd.Context(), from, to)
	if err != nil {
		return failed(err, "moving secrets engine %s to %s", from, to)
	}
	id := started.Data.ID
	move := fmt.Sprintf("secrets engine %s to %s, with migration ID %s", from, to, id)
	if a.format() == formatTable {
		a.warn(started.Warnings)
	}
	a.success("Started moving %s", move)
	waiting := false
	ended, err := c.WaitMigration(cmd.Context(), id, func(m *client.Migration) {
		if m.Info.Status == client.MigrationInProgress && !waiting {
			waiting = true
			a.success("Waiting for terminal status in migration of %s", move)
		}
	})
	if err != nil {
		a.tellJob(started.Job())
		return failed(err, "checking migration status of secrets engine %s to %s (it goes on)", from, to)
	}
	if a.format() != formatTable {
		if err := a.value(ended.Raw()); err != nil {
			return err
		}
	}
	if ended.Data.Info.Status == client.MigrationFailed {
		fmt.Fprintf(a.Stderr, "Failure! Error encountered moving %s\n", move)
		fmt.Fprintf(a.Stderr, "\nTry: \"leasehold read sys/leases type=irrevocable\" for what cannot be destroyed. Mend its target, then move again.\n")
		a.tellJob(started.Job())
		return exitCode(exitServer)
	}
	a.success("Success! Finished moving %s", move)
	return nil
}
