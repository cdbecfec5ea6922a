package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func leaseReconcileCommand(a *app) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "reconcile [-fix] MOUNT",
		Short: "Compare the leases of a mount with what is at its target",
		Long: `Asks the target of a mount for all that bears this cluster's mark, and compares it with the leases:
orphans are there and in no lease, missing are leases of which nothing is there. It changes nothing
without -fix, which destroys orphans, but for those that may belong to an issue that is under way.
It takes an engine that can list what is at its target; one of type "lease" has none.`,
		Example: `  leasehold lease reconcile hooks
  leasehold lease reconcile -fix hooks
  leasehold lease reconcile -field=orphan_count db`,
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "destroy the orphans that are old enough to be certain of")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		arg, err := oneArg(args, "Not enough arguments (expected 1, got 0): which mount?")
		if err != nil {
			return err
		}
		mount := cleanPath(arg)
		found, err := c.Reconcile(cmd.Context(), client.ReconcileRequest{Mount: mount + "/", Fix: fix})
		if err != nil {
			return reconcileFailed(err, mount)
		}
		if found.WrapInfo != nil || a.field != "" {
			return a.secret(found.Raw())
		}
		if a.format() != formatTable {
			return a.value(found.Raw())
		}
		a.warn(found.Warnings)
		a.reconciliation(&found.Data, fix)
		return nil
	})
	return a.fieldFlag(cmd)
}

// reconcileFailed says of an engine without an inventory which others have one.
func reconcileFailed(err error, mount string) error {
	result := failed(err, "comparing the leases of %s/ with its target", mount)
	refused, isRefused := errors.AsType[*client.Error](err)
	if f, ok := errors.AsType[*failure](result); ok && isRefused && refused.Code == client.Unsupported {
		f.try = `a mount whose engine lists what is at its target: database, aws, or webhook with an inventory_url in each role.`
	}
	return result
}

// reconciliation prints counts, then names.
func (a *app) reconciliation(r *client.Reconciliation, fixed bool) {
	rows := [][]string{{"What", "Count"}}
	add := func(what string, n int) { rows = append(rows, []string{what, fmt.Sprint(n)}) }
	add("at the target, with this cluster's mark", r.Items)
	add("leases", r.Leases)
	add("orphans: at the target, in no lease", r.OrphanCount)
	add("young orphans, which a lease may follow", r.Young)
	if fixed {
		add("orphans destroyed", r.Destroyed)
		add("orphans that could not be destroyed", r.Failed)
	}
	add("missing: leases with nothing at the target", r.MissingCount)
	a.table(rows)
	a.names("Orphan", r.Orphans)
	a.names("Missing", r.Missing)
	if r.Error != "" {
		fmt.Fprintf(a.Stderr, "Warning! %d orphans could not be destroyed. The first error: %s\n", r.Failed, r.Error)
	}
}

// names prints a table of one column, apart from what stands before it; none if there are no names.
func (a *app) names(title string, names []string) {
	if len(names) == 0 {
		return
	}
	rows := [][]string{{title}}
	for _, name := range names {
		rows = append(rows, []string{name})
	}
	fmt.Fprintln(a.Stdout)
	a.table(rows)
}
