package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func leaseCommand(a *app) *cobra.Command {
	return newGroup("lease", "Look up, renew, revoke, retry, reconcile and tidy leases",
		`Works with leases by their ID, which came with what was leased. Leases are listed with
"leasehold list sys/leases/lookup".`,
		`  leasehold lease lookup hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease renew -increment=1h hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease revoke -prefix hooks/creds/ci`,
		leaseLookupCommand(a), leaseRenewCommand(a), leaseRevokeCommand(a), leaseRetryCommand(a),
		leaseReconcileCommand(a), leaseTidyCommand(a))
}

const missingID = "Missing ID! Which lease? Give its ID as the argument."

func leaseLookupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lookup ID",
		Short: "Tell where a lease stands",
		Long: `Tells when a lease was issued, when it ends, whether it can be renewed and, once it is being
revoked, how that goes: the last error, when it is tried again, and whether its engine is frozen or
its target does not answer.`,
		Example: `  leasehold lease lookup hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease lookup -field=ttl hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		id, err := oneArg(args, missingID)
		if err != nil {
			return err
		}
		found, err := c.LookupLease(cmd.Context(), id)
		if err != nil {
			return failed(err, "looking up lease id %s", id)
		}
		if found.WrapInfo != nil || a.field != "" || a.format() != formatTable {
			return a.secret(found.Raw())
		}
		return a.lookup(found)
	})
	return a.fieldFlag(cmd)
}

// lookup prints what is known of a lease as a table: whatever fields the server sends, those that are
// objects in words.
func (a *app) lookup(found *client.Envelope[client.LeaseLookup]) error {
	var secret client.Secret
	if err := decode(found.Raw(), &secret); err != nil {
		return localf(err, "reading the answer", "")
	}
	for field, words := range map[string]string{
		"frozen": shownFrozen(found.Data.Frozen), "target_down": shownDown(found.Data.TargetDown),
	} {
		if words != "" {
			secret.Data[field] = words
		}
	}
	a.secretTable(&secret)
	return nil
}

func leaseRenewCommand(a *app) *cobra.Command {
	var increment seconds
	cmd := &cobra.Command{
		Use:   "renew ID",
		Short: "Let a lease live longer",
		Long: `Asks for a lease to end -increment from now, or as far off as it was first granted. The answer
says what was granted: less where a limit says so.`,
		Example: `  leasehold lease renew hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease renew -increment=1h hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2`,
	}
	cmd.Flags().Var(&increment, "increment", "how long from now: seconds, or with a unit (30m, 1h)")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		id, err := oneArg(args, missingID)
		if err != nil {
			return err
		}
		return a.renew(cmd, c, id, time.Duration(increment))
	})
	return a.fieldFlag(cmd)
}

func (a *app) renew(cmd *cobra.Command, c *client.Client, id string, increment time.Duration) error {
	renewed, err := c.RenewLease(cmd.Context(), id, increment)
	if err != nil {
		return failed(err, "renewing lease %s", id)
	}
	if len(renewed.Raw()) == 0 {
		a.success("Success! Renewed lease: %s", id)
		return nil
	}
	return a.secret(renewed.Raw())
}

// revokeFlags are those of both spellings of revoke.
type revokeFlags struct{ prefix, force, sync bool }

func (f *revokeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.prefix, "prefix", false, "the argument is a prefix: revoke every lease below it")
	flags.BoolVarP(&f.force, "force", "f", false, "with -prefix: forget the leases even where destroying fails")
	flags.BoolVar(&f.sync, "sync", false, "return when what was leased is destroyed, or say why it is not")
}

func leaseRevokeCommand(a *app) *cobra.Command {
	var flags revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke ID | revoke -prefix PREFIX",
		Short: "End leases now and destroy what was leased",
		Long: `Ends a lease, or with -prefix every lease below a prefix. The leases are dead at once; what they
