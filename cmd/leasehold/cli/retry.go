package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func leaseRetryCommand(a *app) *cobra.Command {
	var which client.RetryRequest
	cmd := &cobra.Command{
		Use:   "retry [-prefix=PREFIX] [-mount=PATH] [-error=TEXT] [ID]",
		Short: "Try failed revocations again at once",
		Long: `Makes the next attempt at revocations that have failed due at once, irrevocable ones among them:
use it when their target is mended. It takes the leases that all of the flags and the ID match, and
at least one of these. What a frozen engine leased waits until it is thawed.`,
		Example: `  leasehold lease retry hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease retry -mount=hooks
  leasehold lease retry -prefix=hooks/creds/ci -error="connection refused"`,
	}
	cmd.Flags().StringVar(&which.Prefix, "prefix", "", "leases below this prefix")
	cmd.Flags().StringVar(&which.Mount, "mount", "", "leases of the mount at this path")
	cmd.Flags().StringVar(&which.Error, "error", "", "leases whose last error holds this text")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if len(args) > 1 {
			return usagef("Too many arguments (expected 1 at most, got %d).", len(args))
		}
		if len(args) == 1 {
			which.LeaseID = strings.TrimSpace(args[0])
		}
		which.Prefix, which.Mount = cleanPath(which.Prefix), cleanPath(which.Mount)
		if which == (client.RetryRequest{}) {
			return usagef("Missing what to try again! Give a lease's ID, -prefix, -mount or -error.")
		}
		tried, err := c.RetryRevocations(cmd.Context(), which)
		if err != nil {
			return failed(err, "trying revocations again")
		}
		if tried.WrapInfo != nil || a.field != "" || a.format() != formatTable {
			return a.secret(tried.Raw())
		}
		a.warn(tried.Warnings)
		switch n := tried.Data.LeaseCount; n {
		case 0:
			a.success("Nothing to try again: no such revocation has failed.")
		case 1:
			a.success("Success! One revocation is being tried again.")
		default:
			a.success("Success! %d revocations are being tried again.", n)
		}
		return nil
	})
	return a.fieldFlag(cmd)
}
