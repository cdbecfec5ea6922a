package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func snapshotCommand(a *app) *cobra.Command {
	return newGroup("snapshot", "Save and restore the cluster's state",
		`Saves the whole state of the cluster to a file, and restores it.`,
		`  leasehold operator raft snapshot save backup.snap
  leasehold operator raft snapshot inspect backup.snap
  leasehold operator raft snapshot restore backup.snap
  leasehold operator raft snapshot release`,
		snapshotSaveCommand(a), snapshotInspectCommand(a), snapshotRestoreCommand(a), snapshotReleaseCommand(a))
}

func snapshotSaveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save the state of the cluster to a file",
		Long: `Saves the whole state of the cluster. The file appears only when it is complete and its checksums
are right; only you can read it. Secrets in it stay sealed under the cluster's key. With "-" for
the file it goes to the standard output, whole if the exit code is 0.`,
		Example: `  leasehold operator raft snapshot save backup.snap`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		name, err := oneArg(args, "Not enough arguments (expected 1, got 0): save to which file?")
		if err != nil {
			return err
		}
		if name == "-" {
			if err := c.Snapshot(cmd.Context(), a.Stdout); err != nil {
				return failed(err, "taking the snapshot")
			}
			return nil
		}
		return saveSnapshot(cmd.Context(), c, name)
	})
	return cmd
}

func saveSnapshot(ctx context.Context, c *client.Client, name string) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return localf(err, "saving the snapshot", "another file, in a directory that you may write to.")
	}
	defer os.Remove(file.Name()) // after the rename there is nothing to remove
	err = c.Snapshot(ctx, file)
	if err != nil {
		return failed(errors.Join(err, file.Close()), "taking the snapshot")
	}
	err = errors.Join(file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return localf(err, "saving the snapshot", "see whether the disk is full.")
	}
	return nil
}

// openSnapshot opens a file, "-" for the standard input.
func (a *app) openSnapshot(name, doing string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, localf(err, doing, "the file that \"operator raft snapshot save\" made.")
	}
	return file, nil
}

func snapshotInspectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a snapshot is of",
		Long: `Reads a snapshot to its end, compares it with its checksums and shows what it is of. No server is
asked. Whether it is genuine only a cluster with the right seal key can tell, when it restores it.`,
		Example: `  leasehold operator raft snapshot inspect backup.snap`,
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		name, err := oneArg(args, "Not enough arguments (expected 1, got 0): which file?")
		if err != nil {
			return err
		}
		file, err := a.openSnapshot(name, "reading the snapshot")
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := client.ReadSnapshot(bufio.NewReader(file))
		if err != nil {
			return localf(err, "reading the snapshot", "another file: this one is damaged or no snapshot.")
		}
		if a.format() != formatTable {
			return a.marshalled(info)
		}
		a.table([][]string{{"Key", "Value"}, {"ID", info.ID}, {"Size", fmt.Sprint(info.Size)}, {"Index", fmt.Sprint(info.Index)},
			{"Term", fmt.Sprint(info.Term)}, {"Version", fmt.Sprint(info.Version)}, {"Cluster ID", info.ClusterID},
			{"Cluster Name", info.ClusterName}, {"Created", info.Created.Format(time.RFC3339)}})
		return nil
	}
	return cmd
}

func snapshotRestoreCommand(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace the state of the cluster by a snapshot",
		Long: `Replaces all that the cluster holds by a snapshot of it, from a file or, with "-", the standard
input. Nothing is replaced unless the snapshot is whole, genuine and of this cluster. With -force it
may be of another cluster that had the same seal key.

The restored state is held: leases that look expired are dead to their holders, but nothing is
destroyed, since renewals after the snapshot are not known. Look at what there is, then run
"snapshot release".`,
		Example: `  leasehold operator raft snapshot restore backup.snap
  leasehold operator raft snapshot restore -force backup.snap`,
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a snapshot of another cluster with the same seal key")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		name, err := oneArg(args, "Not enough arguments (expected 1, got 0): restore which file?")
		if err != nil {
			return err
		}
		file, err := a.openSnapshot(name, "reading the snapshot")
		if err != nil {
			return err
		}
		defer file.Close()
		if err := c.RestoreSnapshot(cmd.Context(), file, force); err != nil {
			return failed(err, "installing the snapshot")
		}
		fmt.Fprintln(a.Stderr, "The snapshot is restored and held: nothing is destroyed until \"leasehold operator raft snapshot release\".")
		return nil
	})
	return cmd
}

func snapshotReleaseCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Let a restored cluster destroy again what has ended",
		Long: `Releases the hold that a restore began: what has ended is destroyed from here on. "leasehold status"
shows whether there is one.`,
		Example: `  leasehold operator raft snapshot release`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		if err := c.ReleaseHold(cmd.Context(), ""); err != nil {
			return failed(err, "releasing the hold")
		}
		a.success("Success! Released the hold: what has ended is destroyed from here on.")
		return nil
	})
	return cmd
}
