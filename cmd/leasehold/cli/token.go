package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func tokenCommand(a *app) *cobra.Command {
	return newGroup("token", "Create, look up, renew and revoke tokens, see what they may do",
		`A token is what a request is allowed by. A token dies with the one that made it, and what it has
leased dies with it.`,
		`  leasehold token create -ttl=1h -policy=app
  leasehold token lookup
  leasehold token revoke -self`,
		tokenCreateCommand(a), tokenLookupCommand(a), tokenCapabilitiesCommand(a), tokenRenewCommand(a),
		tokenRevokeCommand(a))
}

// createFlags are what "token create" takes besides what goes into the request as it is.
type createFlags struct {
	ttl, explicitMaxTTL, period seconds
	metadata                    []string
	role                        string
	orphan, renewable           bool
}

func tokenCreateCommand(a *app) *cobra.Command {
	var flags createFlags
	var ask client.TokenCreateRequest
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token",
		Long: `Makes a child of the token you use, or with -orphan one that outlives it. Without -policy the
child may do what its parent may.`,
		Example: `  leasehold token create -ttl=1h -policy=app
  leasehold token create -orphan -period=24h -display-name=nightly
  leasehold token create -field=token -use-limit=1`,
	}
	set := cmd.Flags()
	set.StringArrayVar(&ask.Policies, "policy", nil, "policy of the token; may be repeated")
	set.Var(&flags.ttl, "ttl", "how long it lives at first: seconds, or with a unit (30m, 1h)")
	set.Var(&flags.explicitMaxTTL, "explicit-max-ttl", "how long it lives at most, renewed or not")
	set.Var(&flags.period, "period", "what each renewal grants, without a limit in all")
	set.IntVar(&ask.NumUses, "use-limit", 0, "how many requests it is good for; 0 is no limit")
	set.StringVar(&ask.DisplayName, "display-name", "", "name to show in logs")
	set.StringArrayVar(&flags.metadata, "metadata", nil, "key=value to keep with it; may be repeated")
	set.StringVar(&flags.role, "role", "", "role that prescribes how it is made")
	set.StringVar(&ask.ID, "id", "", "the token itself, chosen by you (needs sudo)")
	set.StringVar(&ask.Type, "type", "service", "type of the token")
	set.StringVar(&ask.EntityAlias, "entity-alias", "", "entity alias; for requests like those of other CLIs")
	set.BoolVar(&flags.orphan, "orphan", false, "make it outlive the token you use")
	set.BoolVar(&flags.renewable, "renewable", true, "let it be renewed")
	set.BoolVar(&ask.NoDefaultPolicy, "no-default-policy", false, "leave out the policy \"default\"")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		return a.createToken(cmd, c, flags, ask)
	})
	return a.fieldFlag(cmd)
}

func (a *app) createToken(cmd *cobra.Command, c *client.Client, flags createFlags, ask client.TokenCreateRequest) error {
	ask.TTL, ask.ExplicitMaxTTL, ask.Period = flags.ttl.wire(), flags.explicitMaxTTL.wire(), flags.period.wire()
	ask.Renewable = &flags.renewable
	for _, pair := range flags.metadata {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return usagef("The metadata %s is not of the form key=value.", quote(pair))
		}
		if ask.Metadata == nil {
			ask.Metadata = map[string]string{}
		}
		ask.Metadata[key] = value
	}
	var made *client.Secret
	var err error
	switch ctx := cmd.Context(); {
	case flags.role != "":
		made, err = c.CreateRoleToken(ctx, flags.role, ask)
	case flags.orphan:
		made, err = c.CreateOrphanToken(ctx, ask)
	default:
		made, err = c.CreateToken(ctx, ask)
	}
	if err != nil {
		return failed(err, "creating token")
	}
	return a.secret(made.Raw())
}

func tokenLookupCommand(a *app) *cobra.Command {
	var accessor bool
	cmd := &cobra.Command{
		Use:   "lookup [TOKEN | -accessor ACCESSOR]",
		Short: "Tell about a token: without an argument, yours",
		Long: `Tells what a token may do and how long it lives. Without an argument it is the token you use;
with -accessor the argument is an accessor, and the token itself stays unknown.`,
		Example: `  leasehold token lookup
  leasehold token lookup -field=ttl
  leasehold token lookup -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da`,
	}
	cmd.Flags().BoolVar(&accessor, "accessor", false, "the argument is an accessor")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		var found *client.Envelope[client.TokenLookup]
		var err error
		switch ctx := cmd.Context(); {
		case len(args) > 1:
			return usagef("Too many arguments (expected 0-1, got %d).", len(args))
		case accessor && len(args) == 0:
			return usagef("Not enough arguments with -accessor (expected 1, got 0).")
		case accessor:
			found, err = c.LookupAccessor(ctx, strings.TrimSpace(args[0]))
		case len(args) == 1:
			found, err = c.LookupToken(ctx, strings.TrimSpace(args[0]))
		default:
			found, err = c.LookupSelf(ctx)
		}
		if err != nil {
			return failed(err, "looking up token")
		}
		return a.secret(found.Raw())
	})
	return a.fieldFlag(cmd)
}

