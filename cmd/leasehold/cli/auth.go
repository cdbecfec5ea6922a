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

func authCommand(a *app) *cobra.Command {
	return newGroup("auth", "Enable, list, tune and disable auth methods",
		`An auth method lets people or machines log in: it makes a token for who proves who they are.
It serves the paths below auth/ and the one where it is enabled.`,
		`  leasehold auth enable userpass
  leasehold write auth/userpass/users/ann password=- token_policies=app
  leasehold login -method=userpass username=ann
  leasehold auth disable userpass`,
		authEnableCommand(a), authListCommand(a), authTuneCommand(a), authDisableCommand(a))
}

const missingMethod = "Not enough arguments (expected 1, got 0): the auth method at which path?"

func authEnableCommand(a *app) *cobra.Command {
	var path string
	var ttls ttlFlags
	var ask client.MountInput
	var options map[string]string
	cmd := &cobra.Command{
		Use:   "enable TYPE",
		Short: "Let people or machines log in in one more way",
		Long: `Enables an auth method of a type: userpass for people with names and passwords, approle for
machines. It serves below auth/TYPE unless -path says another name.`,
		Example: `  leasehold auth enable userpass
  leasehold auth enable -path=machines -max-lease-ttl=1h approle
  leasehold auth enable -options=lockout_threshold=3 userpass`,
	}
	cmd.Flags().StringVar(&path, "path", "", "where it is to serve, below auth/; by default its type")
	cmd.Flags().StringVar(&ask.Description, "description", "", "who logs in here")
	optionsFlag(cmd, &options)
	ttls.register(cmd, "its tokens")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		method, err := oneArg(args, "Not enough arguments (expected 1, got 0): which type of auth method?")
		if err != nil {
			return err
		}
		ask.Type, ask.Config, ask.Options = method, ttls.input(), options
		at := cleanPath(cmp.Or(path, method))
		if err := c.EnableAuth(cmd.Context(), at, ask); err != nil {
			return failed(err, "enabling %s auth", method)
		}
		a.success("Success! Enabled %s auth method at: %s/", method, at)
		return nil
	})
	return cmd
}

func authListCommand(a *app) *cobra.Command {
	var detailed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the auth methods",
		Long: `Lists the auth methods with their paths, below auth/, and types. A TTL of "system" is the default
of all.`,
		Example: "  leasehold auth list\n  leasehold auth list -detailed\n  leasehold auth list -format=json",
	}
	cmd.Flags().BoolVar(&detailed, "detailed", false, "show how they are tuned, too")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		methods, err := c.ListAuth(cmd.Context())
		if err != nil {
			return failed(err, "listing enabled authentications")
		}
		rows := briefMethods
		if detailed {
			rows = detailedMethods
		}
		return a.mounts(methods, rows)
	})
	return cmd
}

func briefMethods(methods map[string]client.Mount) [][]string {
	rows := [][]string{{"Path", "Type", "Accessor", "Description", "Version"}}
	for _, path := range slices.Sorted(maps.Keys(methods)) {
		m := methods[path]
		rows = append(rows, []string{path, m.Type, m.Accessor, m.Description, m.PluginVersion})
	}
	return rows
}

func detailedMethods(methods map[string]client.Mount) [][]string {
	rows := [][]string{strings.Split("Path,Plugin,Accessor,Default TTL,Max TTL,Token Type,Replication,"+
		"Seal Wrap,External Entropy Access,Options,Description,UUID,Version,Running Version,"+
		"Running SHA256,Deprecation Status", ",")}
	for _, path := range slices.Sorted(maps.Keys(methods)) {
		m := methods[path]
		rows = append(rows, []string{
			path, m.Type, m.Accessor, shownTTL(m.Config.DefaultLeaseTTL), shownTTL(m.Config.MaxLeaseTTL),
			m.Config.TokenType, replication(m), fmt.Sprint(m.SealWrap), fmt.Sprint(m.ExternalEntropyAccess),
			fmt.Sprint(m.Options), m.Description, m.UUID, m.PluginVersion, m.RunningPluginVersion,
			m.RunningSHA256, m.DeprecationStatus,
		})
	}
	return rows
}

func authTuneCommand(a *app) *cobra.Command {
	var ttls ttlFlags
	var description string
	var options map[string]string
	cmd := &cobra.Command{
		Use:   "tune PATH",
		Short: "Change how long the tokens of an auth method live, and its options",
		Long: `Changes how long the tokens live that an auth method makes from now on, and its options, such as
after how many failures userpass locks a name (lockout_threshold, lockout_duration,
lockout_counter_reset, lockout_disable). What is not given stays as it is.`,
		Example: `  leasehold auth tune -default-lease-ttl=1h -max-lease-ttl=12h userpass
  leasehold auth tune -options=lockout_threshold=3 -options=lockout_duration=1h userpass`,
	}
	optionsFlag(cmd, &options)
	ttls.register(cmd, "its tokens")
	cmd.Flags().StringVar(&description, "description", "", "who logs in here")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingMethod)
		if err != nil {
			return err
		}
		path := cleanPath(arg)
		if err := c.TuneAuth(cmd.Context(), path, tuned(cmd, ttls.input(), description, options)); err != nil {
			return failed(err, "tuning auth method %s/", path)
		}
		a.success("Success! Tuned the auth method at: %s/", path)
		return nil
	})
	return cmd
}

func authDisableCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "disable PATH",
		Short: "Revoke all tokens that an auth method made, and take it away",
		Long: `Revokes the tokens of all who logged in at a path, with what they leased, and then takes the auth
method away: its users and roles are forgotten.`,
		Example: `  leasehold auth disable userpass`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingMethod)
		if err != nil {
			return err
		}
		path := cleanPath(arg)
		if err := c.DisableAuth(cmd.Context(), path); err != nil {
			return failed(err, "disabling auth method at %s/", path)
		}
		a.success("Success! Disabled the auth method (if it existed) at: %s/", path)
		return nil
	})
	return cmd
}
