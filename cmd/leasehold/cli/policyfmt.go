package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func policyFmtCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fmt FILE",
		Short: "Write a policy file in the usual form",
		Long: `Rewrites a policy file, HCL or JSON, with the usual indents and alignment. Nothing but blanks
changes, and nothing is sent. A file with a mistake in its syntax is left as it is; whether the
server takes what it says, "leasehold policy write" tells.`,
		Example: `  leasehold policy fmt app.hcl`,
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		name, err := oneArg(args, "Not enough arguments (expected 1, got 0): which file?")
		if err != nil {
			return err
		}
		text, err := readFile(name)
		if err != nil {
			return err
		}
		formatted, err := formatPolicy([]byte(text))
		if err != nil {
			return localf(err, "formatting "+name, "to mend the line that is named; the file is as it was.")
		}
		if !bytes.Equal(formatted, []byte(text)) {
			if err := rewrite(name, formatted); err != nil {
				return localf(err, "writing "+name, "check that you may write it.")
			}
		}
		a.success("Success! Formatted policy: %s", name)
		return nil
	}
	return cmd
}

// formatPolicy changes blanks only, and refuses what it cannot read.
func formatPolicy(text []byte) ([]byte, error) {
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return formatHCL(string(text))
	}
	var out bytes.Buffer
	if err := json.Indent(&out, trimmed, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// rewrite replaces what is in a file and leaves its mode and owner alone.
func rewrite(name string, content []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is no regular file")
	}
	return os.WriteFile(name, content, info.Mode().Perm())
}
