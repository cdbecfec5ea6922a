package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func tokenCapabilitiesCommand(a *app) *cobra.Command {
	var accessor bool
	cmd := &cobra.Command{
		Use:   "capabilities [TOKEN | -accessor ACCESSOR] PATH",
		Short: "Tell what a token may do at a path: without TOKEN, yours",
		Long: `Tells the capabilities that a token has at a path: create, read, update, delete, list, sudo; root
for everything, deny for nothing. Without TOKEN it is the token you use; with -accessor the first
argument is an accessor.`,
		Example: `  leasehold token capabilities lease/jobs/nightly
  leasehold token capabilities hvs.example sys/leases
  leasehold token capabilities -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da sys/leases`,
	}
	cmd.Flags().BoolVar(&accessor, "accessor", false, "the first argument is an accessor")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		var found *client.Envelope[map[string][]string]
		var err error
		switch ctx := cmd.Context(); {
		case len(args) == 0:
			return usagef("Not enough arguments (expected 1-2, got 0): at which path?")
		case len(args) > 2:
			return usagef("Too many arguments (expected 1-2, got %d).", len(args))
		case accessor && len(args) == 1:
			return usagef("Not enough arguments with -accessor (expected 2, got 1): an accessor and a path.")
		case accessor:
			found, err = c.CapabilitiesAccessor(ctx, args[0], args[1])
		case len(args) == 2:
			found, err = c.Capabilities(ctx, args[0], args[1])
		default:
			found, err = c.CapabilitiesSelf(ctx, args[0])
		}
		if err != nil {
			return failed(err, "listing capabilities")
		}
		if found.WrapInfo != nil {
			return a.secret(found.Raw())
		}
		path := args[len(args)-1]
		capabilities := found.Data[path]
		if len(capabilities) == 0 { // the server may write the path in another way
			capabilities = found.Data["capabilities"]
		}
		if len(capabilities) == 0 {
			return localf(fmt.Errorf("the answer has none for %s", path), "listing capabilities", "")
		}
		if a.format() != formatTable {
			return a.marshalled(capabilities)
		}
		slices.Sort(capabilities)
		fmt.Fprintln(a.Stdout, strings.Join(capabilities, ", "))
		return nil
	})
	return cmd
}
