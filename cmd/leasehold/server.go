package main

import (
	"fmt"
	"os"
	"regexp"

	"github.com/spf13/cobra"
)

const devRootTokenID, devListenAddress = "dev_root_token_id", "dev_listen_address"

// serverCommand is "leasehold server".
func serverCommand() *cobra.Command {
	var file string
	var dev bool
	flagged := make(map[string]*string)
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node",
		Long: `Runs a node of a cluster until it is told to stop. Settings come from a file (HCL, or JSON by the name
.json), then from environment variables (LEASEHOLD_ and the setting in capitals, with "__" for a dot),
then from flags; the later wins. "leasehold validate FILE" checks a file without starting anything.

With -dev it is a cluster of one in memory, with a root token that is printed: for a first look, never
for anything that matters.`,
		Example: "  leasehold server -dev\n  leasehold server -config=/etc/leasehold/leasehold.hcl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given, err := givenFlags(cmd, flagged, dev)
			if err != nil {
				return err
			}
			base := defaultConfig()
			if dev {
				base = devConfig()
			}
			reread := func() (Config, error) {
				c, _, err := readConfig(base, file, os.Environ(), given)
				return c, err
			}
			config, unknown, err := readConfig(base, file, os.Environ(), given)
			if err != nil {
				if file == "" && !dev {
					err = fmt.Errorf("%w\n\nTry: -config=FILE with the settings of this node, or -dev for a first look", err)
				}
				return err
			}
			log, level := newLogger(config, cmd.ErrOrStderr())
			for _, name := range unknown {
				log.Warn("an environment variable is ignored: " + unknownVariable(name))
			}
			return serve(cmd.Context(), config, log, reloader{reread, level}, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration file")
	f.BoolVar(&dev, "dev", false, "one node in memory, for a first look")
	flagged[devListenAddress] = f.String(flagName(devListenAddress), "", "address of the -dev server (default 127.0.0.1:8200)")
	flagged[devRootTokenID] = f.String(flagName(devRootTokenID), "", "root token of the -dev server (default random)")
	for _, s := range settings {
		flagged[s.key] = f.String(flagName(s.key), "", s.help)
		if _, ok := s.into(new(Config)).(*bool); ok {
			f.Lookup(flagName(s.key)).NoOptDefVal = "true"
		}
	}
	// The flags that every other command takes say how to reach a server, which this one does not.
	usage := regexp.MustCompile(`(?s)\{\{if \.HasAvailableInheritedFlags\}\}.*?\{\{end\}\}`)
	cmd.SetUsageTemplate(usage.ReplaceAllString(cmd.UsageTemplate(), ""))
	return cmd
}

// givenFlags returns the settings that were given as flags.
func givenFlags(cmd *cobra.Command, flagged map[string]*string, dev bool) (map[string]string, error) {
	var wrong error
	for _, name := range []string{"address", "token", "namespace"} {
		if cmd.Flags().Changed(name) {
			wrong = fmt.Errorf("-%s is for the commands that talk to a server; where a server listens is -%s", name, flagName("listener.address"))
		}
	}
	given := make(map[string]string)
	for key, value := range flagged {
		if cmd.Flags().Changed(flagName(key)) {
			given[key] = *value
		}
	}
	for _, key := range []string{devListenAddress, devRootTokenID} {
		if _, ok := given[key]; ok && !dev {
			wrong = fmt.Errorf("-%s is for the -dev server: add -dev, or leave it out", flagName(key))
		}
	}
	return given, wrong
}

// unknownVariable says that name is no setting, and which one may be meant.
func unknownVariable(name string) string {
	if near := nearestEnv(name); near != "" {
		return name + " is no setting; is " + near + " meant?"
	}
	return name + " is no setting"
}

// validateCommand is "leasehold validate FILE".
func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "validate FILE",
		Short:   "Check a configuration file",
		Long:    "Checks a configuration file, together with the LEASEHOLD_ variables of the environment, and names every fault.",
		Example: "  leasehold validate /etc/leasehold/leasehold.hcl",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one configuration file, as in \"leasehold validate leasehold.hcl\": got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, unknown, err := readConfig(defaultConfig(), args[0], os.Environ(), nil)
			if err != nil {
				return err
			}
			for _, name := range unknown {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+unknownVariable(name))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Success! %s is a valid configuration.\n", args[0])
			return nil
		},
	}
}
