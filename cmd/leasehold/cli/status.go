package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// status is what a node says of itself and of its cluster.
type status struct {
	client.SealStatus
	client.Leader
}

func statusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell whether a node serves, and who leads",
		Long: `Tells what the node at the address is, whether it serves, and which node leads. Exit code 0: it
serves; 2: it is sealed, or there is no leader; 1: it could not be asked.`,
		Example: "  leasehold status\n  leasehold status -address=http://127.0.0.1:8220 -format=json",
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := nodeStatus(cmd.Context(), c)
		if err != nil {
			return a.withCode(exitLocal, failed(err, "checking status"))
		}
		if a.format() == formatTable {
			a.table(append([][]string{{"Key", "Value"}}, found.rows()...))
		} else if err := a.marshalled(found); err != nil {
			return err
		}
		if found.Sealed || !found.Initialized || found.HAEnabled && found.LeaderAddress == "" && !found.IsSelf {
			return exitCode(exitServer)
		}
		return nil
	})
	return cmd
}

func nodeStatus(ctx context.Context, c *client.Client) (*status, error) {
	seal, err := c.SealStatus(ctx)
	if err != nil {
		return nil, err
	}
	leader, err := c.Leader(ctx)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.StatusCode == http.StatusServiceUnavailable {
		// Sealed or not initialized: a state to show, not a failure to ask.
		return &status{SealStatus: *seal, Leader: client.Leader{HAEnabled: true}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &status{SealStatus: *seal, Leader: *leader}, nil
}

// rows is the status in the order and the words of Vault's CLI.
func (s *status) rows() [][]string {
	var rows [][]string
	add := func(key string, value any) { rows = append(rows, []string{key, fmt.Sprint(value)}) }
	recovery := ""
	if s.RecoverySeal {
		recovery = "Recovery "
	}
	add("Seal Type", s.Type)
	add("Initialized", s.Initialized)
	add("Sealed", s.Sealed)
	add("Total "+recovery+"Shares", s.N)
	add("Threshold", s.T)
	if s.Sealed {
		add("Unseal Progress", fmt.Sprintf("%d/%d", s.Progress, s.T))
		add("Unseal Nonce", s.Nonce)
	}
	add("Version", s.Version)
	add("Build Date", s.BuildDate)
	add("Storage Type", s.StorageType)
	if s.ClusterName != "" && s.ClusterID != "" {
		add("Cluster Name", s.ClusterName)
		add("Cluster ID", s.ClusterID)
	}
	add("HA Enabled", s.HAEnabled)
	if s.HAEnabled {
		s.leaderRows(add)
	}
	if s.Hold != nil {
		add("Held", s.Hold.Reason)
	}
	if s.RaftCommittedIndex > 0 {
		add("Raft Committed Index", s.RaftCommittedIndex)
	}
	if s.RaftAppliedIndex > 0 {
		add("Raft Applied Index", s.RaftAppliedIndex)
	}
	return rows
}

func (s *status) leaderRows(add func(string, any)) {
	if s.Sealed {
		add("HA Mode", "sealed")
		return
	}
	add("HA Cluster", s.LeaderClusterAddress)
	if s.IsSelf {
		add("HA Mode", "active")
		if !s.ActiveTime.IsZero() {
			add("Active Since", s.ActiveTime.Format(time.RFC3339Nano))
		}
		return
	}
	add("HA Mode", "standby")
	add("Active Node Address", cmp.Or(s.LeaderAddress, "<none>"))
}
