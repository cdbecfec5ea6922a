package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func readCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "read PATH [KEY=VALUE...]",
		Short: "Read a path: get a login, see a role, ask for a list by type",
		Long: `Reads a path. Reading the creds of a role makes a new login or key and leases it to you; the
answer has the lease's ID and how long it lives. Further arguments become parameters of the query.`,
		Example: `  leasehold read hooks/creds/ci
  leasehold read -field=lease_id hooks/creds/ci
  leasehold read sys/leases type=irrevocable`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		path, query, err := a.pathAndQuery(args)
		if err != nil {
			return err
		}
		secret, err := c.Read(cmd.Context(), path, query)
		if absent(err) || err == nil && len(secret.Raw()) == 0 {
			return a.nothing(path)
		}
		if err != nil {
			return failed(err, "reading %s", path)
		}
		return a.secret(secret.Raw())
	})
	return a.fieldFlag(cmd)
}

// pathAndQuery reads the arguments of read and delete.
func (a *app) pathAndQuery(args []string) (path string, query map[string][]string, err error) {
	if len(args) == 0 {
		return "", nil, usagef("Not enough arguments (expected at least 1, got 0): which path?")
	}
	query, err = a.parseQuery(args[1:])
	return cleanPath(args[0]), query, err
}

// absent reports whether the server has found nothing and has nothing to say about it.
func absent(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Code == client.NotFound && len(refused.Errors) == 0
}

func writeCommand(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "write PATH [KEY=VALUE...]",
		Short: "Write to a path: take a lease, set a role, configure an engine",
		Long: `Writes data to a path. A value is given as KEY=VALUE, from a file as KEY=@FILE, or from standard
input as KEY=-. A whole JSON object is given as @FILE or as - (standard input).`,
		Example: `  leasehold write lease/jobs/nightly ttl=10m
  leasehold write hooks/roles/ci revoke_url=https://ci.example/revoke secret=@signing.key
  echo '{"ttl": "10m", "labels": {"team": "a"}}' | leasehold write lease/jobs/nightly -
  leasehold write -force sys/leases/tidy`,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "write although there is no data")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		switch {
		case len(args) == 0:
			return usagef("Not enough arguments (expected 1, got 0): which path?")
		case len(args) == 1 && !force:
			return usagef("Must supply data or use -force.")
		}
		path := cleanPath(args[0])
		var body any // null where there is no data
		if len(args) > 1 {
			data, err := a.parseData(args[1:])
			if err != nil {
				return err
			}
			body = data
		}
		return a.write(cmd.Context(), c, path, body)
	})
	return a.fieldFlag(cmd)
}

// write writes body to a path and prints the answer.
func (a *app) write(ctx context.Context, c *client.Client, path string, body any) error {
	secret, err := c.Write(ctx, path, body)
	if err != nil {
		return failed(err, "writing data to %s", path)
	}
	if len(secret.Raw()) == 0 {
		a.success("Success! Data written to: %s", path)
		return nil
	}
	return a.secret(secret.Raw())
}

func listCommand(a *app) *cobra.Command {
	var page client.Page
	cmd := &cobra.Command{
		Use:   "list PATH",
		Short: "List what is below a path, one level deep",
		Long: `Lists the names below a path. A name that ends in a slash has more below it. Leases are found
below sys/leases/lookup.`,
		Example: `  leasehold list sys/leases/lookup
  leasehold list sys/leases/lookup/hooks/creds/ci
  leasehold list -limit=1000 -after=last-key sys/leases/lookup/lease/jobs`,
	}
	cmd.Flags().IntVar(&page.Limit, "limit", 0, "how many at most")
	cmd.Flags().StringVar(&page.After, "after", "", "begin behind this key")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, "Not enough arguments (expected 1, got 0): which path?")
		if err != nil {
			return err
		}
		return a.list(cmd.Context(), c, cleanPath(arg), page)
	})
	return cmd
}

// list prints what is below a path.
func (a *app) list(ctx context.Context, c *client.Client, path string, page client.Page) error {
	list, err := c.List(ctx, path, page)
	if absent(err) || err == nil && list.WrapInfo == nil && len(list.Data.Keys) == 0 {
		return a.nothing(path)
	}
	if err != nil {
		return failed(err, "listing %s", path)
	}
	if list.WrapInfo != nil {
		return a.secret(list.Raw())
	}
	a.warn(list.Warnings)
	return a.keys(list.Data.Keys, "Keys")
}

func deleteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete PATH [KEY=VALUE...]",
		Short: "Delete what is at a path",
		Long: `Deletes what is at a path, such as a role. A lease is not deleted but revoked: see "lease
revoke".`,
		Example: `  leasehold delete hooks/roles/ci`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		path, query, err := a.pathAndQuery(args)
		if err != nil {
			return err
		}
		return a.delete(cmd.Context(), c, path, query)
	})
	return a.fieldFlag(cmd)
}

// delete deletes what is at a path and prints the answer.
func (a *app) delete(ctx context.Context, c *client.Client, path string, query map[string][]string) error {
	secret, err := c.Delete(ctx, path, query)
	if err != nil {
		return failed(err, "deleting %s", path)
	}
	if len(secret.Raw()) > 0 {
		return a.secret(secret.Raw())
	}
	a.success("Success! Data deleted (if it existed) at: %s", path)
	return nil
}
