package cli

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func namespaceCommand(a *app) *cobra.Command {
	return newGroup("namespace", "Create, list, look up and delete namespaces",
		`A namespace is closed in itself: its mounts, tokens, policies and leases are unknown outside. All
commands work in the one that -namespace or VAULT_NAMESPACE names; these work on those below it.`,
		`  leasehold namespace create blue
  leasehold namespace create -namespace=blue tests
  leasehold secrets enable -namespace=blue lease
  leasehold namespace delete blue`,
		namespaceCreateCommand(a), namespaceListCommand(a), namespaceLookupCommand(a), namespaceDeleteCommand(a))
}

const missingNamespace = "Not enough arguments (expected 1, got 0): which namespace?"

func namespaceCreateCommand(a *app) *cobra.Command {
	var metadata map[string]string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a namespace below the one you work in",
		Long: `Makes a namespace directly below the one you work in. If it is there already its metadata becomes
what is given.`,
		Example: `  leasehold namespace create blue
  leasehold namespace create -namespace=blue -custom-metadata=owner=ann tests`,
	}
	cmd.Flags().StringToStringVar(&metadata, "custom-metadata", nil, "key=value to keep with it; may be repeated")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		name, err := oneArg(args, missingNamespace)
		if err != nil {
			return err
		}
		made, err := c.PutNamespace(cmd.Context(), cleanPath(name), metadata)
		if err != nil {
			return failed(err, "creating namespace")
		}
		return a.namespace(made)
	})
	return a.fieldFlag(cmd)
}

func namespaceLookupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lookup NAME",
		Short:   "Tell about a namespace",
		Long:    `Tells the ID, the path and the metadata of a namespace below the one you work in.`,
		Example: `  leasehold namespace lookup blue`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		name, err := oneArg(args, missingNamespace)
		if err != nil {
			return err
		}
		found, err := c.Namespace(cmd.Context(), cleanPath(name))
		if absent(err) {
			fmt.Fprintln(a.Stderr, "Namespace not found")
			return exitCode(exitServer)
		}
		if err != nil {
			return failed(err, "looking up namespace")
		}
		return a.namespace(found)
	})
	return a.fieldFlag(cmd)
}

// namespace prints what is known of a namespace.
func (a *app) namespace(found *client.Envelope[client.Namespace]) error {
	if found.WrapInfo != nil || a.field != "" {
		return a.secret(found.Raw())
	}
	data, err := rawData(found)
	if err != nil {
		return err
	}
	if a.format() != formatTable {
		return a.value(data)
	}
	var fields map[string]any
	if err := decode(data, &fields); err != nil {
		return localf(err, "reading the answer", "")
	}
	a.warn(found.Warnings)
	a.table(append([][]string{{"Key", "Value"}}, dataRows(fields)...))
	return nil
}

func namespaceListCommand(a *app) *cobra.Command {
	var detailed bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the namespaces below the one you work in",
		Long:    `Lists the namespaces directly below the one you work in.`,
		Example: "  leasehold namespace list\n  leasehold namespace list -detailed -namespace=blue",
	}
	cmd.Flags().BoolVar(&detailed, "detailed", false, "show their IDs, paths and metadata, too")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		list, err := c.Namespaces(cmd.Context(), client.Page{})
		switch {
		case absent(err) || err == nil && list.WrapInfo == nil && len(list.Data.Keys) == 0:
			if a.format() == formatJSON {
				fmt.Fprintln(a.Stdout, "{}")
			}
			fmt.Fprintln(a.Stderr, "No namespaces found")
			return exitCode(exitServer)
		case err != nil:
			return failed(err, "listing namespaces")
		case list.WrapInfo != nil:
			return a.secret(list.Raw())
		}
		a.warn(list.Warnings)
		if !detailed {
			return a.keys(list.Data.Keys, "Keys")
		}
		return a.namespaceDetails(list)
	})
	return cmd
}

// namespaceDetails prints what a list tells of each namespace: whatever fields the server sends.
func (a *app) namespaceDetails(list *client.Envelope[client.NamespaceList]) error {
	var sent struct {
		Data struct {
			KeyInfo json.RawMessage `json:"key_info"`
		} `json:"data"`
	}
	var info map[string]map[string]any
	err := decode(list.Raw(), &sent)
	if err == nil && a.format() != formatTable {
		return a.value(sent.Data.KeyInfo)
	}
	if err == nil {
		err = decode(sent.Data.KeyInfo, &info)
	}
	if err != nil {
		return localf(err, "reading the answer", "")
	}
	var fields []string
	for _, known := range info {
		for field := range known {
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
	}
	slices.Sort(fields)
	rows := [][]string{append([]string{"Keys"}, fields...)}
	for _, key := range list.Data.Keys {
		row := []string{key}
		for _, field := range fields {
			text := ""
			if value, ok := info[key][field]; ok {
				text = cell(field, value)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	a.table(rows)
	return nil
}

func namespaceDeleteCommand(a *app) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Revoke all that a namespace holds, and take it away",
		Long: `Ends a namespace directly below the one you work in; those below it have to be deleted before. Its
tokens and leases are dead at once; what they stand for is destroyed soon after, and tried again for
as long as that fails. The namespace goes when nothing is left. With -wait the command waits for it.`,
		Example: `  leasehold namespace delete -wait -namespace=blue tests
  leasehold namespace delete blue`,
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when nothing is left of it, and show how far that is")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingNamespace)
		if err != nil {
			return err
		}
		name := cleanPath(arg)
		ended, err := c.DeleteNamespace(cmd.Context(), name)
		switch {
		case err != nil:
			return failed(err, "deleting namespace")
		case ended.Job() == "" && ended.WrapInfo == nil && ended.Data["status"] == nil:
			fmt.Fprintln(a.Stderr, "Requested namespace does not exist")
			return nil
		case wait && ended.Job() != "":
			job, err := a.follow(cmd.Context(), c, ended.Job())
			if err == nil {
				a.success("Success! Namespace deleted: %s/ (%d leases revoked)", name, job.Done)
			}
			return err
		}
		a.success("Success! Namespace deletion scheduled: %s/", name)
		a.tellJob(ended.Job())
		return nil
	})
	return cmd
}
