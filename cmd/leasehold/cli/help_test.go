package cli

// This test is inside the package to reach the tree of commands; all others go through Run.

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// eachCommand calls do for every command of the CLI that is shown, by its words.
func eachCommand(do func(path string, cmd *cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, cmd := range parent.Commands() {
			if !cmd.Hidden {
				do(strings.TrimPrefix(cmd.CommandPath(), "leasehold "), cmd)
				walk(cmd)
			}
		}
	}
	walk(newRoot(&app{}))
}

// silentFlag is a line of help on a flag that does not say what it is for.
var silentFlag = regexp.MustCompile(`(?m)^ +(-\w, )?--[a-z-]+( [a-zA-Z=]+)? *$`)

// Each command says in a line and in a paragraph what it does, and shows how; each flag says what it
// is for.
func TestHelpIsWhole(t *testing.T) {
	seen := 0
	eachCommand(func(path string, cmd *cobra.Command) {
		seen++
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, "leasehold "+path) && !cmd.HasSubCommands() {
			t.Errorf("%s: short text %q, long text %q, example %q: one is missing", path, cmd.Short, cmd.Long, cmd.Example)
		}
		for line := range strings.Lines(cmd.Long + "\n") {
			if len(line) > 101 {
				t.Errorf("%s: a line of its help has %d characters, at most 100 fit: %s", path, len(line)-1, line)
			}
		}
		for _, flag := range silentFlag.FindAllString(cmd.LocalFlags().FlagUsages(), -1) {
			t.Errorf("%s: the flag %s says nothing", path, strings.TrimSpace(flag))
		}
	})
	if seen < 40 {
		t.Errorf("%d commands were seen, want at least 40", seen)
	}
}

// docs/cli.md lists exactly the commands that there are, and what each is for.
func TestCommandPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][a-z -]*)` \\|[^|]*\\| (.+) \\|$").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = row[2]
	}
	var there []string
	eachCommand(func(path string, cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			return
		}
		there = append(there, path)
		if listed[path] != cmd.Short {
			t.Errorf("%s is %q in its help and %q on the page", path, cmd.Short, listed[path])
		}
	})
	for path := range listed {
		if !slices.Contains(there, path) {
			t.Errorf("the page lists %s, which is not there", path)
		}
	}
}
