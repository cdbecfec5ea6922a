package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func secretsCommand(a *app) *cobra.Command {
	return newGroup("secrets", "Enable, list, tune, freeze, move and disable secrets engines",
		`A secrets engine issues what is leased. It serves the paths below the one where it is enabled.`,
		`  leasehold secrets enable -path=hooks webhook
  leasehold secrets list
  leasehold secrets tune -max-lease-ttl=24h hooks
  leasehold secrets freeze -reason="the directory is being moved" -for=1h hooks
  leasehold secrets disable hooks`,
		secretsEnableCommand(a), secretsListCommand(a), secretsTuneCommand(a), secretsFreezeCommand(a),
		secretsThawCommand(a), secretsMoveCommand(a), secretsDisableCommand(a))
}

// ttlFlags are what can be set of every mount, both when it is enabled and later.
type ttlFlags struct{ defaultTTL, maxTTL seconds }

func (f *ttlFlags) register(cmd *cobra.Command, what string) {
	cmd.Flags().Var(&f.defaultTTL, "default-lease-ttl", "how long "+what+" live when nobody says")
	cmd.Flags().Var(&f.maxTTL, "max-lease-ttl", "how long "+what+" live at most")
}

func (f *ttlFlags) input() client.MountConfigInput {
	return client.MountConfigInput{DefaultLeaseTTL: f.defaultTTL.wire(), MaxLeaseTTL: f.maxTTL.wire()}
}

// optionsFlag gives cmd the flag -options. Where it tunes, the options given are all that there are.
func optionsFlag(cmd *cobra.Command, options *map[string]string) {
	usage := "key=value for what is mounted; may be repeated"
	if cmd.Name() == "tune" {
		usage += ", and replaces all that were set before"
	}
	cmd.Flags().StringToStringVar(options, "options", nil, usage)
}

// tuned makes of what is set when a mount is enabled what changes it later: flags that are not
// given leave things as they are.
func tuned(cmd *cobra.Command, ask client.MountConfigInput, description string, options map[string]string) client.MountConfigInput {
	ask.Options = options
	for flag, text := range map[string]*string{
		"default-lease-ttl": &ask.DefaultLeaseTTL, "max-lease-ttl": &ask.MaxLeaseTTL,
	} {
		if !cmd.Flags().Changed(flag) {
			*text = "" // "0s" would set the default
		}
	}
	if cmd.Flags().Changed("description") {
		ask.Description = &description
	}
	return ask
}

func secretsEnableCommand(a *app) *cobra.Command {
	var path string
	var tune tuneFlags
	var ask client.MountInput
	var options map[string]string
	cmd := &cobra.Command{
		Use:   "enable TYPE",
		Short: "Put a secrets engine at a path",
		Long:  `Enables a secrets engine of a type, at the path of the same name unless -path says another.`,
		Example: `  leasehold secrets enable lease
  leasehold secrets enable -path=hooks -max-lease-ttl=24h webhook
  leasehold secrets enable -path=db -revoke-rate=20 -reconcile-interval=1h database`,
	}
	cmd.Flags().StringVar(&path, "path", "", "where it is to serve; by default its type")
	cmd.Flags().StringVar(&ask.Description, "description", "", "what it is for")
	optionsFlag(cmd, &options)
	tune.register(cmd)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		engine, err := oneArg(args, "Not enough arguments (expected 1, got 0): which type of engine?")
		if err != nil {
			return err
		}
		ask.Type, ask.Config, ask.Options = engine, tune.input(cmd), options
		at := cleanPath(cmp.Or(path, engine))
		if err := c.EnableMount(cmd.Context(), at, ask); err != nil {
			return failed(err, "enabling %s at %s/", engine, at)
		}
		a.success("Success! Enabled the %s secrets engine at: %s/", engine, at)
		return nil
	})
	return cmd
}

func secretsListCommand(a *app) *cobra.Command {
	var detailed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets engines",
		Long: `Lists the secrets engines with their paths and types. A TTL of "system" is the default of all.
-detailed shows also which settings of their revocations were changed, which engines are frozen,
whose targets do not answer, and which are being moved.`,
		Example: "  leasehold secrets list\n  leasehold secrets list -detailed\n  leasehold secrets list -format=json",
	}
	cmd.Flags().BoolVar(&detailed, "detailed", false, "show how they are tuned and how they are, too")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		mounts, err := c.Mounts(cmd.Context())
		if err != nil {
			return failed(err, "listing secrets engines")
		}
		rows := briefMounts
		if detailed {
			rows = detailedMounts
		}
		return a.mounts(mounts, rows)
	})
	return cmd
}

