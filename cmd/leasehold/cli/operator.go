package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func operatorCommand(a *app) *cobra.Command {
	raft := newGroup("raft", "See and change the members of the cluster, save its state",
		`Works with the members of the cluster and with what they hold together.`,
		`  leasehold operator raft list-peers
  leasehold operator raft snapshot save backup.snap`,
		raftListPeersCommand(a), raftRemovePeerCommand(a), raftJoinTokenCommand(a), raftJoinCommand(a), raftAutopilotCommand(a),
		snapshotCommand(a))
	return newGroup("operator", "Initialize and run a cluster",
		`What those who run the cluster need.`,
		`  leasehold operator init
  leasehold operator raft list-peers
  leasehold operator step-down`,
		operatorInitCommand(a), operatorMembersCommand(a), stepDownCommand(a), gossipCommand(a), raft)
}

// keyFlags share and recover unseal keys, of which there are none here.
var keyFlags = [...]string{"key-shares", "key-threshold", "recovery-shares", "recovery-threshold"}

func operatorInitCommand(a *app) *cobra.Command {
	var status bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Initialize the cluster and print its root token",
		Long: `Initializes a new cluster and prints its root token, this once. There are no unseal keys: the key
that seals secrets at rest is a file or variable of each node. With -status it only tells whether
the cluster is initialized: exit code 0 if it is, 2 if not.`,
		Example: `  leasehold operator init
  leasehold operator init -format=json > init.json
  leasehold operator init -status`,
	}
	cmd.Flags().BoolVar(&status, "status", false, "only tell whether it is initialized")
	for _, name := range keyFlags {
		cmd.Flags().Int(name, 0, "accepted for scripts written for Vault; without effect")
		_ = cmd.Flags().MarkHidden(name) // the flag was made a line ago: cannot fail
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		if status {
			return a.initStatus(cmd.Context(), c)
		}
		for _, name := range keyFlags {
			if cmd.Flags().Changed(name) {
				fmt.Fprintf(a.Stderr, "Note: -%s has no effect; there are no unseal keys to share.\n", name)
			}
		}
		made, err := c.Init(cmd.Context())
		if err != nil {
			return failed(err, "initializing")
		}
		if a.format() != formatTable {
			return a.marshalled(made)
		}
		fmt.Fprintf(a.Stdout, "Initial Root Token: %s\n", made.RootToken)
		fmt.Fprint(a.Stderr, "\nThe cluster is initialized. Keep the token: it is not shown again.\n")
		return nil
	})
	return cmd
}

// initStatus exits with 1 on any error, so that 2 can mean "not initialized" alone.
func (a *app) initStatus(ctx context.Context, c *client.Client) error {
	found, err := c.InitStatus(ctx)
	if err != nil {
		return a.withCode(exitLocal, failed(err, "checking init status"))
	}
	if a.format() != formatTable {
		err = a.marshalled(found)
	} else if found.Initialized {
		fmt.Fprintln(a.Stdout, "Leasehold is initialized")
	} else {
		fmt.Fprintln(a.Stdout, "Leasehold is not initialized")
	}
	if err == nil && !found.Initialized {
		return exitCode(exitServer)
	}
	return err
}

// withCode reports err now and ends with another exit code than it would have.
func (a *app) withCode(code int, err error) error {
	a.report(nil, err)
	return exitCode(code)
}

func stepDownCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "step-down",
		Short:   "Make the leader hand over to another node",
		Long:    `Makes the node that leads hand over to another one. Nothing stops meanwhile.`,
		Example: `  leasehold operator step-down`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		if err := c.StepDown(cmd.Context()); err != nil {
			return failed(err, "stepping down")
		}
		a.success("Success! Stepped down: %s", c.Address())
		return nil
	})
	return cmd
}

func raftListPeersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list-peers",
		Short: "List the members of the cluster",
		Long: `Lists the members of the cluster, which of them leads, and which have a vote. A new member has
none until it has caught up.`,
		Example: `  leasehold operator raft list-peers`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := c.RaftConfiguration(cmd.Context())
		if err != nil {
			return failed(err, "reading the raft cluster configuration")
		}
		if a.format() != formatTable {
			return a.value(found.Raw())
		}
		rows := [][]string{{"Node", "Address", "State", "Voter"}}
		for _, server := range found.Data.Config.Servers {
			state := "follower"
			if server.Leader {
				state = "leader"
			}
			rows = append(rows, []string{server.NodeID, server.Address, state, fmt.Sprint(server.Voter)})
		}
		a.table(rows)
		return nil
	})
	return cmd
}

func raftRemovePeerCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove-peer NODE",
		Short: "Take a node out of the cluster",
		Long: `Takes a node out of the cluster for good, by its name as list-peers shows it. The node stops and
says so, and does not come back with its old data: empty its data directory to let it join again.`,
		Example: `  leasehold operator raft remove-peer n3`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		node, err := oneArg(args, "Not enough arguments (expected 1, got 0): which node?")
		if err != nil {
			return err
		}
		if err := c.RemovePeer(cmd.Context(), node); err != nil {
			return failed(err, "removing the peer %s from the raft cluster", node)
		}
		a.success("Peer removed successfully!")
		return nil
	})
	return cmd
}