stand for is destroyed soon after, and tried again for as long as that fails. With -sync the
command waits for it. A prefix covers whole names: a/b covers a/b/c and not a/bc.

-force forgets the leases although destroying failed. What is left behind then is for you to
clean up.`,
		Example: `  leasehold lease revoke hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease revoke -sync hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease revoke -prefix hooks/creds/ci
  leasehold lease revoke -force -prefix hooks`,
	}
	flags.register(cmd)
	cmd.RunE = a.revokeRunE(&flags)
	return cmd
}

func (a *app) revokeRunE(flags *revokeFlags) func(*cobra.Command, []string) error {
	return a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		id, err := oneArg(args, missingID)
		if flags.force && !flags.prefix {
			return usagef("Specifying -force requires also specifying -prefix.")
		}
		if err != nil {
			return err
		}
		if id = cleanPath(id); id == "" {
			return usagef("A prefix of nothing would cover every lease there is: name a mount at least.")
		}
		how := client.Queued
		if flags.sync {
			how = client.Waiting
		}
		if flags.prefix {
			return a.revokePrefix(cmd, c, id, how, flags.force)
		}
		if err := c.RevokeLease(cmd.Context(), id, how); err != nil {
			return failed(err, "revoking lease %s", id)
		}
		a.revoked(how, "Success! Revoked lease: %s", id)
		return nil
	})
}

func (a *app) revokePrefix(cmd *cobra.Command, c *client.Client, prefix string, how client.Revocation, force bool) error {
	if force {
		fmt.Fprintln(a.Stderr, "Warning! What cannot be destroyed is forgotten, and stays behind for you to clean up.")
		if err := c.RevokeForce(cmd.Context(), prefix); err != nil {
			return failed(err, "force revoking leases with prefix %s", prefix)
		}
		a.success("Success! Force revoked any leases with prefix: %s", prefix)
		return nil
	}
	job, err := c.RevokePrefix(cmd.Context(), prefix, how)
	if err != nil {
		return failed(err, "revoking leases with prefix %s", prefix)
	}
	a.revoked(how, "Success! Revoked any leases with prefix: %s", prefix)
	if how == client.Queued && job != "" {
		fmt.Fprintf(a.Stderr, "How far it is: leasehold read sys/leases/jobs/%s\n", job)
	}
	return nil
}

// revoked tells that a revocation is done or, as it is, queued.
func (a *app) revoked(how client.Revocation, done string, args ...any) {
	if how == client.Queued {
		a.success("All revocation operations queued successfully!")
		return
	}
	a.success(done, args...)
}

// oldRenewCommand is the spelling from before there was "lease renew".
func oldRenewCommand(a *app) *cobra.Command {
	var increment seconds
	cmd := &cobra.Command{
		Use:     "renew ID [INCREMENT]",
		Short:   "Let a lease live longer (the older spelling of \"lease renew\")",
		Example: `  leasehold renew hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2 3600`,
		Hidden:  true,
	}
	cmd.Flags().Var(&increment, "increment", "how long from now: seconds, or with a unit (30m, 1h)")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if len(args) == 2 {
			if err := increment.Set(args[1]); err != nil {
				return usagef("%s", sentence("the increment "+err.Error()))
			}
			args = args[:1]
		}
		id, err := oneArg(args, missingID)
		if err != nil {
			return err
		}
		return a.renew(cmd, c, id, time.Duration(increment))
	})
	return a.fieldFlag(cmd)
}

// oldRevokeCommand is the spelling from before there was "lease revoke".
func oldRevokeCommand(a *app) *cobra.Command {
	var flags revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke ID | revoke -prefix PREFIX",
		Short: "End leases now (the older spelling of \"lease revoke\")",
		Example: `  leasehold revoke hooks/creds/ci/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold revoke -prefix hooks/creds/ci`,
		Hidden: true,
	}
	flags.register(cmd)
	cmd.RunE = a.revokeRunE(&flags)
	return cmd
}
