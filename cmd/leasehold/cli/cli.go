// Package cli is what people type: every subcommand of leasehold but those that start or check a
// server. It speaks to a cluster through package client alone, so it could be a binary of its own.
//
// The manners are those of Vault's CLI, whose users and scripts it wants to serve unchanged: the
// same verbs, the same requests on the wire, the same words on success, one dash or two before a
// long flag, flags before or after the arguments. Data goes to standard output, everything said
// about it to standard error. Exit codes: 0 done, 1 wrong usage or a local error, 2 the server
// refused, failed, or was not there.
//
// A command is a constructor in its group's file, listed in newRoot, and a script in testdata.
package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitLocal  = 1 // wrong usage, or an error on this side
	exitServer = 2 // the server refused, failed, or could not be reached
)

// Options is what Run needs from the process.
type Options struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Version is the product's version, without a leading v.
	Version string
	// Commands join the CLI's own, such as the server. Their errors exit with 1.
	Commands []*cobra.Command
}

// Run executes one command line, without the program's name, and returns the exit code.
func Run(ctx context.Context, args []string, options Options) int {
	a := &app{Options: options}
	root := newRoot(a)
	root.SetArgs(longFlags(root, args))
	ran, err := root.ExecuteContextC(ctx)
	return a.report(ran, err)
}

// app is one execution of the CLI.
type app struct {
	Options
	global globals
	field  string // of the commands that print one secret
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "leasehold",
		Short: "A replicated lease store that speaks Vault's lease API",
		Long: `Leasehold hands out what must not live for ever (logins, keys, tokens, slots) with a lease: a
time to live, a renewal, an end. Three nodes agree on every lease; when one ends, what was leased
is destroyed.

"leasehold server" runs a node. Every other command talks to one, at the address of -address or
VAULT_ADDR, with the token of VAULT_TOKEN or of "leasehold login". Long flags take one dash or two,
before or after the arguments.`,
		Example: `  leasehold server -dev
  leasehold write lease/jobs/nightly ttl=10m
  leasehold lease renew -increment=1h lease/jobs/nightly/0YC32hlVYSVDUMa6WYISNrZ2
  leasehold lease revoke -prefix lease/jobs
  leasehold login -method=userpass username=ann`,
		Version:       a.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // group says what is wrong with them
		RunE:          group,
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetVersionTemplate(versionLine(a.Version) + "\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%s", sentence(err.Error())) })
	a.global.register(root)

	root.AddGroup(
		&cobra.Group{ID: "common", Title: "Common commands:"},
		&cobra.Group{ID: "other", Title: "Other commands:"},
	)
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	for _, command := range []*cobra.Command{
		readCommand(a), writeCommand(a), listCommand(a), deleteCommand(a), loginCommand(a), unwrapCommand(a),
		statusCommand(a),
	} {
		command.GroupID = "common"
		root.AddCommand(command)
	}
	for _, command := range append([]*cobra.Command{
		leaseCommand(a), tokenCommand(a), authCommand(a), secretsCommand(a), kvCommand(a), policyCommand(a),
		namespaceCommand(a), operatorCommand(a), versionCommand(a),
	}, a.Commands...) {
		command.GroupID = "other"
		root.AddCommand(command)
	}
	root.AddCommand(oldRenewCommand(a), oldRevokeCommand(a)) // spellings of old, not shown
	return root
}

// group is the RunE of a command that only holds others.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		cmd.SetOut(cmd.ErrOrStderr())
		return errors.Join(cmd.Help(), exitCode(exitLocal))
	}
	message := "Unknown command " + quote(args[0]) + " for " + quote(cmd.CommandPath()) + "."
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += " Did you mean " + quote(near[0]) + "?"
	}
	return usagef("%s", message)
}

// newGroup makes a command that only holds others.
func newGroup(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, RunE: group}
	cmd.AddCommand(commands...)
	return cmd
}