func tokenRenewCommand(a *app) *cobra.Command {
	var increment seconds
	var accessor bool
	cmd := &cobra.Command{
		Use:   "renew [TOKEN | -accessor ACCESSOR]",
		Short: "Let a token live longer: without an argument, yours",
		Long: `Asks for a token to end -increment from now, or as far off as it was first granted. The answer
says what was granted.`,
		Example: `  leasehold token renew
  leasehold token renew -increment=30m
  leasehold token renew -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da`,
	}
	cmd.Flags().Var(&increment, "increment", "how long from now: seconds, or with a unit (30m, 1h)")
	cmd.Flags().BoolVar(&accessor, "accessor", false, "the argument is an accessor")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		var renewed *client.Secret
		var err error
		switch ctx, increment := cmd.Context(), time.Duration(increment); {
		case len(args) > 1:
			return usagef("Too many arguments (expected 0-1, got %d).", len(args))
		case accessor && len(args) == 0:
			return usagef("Not enough arguments with -accessor (expected 1, got 0).")
		case accessor:
			renewed, err = c.RenewAccessor(ctx, strings.TrimSpace(args[0]), increment)
		case len(args) == 1:
			renewed, err = c.RenewToken(ctx, strings.TrimSpace(args[0]), increment)
		default:
			renewed, err = c.RenewSelf(ctx, increment)
		}
		if err != nil {
			return failed(err, "renewing token")
		}
		return a.secret(renewed.Raw())
	})
	return a.fieldFlag(cmd)
}

func tokenRevokeCommand(a *app) *cobra.Command {
	var self, accessor bool
	var mode string
	cmd := &cobra.Command{
		Use:   "revoke [TOKEN | -self | -accessor ACCESSOR]",
		Short: "End a token with all that hangs on it",
		Long: `Ends a token, its children, and all that any of them leased. With -mode=orphan the children live
on without a parent. With -mode=path the argument is the path that made the tokens, and all of
them end.`,
		Example: `  leasehold token revoke -self
  leasehold token revoke -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da
  leasehold token revoke -mode=orphan hvs.example
  leasehold token revoke -mode=path auth/token/create`,
	}
	cmd.Flags().BoolVar(&self, "self", false, "end the token you use")
	cmd.Flags().BoolVar(&accessor, "accessor", false, "the argument is an accessor")
	cmd.Flags().StringVar(&mode, "mode", "", "orphan or path")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := checkRevoke(args, self, accessor, mode); err != nil {
			return err
		}
		var err error
		switch ctx := cmd.Context(); {
		case self:
			err = c.RevokeSelf(ctx)
		case accessor:
			err = c.RevokeAccessor(ctx, args[0])
		case mode == "orphan":
			err = c.RevokeOrphan(ctx, args[0])
		case mode == "path":
			err = c.RevokeTokenPath(ctx, cleanPath(args[0]))
		default:
			err = c.RevokeToken(ctx, args[0])
		}
		if err != nil {
			return failed(err, "revoking token")
		}
		a.success("Success! Revoked token (if it existed)")
		return nil
	})
	return cmd
}

// checkRevoke refuses combinations that cannot be meant.
func checkRevoke(args []string, self, accessor bool, mode string) error {
	clash := func(one, other string) error {
		return usagef("Cannot use %s with %s!", one, other)
	}
	switch {
	case mode != "" && mode != "orphan" && mode != "path":
		return usagef("Invalid mode: %s. It is orphan or path.", quote(mode))
	case self && len(args) > 0:
		return usagef("Too many arguments with -self (expected 0, got %d).", len(args))
	case !self && len(args) > 1:
		return usagef("Too many arguments (expected 1 or -self, got %d).", len(args))
	case !self && (len(args) == 0 || cleanPath(args[0]) == ""):
		return usagef("Not enough arguments (expected 1 or -self, got 0).")
	case self && accessor:
		return clash("-self", "-accessor")
	case self && mode != "":
		return clash("-self", "-mode")
	case accessor && mode != "":
		return clash("-accessor", fmt.Sprintf("-mode=%s", mode))
	}
	return nil
}
