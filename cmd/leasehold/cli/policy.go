package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func policyCommand(a *app) *cobra.Command {
	return newGroup("policy", "Write, read, list, delete and format policies",
		`A policy says what a token may do. It is written in Vault's language, as HCL or JSON.`,
		`  leasehold policy write app app.hcl
  leasehold policy list`,
		policyWriteCommand(a), policyReadCommand(a), policyListCommand(a), policyDeleteCommand(a),
		policyFmtCommand(a))
}

const missingPolicy = "Not enough arguments (expected 1, got 0): which policy?"

func policyWriteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "write NAME FILE",
		Short: "Make or replace a policy from a file, or from standard input with -",
		Long:  `Makes or replaces a policy. It is in force at once, for tokens that exist already too.`,
		Example: `  leasehold policy write app app.hcl
  echo 'path "lease/*" { capabilities = ["update"] }' | leasehold policy write app -`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if len(args) != 2 {
			return usagef("A name and a file are needed (expected 2 arguments, got %d).", len(args))
		}
		name := strings.ToLower(cleanPath(args[0]))
		read := a.input
		if args[1] != "-" {
			read = func() (string, error) { return readFile(args[1]) }
		}
		text, err := read()
		if err != nil {
			return err
		}
		if err := c.PutPolicy(cmd.Context(), name, text); err != nil {
			return failed(err, "uploading policy %s", name)
		}
		a.success("Success! Uploaded policy: %s", name)
		return nil
	})
	return cmd
}

func policyReadCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "read NAME",
		Short:   "Print a policy",
		Long:    `Prints the text of a policy as it was written.`,
		Example: `  leasehold policy read app > app.hcl`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingPolicy)
		if err != nil {
			return err
		}
		name := strings.ToLower(cleanPath(arg))
		policy, err := c.Policy(cmd.Context(), name)
		if client.CodeOf(err) == client.NotFound {
			fmt.Fprintf(a.Stderr, "No policy named: %s\n", name)
			return exitCode(exitServer)
		}
		if err != nil {
			return failed(err, "reading policy named %s", name)
		}
		if policy.WrapInfo != nil {
			return a.secret(policy.Raw())
		}
		if a.format() != formatTable {
			return a.marshalled(map[string]string{"policy": policy.Data.Policy})
		}
		fmt.Fprintln(a.Stdout, strings.TrimSpace(policy.Data.Policy))
		return nil
	})
	return cmd
}

func policyListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the policies",
		Long:    `Lists the names of the policies, the built-in ones with them.`,
		Example: `  leasehold policy list`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		policies, err := c.Policies(cmd.Context())
		if err != nil {
			return failed(err, "listing policies")
		}
		if policies.WrapInfo != nil {
			return a.secret(policies.Raw())
		}
		return a.keys(policies.Data.Keys, "")
	})
	return cmd
}

func policyDeleteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a policy",
		Long:    `Deletes a policy. Tokens that name it lose what it allowed.`,
		Example: `  leasehold policy delete app`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, missingPolicy)
		if err != nil {
			return err
		}
		name := strings.ToLower(cleanPath(arg))
		if err := c.DeletePolicy(cmd.Context(), name); err != nil {
			return failed(err, "deleting policy %s", name)
		}
		a.success("Success! Deleted policy: %s", name)
		return nil
	})
	return cmd
}
