// Leasehold is a replicated lease store that speaks Vault's lease API. The one binary is both:
// "leasehold server" runs a node, every other subcommand talks to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/cmd/leasehold/bench"
	"github.com/leasehold/leasehold/cmd/leasehold/cli"
)

// version is the product's version; a release build sets it with -ldflags "-X main.version=...".
var version = "0.1.0-dev"

func main() { os.Exit(run(os.Args[1:])) }

// patience is how long after a first signal a second one is taken for the same: some tools send it
// both to the process and to its group.
const patience = time.Second

// run executes one command line under a context that the first SIGINT or SIGTERM ends. A second
// signal, sent by somebody who does not want to wait, ends the process the hard way.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, stop) })
	return cli.Run(ctx, args, cli.Options{
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Version:  version,
		Commands: commands(),
	})
}

// commands are the subcommands that need more of this module than its client.
func commands() []*cobra.Command {
	return []*cobra.Command{serverCommand(), validateCommand(), tlsCommand(), bench.Command()}
}
