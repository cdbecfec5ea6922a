package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func loginCommand(a *app) *cobra.Command {
	var noStore, tokenOnly bool
	var method string
	cmd := &cobra.Command{
		Use:   "login TOKEN",
		Short: "Check a token and keep it for the commands to come",
		Long: `Checks a token and stores it in ~/.vault-token, which only you can read; later commands use it
unless VAULT_TOKEN or -token says otherwise. Given as - the token is read from standard input, so
that it stands neither in the shell's history nor in the list of processes.`,
		Example: `  leasehold login - < root-token
  leasehold login hvs.example`,
	}
	cmd.Flags().BoolVar(&noStore, "no-store", false, "check it, but do not store it")
	cmd.Flags().BoolVar(&tokenOnly, "token-only", false, "print the bare token and store nothing")
	cmd.Flags().StringVar(&method, "method", "token", "how to log in: token")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if method != "token" {
			return usagef("Unknown login method: %s. This version logs in with a token.", quote(method))
		}
		token, err := a.loginToken(args)
		if err != nil {
			return err
		}
		found, err := c.WithToken(token).LookupSelf(cmd.Context())
		if err != nil {
			return failed(err, "authenticating")
		}
		if tokenOnly {
			a.field = "token"
		} else if !noStore {
			if err := storeToken(token); err != nil {
				return localf(err, "storing the token", "-no-store, and VAULT_TOKEN in the environment.")
			}
		}
		return a.loggedIn(token, &found.Data, !noStore && !tokenOnly)
	})
	return a.fieldFlag(cmd)
}

// loginToken takes the token from the argument, which may be "token=T", or from standard input.
func (a *app) loginToken(args []string) (string, error) {
	arg, err := oneArg(args, "Missing token! Give it as the argument, or on standard input with -.")
	if err != nil {
		return "", err
	}
	token := strings.TrimPrefix(arg, "token=")
	if token == "-" {
		if token, err = a.input(); err != nil {
			return "", err
		}
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", usagef("Missing token! What was given is empty.")
	}
	return token, nil
}

// loggedIn tells about the token that was accepted, in the form of a token just made.
func (a *app) loggedIn(token string, found *client.TokenLookup, stored bool) error {
	if _, variable := client.Env("TOKEN"); variable != "" && stored {
		fmt.Fprintf(a.Stderr, "WARNING! The variable %s is set and goes before the stored token: unset it.\n\n", variable)
	}
	if a.format() == formatTable && a.field == "" {
		fmt.Fprint(a.Stderr, "Success! You are now authenticated.")
		if stored {
			fmt.Fprintf(a.Stderr, " The token is stored in ~/%s; later commands use it.", tokenFileName)
		}
		fmt.Fprint(a.Stderr, "\n\n")
	}
	raw, err := encode(client.Secret{Auth: &client.Auth{
		ClientToken: token, Accessor: found.Accessor,
		Policies: found.Policies, TokenPolicies: found.Policies, Metadata: found.Meta,
		LeaseDuration: found.TTL, Renewable: found.Renewable,
		EntityID: found.EntityID, TokenType: found.Type, Orphan: found.Orphan, NumUses: found.NumUses,
	}})
	if err != nil {
		return localf(err, "writing the answer", "")
	}
	return a.secret(raw)
}
