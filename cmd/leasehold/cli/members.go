package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

func operatorMembersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "members",
		Short: "Tell how each member of the cluster is",
		Long: `Asks each member, by way of the leader, how it is. Lag is in entries of the leader's log that the
member has not applied; Last Contact is since it heard the leader, or, if it does not answer, since
it last did.`,
		Example: `  leasehold operator members`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := c.HAStatus(cmd.Context())
		if err != nil {
			return failed(err, "asking the members")
		}
		if a.format() != formatTable {
			return a.marshalled(found.Data)
		}
		rows := [][]string{{"Node", "Address", "API Address", "Role", "Term", "Applied", "Lag", "Last Contact", "Version"}}
		for _, n := range found.Data.Nodes {
			term, applied, lag := fmt.Sprint(n.Term), fmt.Sprint(n.AppliedIndex), fmt.Sprint(n.Lag)
			if !n.Answered {
				term, applied, lag = "no answer", "n/a", "n/a"
			}
			rows = append(rows, []string{n.NodeID, n.ClusterAddress, n.APIAddress, n.Role, term, applied, lag, n.LastContact, n.Version})
		}
		a.table(rows)
		return nil
	})
	return cmd
}

func raftJoinTokenCommand(a *app) *cobra.Command {
	var ttl seconds
	cmd := &cobra.Command{
		Use:   "join-token [-ttl=DURATION] NODE",
		Short: "Make a token with which a new node may join",
		Long: `Makes a token with which one node, of this name, may join the cluster, once. It is shown only this
once, and voids the token that was made for the node before. Give it to the node as join_token or
in join_token_file. Without -ttl it lives for ten minutes, which is the most.`,
		Example: `  leasehold operator raft join-token n4
  leasehold operator raft join-token -field=token n4 > join-token`,
	}
	cmd.Flags().Var(&ttl, "ttl", "how long it lives")
	a.fieldFlag(cmd)
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		node, err := oneArg(args, "Not enough arguments (expected 1, got 0): for which node?")
		if err != nil {
			return err
		}
		made, err := c.CreateJoinToken(cmd.Context(), node, time.Duration(ttl))
		if err != nil {
			return failed(err, "making a join token for %s", node)
		}
		return a.secret(made.Raw())
	})
	return cmd
}

func raftJoinCommand(a *app) *cobra.Command {
	var ca string
	cmd := &cobra.Command{
		Use:   "join [-leader-ca-cert=@FILE] LEADER_API_ADDR",
		Short: "Tell a new node which cluster to join",
		Long: `Tells the node at -address, which belongs to no cluster, to ask the one whose node has this API
address to be let in. It goes on asking for ten minutes, and presents the join token of its own
configuration, if it has one. Without cluster_tls it asks on its own machine alone.`,
		Example: `  leasehold operator raft join -address=http://127.0.0.1:8240 http://127.0.0.1:8210`,
	}
	cmd.Flags().StringVar(&ca, "leader-ca-cert", "", "certificate in PEM that the leader's API is trusted by, or @file")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		leader, err := oneArg(args, "Not enough arguments (expected 1, got 0): the address of which cluster?")
		if err != nil {
			return err
		}
		if name, isFile := strings.CutPrefix(ca, "@"); isFile {
			text, err := os.ReadFile(name)
			if err != nil {
				return localf(err, "reading the certificate", "another file.")
			}
			ca = string(text)
		}
		found, err := c.RaftJoin(cmd.Context(), leader, ca)
		if err != nil {
			return failed(err, "joining the cluster of %s", leader)
		}
		if a.format() != formatTable {
			return a.marshalled(found)
		}
		a.table([][]string{{"Key", "Value"}, {"Joined", fmt.Sprint(found.Joined)}})
		return nil
	})
	return cmd
}

func raftAutopilotCommand(a *app) *cobra.Command {
	return newGroup("autopilot", "See and change how the leader cares for the members",
		`Works with the part of the leader that lets new members vote once they are well, and removes dead
ones where it is told to.`,
		`  leasehold operator raft autopilot state
  leasehold operator raft autopilot set-config -cleanup-dead-servers=true -min-quorum=3`,
		autopilotGetCommand(a), autopilotSetCommand(a), autopilotStateCommand(a))
}

func autopilotGetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get-config",
		Short:   "Show how the leader cares for the members",
		Long:    `Shows the settings by which the leader cares for the members.`,
		Example: `  leasehold operator raft autopilot get-config`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := c.AutopilotConfig(cmd.Context())
		if err != nil {
			return failed(err, "reading autopilot's configuration")
		}
		return a.secret(found.Raw())
	})
	return cmd
}

