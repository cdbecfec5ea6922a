package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func kvCommand(a *app) *cobra.Command {
	return newGroup("kv", "Keep values, read, list and delete them",
		`Works with values that are kept under keys, in a mount of type "kv", version 1. They have no
lease: they stay until they are deleted.`,
		`  leasehold secrets enable -path=secret kv
  leasehold kv put -mount=secret app/db password=@password.txt
  leasehold kv get -mount=secret -field=password app/db`,
		kvGetCommand(a), kvPutCommand(a), kvListCommand(a), kvDeleteCommand(a))
}

const missingKey = "Not enough arguments (expected 1, got 0): which key?"

// mountFlag gives cmd the flag -mount.
func mountFlag(cmd *cobra.Command, mount *string) {
	cmd.Flags().StringVar(mount, "mount", "", "mount of type kv that the key is in; without it the key's path begins with the mount")
}

// kvPath is the path of a key. It asks the server first which mount that is in, and of which
// version: keys of version 2 lie elsewhere, and what is written to them looks different.
func (a *app) kvPath(ctx context.Context, c *client.Client, mount, key string) (string, error) {
	path, ask := cleanPath(key), cleanPath(key)
	if mount = cleanPath(mount); mount != "" {
		path, ask = cleanPath(mount+"/"+path), mount
	}
	found, err := c.WithWrapTTL(0).MountAt(ctx, ask)
	switch {
	case client.CodeOf(err) == client.NotFound: // a server that is older than the question
		return path, nil
	case err != nil:
		return "", failed(err, "asking which mount serves %s", ask)
	case found.Data.Options["version"] == "2":
		return "", localf(errors.New("it is of version 2, and this command knows version 1"), "using the mount of "+ask,
			"the API's own paths with \"leasehold read\" and \"leasehold write\".")
	}
	return path, nil
}

func kvGetCommand(a *app) *cobra.Command {
	var mount string
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Read what is kept under a key",
		Long:  `Reads what is kept under a key. With -field only that field is printed, bare.`,
		Example: `  leasehold kv get -mount=secret app/db
  leasehold kv get -mount=secret -field=password app/db
  leasehold kv get secret/app/db`,
	}
	mountFlag(cmd, &mount)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		key, err := oneArg(args, missingKey)
		if err != nil {
			return err
		}
		path, err := a.kvPath(cmd.Context(), c, mount, key)
		if err != nil {
			return err
		}
		secret, err := c.Read(cmd.Context(), path, nil)
		if absent(err) || err == nil && len(secret.Raw()) == 0 {
			return a.nothing(path)
		}
		if err != nil {
			return failed(err, "reading %s", path)
		}
		if secret.WrapInfo != nil || a.field != "" || a.format() != formatTable {
			return a.secret(secret.Raw())
		}
		a.warn(secret.Warnings)
		if rows := dataRows(secret.Data); len(rows) > 0 {
			fmt.Fprintln(a.Stdout, titleOver("Data", rows))
			a.table(append([][]string{{"Key", "Value"}}, rows...))
		}
		return nil
	})
	return a.fieldFlag(cmd)
}

// titleOver is a title in a rule that is about as wide as the keys of a table and the word "Value".
func titleOver(title string, rows [][]string) string {
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	signs := width + len("    Value") - len(title) - len("  ")
	if signs <= 0 {
		signs = 4
	}
	rule := strings.Repeat("=", (signs+1)/2)
	return rule + " " + title + " " + rule
}

func kvPutCommand(a *app) *cobra.Command {
	var mount string
	cmd := &cobra.Command{
		Use:   "put KEY FIELD=VALUE...",
		Short: "Keep values under a key",
		Long: `Keeps fields under a key, in place of all that was there. A value is given as FIELD=VALUE, from a
file as FIELD=@FILE, or from standard input as FIELD=-. A whole JSON object is given as @FILE or as
- (standard input).`,
		Example: `  leasehold kv put -mount=secret app/db user=app password=@password.txt
  leasehold kv put -mount=secret app/db @fields.json
  echo '{"user": "app"}' | leasehold kv put secret/app/db -`,
	}
	mountFlag(cmd, &mount)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		switch {
		case len(args) == 0:
			return usagef("Not enough arguments (expected >1, got 0): which key?")
		case len(args) == 1:
			return usagef("Must supply data: FIELD=VALUE, @FILE or -.")
		}
		data, err := a.parseData(args[1:])
		if err != nil {
			return err
		}
		path, err := a.kvPath(cmd.Context(), c, mount, args[0])
		if err != nil {
			return err
		}
		return a.write(cmd.Context(), c, path, data)
	})
	return a.fieldFlag(cmd)
}

func kvListCommand(a *app) *cobra.Command {
	var mount string
	cmd := &cobra.Command{
		Use:   "list PATH",
		Short: "List keys, one level deep",
		Long: `Lists the keys below a path, or with -mount and no path those of the whole mount. A name that ends
in a slash has more below it.`,
		Example: `  leasehold kv list -mount=secret
  leasehold kv list -mount=secret app
  leasehold kv list secret/app`,
	}
	mountFlag(cmd, &mount)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		prefix := ""
		if len(args) > 0 || mount == "" {
			var err error
			if prefix, err = oneArg(args, "Not enough arguments (expected 1, got 0): which path? Or give -mount for all of a mount."); err != nil {
				return err
			}
		}
		path, err := a.kvPath(cmd.Context(), c, mount, prefix)
		if err != nil {
			return err
		}
		return a.list(cmd.Context(), c, path, client.Page{})
	})
	return cmd
}

func kvDeleteCommand(a *app) *cobra.Command {
	var mount string
	cmd := &cobra.Command{
		Use:   "delete KEY",
		Short: "Forget what is kept under a key",
		Long:  `Forgets what is kept under a key. It cannot be had back.`,
		Example: `  leasehold kv delete -mount=secret app/db
  leasehold kv delete secret/app/db`,
	}
	mountFlag(cmd, &mount)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		key, err := oneArg(args, missingKey)
		if err != nil {
			return err
		}
		path, err := a.kvPath(cmd.Context(), c, mount, key)
		if err != nil {
			return err
		}
		return a.delete(cmd.Context(), c, path, nil)
	})
	return a.fieldFlag(cmd)
}
