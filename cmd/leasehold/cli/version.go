package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Long:    `Prints the version of this binary, the revision it was built from, and Go's version.`,
		Example: "  leasehold version",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := noArgs(args); err != nil {
				return err
			}
			fmt.Fprintln(a.Stdout, versionLine(a.Version))
			return nil
		},
	}
}

// versionLine is the version as users quote it in a report.
func versionLine(version string) string {
	revision := ""
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				revision = " (" + setting.Value + ")"
			}
		}
	}
	return fmt.Sprintf("Leasehold v%s%s, %s", version, revision, runtime.Version())
}
