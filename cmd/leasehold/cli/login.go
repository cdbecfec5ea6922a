package cli

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// loginFlags are what login takes besides what its method takes.
type loginFlags struct {
	method, path                string
	noStore, noPrint, tokenOnly bool
}

func loginCommand(a *app) *cobra.Command {
	var flags loginFlags
	cmd := &cobra.Command{
		Use:   "login [TOKEN | KEY=VALUE...]",
		Short: "Log in and keep the token for the commands to come",
		Long: `Logs in and stores the token in ~/.vault-token, which only you can read; later commands use it
unless VAULT_TOKEN or -token says otherwise. -method says how:

  token      checks a token that you have: TOKEN, or token=TOKEN
  userpass   username=NAME and password=PASSWORD
  approle    role_id=ID and, unless the role needs none, secret_id=ID

A value given as - is read from standard input, one given as @FILE from a file, so that it stands
neither in the shell's history nor in the list of processes. A token or password that is not given
is asked for on the terminal and not shown. With -wrap-ttl the token comes wrapped: it is unwrapped
and stored, or with -no-store or -token-only left wrapped and shown.`,
		Example: `  leasehold login - < root-token
  leasehold login -method=userpass username=ann
  leasehold login -method=approle role_id=@role-id secret_id=@secret-id
  VAULT_TOKEN=$(leasehold login -token-only -method=userpass username=ci password=-)`,
	}
	set := cmd.Flags()
	set.StringVar(&flags.method, "method", "token", "how to log in: token, userpass or approle")
	set.StringVar(&flags.path, "path", "", "where the auth method is enabled; by default its type")
	set.BoolVar(&flags.noStore, "no-store", false, "show the token, but do not store it")
	set.BoolVar(&flags.noPrint, "no-print", false, "store the token, but do not show it")
	set.BoolVar(&flags.tokenOnly, "token-only", false, "print the bare token and store nothing")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if flags.tokenOnly {
			flags.noStore, a.field = true, "token"
		}
		if flags.noStore && flags.noPrint {
			return usagef("Cannot use -no-store with -no-print: nobody would get the token.")
		}
		return a.login(cmd, c, flags, args)
	})
	return a.fieldFlag(cmd)
}

func (a *app) login(cmd *cobra.Command, c *client.Client, flags loginFlags, args []string) error {
	name := cmp.Or(cleanPath(flags.method), "token")
	method, ok := loginMethods[name]
	if !ok {
		return usagef("Unknown login method: %s. It is one of %s; other methods are reached with \"leasehold write auth/...\".",
			quote(name), strings.Join(slices.Sorted(maps.Keys(loginMethods)), ", "))
	}
	given, err := a.loginArgs(name, method, args)
	if err != nil {
		return err
	}
	given["mount"] = cleanPath(cmp.Or(given["mount"], flags.path, name))
	secret, err := method.login(cmd.Context(), a, c, given)
	if err != nil {
		return refusedLogin(err, method)
	}
	if secret.WrapInfo != nil {
		if flags.noStore {
			if flags.tokenOnly {
				a.field = "wrapping_token"
			}
			return a.secret(secret.Raw())
		}
		if secret, err = unwrapLogin(cmd, c, secret.WrapInfo); err != nil {
			return err
		}
	}
	return a.loggedIn(secret, flags)
}

// refusedLogin says what a login failed with, and for a refusal what else to try.
func refusedLogin(err error, method loginMethod) error {
	err = failed(err, "authenticating")
	switch client.CodeOf(err) {
	case client.Invalid, client.Denied, client.NotFound:
		if f, ok := errors.AsType[*failure](err); ok {
			f.try = method.try
		}
	}
	return err
}

// unwrapLogin fetches the token that a login's wrapped answer stands for.
func unwrapLogin(cmd *cobra.Command, c *client.Client, wrap *client.WrapInfo) (*client.Secret, error) {
	secret, err := c.WithToken("").Unwrap(cmd.Context(), wrap.Token)
	if err == nil && secret.Auth == nil {
		err = fmt.Errorf("what was wrapped holds no token")
	}
	if err != nil {
		return nil, failed(err, "unwrapping the token")
	}
	return secret, nil
}

// loggedIn stores the token that was earned and tells about it.
func (a *app) loggedIn(secret *client.Secret, flags loginFlags) error {
	var unstored error
	if !flags.noStore {
		if err := storeToken(secret.Auth.ClientToken); err != nil {
			// The token may be the only one of its login: it is shown all the same.
			unstored = localf(err, "storing the token", "-no-store, and VAULT_TOKEN in the environment.")
			flags.noPrint = false
		} else if _, variable := client.Env("TOKEN"); variable != "" {
			fmt.Fprintf(a.Stderr, "WARNING! The variable %s is set and goes before the stored token: unset it.\n\n", variable)
		}
	}
	if flags.noPrint {
		return nil
	}
	if a.format() == formatTable && a.field == "" {
		fmt.Fprint(a.Stderr, "Success! You are now authenticated.")
		switch {
		case flags.noStore:
			fmt.Fprint(a.Stderr, " The token is not stored: set VAULT_TOKEN to it for the commands to come.")
		case unstored == nil:
			fmt.Fprintf(a.Stderr, " The token is stored in ~/%s; later commands use it.", tokenFileName)
		}
		fmt.Fprint(a.Stderr, "\n\n")
	}
	raw := secret.Raw()
	if len(raw) == 0 { // of the method token, which has no answer of this form
		var err error
		if raw, err = encode(secret); err != nil {
			return localf(err, "writing the answer", "")
		}
	}
	if err := a.secret(raw); err != nil {
		return err
	}
	return unstored
}
