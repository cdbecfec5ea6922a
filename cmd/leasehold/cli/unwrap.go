package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func unwrapCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unwrap [TOKEN]",
		Short: "Fetch an answer that was wrapped",
		Long: `Fetches what was put aside by -wrap-ttl, by the token that stands for it; without an argument that
is the token you use. The token opens it once: if somebody has been there before, you are told so.
Given as - the token is read from standard input.`,
		Example: `  leasehold token create -wrap-ttl=5m -field=wrapping_token
  leasehold unwrap hvs.example
  leasehold unwrap -field=token - < wrapping-token`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		token := ""
		switch {
		case len(args) > 1:
			return usagef("Too many arguments (expected 0-1, got %d).", len(args))
		case len(args) == 1:
			var err error
			if token, err = a.text(args[0]); err != nil {
				return err
			}
			if token = strings.TrimSpace(token); token == "" {
				return usagef("The wrapping token is empty: without an argument the token you use is meant.")
			}
		}
		secret, err := c.Unwrap(cmd.Context(), token)
		if err != nil {
			return refusedUnwrap(err)
		}
		return a.unwrapped(secret)
	})
	return a.fieldFlag(cmd)
}

// refusedUnwrap says what a refusal may mean: it is what shows that a secret was read on its way.
func refusedUnwrap(err error) error {
	err = failed(err, "unwrapping")
	refused, ok := errors.AsType[*client.Error](err)
	if f, isFailure := errors.AsType[*failure](err); ok && isFailure && strings.Contains(refused.Reason(), "wrapping token") {
		f.try = "nothing with this token: it was opened, or its time is over. If it was not you who opened it, treat what it held as known to others."
	}
	return err
}

// unwrapped prints what was wrapped as it would have been printed at once.
func (a *app) unwrapped(secret *client.Secret) error {
	if len(secret.Raw()) == 0 {
		a.success("Successfully unwrapped. There was no data in the wrapped secret.")
		return nil
	}
	listed, isList := secret.Data["keys"].([]any)
	if !isList || a.field != "" {
		return a.secret(secret.Raw())
	}
	var keys []string
	for _, key := range listed {
		name, ok := key.(string)
		if !ok {
			return a.secret(secret.Raw())
		}
		keys = append(keys, name)
	}
	a.warn(secret.Warnings)
	return a.keys(keys, "Keys")
}