// mounts prints a list of mounts, as a table of the rows.
func (a *app) mounts(mounts *client.Envelope[map[string]client.Mount], rows func(map[string]client.Mount) [][]string) error {
	if mounts.WrapInfo != nil {
		return a.secret(mounts.Raw())
	}
	if a.format() != formatTable {
		data, err := rawData(mounts)
		if err != nil {
			return err
		}
		return a.value(data)
	}
	a.table(rows(mounts.Data))
	return nil
}

func briefMounts(mounts map[string]client.Mount) [][]string {
	rows := [][]string{{"Path", "Type", "Accessor", "Description"}}
	for _, path := range slices.Sorted(maps.Keys(mounts)) {
		m := mounts[path]
		rows = append(rows, []string{path, m.Type, m.Accessor, m.Description})
	}
	return rows
}

func detailedMounts(mounts map[string]client.Mount) [][]string {
	rows := [][]string{strings.Split("Path,Plugin,Accessor,Default TTL,Max TTL,Force No Cache,Replication,"+
		"Seal Wrap,External Entropy Access,Options,Description,UUID,Version,Running Version,"+
		"Running SHA256,Deprecation Status,Revocation,Frozen,Target Down,Moving To", ",")}
	for _, path := range slices.Sorted(maps.Keys(mounts)) {
		m := mounts[path]
		rows = append(rows, []string{
			path, m.Type, m.Accessor, shownTTL(m.Config.DefaultLeaseTTL), shownTTL(m.Config.MaxLeaseTTL),
			fmt.Sprint(m.Config.ForceNoCache), replication(m), fmt.Sprint(m.SealWrap),
			fmt.Sprint(m.ExternalEntropyAccess), fmt.Sprint(m.Options), m.Description, m.UUID,
			m.PluginVersion, m.RunningPluginVersion, m.RunningSHA256, m.DeprecationStatus,
			shownRevocation(m.Config), shownFrozen(m.Frozen), shownDown(m.TargetDown), m.MovingTo,
		})
	}
	return rows
}

// shownTTL is a limit of a mount in seconds, or the word for the default of all.
func shownTTL(n int64) string {
	if n == 0 {
		return "system"
	}
	return fmt.Sprint(n)
}

func replication(m client.Mount) string {
	if m.Local {
		return "local"
	}
	return "replicated"
}

func secretsTuneCommand(a *app) *cobra.Command {
	var tune tuneFlags
	var description string
	var options map[string]string
	cmd := &cobra.Command{
		Use:   "tune PATH",
		Short: "Change how a secrets engine treats its leases",
		Long: `Changes how long leases of an engine live and how destroying is tried. What is not given stays
as it is; 0 is the default again.`,
		Example: `  leasehold secrets tune -default-lease-ttl=10m -max-lease-ttl=1h hooks
  leasehold secrets tune -revoke-attempts=10 -revoke-rate=5 hooks
  leasehold secrets tune -reconcile-interval=1h db`,
	}
	tune.register(cmd)
	optionsFlag(cmd, &options)
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingEngine)
		if err != nil {
			return err
		}
		path := cleanPath(arg)
		if err := c.TuneMount(cmd.Context(), path, tuned(cmd, tune.input(cmd), description, options)); err != nil {
			return failed(err, "tuning secrets engine %s/", path)
		}
		a.success("Success! Tuned the secrets engine at: %s/", path)
		return nil
	})
	return cmd
}

func secretsDisableCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "disable PATH",
		Short: "Revoke all that an engine leased, and take it away",
		Long: `Revokes everything leased at a path and then takes the engine away. If something cannot be
destroyed the engine stays, serves no more, and can be disabled again once that is mended.`,
		Example: `  leasehold secrets disable hooks`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingEngine)
		if err != nil {
			return err
		}
		path := cleanPath(arg)
		if err := c.DisableMount(cmd.Context(), path); err != nil {
			return failed(err, "disabling secrets engine at %s/", path)
		}
		a.success("Success! Disabled the secrets engine (if it existed) at: %s/", path)
		return nil
	})
	return cmd
}
