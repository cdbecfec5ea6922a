package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

const missingEngine = "Not enough arguments (expected 1, got 0): the engine at which path?"

func secretsFreezeCommand(a *app) *cobra.Command {
	var reason string
	var duration seconds
	cmd := &cobra.Command{
		Use:   "freeze -reason=TEXT [-for=DURATION] PATH",
		Short: "Keep what an engine leased from being destroyed",
		Long: `Destroys nothing of what was leased at a path, for a while or until "secrets thaw". Leases go on
ending and can be revoked; what has ended is dead to its holders, and is destroyed after the thaw.
It is for work on a target, and for a mistake that would destroy too much. The reason is shown to
all who look a lease up that waits.`,
		Example: `  leasehold secrets freeze -reason="the directory is being moved" -for=1h hooks
  leasehold secrets freeze -reason="a wrong prefix was revoked" db`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; whoever asks is told")
	cmd.Flags().Var(&duration, "for", "how long; without, until it is thawed")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingEngine)
		if err != nil {
			return err
		}
		if strings.TrimSpace(reason) == "" {
			return usagef("Missing -reason! Why is nothing to be destroyed? Others will ask.")
		}
		path := cleanPath(arg)
		if err := c.FreezeMount(cmd.Context(), path, reason, time.Duration(duration)); err != nil {
			return failed(err, "freezing secrets engine at %s/", path)
		}
		if duration == 0 {
			a.success("Success! Froze the secrets engine, until it is thawed, at: %s/", path)
			return nil
		}
		a.success("Success! Froze the secrets engine, for %s, at: %s/", human(time.Duration(duration)), path)
		return nil
	})
	return cmd
}

func secretsThawCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "thaw PATH",
		Short: "Destroy again what an engine leased, once it has ended",
		Long: `Ends a freeze. What has ended meanwhile is destroyed at once, as fast as the engine's settings
allow; look at -revoke-rate of "secrets tune" before you thaw an engine with many that wait.`,
		Example: `  leasehold secrets thaw hooks`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingEngine)
		if err != nil {
			return err
		}
		path := cleanPath(arg)
		if err := c.ThawMount(cmd.Context(), path); err != nil {
			return failed(err, "thawing secrets engine at %s/", path)
		}
		a.success("Success! Thawed the secrets engine (if it was frozen) at: %s/", path)
		return nil
	})
	return cmd
}

// shownFrozen tells in a table's cell of a freeze, or nothing.
func shownFrozen(f *client.Frozen) string {
	if f == nil {
		return ""
	}
	until := "it is thawed"
	if f.Until != nil {
		until = shownTime(*f.Until)
	}
	return "since " + shownTime(f.Since) + " until " + until + ": " + f.Reason
}

// shownDown tells in a table's cell of a target that does not answer, or nothing.
func shownDown(d *client.TargetDown) string {
	if d == nil {
		return ""
	}
	return "since " + shownTime(d.Since) + ": " + d.Error
}

// shownTime is a time as it came, to the second.
func shownTime(t time.Time) string { return t.Format(time.RFC3339) }