func autopilotSetCommand(a *app) *cobra.Command {
	var (
		cleanup               bool
		trailing              uint64
		quorum                uint
		dead, contact, stable seconds
	)
	cmd := &cobra.Command{
		Use:   "set-config [OPTIONS]",
		Short: "Change how the leader cares for the members",
		Long: `Changes the settings that are given; the others stay. With -cleanup-dead-servers the leader removes
a voter that has not answered for as long as -dead-server-last-contact-threshold says, but only
while at least -min-quorum other voters are healthy: make that the number of voters that the cluster
is to have, and a dead one goes only when another has taken its place.`,
		Example: `  leasehold operator raft autopilot set-config -cleanup-dead-servers=true -min-quorum=3 -dead-server-last-contact-threshold=1h`,
	}
	f := cmd.Flags()
	f.BoolVar(&cleanup, "cleanup-dead-servers", false, "remove dead members")
	f.Uint64Var(&trailing, "max-trailing-logs", 0, "entries that a healthy member may be behind")
	f.UintVar(&quorum, "min-quorum", 0, "healthy voters that must be left")
	f.Var(&dead, "dead-server-last-contact-threshold", "silence after which a member is dead")
	f.Var(&contact, "last-contact-threshold", "silence after which a member is not healthy")
	f.Var(&stable, "server-stabilization-time", "how long a new member must be healthy before it votes")
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		var in client.AutopilotInput
		if f.Changed("cleanup-dead-servers") {
			in.CleanupDeadServers = &cleanup
		}
		if f.Changed("max-trailing-logs") {
			in.MaxTrailingLogs = &trailing
		}
		if f.Changed("min-quorum") {
			in.MinQuorum = &quorum
		}
		for _, d := range []struct {
			flag  string
			value seconds
			into  *string
		}{
			{"dead-server-last-contact-threshold", dead, &in.DeadServerLastContactThreshold},
			{"last-contact-threshold", contact, &in.LastContactThreshold},
			{"server-stabilization-time", stable, &in.ServerStabilizationTime},
		} {
			if f.Changed(d.flag) {
				*d.into = time.Duration(d.value).String()
			}
		}
		if err := c.SetAutopilotConfig(cmd.Context(), in); err != nil {
			return failed(err, "writing autopilot's configuration")
		}
		a.success("Success! Changed autopilot's configuration.")
		return nil
	})
	return cmd
}

func autopilotStateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "state",
		Short:   "Show which members are healthy, and how many may fail",
		Long:    `Shows what the leader found when it last looked at the members, a few seconds ago at most.`,
		Example: `  leasehold operator raft autopilot state`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := c.AutopilotState(cmd.Context())
		if err != nil {
			return failed(err, "reading autopilot's state")
		}
		if a.format() != formatTable {
			return a.value(found.Raw())
		}
		a.autopilotTable(found.Data)
		return nil
	})
	return cmd
}

// autopilotTable prints a state as the stock CLI does: the whole, then each server.
func (a *app) autopilotTable(s client.AutopilotState) {
	fmt.Fprintf(a.Stdout, "Healthy:                      %t\nFailure Tolerance:            %d\nLeader:                       %s\nVoters:\n", s.Healthy, s.FailureTolerance, s.Leader)
	for _, id := range s.Voters {
		fmt.Fprintf(a.Stdout, "   %s\n", id)
	}
	if len(s.NonVoters) > 0 {
		fmt.Fprintf(a.Stdout, "Non-Voters:\n   %s\n", strings.Join(s.NonVoters, "\n   "))
	}
	fmt.Fprintln(a.Stdout, "Servers:")
	for _, id := range slices.Sorted(maps.Keys(s.Servers)) {
		n := s.Servers[id]
		fmt.Fprintf(a.Stdout, "   %s\n", id)
		for _, row := range [][2]string{
			{"Name", n.Name}, {"Address", n.Address}, {"Status", n.Status}, {"Node Status", n.NodeStatus}, {"Healthy", fmt.Sprint(n.Healthy)},
			{"Last Contact", n.LastContact}, {"Last Term", fmt.Sprint(n.LastTerm)}, {"Last Index", fmt.Sprint(n.LastIndex)}, {"Version", n.Version},
		} {
			fmt.Fprintf(a.Stdout, "      %-16s %s\n", row[0]+":", row[1])
		}
	}
}
