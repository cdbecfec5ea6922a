package cli

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// gossipKeySize is the size of a gossip key in bytes.
const gossipKeySize = 32

func gossipCommand(a *app) *cobra.Command {
	return newGroup("gossip", "See and replace the key of the members' gossip",
		`Replaces the key under which the members gossip, in three steps while they run: install it on all,
use it on all, remove the old one from all. Keys are shown by their fingerprint, the first 8 hex
digits of their SHA-256.`,
		`  leasehold operator gossip generate > new.key
  leasehold operator gossip install - < new.key
  leasehold operator gossip use - < new.key
  leasehold operator gossip remove 0a1b2c3d`,
		gossipGenerateCommand(a), gossipListCommand(a),
		gossipStepCommand(a, "install", "Give all members a new gossip key",
			`Gives all members a key. It decrypts from now on, and encrypts nothing before "use". With "-" the
key is read from the standard input, where other users of this machine do not see it.`,
			`  leasehold operator gossip install - < new.key`),
		gossipStepCommand(a, "use", "Have all members encrypt with a gossip key",
			`Has all members encrypt with a key that is installed, given itself or by its fingerprint. It is
refused unless each member has it.`,
			`  leasehold operator gossip use - < new.key
  leasehold operator gossip use 4e5f6071`),
		gossipStepCommand(a, "remove", "Have all members forget a gossip key",
			`Has all members forget a key, given itself or by its fingerprint. It is refused while a member
encrypts with it, or does not answer: it may come back with the old key alone.`,
			`  leasehold operator gossip remove 0a1b2c3d`))
}

func gossipGenerateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "generate",
		Short:   "Print a new gossip key",
		Long:    `Prints a new gossip key in base64. No server is asked, and none knows it before "install".`,
		Example: `  leasehold operator gossip generate > new.key`,
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		key := make([]byte, gossipKeySize)
		rand.Read(key)
		fmt.Fprintln(a.Stdout, base64.StdEncoding.EncodeToString(key))
		return nil
	}
	return cmd
}

func gossipListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the gossip keys of the members",
		Long: `Lists the gossip keys by their fingerprint, and tells how many members have each and how many
encrypt with it.`,
		Example: `  leasehold operator gossip list`,
	}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		if err := noArgs(args); err != nil {
			return err
		}
		found, err := c.GossipKeyring(cmd.Context())
		if err != nil {
			return failed(err, "listing the gossip keys")
		}
		return a.gossipKeys(found)
	})
	return cmd
}

func gossipStepCommand(a *app, step, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{Use: step + " KEY", Short: short, Long: long, Example: example}
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		key, err := oneArg(args, "Not enough arguments (expected 1, got 0): which key?")
		if err != nil {
			return err
		}
		if key == "-" {
			text, err := a.input()
			if err != nil {
				return err
			}
			key = strings.TrimSpace(text)
		}
		found, err := c.ChangeGossipKeyring(cmd.Context(), step, key)
		if err != nil {
			return failed(err, "changing the gossip keys")
		}
		return a.gossipKeys(found)
	})
	return cmd
}

func (a *app) gossipKeys(found *client.Envelope[client.GossipKeyring]) error {
	a.warn(found.Warnings)
	if a.format() != formatTable {
		return a.marshalled(found.Data)
	}
	rows := [][]string{{"Key", "Members", "Primary On"}}
	for _, k := range found.Data.Keys {
		rows = append(rows, []string{k.Fingerprint, fmt.Sprintf("%d of %d", k.Members, found.Data.Members),
			fmt.Sprintf("%d of %d", k.PrimaryMembers, found.Data.Members)})
	}
	a.table(rows)
	return nil
}
